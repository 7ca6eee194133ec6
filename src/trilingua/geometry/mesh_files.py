"""Meshes in files: GLB, OBJ and PLY in, GLB out.

Textures become colours of triangles, which are split first so that the picture on them is kept. Frames: a GLB is
y up and turned to our z up; OBJ and PLY say nothing of their axes and are read as they are. Nothing is repaired.
"""

import dataclasses
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from trimesh.visual.material import PBRMaterial

from trilingua.core.errors import InputError
from trilingua.core.io import existing_file, write_bytes
from trilingua.geometry.meshes import GRAY, Mesh, check_mesh
from trilingua.geometry.srgb import bytes_from_unit, linear_from_srgb, srgb_from_linear
from trilingua.geometry.subdivision import split_long_edges

ENDINGS = (".glb", ".obj", ".ply")
"""The endings of the files that can be read."""

TEXTURE_CELLS = 64
"""How many triangles' edges a texture is given along the longest side of its mesh."""

MAX_FACES = 200_000
"""Triangles are not split to carry a texture beyond this number."""

_PALETTE_SIDE = 4

logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # what is wrong with a file is said in our one line


def read_mesh(path: str | Path) -> Mesh:
    """Read a mesh file: all its parts in their places, as one mesh that passes `check_mesh`.

    Raises:
        InputError: no such file, not one of `ENDINGS`, torn, or without anything to use; one line.
    """
    path = existing_file(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path}: cannot be read as a mesh; expected one of {', '.join(ENDINGS)}")
    return parse_mesh(
        path.read_bytes(), ending, where=str(path), resolver=trimesh.resolvers.FilePathResolver(str(path))
    )


def parse_mesh(content: bytes, ending: str, *, where: str, resolver: trimesh.resolvers.Resolver | None = None) -> Mesh:
    """Return the mesh that the bytes of a file hold, as `read_mesh` does.

    Args:
        content: the file.
        ending: one of `ENDINGS`.
        where: what errors call the file.
        resolver: finds the materials and textures that the file names.

    Raises:
        InputError: torn, or without anything to use; one line.
    """
    if not content:
        raise InputError(f"{where}: is empty; expected a mesh")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            # `process` would merge corners, and with them what the file keeps apart.
            scene = trimesh.load_scene(io.BytesIO(content), file_type=ending[1:], resolver=resolver, process=False)
            parts = list(_parts(scene, ending))
    except Exception as error:  # the parsers raise whatever a torn file leads them to
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{where}: cannot be read as {ending[1:].upper()} ({reason}); it may be truncated") from error
    try:
        mesh = _join(parts)
        check_mesh(mesh)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if ending == ".glb":
        mesh = mesh.replace(vertices=mesh.vertices @ Z_UP_FROM_Y_UP.T)
    return mesh


Z_UP_FROM_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Turns y up to z up: what looked along +z then looks along -y, towards a viewer in front."""


def save_mesh(mesh: Mesh, path: str | Path) -> None:
    """Write a mesh as GLB, atomically, y up as the format demands.

    Colours of triangles come back from `read_mesh` exactly: they are written as a small texture in sRGB. Colours of
    corners are written as glTF wants them, linear light in bytes, which costs dark ones some steps.

    Raises:
        InputError: the mesh cannot be used, or the file cannot be written.
    """
    check_mesh(mesh)
    vertices = mesh.vertices.astype(np.float64) @ Z_UP_FROM_Y_UP
    if mesh.face_colors is not None:
        palette, index = np.unique(mesh.face_colors, axis=0, return_inverse=True)
        keys = mesh.faces.astype(np.int64) * len(palette) + index.reshape(-1, 1)
        corners, faces = np.unique(keys, return_inverse=True)  # a corner is repeated where colours meet
        picture, places = _palette_picture(palette)
        visual: Any = trimesh.visual.TextureVisuals(
            uv=places[corners % len(palette)],
            material=PBRMaterial(baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=0.9),
        )
        vertices = vertices[corners // len(palette)]
        written = trimesh.Trimesh(vertices, faces.reshape(-1, 3), visual=visual, process=False, validate=False)
    else:
        written = trimesh.Trimesh(vertices, mesh.faces, process=False, validate=False)
        if mesh.vertex_colors is not None:
            light = bytes_from_unit(linear_from_srgb(mesh.vertex_colors))
            written.visual = trimesh.visual.ColorVisuals(
                vertex_colors=np.pad(light, ((0, 0), (0, 1)), constant_values=255)
            )
        else:
            written.visual = trimesh.visual.TextureVisuals(
                material=PBRMaterial(
                    baseColorFactor=[*linear_from_srgb(np.array(GRAY, np.uint8)), 1.0], metallicFactor=0.0
                )
            )
    write_bytes(path, trimesh.Scene(written).export(file_type="glb", include_normals=False))


def _palette_picture(palette: UInt8[np.ndarray, "color 3"]) -> tuple[Image.Image, Float[np.ndarray, "color 2"]]:
    """Return a picture with a square for each colour, and the texture coordinates of their middles."""
    columns = int(np.ceil(np.sqrt(len(palette))))
    rows = -(-len(palette) // columns)
    cells = np.zeros((rows * columns, 3), np.uint8)
    cells[: len(palette)] = palette
    pixels = cells.reshape(rows, columns, 3).repeat(_PALETTE_SIDE, axis=0).repeat(_PALETTE_SIDE, axis=1)
    row, column = np.divmod(np.arange(len(palette)), columns)
    return Image.fromarray(pixels), np.stack([(column + 0.5) / columns, 1 - (row + 0.5) / rows], axis=1)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One mesh of a file in its place, and what its triangles look like."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    picture: UInt8[np.ndarray, "height width 4"] | None = None
    looks: Float[np.ndarray, "face 3 channel"]
    """At each triangle's corners: texture coordinates if there is a picture, else an sRGB colour in [0, 1]."""
    factor: Float[np.ndarray, "3"]
    """What the colour is multiplied with."""

    def colors(
        self, faces: Int[np.ndarray, " point"], weights: Float[np.ndarray, "point 3"]
    ) -> Float[np.ndarray, "point 4"]:
        """Return colour and opacity in [0, 1] at places on the part."""
        looks = np.einsum("pc,pcd->pd", weights, self.looks[faces])
        if self.picture is None:
            return np.pad(looks, ((0, 0), (0, 1)), constant_values=1.0)
        return _look_up(self.picture, looks) / 255 * (*self.factor, 1.0)

    def varies(self) -> Bool[np.ndarray, " face"]:
        """Return which triangles look at more than one colour of the picture, which is read at 15 places of each."""
        if self.picture is None:
            return np.zeros(len(self.faces), bool)
        steps = np.array([(a, b, 4 - a - b) for a in range(5) for b in range(5 - a)]) / 4
        places = np.einsum("sc,fcd->fsd", steps, self.looks).reshape(-1, 2)
        colors = _look_up(self.picture, places).reshape(len(self.faces), len(steps), 4)
        return (np.ptp(colors.astype(np.int16), axis=1) > 8).any(axis=1)


def _parts(scene: trimesh.Scene, ending: str) -> Iterator[_Part]:
    """Yield each mesh of a scene in its place."""
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        if not isinstance(geometry, trimesh.Trimesh) or not len(geometry.faces):
            continue
        part = _part(geometry, linear=ending == ".glb")
        vertices = part.vertices @ transform[:3, :3].T + transform[:3, 3]
        if np.linalg.det(transform[:3, :3]) < 0:
            part = dataclasses.replace(part, faces=part.faces[:, ::-1], looks=part.looks[:, ::-1])
        yield dataclasses.replace(part, vertices=vertices)


def _part(geometry: trimesh.Trimesh, *, linear: bool) -> _Part:
    """Return one mesh of a file; `linear` says how the file writes colours that are not in a picture."""
    vertices = np.array(geometry.vertices, dtype=np.float64)
    faces = np.array(geometry.faces, dtype=np.int64)
    visual: Any = geometry.visual
    white, size = np.ones(3), (len(faces), 3, 3)
    if not isinstance(visual, trimesh.visual.TextureVisuals):
        if visual.kind == "vertex":
            looks = np.array(visual.vertex_colors)[faces, :3] / 255
        elif visual.kind == "face":
            looks = np.broadcast_to(np.array(visual.face_colors)[:, None, :3] / 255, size)
        else:
            return _Part(
                vertices=vertices, faces=faces, looks=np.broadcast_to(np.array(GRAY) / 255, size), factor=white
            )
        return _Part(vertices=vertices, faces=faces, looks=srgb_from_linear(looks) if linear else looks, factor=white)
    picture, factor = _material(visual.material, linear=linear)
    if picture is None or visual.uv is None or len(visual.uv) != len(vertices) or not np.isfinite(visual.uv).all():
        return _Part(vertices=vertices, faces=faces, looks=np.broadcast_to(factor, size), factor=white)
    looks = np.array(visual.uv, np.float64)[faces]
    return _Part(vertices=vertices, faces=faces, picture=picture, looks=looks, factor=factor)


def _material(material: Any, *, linear: bool) -> tuple[UInt8[np.ndarray, "height width 4"] | None, np.ndarray]:
    """Return the picture of a material, if it has one, and the sRGB colour in [0, 1] that it is multiplied with."""
    if isinstance(material, PBRMaterial):
        picture, factor = material.baseColorTexture, material.baseColorFactor
    else:
        picture, factor = getattr(material, "image", None), getattr(material, "diffuse", None)
    color = np.array([255, 255, 255] if factor is None else factor, np.float64)[:3] / 255
    if linear:
        color = srgb_from_linear(color)
    if not isinstance(picture, Image.Image):
        return None, color if factor is not None else np.array(GRAY) / 255
    # Exporters often write a black or dark colour beside a texture, which viewers of OBJ files do not multiply.
    pixels = np.array(picture.convert("RGBA"))
    if isinstance(material, PBRMaterial) and material.alphaMode not in ("MASK", "BLEND"):
        pixels[..., 3] = 255  # glTF, section 3.9.4: without a mode a material is opaque, whatever its alphas say
    return pixels, color if linear else np.ones(3)


def _look_up(picture: np.ndarray, places: Float[np.ndarray, "point 2"]) -> UInt8[np.ndarray, "point 4"]:
    """Return the pixels at texture coordinates, which repeat beyond [0, 1]; v counts from the bottom."""
    height, width = picture.shape[:2]
    column = np.floor(places[:, 0] * width).astype(np.int64) % width
    row = (height - 1 - np.floor(places[:, 1] * height).astype(np.int64)) % height
    return picture[row, column]


def _join(parts: list[_Part]) -> Mesh:
    """Return all parts as one mesh in which corners at one place are one corner.

    Triangles on which a picture is more than one colour are split until they are small, also along edges that they
    share with others, so that a closed surface stays closed. Where a picture is transparent there is no triangle.
    """
    if not parts:
        return Mesh(vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), np.int64))
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    vertices = np.concatenate([part.vertices for part in parts])
    bare = Mesh(vertices=vertices, faces=faces)
    check_mesh(bare)
    vertices, place = np.unique(vertices, axis=0, return_inverse=True)
    faces = place.reshape(-1)[faces]
    looks = [part.looks for part in parts if part.picture is None]
    if (
        len(looks) == len(parts)
        and (colors := _colors_of_corners(np.concatenate(looks), faces, len(vertices))) is not None
    ):
        return Mesh(vertices=vertices, faces=faces, vertex_colors=colors)
    owner = np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts])
    within = np.concatenate([np.arange(len(part.faces)) for part in parts])
    longest = float(np.ptp(bare.bounds, axis=0).max()) / TEXTURE_CELLS
    among = np.concatenate([part.varies() for part in parts])
    split = split_long_edges(vertices, faces, longest, among=among, max_faces=MAX_FACES)
    middles = split.corners[split.faces].mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = trimesh.triangles.points_to_barycentric(vertices[faces[split.parents]], middles)
    # A triangle without area has no weights; it is not seen either.
    whole = (np.abs(weights - 0.5) <= 0.5 + 1e-6).all(axis=1, keepdims=True)
    weights = np.where(whole, weights, 1 / 3)
    found = np.zeros((len(split.faces), 4))
    for number, part in enumerate(parts):
        own = owner[split.parents] == number
        colors = part.colors(within[split.parents[own]], weights[own])
        if not (colors[:, 3] >= 0.5).any():  # a picture that is transparent everywhere holds colours for another use
            colors[:, 3] = 1.0
        found[own] = colors
    seen = found[:, 3] >= 0.5
    return Mesh(vertices=split.corners, faces=split.faces[seen], face_colors=bytes_from_unit(found[seen, :3]))


def _colors_of_corners(
    looks: Float[np.ndarray, "face 3 3"], faces: Int[np.ndarray, "face 3"], num_vertices: int
) -> UInt8[np.ndarray, "vertex 3"] | None:
    """Return a colour for each corner if triangles that meet agree on it and some triangle needs more than one."""
    if (looks == looks[:, :1]).all():
        return None
    colors = np.zeros((num_vertices, 3))
    colors[faces] = looks
    return bytes_from_unit(colors) if (colors[faces] == looks).all() else None
