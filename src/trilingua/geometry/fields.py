"""A field says for any point of space how far inside a shape it lies; here it is sampled on grids.

Every decoder of shapes ends in a `Field`, and everything that reads one (isosurfaces, metrics, renderers) asks it the
same two questions: value and colour. The surface is where the value is 0, whatever the value measures. This module
knows no shapes and no networks.

Source: Mescheder et al. 2019 (Occupancy Networks), section 3.3, for refining a grid only where the surface passes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trilingua.core.errors import ConfigError, InputError

Kind = Literal["logit", "distance"]
"""What a field measures: `logit` of being inside (positive inside), or signed `distance` (negative inside)."""


@runtime_checkable
class Field(Protocol):
    """A shape, as the answers that it gives about points. Values are 0 on its surface."""

    @property
    def kind(self) -> Kind:
        """What the values measure."""
        ...

    def values(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        """Return the logit of being inside, or the signed distance, of each point; see `Kind`."""
        ...

    def colors(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"] | None:
        """Return red, green and blue in [0, 1] at each point, or None from a field without colour."""
        ...


@dataclass(frozen=True, kw_only=True)
class FunctionField:
    """A field made of plain functions."""

    kind: Kind
    """What `value_function` measures."""
    value_function: Callable[[Tensor], Tensor]
    """From points (point, 3) to values (point)."""
    color_function: Callable[[Tensor], Tensor] | None = None
    """From points (point, 3) to colours (point, 3) in [0, 1]."""

    def values(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        """Return `value_function` of the points."""
        return self.value_function(points)

    def colors(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"] | None:
        """Return `color_function` of the points, or None without one."""
        return None if self.color_function is None else self.color_function(points)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Samples in a cube: the corners of `resolution` cells along each axis."""

    resolution: int = 128
    """Cells along each axis, at least 1; there is one sample more."""
    lower: float = -1.0
    """Least coordinate on every axis."""
    upper: float = 1.0
    """Greatest coordinate on every axis."""

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise ConfigError(f"resolution: {self.resolution}; expected at least 1 cell along each axis")
        if not self.lower < self.upper:
            raise ConfigError(f"grid from {self.lower} to {self.upper}: is empty; expected lower < upper")

    @property
    def spacing(self) -> float:
        """Side of a cell."""
        return (self.upper - self.lower) / self.resolution

    def coordinates(self, device: torch.device | str = "cpu") -> Float[Tensor, " sample"]:
        """Return the samples' coordinates along one axis, from `lower` to `upper`."""
        return torch.linspace(self.lower, self.upper, self.resolution + 1, device=device)


def insideness(field: Field, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
    """Return a value that is positive inside the shape, whatever the field measures."""
    values = field.values(points)
    return values if field.kind == "logit" else -values


@torch.no_grad()
def evaluate_on_grid(
    field: Field, grid: Grid, *, chunk_size: int = 2**16, device: torch.device | str = "cpu"
) -> Float[Tensor, "x y z"]:
    """Return `insideness` at every sample of `grid`, indexed by x, y and z.

    Args:
        field: what is asked.
        grid: where.
        chunk_size: how many points are asked at once.
        device: where the points are made and the result stays.

    Raises:
        InputError: a value is not finite.
    """
    coordinates = grid.coordinates(device)
    values = coordinates.new_zeros((len(coordinates),) * 3)
    _fill(values, torch.ones_like(values, dtype=torch.bool), field, coordinates, chunk_size)
    return values


@torch.no_grad()
def evaluate_near_surface(
    field: Field,
    grid: Grid,
    *,
    coarsest: int = 32,
    margin: int = 1,
    chunk_size: int = 2**16,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "x y z"]:
    """Return `insideness` on `grid`, asked of the field only where its surface may pass; interpolated elsewhere.

    From a coarse grid on, cells that the surface crosses are halved, with all cells beside them. Wherever that shows a
    crossing of a cell that was left out, its corners are asked too, until none is left. So every cell that is
    crossed has its true values at all corners, and an isosurface of the result is that of `evaluate_on_grid`,
    as long as each piece of the surface is seen by the coarse grid. Pieces between its samples are lost, but for
    signed distances: a piece in a cell has a corner within half the cell's diagonal, so none is lost.

    Args:
        field: what is asked; of kind `distance`, it should not change faster than distance does.
        grid: where; its resolution is halved as long as it is even and at least twice `coarsest`.
        coarsest: least number of cells along each axis to begin with.
        margin: by how many cells the crossed ones are widened before they are halved.
        chunk_size: how many points are asked at once.
        device: where the points are made and the result stays.

    Raises:
        InputError: a value is not finite.

    Differs: the published search adds neither neighbours nor cells found later, and may cut a surface open.
    """
    stride = 1
    while grid.resolution % (2 * stride) == 0 and grid.resolution // (2 * stride) >= coarsest:
        stride *= 2
    all_coordinates = grid.coordinates(device)
    coordinates = all_coordinates[::stride]
    values = coordinates.new_zeros((len(coordinates),) * 3)
    exact = torch.ones_like(values, dtype=torch.bool)
    _fill(values, exact, field, coordinates, chunk_size)
    while stride > 1:
        open_cells = _crossed_cells(values)
        if field.kind == "distance":
            reach = 3**0.5 / 2 * stride * grid.spacing
            open_cells |= _any_corner(values.abs() <= reach)
        elif margin:
            widened = F.max_pool3d(open_cells[None].float(), 2 * margin + 1, stride=1, padding=margin)
            open_cells = widened[0] > 0
        stride //= 2
        coordinates = all_coordinates[::stride]
        values, exact = _double(values, exact)
        halves = open_cells.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
        wanted = _corners(halves) & ~exact
        while wanted.any():
            _fill(values, wanted, field, coordinates, chunk_size)
            exact |= wanted
            wanted = _corners(_crossed_cells(values)) & ~exact
    return values


def _fill(
    values: Float[Tensor, "x y z"],
    wanted: Bool[Tensor, "x y z"],
    field: Field,
    coordinates: Float[Tensor, " sample"],
    chunk_size: int,
) -> None:
    """Ask the field for the wanted samples and write them into `values`."""
    flat = values.view(-1)
    places: Int[Tensor, " point"] = wanted.reshape(-1).nonzero()[:, 0]
    size = len(coordinates)
    for chunk in places.split(chunk_size):
        index = torch.stack([chunk // (size * size), chunk // size % size, chunk % size], dim=-1)
        answers = insideness(field, coordinates[index]).to(flat.dtype)
        if not answers.isfinite().all():
            bad = int((~answers.isfinite()).sum())
            raise InputError(f"field: {bad} of {len(chunk)} values are not finite; expected numbers at all points")
        flat[chunk] = answers


def _double(
    values: Float[Tensor, "x y z"], exact: Bool[Tensor, "x y z"]
) -> tuple[Float[Tensor, "x2 y2 z2"], Bool[Tensor, "x2 y2 z2"]]:
    """Return values at half the spacing, interpolated between the old ones, and which of them are exact."""
    fine_size = [2 * length - 1 for length in values.shape]
    fine = F.interpolate(values[None, None], fine_size, mode="trilinear", align_corners=True)[0, 0]
    fine[::2, ::2, ::2] = values  # to the bit
    fine_exact = torch.zeros_like(fine, dtype=torch.bool)
    fine_exact[::2, ::2, ::2] = exact
    return fine, fine_exact


def _crossed_cells(values: Float[Tensor, "x y z"]) -> Bool[Tensor, "cx cy cz"]:
    """Return which cells have corners on both sides of 0."""
    inside = values > 0
    return _any_corner(inside) & _any_corner(~inside)


def _any_corner(samples: Bool[Tensor, "x y z"]) -> Bool[Tensor, "cx cy cz"]:
    """Return which cells have a corner among `samples`."""
    for axis in range(3):
        length = samples.shape[axis] - 1
        samples = samples.narrow(axis, 0, length) | samples.narrow(axis, 1, length)
    return samples


def _corners(cells: Bool[Tensor, "cx cy cz"]) -> Bool[Tensor, "x y z"]:
    """Return which samples are a corner of one of `cells`."""
    for axis in range(3):
        padding = [0, 0] * 3
        padding[5 - 2 * axis] = 1
        after = F.pad(cells, padding)
        padding[5 - 2 * axis], padding[4 - 2 * axis] = 0, 1
        cells = after | F.pad(cells, padding)
    return cells
