"""Places with distances: where they lie, and that the distance is the mesh's."""

import numpy as np
from tests.geometry.solids import cube

from trilingua.core.random import make_generator
from trilingua.geometry.distance_samples import sample_distances
from trilingua.geometry.mesh_queries import MeshQueries


def test_half_is_uniform_and_half_near_the_surface():
    queries = MeshQueries(cube())
    samples = sample_distances(queries, make_generator(0, "samples"), num_uniform=6000, num_near=4000)
    np.testing.assert_array_equal(samples.distances, queries.signed_distance(samples.points))
    uniform, near = samples.distances[:6000], samples.distances[6000:]
    assert abs((uniform < 0).mean() - 1 / 8) < 0.015
    assert np.abs(samples.points).max() <= 1
    # A Gaussian step of two sizes by turns; distance from a plane has the step's spread.
    assert 0.008 < np.std(near[::2]) < 0.011
    assert 0.035 < np.std(near[1::2]) < 0.055
    assert 0.4 < (near < 0).mean() < 0.55


def test_equal_streams_give_equal_samples():
    one, other = (
        sample_distances(MeshQueries(cube()), make_generator(1, "s"), num_uniform=10, num_near=10) for _ in range(2)
    )
    assert one.points.tobytes() == other.points.tobytes()
    assert one.distances.tobytes() == other.distances.tobytes()
