"""Triangle meshes with colours: what can be used, where an object lies and how large it is, points of its surface.

A mesh is arrays alone: corners, triangles, bytes of colour. Faces are oriented so that their normal points out of
the solid. This module knows no files (`mesh_files.py`) and no distances (`mesh_queries.py`).
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float, Float32, Int, UInt8

from trilingua.core.errors import ConfigError, InputError

LARGEST_COORDINATE = 1e9
"""Beyond this a coordinate is taken for a mistake."""

MARGIN = 0.05
"""What a normalised object leaves free between its longest side and the edge of [-1, 1]."""

GRAY = (178, 178, 178)
"""The colour of a mesh that has none."""

_SMALLEST_SHARE = 1e-12
"""Least area of a mesh over its squared size; below it nothing can be sampled from its surface."""


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Triangles in space, each with its corners counter-clockwise as seen from outside."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    """Indices of each triangle's corners."""
    face_colors: UInt8[np.ndarray, "face 3"] | None = None
    """sRGB bytes of each triangle; without these and without `vertex_colors` a mesh is gray."""
    vertex_colors: UInt8[np.ndarray, "vertex 3"] | None = None
    """sRGB bytes of each corner, blended linearly over triangles; not together with `face_colors`."""

    def __post_init__(self) -> None:
        if self.face_colors is not None and self.vertex_colors is not None:
            raise ConfigError("mesh: has face_colors and vertex_colors; give one of them")

    @property
    def triangles(self) -> Float[np.ndarray, "face 3 3"]:
        """The corners of each triangle."""
        return self.vertices[self.faces]

    @property
    def used_vertices(self) -> Float[np.ndarray, "used 3"]:
        """The vertices that triangles have as corners."""
        used = np.zeros(len(self.vertices), bool)
        used[self.faces] = True
        return self.vertices[used]

    @property
    def area_vectors(self) -> Float[np.ndarray, "face 3"]:
        """Each triangle's normal, as long as its area."""
        a, b, c = np.moveaxis(self.triangles, 1, 0)
        return np.cross(b - a, c - a) / 2

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Least and largest coordinates of what the triangles use."""
        used = self.used_vertices
        return np.stack([used.min(axis=0), used.max(axis=0)])

    @property
    def volume(self) -> float:
        """Signed volume; positive for a closed mesh whose faces point outwards. Open meshes: about the origin."""
        return float(np.einsum("fi,fi->", self.triangles[:, 0], self.area_vectors) / 3)

    @property
    def is_watertight(self) -> bool:
        """Whether the surface has no border: triangles run along every edge as often one way as the other.

        Then winding numbers are whole. Corners at one place count as one corner, since files repeat them where
        colours or normals differ; solids that touch along an edge are allowed.
        """
        forward, backward = self._directed_edges()
        return bool((np.sort(forward) == np.sort(backward)).all())

    @property
    def num_torn_edges(self) -> int:
        """Number of edges at which the surface is no surface: three triangles or more that do not close around it.

        Borders count as none, and solids that touch along an edge either. Corners at one place count as one.
        """
        forward, backward = self._directed_edges()
        _, edge, uses = np.unique(np.minimum(forward, backward), return_inverse=True, return_counts=True)
        excess = np.bincount(edge.reshape(-1), weights=np.sign(forward - backward))
        return int(((uses > 2) & (excess != 0)).sum())

    def _directed_edges(self) -> tuple[Int[np.ndarray, " edge"], Int[np.ndarray, " edge"]]:
        """Return a number for each side of each triangle, and the number of the same side run the other way."""
        _, place = np.unique(self.vertices, axis=0, return_inverse=True)
        corners = place.reshape(-1)[self.faces]
        starts, ends = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
        count = len(self.vertices)
        return starts * count + ends, ends * count + starts

    def colors_at(
        self, faces: Int[np.ndarray, " point"], weights: Float[np.ndarray, "point 3"]
    ) -> UInt8[np.ndarray, "point 3"]:
        """Return the sRGB bytes at places on the surface.

        Args:
            faces: triangle of each place.
            weights: its barycentric weights, which sum to 1.
        """
        if self.face_colors is not None:
            return self.face_colors[faces]
        if self.vertex_colors is None:
            return np.full((len(faces), 3), GRAY, np.uint8)
        corners = self.vertex_colors[self.faces[faces]].astype(np.float64)
        return np.einsum("pc,pcd->pd", weights, corners).round().clip(0, 255).astype(np.uint8)

    def replace(self, **changes: Any) -> "Mesh":
        """Return a mesh with some fields changed."""
        return dataclasses.replace(self, **changes)

    def outward(self) -> "Mesh":
        """Return the mesh with all faces turned round if its signed volume is negative."""
        return self.replace(faces=self.faces[:, ::-1].copy()) if self.volume < 0 else self


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where a normalised object stood and how large it was: place = centre + scale * normalised place."""

    center: tuple[float, float, float]
    """Middle of the object's bounding box, in the file's units."""
    scale: float
    """Units of the file that one unit of the normalised object stands for; above 0."""

    @classmethod
    def of(cls, mesh: Mesh) -> "Frame":
        """Return the frame in which the longest side of `mesh` spans [-1 + MARGIN, 1 - MARGIN]."""
        low, high = mesh.bounds.astype(np.float64)
        x, y, z = (low + high) / 2
        return cls(center=(float(x), float(y), float(z)), scale=float((high - low).max() / 2 / (1 - MARGIN)))

    def normalize(self, mesh: Mesh) -> Mesh:
        """Return `mesh` in [-1, 1]^3."""
        return mesh.replace(vertices=(mesh.vertices.astype(np.float64) - self.center) / self.scale)

    def restore(self, mesh: Mesh) -> Mesh:
        """Return a normalised mesh in the original units, where it was: the inverse of `normalize`."""
        return mesh.replace(vertices=mesh.vertices.astype(np.float64) * self.scale + self.center)

    def to_json(self) -> dict[str, Any]:
        """Return the frame as a JSON object."""
        return {"center": list(self.center), "scale": self.scale}

    @classmethod
    def from_json(cls, value: Any, where: str) -> "Frame":
        """Return the frame that a JSON object describes.

        Args:
            value: what `to_json` returned.
            where: file and field, for messages.

        Raises:
            InputError: a field is missing or out of range; names it.
        """
        center, scale = (value.get(name) if isinstance(value, dict) else None for name in ("center", "scale"))
        numbers = [*center, scale] if isinstance(center, list) and len(center) == 3 else []
        if not numbers or not all(
            isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= 2 * LARGEST_COORDINATE
            for number in numbers
        ):
            raise InputError(
                f"{where}: {value!r:.60} is not allowed; expected center, three numbers, and scale, one, all at most "
                f"{2 * LARGEST_COORDINATE:.0e}"
            )
        if not numbers[3] > 0:
            raise InputError(f"{where}.scale: {scale} is not allowed; expected a number above 0")
        x, y, z = map(float, numbers[:3])
        return cls(center=(x, y, z), scale=float(numbers[3]))


def check_mesh(mesh: Mesh) -> None:
    """Raise unless the mesh can be normalised, sampled and measured.

    A mesh need not be closed or manifold: inside and outside are told by its winding number.

    Raises:
        InputError: no faces, indices out of range, coordinates not finite or enormous, or no area; one line.
    """
    for reason in _problems(mesh):
        raise InputError(reason)


def check_manifold(mesh: Mesh) -> None:
    """Raise unless no edge of the mesh belongs to three triangles or more, but for solids that touch there.

    Raises:
        InputError: some do; one line with their number.
    """
    if torn := mesh.num_torn_edges:
        raise InputError(
            f"mesh is not manifold ({torn} edges of three or more triangles that do not close around "
            "them); repair it, or allow it (--allow-non-manifold)"
        )


def _problems(mesh: Mesh) -> Iterator[str]:
    if not len(mesh.faces) or not len(mesh.vertices):
        yield f"mesh is empty ({len(mesh.vertices)} vertices, {len(mesh.faces)} faces); expected triangles"
        return
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        yield f"mesh has a face with vertex {int(mesh.faces.max())} of {len(mesh.vertices)}; the file may be truncated"
        return
    used = mesh.used_vertices
    if not np.isfinite(used).all():
        count = int((~np.isfinite(used).all(axis=1)).sum())
        yield f"mesh has {count} vertices that are not finite numbers; repair the file"
        return
    largest = float(np.abs(used).max())
    if largest > LARGEST_COORDINATE:
        yield f"mesh has a coordinate of {largest:.3g}; allowed are at most {LARGEST_COORDINATE:.0e}, rescale it"
        return
    size = float(np.ptp(used, axis=0).max())
    area = float(np.linalg.norm(mesh.area_vectors, axis=1).sum())
    if not area > _SMALLEST_SHARE * size**2:
        yield f"mesh has no area ({len(mesh.faces)} faces on a line or point); expected triangles"


class SurfacePoints(NamedTuple):
    """Points of a surface and what is known there."""

    points: Float32[np.ndarray, "point 3"]
    normals: Float32[np.ndarray, "point 3"]
    """Unit normals of the triangles."""
    colors: UInt8[np.ndarray, "point 3"]
    """sRGB bytes."""


def sample_surface(mesh: Mesh, num_points: int, generator: np.random.Generator) -> SurfacePoints:
    """Return points drawn uniformly by area from a mesh, with normals and colours.

    Args:
        mesh: one that `check_mesh` accepts.
        num_points: how many.
        generator: the only source of randomness.
    """
    vectors = mesh.area_vectors
    areas = np.linalg.norm(vectors, axis=1)
    bare = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False, validate=False)
    points, faces, weights = trimesh.sample.sample_surface(
        bare, num_points, face_weight=areas, return_barycentric=True, seed=generator
    )
    return SurfacePoints(
        points=points.astype(np.float32),
        normals=(vectors[faces] / areas[faces, None]).astype(np.float32),
        colors=mesh.colors_at(faces, weights),
    )
