"""Grids of field values: against asking every sample, and for what the coarse-to-fine search may leave out."""

import math

import pytest
import torch

from trilingua.core.errors import ConfigError, InputError
from trilingua.geometry.fields import Field, FunctionField, Grid, evaluate_near_surface, evaluate_on_grid, insideness


def torus(points, major=0.6, minor=0.2):
    ring = points[..., :2].norm(dim=-1) - major
    return torch.stack([ring, points[..., 2]], dim=-1).norm(dim=-1) - minor


def wavy(points):
    """A smooth field that is no distance: three joined blobs."""
    centres = points.new_tensor([[-0.4, 0.0, 0.1], [0.35, 0.2, -0.1], [0.0, -0.3, 0.4]])
    return (-(points[:, None] - centres).square().sum(-1) * 12).exp().sum(-1) * 9 - 3


class Counted:
    """A field that counts the points which it is asked about."""

    kind = "logit"

    def __init__(self, function, kind="logit"):
        self.function, self.kind, self.num_points, self.greatest = function, kind, 0, 0

    def values(self, points):
        self.num_points += len(points)
        self.greatest = max(self.greatest, len(points))
        return self.function(points)

    def colors(self, points):
        return None


def crossed_corners(values):
    inside = values > 0
    cells = torch.stack(
        [
            inside[x : x - 1 or None, y : y - 1 or None, z : z - 1 or None]
            for x in (0, 1)
            for y in (0, 1)
            for z in (0, 1)
        ]
    )
    crossed = cells.any(0) & ~cells.all(0)
    corners = torch.zeros_like(inside)
    for x, y, z in crossed.nonzero().tolist():
        corners[x : x + 2, y : y + 2, z : z + 2] = True
    return corners


def test_dense_values_are_those_of_each_sample_alone():
    field = FunctionField(kind="distance", value_function=torus)
    grid = Grid(resolution=4, lower=-0.9, upper=1.1)
    values = evaluate_on_grid(field, grid, chunk_size=7)
    assert values.shape == (5, 5, 5)
    for index in [(0, 0, 0), (4, 0, 2), (1, 3, 4)]:
        point = torch.tensor([[-0.9 + 0.5 * step for step in index]])
        assert float(values[index]) == pytest.approx(-float(torus(point)), abs=1e-6)


def test_chunks_are_no_larger_than_asked():
    field = Counted(wavy)
    evaluate_on_grid(field, Grid(resolution=8), chunk_size=100)
    assert (field.num_points, field.greatest) == (9**3, 100)


@pytest.mark.parametrize(("function", "kind"), [(torus, "distance"), (wavy, "logit")])
@pytest.mark.parametrize("resolution", [64, 48, 37])
def test_refining_gives_the_dense_values_wherever_the_surface_passes(function, kind, resolution):
    grid = Grid(resolution=resolution)
    field, counted = FunctionField(kind=kind, value_function=function), Counted(function, kind)
    dense, sparse = evaluate_on_grid(field, grid), evaluate_near_surface(counted, grid, coarsest=8)
    assert torch.equal(dense > 0, sparse > 0)
    near = crossed_corners(dense)
    assert near.any()
    assert torch.equal(dense[near], sparse[near])
    share = counted.num_points / dense.numel()
    assert share == 1 if resolution % 2 else share < 0.6


def test_a_surface_that_leaves_the_coarse_cells_is_followed_without_a_margin():
    def hooked(points):  # a thin rod that stands out of a ball, seen by the coarse grid only where the two meet
        ball = 0.3 - (points - 0.02).norm(dim=-1)
        rod = 0.04 - torch.stack([points[:, 0] - 0.06, points[:, 1] - 0.06], -1).norm(dim=-1)
        return torch.maximum(ball, torch.minimum(rod, 0.9 - points[:, 2].abs()))

    field, grid = FunctionField(kind="logit", value_function=hooked), Grid(resolution=64)
    assert not (evaluate_on_grid(field, Grid(resolution=8))[:, :, -2] > 0).any()
    dense = evaluate_on_grid(field, grid)
    assert torch.equal(dense > 0, evaluate_near_surface(field, grid, coarsest=8, margin=0) > 0)


def test_no_piece_of_a_signed_distance_is_lost():
    centre = torch.tensor([0.07, -0.07, 0.07])  # a ball of radius 0.03 between the samples of the coarse grid

    def ball(points):
        return (points - centre).norm(dim=-1) - 0.03

    grid = Grid(resolution=64)
    field = FunctionField(kind="distance", value_function=ball)
    assert not (evaluate_on_grid(field, Grid(resolution=8)) > 0).any()
    assert torch.equal(evaluate_on_grid(field, grid) > 0, evaluate_near_surface(field, grid, coarsest=8) > 0)


def test_values_are_positive_inside_whatever_is_measured():
    points = torch.tensor([[0.6, 0.0, 0.0], [0.0, 0.0, 0.0]])
    distance = FunctionField(kind="distance", value_function=torus)
    logit = FunctionField(kind="logit", value_function=lambda points: -5 * torus(points))
    for field in (distance, logit):
        assert isinstance(field, Field)
        assert (insideness(field, points) > 0).tolist() == [True, False]


def test_a_function_field_has_the_colours_of_its_function():
    points = torch.rand(4, 3)
    assert FunctionField(kind="distance", value_function=torus).colors(points) is None
    colored = FunctionField(kind="distance", value_function=torus, color_function=lambda points: points / 2)
    assert torch.equal(colored.colors(points), points / 2)


def test_values_that_are_not_finite_are_told():
    def broken(points):
        return torch.where(points[:, 0] > 0.9, math.nan, points[:, 1])

    with pytest.raises(InputError) as error:
        evaluate_on_grid(FunctionField(kind="logit", value_function=broken), Grid(resolution=2))
    assert str(error.value) == "field: 9 of 27 values are not finite; expected numbers at all points"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resolution": 0}, "resolution: 0; expected at least 1 cell along each axis"),
        ({"lower": 1.0, "upper": 1.0}, "grid from 1.0 to 1.0: is empty; expected lower < upper"),
    ],
)
def test_grids_that_hold_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError) as error:
        Grid(**settings)
    assert str(error.value) == message
