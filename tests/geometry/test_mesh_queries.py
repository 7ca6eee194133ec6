"""Distances, sides and rays against a look at every triangle; open, doubled and turned surfaces; equal bytes."""

import numpy as np
import pytest
import trimesh
from tests.geometry.solids import as_mesh, ball, cube, open_box, torus
from tests.oracles.triangles import closest_points, first_hits, winding_numbers

from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Mesh

MESHES = {"cube": cube(), "torus": torus(), "ball": ball(), "open": open_box()}


def places(count, *keys):
    return make_generator(1, "places", *keys).uniform(-1, 1, (count, 3))


@pytest.mark.parametrize("name", MESHES)
def test_distances_and_sides_equal_those_of_all_triangles(name):
    mesh, points = MESHES[name], places(400, name)
    queries = MeshQueries(mesh)
    distances, nearest = closest_points(mesh.triangles, points)
    found = queries.closest(points)
    np.testing.assert_allclose(np.abs(found.distances), distances, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(found.points - points, axis=1), distances, atol=2e-6)
    winding = winding_numbers(mesh.triangles, points)
    clear = np.abs(winding - 0.5) > (1e-3 if name != "open" else 0.03)  # far parts are taken together
    np.testing.assert_array_equal(found.distances[clear] < 0, winding[clear] > 0.5)
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(queries.occupied(points), found.distances < 0)
    np.testing.assert_array_equal(queries.distance(points), np.abs(found.distances))
    lone = np.isclose(np.linalg.norm(nearest - found.points, axis=1), 0, atol=1e-5)
    assert lone.mean() > 0.95  # the others are as near to two places


def test_normals_and_colors_are_those_of_the_nearest_triangle():
    mesh = cube()
    queries = MeshQueries(mesh)
    points = places(300, "colours")
    found = queries.closest(points)
    on_side = np.abs(np.abs(found.points).max(axis=1) - 0.5) < 1e-6
    assert on_side.all()
    outside = (np.abs(points) > 0.5).sum(axis=1) == 1  # nearest to the middle of a side, not to an edge
    np.testing.assert_allclose(
        found.normals[outside], (points - found.points)[outside] / found.distances[outside, None], atol=1e-4
    )
    assert {tuple(color) for color in found.colors} <= {tuple(color) for color in mesh.face_colors}


def test_occupancy_is_analytic_where_that_is_known():
    points = places(20_000, "analytic")
    inside = (np.abs(points) < 0.5).all(axis=1)
    np.testing.assert_array_equal(MeshQueries(cube()).occupied(points), inside)
    radius = np.linalg.norm(points, axis=1)
    fine = MeshQueries(as_mesh(trimesh.creation.icosphere(5, radius=0.8)))
    np.testing.assert_allclose(fine.signed_distance(points), radius - 0.8, atol=6e-4)


def test_crossing_and_doubled_surfaces_have_an_inside():
    one, other = cube(), cube()
    both = Mesh(
        vertices=np.concatenate([one.vertices, other.vertices + 0.3]),
        faces=np.concatenate([one.faces, other.faces + 8]),
    )
    points = places(4000, "crossing")
    expected = (np.abs(points) < 0.5).all(axis=1) | (np.abs(points - 0.3) < 0.5).all(axis=1)
    np.testing.assert_array_equal(MeshQueries(both).occupied(points), expected)
    inside_out = one.replace(faces=one.faces[:, ::-1].copy())
    assert not MeshQueries(inside_out).occupied(points).any()


@pytest.mark.parametrize("name", ["cube", "torus", "open"])
def test_rays_hit_the_first_of_all_triangles(name):
    mesh = MESHES[name]
    origins = 3 * places(150, name, "rays")
    directions = places(150, name, "targets") * 0.6 - origins
    distances, faces = first_hits(mesh.triangles, origins, directions)
    hits = MeshQueries(mesh).cast(origins, directions)
    np.testing.assert_array_equal(np.isinf(hits.distances), np.isinf(distances))
    met = faces >= 0
    assert 0.3 < met.mean() < 1
    np.testing.assert_allclose(hits.distances[met], distances[met], rtol=1e-5)
    normals = hits.normals[met]
    assert (np.einsum("pd,pd->p", normals, directions[met]) <= 0).all(), "normals face the ray"
    unit = mesh.area_vectors[faces[met]]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(np.einsum("pd,pd->p", normals, unit)), 1, atol=1e-5)
    assert (hits.faces[~met] == -1).all()
    assert not hits.normals[~met].any()
    assert not hits.colors[~met].any()
    if mesh.face_colors is not None:
        np.testing.assert_array_equal(hits.colors[met], mesh.face_colors[hits.faces[met]])


def test_equal_queries_give_equal_bytes():
    points = places(2000, "bytes")
    first, second = (MeshQueries(torus()).closest(points) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ConfigError) as error:
        MeshQueries(cube(), device="cuda:31")
    assert str(error.value).startswith("device 'cuda:31': not available; this machine has cpu")
