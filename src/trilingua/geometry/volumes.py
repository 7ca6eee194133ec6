"""Volumes over [-1, 1]^3, grids of cells whose numbers hold in their middles: what they hold at a point in between."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


class Corners(NamedTuple):
    """The eight cells around points, whose middles are the corners of a cube with the point in it."""

    cells: Int[Tensor, "batch point 8"]
    """Numbers of the cells, of which z changes fastest."""
    weights: Float[Tensor, "batch point 8"]
    """Of linear interpolation; they sum to 1."""
    middles: Float[Tensor, "batch point 8 3"]
    """Where the cells are."""


def corners_around(points: Float[Tensor, "batch point 3"], resolution: int) -> Corners:
    """Return the cells around points; beyond the outermost middles, the outermost cells, some of them twice.

    Args:
        points: in [-1, 1]^3.
        resolution: cells along each side of the grid.
    """
    places = ((points + 1) * (resolution / 2) - 0.5).clamp(0, resolution - 1)
    lower = places.floor().clamp(max=max(resolution - 2, 0))
    share = (places - lower)[..., None, :]
    steps = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], device=points.device)
    weights = torch.where(steps.bool(), share, 1 - share).prod(dim=-1)
    cells = (lower.long()[..., None, :] + steps).clamp(max=resolution - 1)
    middles = (cells + 0.5) * (2 / resolution) - 1
    numbers = (cells[..., 0] * resolution + cells[..., 1]) * resolution + cells[..., 2]
    return Corners(numbers, weights, middles)


def sample_volume(
    volume: Float[Tensor, "batch channel x y z"],
    points: Float[Tensor, "batch point 3"],
    *,
    outside: Literal["border", "zeros"] = "border",
) -> Float[Tensor, "batch point channel"]:
    """Return what a volume holds at points, interpolated linearly between the middles of its cells.

    Args:
        volume: numbers of the cells.
        points: in [-1, 1]^3, or beyond.
        outside: what lies beyond the outermost middles: the same as there, or zeros in the middles of further cells.
    """
    places = points.flip(-1)[:, :, None, None]  # the last axis of a volume is the first coordinate that is asked for
    found = F.grid_sample(volume, places, mode="bilinear", padding_mode=outside, align_corners=False)
    return found[..., 0, 0].transpose(1, 2)
