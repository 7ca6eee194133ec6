"""Marching cubes: closed, in world units, coloured, and the same mesh whether the grid was asked whole or in part."""

import numpy as np
import pytest
import torch
import trimesh

from trilingua.geometry.fields import FunctionField, Grid
from trilingua.geometry.isosurface import Surface, color_vertices, extract_surface, march_cubes


def ball(radius, centre=(0.0, 0.0, 0.0)):
    def distance(points):
        return (points - points.new_tensor(centre)).norm(dim=-1) - radius

    return distance


def blobs(points):
    centres = points.new_tensor([[-0.4, 0.0, 0.1], [0.35, 0.2, -0.1], [0.0, -0.3, 0.4]])
    return (-(points[:, None] - centres).square().sum(-1) * 12).exp().sum(-1) * 9 - 3


def as_trimesh(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def test_a_ball_has_its_radius_place_and_volume():
    centre = (0.2, -0.1, 0.3)
    surface = extract_surface(
        FunctionField(kind="distance", value_function=ball(0.6, centre)), Grid(resolution=48, lower=-1.5, upper=1.0)
    )
    mesh = as_trimesh(surface)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert np.abs(np.linalg.norm(surface.vertices - centre, axis=-1) - 0.6).max() < 0.002
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=0.01)  # positive: faces look outwards
    assert surface.colors is None


@pytest.mark.parametrize(
    ("kind", "function"),
    [("distance", ball(0.7, (0.1, 0.0, 0.0))), ("logit", blobs), ("logit", lambda points: -9 * ball(0.5)(points))],
)
def test_refining_gives_the_mesh_of_the_dense_grid(kind, function):
    field = FunctionField(kind=kind, value_function=function)
    for resolution in (64, 128):
        grid = Grid(resolution=resolution)
        dense, refined = (extract_surface(field, grid, refine=refine) for refine in (False, True))
        assert len(dense.faces) > 1000
        np.testing.assert_array_equal(dense.vertices, refined.vertices)
        np.testing.assert_array_equal(dense.faces, refined.faces)


def test_a_shape_that_leaves_the_box_is_closed_at_its_faces():
    field = FunctionField(kind="distance", value_function=ball(0.8, (0.6, 0.0, 0.0)))
    surface = extract_surface(field, Grid(resolution=32))
    mesh = as_trimesh(surface)
    assert mesh.is_watertight
    assert surface.vertices.max() == 1.0
    height = 0.8 + 0.4  # the ball without the cap beyond x = 1
    assert mesh.volume == pytest.approx(np.pi * height**2 * (0.8 - height / 3), rel=0.02)


def test_a_shape_that_fills_the_box_is_the_box():
    surface = march_cubes(np.ones((5, 5, 5), np.float32), Grid(resolution=4, lower=0.0, upper=2.0))
    assert as_trimesh(surface).is_watertight
    assert as_trimesh(surface).volume == pytest.approx(8, rel=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_noise_gives_a_closed_surface_too(seed):
    values = np.random.default_rng(seed).normal(size=(9, 9, 9)).astype(np.float32)
    mesh = as_trimesh(march_cubes(values, Grid(resolution=8)))
    assert mesh.is_watertight
    assert mesh.volume > 0


@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_a_field_without_an_inside_has_an_empty_surface(value):
    surface = extract_surface(
        FunctionField(kind="logit", value_function=lambda points: torch.full_like(points[:, 0], value)),
        Grid(resolution=8),
    )
    assert surface.vertices.shape == surface.faces.shape == (0, 3)
    assert np.issubdtype(surface.faces.dtype, np.integer)


def test_vertices_have_the_colours_of_their_places():
    field = FunctionField(kind="distance", value_function=ball(0.5), color_function=lambda points: 2 * points)
    surface = extract_surface(field, Grid(resolution=16), chunk_size=50)
    np.testing.assert_allclose(surface.colors, np.clip(2 * surface.vertices, 0, 1), atol=1e-6)
    assert color_vertices(field, surface.vertices[:0]).shape == (0, 3)
