"""Voxels: which cells are kept, and that the surface comes back from their numbers."""

import numpy as np
import pytest
from tests.geometry.solids import ball, cube, torus

from trilingua.core.errors import ConfigError
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.voxels import voxelize


@pytest.mark.parametrize("mesh", [cube(0.61), torus(), ball()], ids=["cube", "torus", "ball"])
def test_the_cells_are_those_of_a_look_at_every_cell(mesh):
    resolution = 16
    queries = MeshQueries(mesh)
    voxels = voxelize(queries, resolution)
    every = np.indices((resolution,) * 3).reshape(3, -1).T
    middles = (every + 0.5) * (2 / resolution) - 1
    near = queries.closest(middles)
    kept = np.abs(near.points - middles).max(axis=1) <= 1 / resolution * (1 + 1e-5)
    np.testing.assert_array_equal(voxels.coords, every[kept])
    np.testing.assert_allclose(voxels.features[:, 0], near.distances[kept] * resolution / 2, atol=1e-4)
    np.testing.assert_allclose(voxels.features[:, 4:7] * 255, near.colors[kept], atol=1e-3)


def test_the_nearest_surface_points_come_back():
    queries = MeshQueries(torus())
    voxels = voxelize(queries, 64)
    assert np.abs(queries.distance(voxels.surface_points())).max() < 1e-5
    np.testing.assert_allclose(np.linalg.norm(voxels.features[:, 1:4], axis=1), 1, atol=1e-5)
    assert np.abs(voxels.features[:, 0]).max() <= np.sqrt(3) / 2 * (1 + 1e-4)


def test_directions_are_outward_normals_and_shares_are_volumes():
    radius = 0.8
    voxels = voxelize(MeshQueries(ball(radius)), 32)
    middles = voxels.middles()
    outward = middles / np.linalg.norm(middles, axis=1, keepdims=True)
    cosines = np.einsum("pi,pi->p", voxels.features[:, 1:4], outward)
    assert np.median(cosines) > 0.995
    assert cosines.min() > 0.9
    full = voxels.features[:, 7]
    assert set(np.unique(full)) <= set(np.arange(9) / 8)
    assert np.corrcoef(full, -voxels.features[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("resolution", [0, 6, 30, 512])
def test_a_grid_that_is_not_allowed_is_refused(resolution):
    with pytest.raises(ConfigError) as error:
        voxelize(MeshQueries(cube()), resolution)
    assert str(error.value) == f"resolution: {resolution} is not allowed; give a multiple of 4 from 8 to 256"
