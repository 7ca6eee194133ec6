"""Questions to any mesh: how far and on which side is a point, what does a ray meet first.

Inside is where the generalized winding number is above one half, which needs no closed mesh: holes, doubled walls
and crossing parts move the border a little instead of turning space inside out. Answered by warp's bounding volume
hierarchy on CPU or CUDA, in float32. Equal queries give equal bytes on one device. The nearest place is not looked
for on slivers, whose neighbours are as near.

Source: Barill et al. 2018, "Fast Winding Numbers for Soups and Clouds".
"""

from typing import NamedTuple

import numpy as np
import warp as wp
from jaxtyping import Bool, Float, Float32, Int32, UInt8

from trilingua.core.errors import InputError
from trilingua.geometry import mesh_kernels
from trilingua.geometry.meshes import Mesh
from trilingua.geometry.warp_devices import find_device


class Closest(NamedTuple):
    """The nearest place of a surface to each point."""

    distances: Float32[np.ndarray, " point"]
    """Negative inside where the sign was asked for."""
    points: Float32[np.ndarray, "point 3"]
    normals: Float32[np.ndarray, "point 3"]
    """Unit normal of the triangle there."""
    colors: UInt8[np.ndarray, "point 3"]
    """sRGB bytes there."""


class Hits(NamedTuple):
    """What rays meet first."""

    distances: Float32[np.ndarray, " point"]
    """In lengths of the ray's direction; infinite where nothing is met."""
    faces: Int32[np.ndarray, " point"]
    """Triangle that is met, -1 for none."""
    normals: Float32[np.ndarray, "point 3"]
    """Unit normal of the triangle, turned towards the ray's origin; zero where nothing is met."""
    colors: UInt8[np.ndarray, "point 3"]
    """sRGB bytes there; zero where nothing is met."""


class MeshQueries:
    """A mesh made ready to be asked. One that is slivers alone has no nearest place: asking for it is an InputError.

    Args:
        mesh: best in [-1, 1]^3, where float32 resolves 1e-7.
        device: `cpu`, or `cuda` with an optional number.
        accuracy: parts of the mesh farther away than this many of their own radii count as one dipole.

    Raises:
        ConfigError: a device that is not there.
    """

    def __init__(self, mesh: Mesh, *, device: str = "cpu", accuracy: float = 2.0) -> None:
        self.mesh = mesh
        self.accuracy = accuracy
        self._device = find_device(device)
        vectors = mesh.area_vectors
        areas = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._normals = (vectors / np.maximum(areas, np.finfo(np.float64).tiny)).astype(np.float32)
        self._mesh = wp.Mesh(
            points=wp.array(mesh.vertices.astype(np.float32), dtype=wp.vec3, device=self._device),
            indices=wp.array(mesh.faces.astype(np.int32).reshape(-1), dtype=wp.int32, device=self._device),
            support_winding_number=True,
        )

    def signed_distance(self, points: Float[np.ndarray, "point 3"]) -> Float32[np.ndarray, " point"]:
        """Return the distance of each point from the surface, negative inside."""
        return self._closest(points, signed=True)[0]

    def distance(self, points: Float[np.ndarray, "point 3"]) -> Float32[np.ndarray, " point"]:
        """Return the distance of each point from the surface, without a side: quicker."""
        return self._closest(points, signed=False)[0]

    def occupied(self, points: Float[np.ndarray, "point 3"]) -> Bool[np.ndarray, " point"]:
        """Return whether each point lies inside: its winding number is above one half."""
        return self.signed_distance(points) < 0

    def closest(self, points: Float[np.ndarray, "point 3"], *, signed: bool = True) -> Closest:
        """Return the nearest place of the surface to each point, with its normal and colour."""
        distances, faces, weights = self._closest(points, signed=signed)
        places = np.einsum("pc,pcd->pd", weights, self.mesh.triangles[faces])
        return Closest(distances, places.astype(np.float32), self._normals[faces], self.mesh.colors_at(faces, weights))

    def cast(self, origins: Float[np.ndarray, "point 3"], directions: Float[np.ndarray, "point 3"]) -> Hits:
        """Return what each ray meets first, from either side of a triangle.

        Args:
            origins: where the rays begin.
            directions: which way they go; need not be unit vectors.
        """
        distances, faces, weights = self._run(mesh_kernels.cast_rays, (self._vectors(origins),
                                              self._vectors(directions)), len(origins))  # fmt: skip
        met = faces >= 0
        normals = np.where(met[:, None], self._normals[faces], 0)
        facing = np.einsum("pd,pd->p", normals, directions.astype(np.float32)) > 0
        normals = np.where(facing[:, None], -normals, normals)
        colors = np.where(met[:, None], self.mesh.colors_at(faces, weights), 0).astype(np.uint8)
        return Hits(np.where(met, distances, np.float32(np.inf)), faces, normals, colors)

    def _closest(self, points: np.ndarray, *, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inputs = (self._vectors(points), float(self.accuracy), signed)
        distances, faces, weights = self._run(mesh_kernels.find_closest, inputs, len(points))
        if (faces < 0).any():
            raise InputError("mesh has triangles too thin to be measured alone; repair it")
        return distances, faces, weights

    def _run(self, kernel: wp.Kernel, inputs: tuple, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        distances = wp.empty(count, dtype=float, device=self._device)
        faces = wp.empty(count, dtype=int, device=self._device)
        weights = wp.empty(count, dtype=wp.vec3, device=self._device)
        wp.launch(kernel, count, inputs=[self._mesh.id, *inputs, distances, faces, weights], device=self._device)
        return distances.numpy(), faces.numpy(), weights.numpy()

    def _vectors(self, values: np.ndarray) -> wp.array:
        return wp.array(np.ascontiguousarray(values, np.float32), dtype=wp.vec3, device=self._device)
