"""Meshes: what is accepted, what comes back from a frame, what is drawn from a surface."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.geometry.solids import ball, cube, open_box, torus

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.random import make_generator
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import GRAY, MARGIN, Frame, Mesh, check_manifold, check_mesh, sample_surface


def test_volume_bounds_and_orientation():
    mesh = cube()
    assert mesh.volume == pytest.approx(1.0)
    np.testing.assert_allclose(mesh.bounds, [[-0.5] * 3, [0.5] * 3])
    inside_out = mesh.replace(faces=mesh.faces[:, ::-1].copy())
    assert inside_out.volume == pytest.approx(-1.0)
    np.testing.assert_array_equal(inside_out.outward().faces, mesh.faces)
    assert mesh.outward() is mesh


def test_watertight_is_without_border():
    assert cube().is_watertight
    assert torus().is_watertight
    assert not open_box().is_watertight
    mesh = cube()
    soup = mesh.replace(vertices=mesh.triangles.reshape(-1, 3), faces=np.arange(36).reshape(12, 3))
    assert soup.is_watertight, "corners at one place are one corner"
    one_turned = mesh.faces.copy()
    one_turned[0] = one_turned[0, ::-1]
    assert not mesh.replace(faces=one_turned).is_watertight
    beside = Mesh(
        vertices=np.concatenate([mesh.vertices, mesh.vertices + np.array([1.0, 1.0, 0.0])]),
        faces=np.concatenate([mesh.faces, mesh.faces + 8]),
    )
    assert beside.is_watertight, "two solids that touch along an edge have no border"
    assert beside.num_torn_edges == 0, "and are a surface there"


@given(
    center=st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    size=st.tuples(*[st.floats(1e-3, 1e4)] * 3),
)
def test_a_frame_fills_the_cube_and_goes_back(center, size):
    mesh = cube()
    mesh = mesh.replace(vertices=mesh.vertices * size + center)
    frame = Frame.of(mesh)
    normal = frame.normalize(mesh)
    tolerance = 1e-12 * (np.abs(mesh.vertices).max() / frame.scale + 1)
    assert np.abs(normal.vertices).max() == pytest.approx(1 - MARGIN, abs=10 * tolerance)
    np.testing.assert_allclose(normal.bounds.sum(axis=0), 0, atol=10 * tolerance)
    restored = frame.restore(normal).vertices
    np.testing.assert_allclose(restored, mesh.vertices, rtol=0, atol=4e-16 * np.abs(mesh.vertices).max())


def changed(**changes):
    return cube().replace(**changes)


def with_vertex(value):
    vertices = cube().vertices.copy()
    vertices[3, 1] = value
    return vertices


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        (changed(faces=np.zeros((0, 3), int)), "mesh is empty (8 vertices, 0 faces); expected triangles"),
        (changed(faces=cube().faces + 1), "mesh has a face with vertex 8 of 8; the file may be truncated"),
        (
            changed(vertices=with_vertex(np.nan)),
            "mesh has 1 vertices that are not finite numbers; repair the file",
        ),
        (
            changed(vertices=with_vertex(-3e20)),
            "mesh has a coordinate of 3e+20; allowed are at most 1e+09, rescale it",
        ),
        (
            changed(vertices=cube().vertices * (1.0, 0.0, 0.0)),
            "mesh has no area (12 faces on a line or point); expected triangles",
        ),
        (changed(vertices=cube().vertices * 0), "mesh has no area (12 faces on a line or point); expected triangles"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(mesh, message):
    with pytest.raises(InputError) as error:
        check_mesh(mesh)
    assert str(error.value) == message


def test_what_is_odd_but_usable_is_accepted():
    check_mesh(open_box())
    unused = np.concatenate([cube().vertices, [[np.nan] * 3, [1e30] * 3]])
    check_mesh(changed(vertices=unused))
    np.testing.assert_allclose(changed(vertices=unused).bounds, cube().bounds)


def test_colors_belong_to_faces_or_to_corners():
    mesh = cube()
    thirds = np.full((12, 3), 1 / 3)
    np.testing.assert_array_equal(mesh.colors_at(np.arange(12), thirds), mesh.face_colors)
    plain = mesh.replace(face_colors=None)
    assert (plain.colors_at(np.array([4]), thirds[:1]) == GRAY).all()
    corners = plain.replace(vertex_colors=np.arange(24).reshape(8, 3).astype(np.uint8) * 10)
    weights = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    of_face = corners.vertex_colors[corners.faces[2]].astype(float)
    expected = np.round([of_face[0], of_face[:2].mean(axis=0)])
    np.testing.assert_array_equal(corners.colors_at(np.array([2, 2]), weights), expected)
    with pytest.raises(ConfigError) as error:
        mesh.replace(vertex_colors=corners.vertex_colors)
    assert str(error.value) == "mesh: has face_colors and vertex_colors; give one of them"


def test_points_are_uniform_by_area_and_lie_on_the_surface():
    mesh = cube()
    mesh = mesh.replace(vertices=mesh.vertices * (4.0, 1.0, 1.0))
    cloud = sample_surface(mesh, 20_000, make_generator(0, "points"))
    assert cloud.points.dtype == cloud.normals.dtype == np.float32
    scaled = np.abs(cloud.points / (2.0, 0.5, 0.5))
    np.testing.assert_allclose(scaled.max(axis=1), 1, atol=1e-6)
    sides = scaled.argmax(axis=1)
    np.testing.assert_array_equal(np.abs(cloud.normals).argmax(axis=1), sides)
    assert (np.einsum("pi,pi->p", cloud.normals, cloud.points) > 0).all(), "normals point outwards"
    # Areas: 1 + 1 across x, 4 + 4 across y and z each, of 18.
    np.testing.assert_allclose(np.bincount(sides) / len(sides), [2 / 18, 8 / 18, 8 / 18], atol=0.012)
    assert set(map(tuple, cloud.colors)) == set(map(tuple, mesh.face_colors))
    nearest = MeshQueries(mesh).closest(cloud.points)
    assert (nearest.colors == cloud.colors).all(axis=1).mean() > 0.999, "but for points of a diagonal"


def test_points_depend_on_the_stream_alone():
    clouds = [sample_surface(ball(), 50, make_generator(3, key)) for key in ("a", "a", "b")]
    np.testing.assert_array_equal(clouds[0].points, clouds[1].points)
    assert not np.array_equal(clouds[0].points, clouds[2].points)


def test_a_frame_comes_back_from_json():
    frame = Frame(center=(0.1, -2e9, 3.0), scale=1e-7)
    assert Frame.from_json(frame.to_json(), "a.json: frame") == frame
    with pytest.raises(InputError) as caught:
        Frame.from_json(frame.to_json() | {"scale": -1.0}, "a.json: frame")
    assert str(caught.value) == "a.json: frame.scale: -1.0 is not allowed; expected a number above 0"


def test_torn_edges_are_those_of_more_than_two_triangles_that_do_not_close():
    assert cube().num_torn_edges == open_box().num_torn_edges == 0
    fin = np.concatenate([cube().vertices, [[9.0, 9.0, 9.0]]])
    torn = Mesh(vertices=fin, faces=np.concatenate([cube().faces, [[*cube().faces[0][:2], len(fin) - 1]]]))
    assert torn.num_torn_edges == 1
    with pytest.raises(InputError) as error:
        check_manifold(torn)
    assert str(error.value) == (
        "mesh is not manifold (1 edges of three or more triangles that do not close around them); repair it, or allow "
        "it (--allow-non-manifold)"
    )
