"""Sparse surface voxels: the cells of a grid that a surface passes, with eight numbers each that say how.

The grid fills [-1, 1]^3. A cell is kept if the surface point nearest to its middle lies in it. Its numbers:

| channel | what | range |
|---|---|---|
| 0 | signed distance of the middle from the surface, in cell edges, negative inside | -0.87 to 0.87 |
| 1-3 | unit direction in which that distance grows: the outward normal on smooth surfaces | -1 to 1 |
| 4-6 | sRGB colour of the nearest surface point | 0 to 1 |
| 7 | share of the cell that lies inside, from 2 x 2 x 2 points | 0 to 1 |

The nearest surface point is `middle - edge * channel 0 * channels 1-3`, so a cloud of surface points and normals
comes back from the voxels without loss. No network is asked and nothing is drawn at random.

Differs: TRELLIS and Kyvo keep what an image network sees at each cell, which needs its weights and 150 pictures.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Integer, UInt8

from trilingua.core.errors import ConfigError
from trilingua.geometry.mesh_queries import MeshQueries

NUM_CHANNELS = 8

_COARSE = 4
"""Cells along the edge of a block that is looked at first."""


class Voxels(NamedTuple):
    """The cells of a grid that a surface passes."""

    coords: UInt8[np.ndarray, "point 3"]
    """Places in the grid along x, y and z, in lexicographic order."""
    features: Float32[np.ndarray, "point 8"]
    resolution: int
    """Cells along each side of the grid."""

    def middles(self) -> Float32[np.ndarray, "point 3"]:
        """Return the middles of the cells."""
        return _middles(self.coords, self.resolution).astype(np.float32)

    def surface_points(self) -> Float32[np.ndarray, "point 3"]:
        """Return the surface point nearest to each cell's middle."""
        edge = 2 / self.resolution
        return self.middles() - edge * self.features[:, :1] * self.features[:, 1:4]

    def dense(self) -> Float32[np.ndarray, "x y z 9"]:
        """Return the whole grid: the features, zeros where there are none, and last whether a cell is kept, 1 or 0."""
        grid = np.zeros((self.resolution,) * 3 + (NUM_CHANNELS + 1,), np.float32)
        grid[tuple(self.coords.T)] = np.concatenate([self.features, np.ones_like(self.features[:, :1])], axis=1)
        return grid

    @classmethod
    def of_dense(cls, kept: Bool[np.ndarray, "x y z"], features: Float32[np.ndarray, "x y z 8"]) -> "Voxels":
        """Return the cells of a whole grid that are `kept`; the grid is a cube."""
        coords = np.argwhere(kept)
        return cls(coords.astype(np.uint8), features[tuple(coords.T)], len(kept))


def voxelize(queries: MeshQueries, resolution: int = 64) -> Voxels:
    """Return the surface voxels of a mesh in [-1, 1]^3.

    Args:
        queries: the mesh.
        resolution: cells along each side, a multiple of 4, 8 to 256.

    Raises:
        ConfigError: a resolution that is not allowed.
    """
    if resolution % _COARSE or not 8 <= resolution <= 256:
        raise ConfigError(f"resolution: {resolution} is not allowed; give a multiple of {_COARSE} from 8 to 256")
    edge = 2 / resolution
    coords = _candidates(queries, resolution)
    middles = _middles(coords, resolution)
    near = queries.closest(middles, signed=False)
    kept = np.abs(near.points - middles).max(axis=1) <= edge / 2 * (1 + 1e-5)
    coords, middles, near = coords[kept], middles[kept], type(near)(*(values[kept] for values in near))
    inner = np.indices((2, 2, 2)).reshape(3, -1).T / 2 - 0.25
    places = np.concatenate([np.zeros((1, 3)), inner])
    inside = queries.occupied((middles[:, None] + edge * places).reshape(-1, 3)).reshape(-1, len(places))
    sign = np.where(inside[:, 0], -1.0, 1.0)
    away = sign[:, None] * (middles - near.points)
    # So close to the surface that the direction is noise, the triangle's normal is taken.
    close = near.distances < 1e-3 * edge
    direction = np.where(close[:, None], near.normals, away / np.maximum(near.distances, 1e-9)[:, None])
    features = np.concatenate(
        [
            (sign * near.distances / edge)[:, None],
            direction / np.linalg.norm(direction, axis=1, keepdims=True),
            near.colors / 255,
            inside[:, 1:].mean(axis=1, keepdims=True),
        ],
        axis=1,
    )
    return Voxels(coords.astype(np.uint8), features.astype(np.float32), resolution)


def _middles(coords: Integer[np.ndarray, "point 3"], resolution: int) -> Float[np.ndarray, "point 3"]:
    return (coords.astype(np.float64) + 0.5) * (2 / resolution) - 1


def _candidates(queries: MeshQueries, resolution: int) -> Int[np.ndarray, "point 3"]:
    """Return the cells of all blocks that the surface can reach, in lexicographic order."""
    blocks = resolution // _COARSE
    coarse = np.indices((blocks,) * 3).reshape(3, -1).T
    half_diagonal = np.sqrt(3) / blocks
    near = queries.distance(_middles(coarse, blocks)) <= half_diagonal * (1 + 1e-5)
    within = np.indices((_COARSE,) * 3).reshape(3, -1).T
    cells = (coarse[near][:, None] * _COARSE + within).reshape(-1, 3)
    return cells[np.lexsort(cells.T[::-1])]
