"""Places in space with their signed distance from a mesh: what fields are trained and judged on.

Half of what decides a shape happens near its surface, so some places are drawn uniformly and some around surface
points. Occupancy, also a semi-continuous one, follows from the distance and is not kept.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import sample_surface

NEAR_SPREADS = (0.01, 0.05)
"""Standard deviations of the places around surface points, by turns. Source: 3DShape2VecSet's sampling, in kind."""


class DistanceSamples(NamedTuple):
    """Places and their distances; the uniform ones come first."""

    points: Float32[np.ndarray, "point 3"]
    """In [-1, 1]^3."""
    distances: Float32[np.ndarray, " point"]
    """From the surface, negative inside."""


def sample_distances(
    queries: MeshQueries, generator: np.random.Generator, *, num_uniform: int, num_near: int
) -> DistanceSamples:
    """Return places drawn uniformly from [-1, 1]^3, then places around the surface, with their distances.

    Args:
        queries: a mesh in [-1, 1]^3.
        generator: the only source of randomness.
        num_uniform: how many places are uniform.
        num_near: how many are a Gaussian step of one of `NEAR_SPREADS` away from a surface point, cut to the cube.
    """
    uniform = generator.uniform(-1, 1, (num_uniform, 3))
    spread = np.resize(NEAR_SPREADS, num_near)[:, None]
    near = sample_surface(queries.mesh, num_near, generator).points + spread * generator.standard_normal((num_near, 3))
    points = np.concatenate([uniform, near]).clip(-1, 1).astype(np.float32)
    return DistanceSamples(points, queries.signed_distance(points))
