"""Pictures of a field that is a little transparent: what a ray gathers on its way, with gradients for every place.

A ray from o in direction d sees, at depth t, the place o + t d. What it gathers is the integral of colour times
density times what still comes through, by the trapezoid rule between samples; behind it lies the background. Samples
are spread over where the ray passes the cube [-1, 1]^3, then added where the first ones found something. Knows no
networks: a query is any function from points to densities and colours.

Source: Mildenhall et al. 2020 (NeRF), sections 4 and 5.2; Chan et al. 2022 (EG3D), whose published renderer samples
twice from one field and takes the means of neighbours, as SAR3D's does.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trilingua.geometry.fields import Field

Query = Callable[
    [Float[Tensor, "batch point 3"]],
    tuple[Float[Tensor, "batch point"], Float[Tensor, "batch point 3"]],
]
"""From places to densities (at least 0, per length) and colours."""

DENSITY_SLOPE = 10.0
"""How fast density grows with a logit of being inside: `softplus(10 logit)`, next to nothing at -1, 50 at 5."""

LOGIT_PER_DISTANCE = 64.0
"""What a signed distance counts as a logit, when a field of distances is to be drawn."""


class Gathered(NamedTuple):
    """What rays see."""

    colors: Float[Tensor, "batch ray 3"]
    """Over the background."""
    alphas: Float[Tensor, "batch ray"]
    """What does not come through, from 0 to 1."""
    depths: Float[Tensor, "batch ray"]
    """Mean depth, where what comes through ends as the ray leaves the cube."""


class Composite(NamedTuple):
    """The parts of the sum that a ray gathers."""

    weights: Float[Tensor, "batch ray interval"]
    """Of each interval between samples; their sum is the alpha."""
    colors: Float[Tensor, "batch ray 3"]
    """Over black."""
    depths: Float[Tensor, "batch ray"]
    """Sum of weight times depth: not divided by the alpha."""


def density_of_logits(logits: Float[Tensor, "*point"]) -> Float[Tensor, "*point"]:
    """Return `softplus(DENSITY_SLOPE logit)`: one number says both how dense a place is and on which side it lies."""
    return F.softplus(DENSITY_SLOPE * logits)


def cube_span(
    origins: Float[Tensor, "batch ray 3"], directions: Float[Tensor, "batch ray 3"]
) -> tuple[Float[Tensor, "batch ray"], Float[Tensor, "batch ray"]]:
    """Return the depths at which rays enter and leave [-1, 1]^3; equal ones for a ray that misses it or lies behind.

    Args:
        origins: where rays begin, outside of the cube or in it.
        directions: of any length but 0.
    """
    slopes = 1 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    walls = torch.stack([(-1 - origins) * slopes, (1 - origins) * slopes])
    near = walls.amin(dim=0).amax(dim=-1).clamp_min(0)
    return near, near.maximum(walls.amax(dim=0).amin(dim=-1))


def composite(
    densities: Float[Tensor, "batch ray sample"],
    colors: Float[Tensor, "batch ray sample 3"],
    depths: Float[Tensor, "batch ray sample"],
    lengths: Float[Tensor, "batch ray"],
) -> Composite:
    """Return what rays gather between their samples, in which density and colour are the means of the ends'.

    The weight of an interval is `T (1 - exp(-s))`, s its mean density times its length, T the product of `exp(-s)` of
    those before it.

    Args:
        densities: at least 0.
        colors: of the same places.
        depths: of the samples, rising along each ray.
        lengths: of the rays' directions.
    """
    steps = depths.diff(dim=-1) * lengths[..., None]
    thickness = (densities[..., 1:] + densities[..., :-1]) / 2 * steps
    before = thickness.cumsum(dim=-1) - thickness
    weights = torch.exp(-before) * -torch.expm1(-thickness)
    middle_colors = (colors[..., 1:, :] + colors[..., :-1, :]) / 2
    middle_depths = (depths[..., 1:] + depths[..., :-1]) / 2
    return Composite(weights, (weights[..., None] * middle_colors).sum(dim=-2), (weights * middle_depths).sum(dim=-1))


def spread_depths(
    near: Float[Tensor, "batch ray"], far: Float[Tensor, "batch ray"], count: int, *, jitter: bool
) -> Float[Tensor, "batch ray sample"]:
    """Return depths from `near` to `far`, both among them, one in each of equal parts of what lies between.

    Args:
        near: where to begin.
        far: where to end.
        count: how many, at least 2.
        jitter: draw the place in each part, by torch's own generator; else its middle.
    """
    inner = count - 2
    draws = torch.rand(*near.shape, inner, device=near.device) if jitter else 0.5
    shares = (torch.arange(inner, device=near.device) + draws) / max(inner, 1)
    shares = shares.expand(*near.shape, inner)
    middle = near[..., None] + (far - near)[..., None] * shares
    return torch.cat([near[..., None], middle, far[..., None]], dim=-1)


@torch.no_grad()
def important_depths(
    depths: Float[Tensor, "batch ray sample"],
    weights: Float[Tensor, "batch ray interval"],
    count: int,
    *,
    jitter: bool,
) -> Float[Tensor, "batch ray new"]:
    """Return depths that lie where weights are great: spread over the inverse of their sum, linear in each interval.

    Args:
        depths: of the samples at the ends of intervals.
        weights: of the intervals, at least 0; a hundredth of all is spread evenly, so that nothing is left out.
        count: how many, at least 1.
        jitter: as `spread_depths`.

    Source: NeRF, section 5.2.
    """
    weights = weights + 0.01 * weights.sum(dim=-1, keepdim=True) / weights.shape[-1] + 1e-6
    shares = F.pad((weights / weights.sum(dim=-1, keepdim=True)).cumsum(dim=-1), (1, 0)).clamp_max(1)
    draws = torch.rand(*depths.shape[:-1], count, device=depths.device) if jitter else 0.5
    wanted = ((torch.arange(count, device=depths.device) + draws) / count).expand(*depths.shape[:-1], count)
    above = torch.searchsorted(shares, wanted.contiguous(), right=True).clamp(1, shares.shape[-1] - 1)
    low, high = shares.gather(-1, above - 1), shares.gather(-1, above)
    start, end = depths.gather(-1, above - 1), depths.gather(-1, above)
    return start + (end - start) * ((wanted - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)


def gather_rays(
    query: Query,
    origins: Float[Tensor, "batch ray 3"],
    directions: Float[Tensor, "batch ray 3"],
    *,
    num_even: int,
    num_important: int,
    background: Float[Tensor, "3"],
    jitter: bool = False,
) -> Gathered:
    """Return what rays see of a field.

    Args:
        query: the field.
        origins: where rays begin.
        directions: which way they go; depths are counted in their lengths.
        num_even: samples spread over each ray, at least 2.
        num_important: samples added where the first ones found something; 0: none.
        background: colour behind the field.
        jitter: draw samples by torch's own generator, as training wants; else they are the same each time.
    """
    near, far = cube_span(origins, directions)
    lengths = torch.linalg.vector_norm(directions, dim=-1)

    def ask(depths: Float[Tensor, "batch ray sample"]) -> tuple[Tensor, Tensor]:
        points = origins[:, :, None] + depths[..., None] * directions[:, :, None]
        densities, colors = query(points.flatten(1, 2))
        return densities.view_as(depths), colors.view(*depths.shape, 3)

    depths = spread_depths(near, far, num_even, jitter=jitter)
    densities, colors = ask(depths)
    if num_important:
        first = composite(densities.detach(), colors.detach(), depths, lengths)
        added = important_depths(depths, first.weights, num_important, jitter=jitter)
        more_densities, more_colors = ask(added)
        depths, order = torch.cat([depths, added], dim=-1).sort(dim=-1)
        densities = torch.cat([densities, more_densities], dim=-1).gather(-1, order)
        colors = torch.cat([colors, more_colors], dim=-2).gather(-2, order[..., None].expand(*order.shape, 3))
    made = composite(densities, colors, depths, lengths)
    alphas = made.weights.sum(dim=-1)
    through = 1 - alphas
    return Gathered(made.colors + through[..., None] * background, alphas, made.depths + through * far)


@torch.no_grad()
def draw_field(
    field: Field,
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    *,
    background: Float[Tensor, "3"],
    num_even: int = 48,
    num_important: int = 48,
    chunk_size: int = 2**12,
) -> Gathered:
    """Return what rays see of a field with colours, the same each time.

    Args:
        field: whose logits, or distances, are taken for densities.
        origins: where rays begin.
        directions: which way they go.
        background: colour behind the field.
        num_even: see `gather_rays`.
        num_important: see `gather_rays`.
        chunk_size: how many rays are followed at once.
    """

    def query(points: Float[Tensor, "one point 3"]) -> tuple[Tensor, Tensor]:
        values, colors = field.values(points[0]), field.colors(points[0])
        assert colors is not None, "a field without colours cannot be drawn"
        logits = values if field.kind == "logit" else -LOGIT_PER_DISTANCE * values
        return density_of_logits(logits)[None], colors[None]

    parts = [
        gather_rays(
            query,
            some[None],
            towards[None],
            num_even=num_even,
            num_important=num_important,
            background=background,
        )
        for some, towards in zip(origins.split(chunk_size), directions.split(chunk_size), strict=True)
    ]
    return Gathered(*(torch.cat(part, dim=1) for part in zip(*parts, strict=True)))
