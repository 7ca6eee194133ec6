"""What rays see of volumes over [-1, 1]^3: silhouettes, depths and what is there, with gradients and on any device.

A ray is stopped by density: of the light that reaches a stretch of length `l` and density `s`, the share
`1 - exp(-s l)` ends there. What a ray sees is the mean of what is there, by these shares. Rays may be
parallel (`parallel_rays`) or leave a camera (`mesh_pictures.camera_rays`).

Source: Max 1995, section 2 (emission and absorption); Mildenhall et al. 2020 (NeRF), section 4.
Differs: Kyvo renders through the frozen Gaussian decoder of TRELLIS, which needs its weights and a GPU.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trilingua.geometry.volume_rendering import cube_span
from trilingua.geometry.volumes import sample_volume

CUBE_RADIUS = 3**0.5
"""From the middle of [-1, 1]^3 to a corner."""


class Rays(NamedTuple):
    """Where rays begin and where they go."""

    origins: Float[Tensor, "batch ray 3"]
    directions: Float[Tensor, "batch ray 3"]
    """Of any length above 0, which distances are counted in."""


class VolumePicture(NamedTuple):
    """What rays see."""

    silhouette: Float[Tensor, "batch ray"]
    """Share of the light that is stopped, in [0, 1]."""
    depth: Float[Tensor, "batch ray"]
    """Mean distance at which it is, in lengths of the ray's direction, times the silhouette: 0 where nothing is."""
    values: Float[Tensor, "batch ray channel"]
    """Mean of what is there, times the silhouette."""


def parallel_rays(directions: Float[Tensor, "batch 3"], *, size: int, half_width: float = CUBE_RADIUS) -> Rays:
    """Return the rays of square pictures seen from infinitely far, in raster order from the top left.

    The picture's upward axis is that of z, and of y for a view straight up or down. Rays begin on the plane that
    touches the ball around [-1, 1]^3, so that the middle of the cube is `CUBE_RADIUS` away.

    Args:
        directions: in which each view looks, of any length above 0.
        size: pixels along each side.
        half_width: from the picture's middle to its edge.
    """
    forward = F.normalize(directions, dim=-1)
    upward = torch.zeros_like(forward)
    steep = (forward[:, 2].abs() > 0.999).to(forward.dtype)
    upward[:, 2], upward[:, 1] = 1 - steep, steep
    right = F.normalize(torch.linalg.cross(forward, upward), dim=-1)
    up = torch.linalg.cross(right, forward)
    steps = (torch.arange(size, device=forward.device, dtype=forward.dtype) + 0.5) * (2 / size) - 1
    rows, columns = torch.meshgrid(-steps * half_width, steps * half_width, indexing="ij")
    offsets = columns.reshape(1, -1, 1) * right[:, None] + rows.reshape(1, -1, 1) * up[:, None]
    return Rays(offsets - CUBE_RADIUS * forward[:, None], forward[:, None].expand_as(offsets))


def render_volume(
    density: Float[Tensor, "batch x y z"],
    values: Float[Tensor, "batch channel x y z"],
    rays: Rays,
    *,
    num_samples: int,
) -> VolumePicture:
    """Return what rays see of volumes.

    Each ray is cut into `num_samples` equal stretches where it passes [-1, 1]^3, and the volume is asked in their
    middles. What lies at a point is the mean of the cells' values, weighted by their density as well.

    Args:
        density: of each cell, at least 0, per unit of length.
        values: what is seen of each cell; any number of channels, also none.
        rays: as many batches of them.
        num_samples: stretches of a ray; those of a cell's length or less lose no cell.
    """
    near, far = cube_span(rays.origins, rays.directions)
    steps = (torch.arange(num_samples, device=near.device, dtype=near.dtype) + 0.5) / num_samples
    distances = near[..., None] + (far - near)[..., None] * steps
    points = rays.origins[:, :, None] + distances[..., None] * rays.directions[:, :, None]
    held = torch.cat([density[:, None], density[:, None] * values], dim=1)
    found = sample_volume(held, points.flatten(1, 2), outside="zeros").unflatten(1, distances.shape[1:])
    there, weighted = found[..., 0], found[..., 1:]
    lengths = ((far - near) / num_samples * rays.directions.norm(dim=-1))[..., None]
    thickness = there * lengths
    reached = torch.exp(thickness - thickness.cumsum(dim=-1))
    stopped = reached * -torch.expm1(-thickness)
    seen = weighted * (stopped / there.clamp_min(1e-6))[..., None]
    return VolumePicture(stopped.sum(dim=-1), (stopped * distances).sum(dim=-1), seen.sum(dim=-2))
