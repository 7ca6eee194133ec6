"""Splitting: the surface stays where it is and closed, planes are kept, edges become short."""

import numpy as np
import pytest
from tests.geometry.solids import ball, cube, torus

from trilingua.geometry.meshes import Mesh
from trilingua.geometry.subdivision import split_along_plane, split_long_edges


def as_mesh(split):
    return Mesh(vertices=split.corners[:, :3], faces=split.faces)


def all_of(mesh):
    return np.ones(len(mesh.faces), bool)


@pytest.mark.parametrize("mesh", [cube(), torus(), ball()], ids=["cube", "torus", "ball"])
@pytest.mark.parametrize("place", [0.0, 0.123, 0.5])
def test_a_plane_splits_every_triangle_that_crosses_it_and_no_other(mesh, place):
    heights = mesh.vertices[:, 2] - place
    split = split_along_plane(mesh.vertices, mesh.faces, heights, all_of(mesh))
    new = as_mesh(split)
    assert new.is_watertight
    assert new.volume == pytest.approx(mesh.volume, rel=1e-12)
    sides = new.triangles[..., 2] - place
    assert not ((sides.max(axis=1) > 1e-12) & (sides.min(axis=1) < -1e-12)).any()
    crossing = (heights[mesh.faces].max(axis=1) > 0) & (heights[mesh.faces].min(axis=1) < 0)
    parts = np.bincount(split.parents, minlength=len(mesh.faces))
    np.testing.assert_array_equal(parts > 1, crossing)
    areas = np.bincount(split.parents, np.linalg.norm(new.area_vectors, axis=1))
    np.testing.assert_allclose(areas, np.linalg.norm(mesh.area_vectors, axis=1), rtol=1e-9)
    kept = np.einsum("fi,fi->f", new.area_vectors, mesh.area_vectors[split.parents])
    assert (kept > 0).all(), "no triangle is turned round"


def test_only_the_chosen_triangles_and_their_neighbours_are_split():
    mesh = cube()
    top = mesh.triangles[..., 2].min(axis=1) > 0.49
    split = split_along_plane(mesh.vertices, mesh.faces, mesh.vertices[:, 0] - 0.2, top)
    assert as_mesh(split).is_watertight
    parts = np.bincount(split.parents, minlength=12)
    assert (parts[top] > 1).all()
    below = mesh.triangles[..., 2].max(axis=1) < -0.49
    assert (parts[below] == 1).all()


@pytest.mark.parametrize("longest", [0.9, 0.3, 0.11])
def test_long_edges_are_halved_until_none_is_left(longest):
    mesh = torus()
    carried = np.concatenate([mesh.vertices, mesh.vertices @ np.array([[1.0, 2], [3, 4], [5, 6]])], axis=1)
    split = split_long_edges(carried, mesh.faces, longest, among=all_of(mesh), max_faces=10**6)
    new = as_mesh(split)
    assert new.is_watertight
    assert new.volume == pytest.approx(mesh.volume, rel=1e-12)
    edges = new.triangles - np.roll(new.triangles, 1, axis=1)
    assert np.linalg.norm(edges, axis=-1).max() <= longest
    np.testing.assert_allclose(
        split.corners[:, 3:], split.corners[:, :3] @ np.array([[1.0, 2], [3, 4], [5, 6]]), atol=1e-12
    )


def test_splitting_ends_at_the_largest_number_of_triangles():
    mesh = cube()
    split = split_long_edges(mesh.vertices, mesh.faces, 1e-3, among=all_of(mesh), max_faces=3000)
    assert 700 < len(split.faces) <= 3000
    assert as_mesh(split).is_watertight
