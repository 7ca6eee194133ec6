"""Meshes in files: GLB, OBJ and PLY in, GLB out.

Textures become colours of triangles, which are split first so that the picture on them is kept. Frames: a GLB is
y up and turned to our z up; OBJ and PLY say nothing of their axes and are read as they are. Nothing is repaired.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Bool, Float, UInt8
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

_OPAQUE = 128
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
            # Numbers as they are in the file: nothing is merged, reordered or dropped.
            scene = trimesh.load_scene(
                io.BytesIO(content), file_type=ending[1:], resolver=resolver, process=False, maintain_order=True
            )
            parts = list(_parts(scene, ending))
    except Exception as error:  # the parsers raise whatever a torn file leads them to
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{where}: cannot be read as {ending[1:].upper()} ({reason}); it may be truncated") from error
    mesh = _join(parts)
    try:
        check_mesh(mesh)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if ending == ".glb":
        mesh = mesh.replace(vertices=mesh.vertices @ Z_UP_FROM_Y_UP.T)
    return _with_sharp_colors(mesh)


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


def _parts(scene: trimesh.Scene, ending: str) -> Iterator[Mesh]:
    """Yield each mesh of a scene in its place."""
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        if not isinstance(geometry, trimesh.Trimesh) or not len(geometry.faces):
            continue
        mesh = _colored(geometry, linear=ending == ".glb")
        turned = np.linalg.det(transform[:3, :3]) < 0
        yield mesh.replace(
            vertices=mesh.vertices @ transform[:3, :3].T + transform[:3, 3],
            faces=mesh.faces[:, ::-1] if turned else mesh.faces,
        )


def _colored(geometry: trimesh.Trimesh, *, linear: bool) -> Mesh:
    """Return one mesh of a file with its colours as sRGB bytes; `linear` says how the file writes plain ones."""
    vertices = np.array(geometry.vertices, dtype=np.float64)
    faces = np.array(geometry.faces, dtype=np.int64)
    visual: Any = geometry.visual
    if not isinstance(visual, trimesh.visual.TextureVisuals):
        if visual.kind == "vertex":
            colors = np.array(visual.vertex_colors, np.uint8)[:, :3]
            colors = bytes_from_unit(srgb_from_linear(colors / 255)) if linear else colors
            return Mesh(vertices=vertices, faces=faces, vertex_colors=colors)
        plain = np.array(visual.face_colors)[:, :3] if visual.kind == "face" else np.tile(GRAY, (len(faces), 1))
        return Mesh(vertices=vertices, faces=faces, face_colors=plain.astype(np.uint8))
    picture, factor = _material(visual.material, linear=linear)
    if picture is None or visual.uv is None or len(visual.uv) != len(vertices) or not np.isfinite(visual.uv).all():
        color = bytes_from_unit(factor)
        return Mesh(vertices=vertices, faces=faces, face_colors=np.tile(color, (len(faces), 1)))
    return _baked(np.concatenate([vertices, visual.uv], axis=1), faces, picture, factor)


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
    return np.asarray(picture.convert("RGBA")), color if linear else np.ones(3)


def _baked(
    corners: Float[np.ndarray, "vertex 5"],
    faces: np.ndarray,
    picture: UInt8[np.ndarray, "height width 4"],
    factor: Float[np.ndarray, "3"],
) -> Mesh:
    """Return a mesh whose triangles are small and have the colour of the texture at their middles.

    Triangles whose texture is of one colour stay whole; those where it is transparent are left out.
    """
    among = _varies(corners, faces, picture)
    used = corners[np.unique(faces), :3]
    longest = float(np.ptp(used, axis=0).max()) / TEXTURE_CELLS
    if longest > 0 and np.isfinite(used).all():
        corners, faces, _ = split_long_edges(corners, faces, longest, among=among, max_faces=MAX_FACES)
    colors = _look_up(picture, corners[faces, 3:].mean(axis=1))
    seen = colors[:, 3] >= _OPAQUE
    if not seen.any():  # a texture that is transparent everywhere holds its colours for another use
        seen[:] = True
    tinted = bytes_from_unit(colors[seen, :3] / 255 * factor)
    return Mesh(vertices=corners[:, :3].copy(), faces=faces[seen], face_colors=tinted)


def _varies(corners: np.ndarray, faces: np.ndarray, picture: np.ndarray) -> Bool[np.ndarray, " face"]:
    """Return which triangles look at more than one colour: at 15 places of each the texture is read."""
    steps = np.array([(a, b, 4 - a - b) for a in range(5) for b in range(5 - a)]) / 4
    colors = _look_up(picture, np.einsum("sc,fcd->fsd", steps, corners[faces, 3:]).reshape(-1, 2))
    spread = np.ptp(colors.reshape(len(faces), len(steps), 4).astype(np.int16), axis=1)
    return (spread > 8).any(axis=1)


def _look_up(picture: np.ndarray, places: Float[np.ndarray, "point 2"]) -> UInt8[np.ndarray, "point 4"]:
    """Return the pixels at texture coordinates, which repeat beyond [0, 1]; v counts from the bottom."""
    height, width = picture.shape[:2]
    column = np.floor(places[:, 0] * width).astype(np.int64) % width
    row = (height - 1 - np.floor(places[:, 1] * height).astype(np.int64)) % height
    return picture[row, column]


def _join(parts: list[Mesh]) -> Mesh:
    """Return all meshes as one; colours of corners are kept if all have them, else those of triangles."""
    if not parts:
        return Mesh(vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), np.int64))
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    vertices = np.concatenate([part.vertices for part in parts])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    if all(part.vertex_colors is not None for part in parts):
        return Mesh(vertices=vertices, faces=faces, vertex_colors=np.concatenate([p.vertex_colors for p in parts]))
    thirds = np.full(3, 1 / 3)
    colors = [part.colors_at(np.arange(len(part.faces)), np.tile(thirds, (len(part.faces), 1))) for part in parts]
    return Mesh(vertices=vertices, faces=faces, face_colors=np.concatenate(colors))


def _with_sharp_colors(mesh: Mesh) -> Mesh:
    """Return the mesh with colours of triangles where each triangle's corners have one colour."""
    if mesh.vertex_colors is None:
        return mesh
    corners = mesh.vertex_colors[mesh.faces]
    if (corners == corners[:, :1]).all():
        return mesh.replace(vertex_colors=None, face_colors=corners[:, 0])
    return mesh
