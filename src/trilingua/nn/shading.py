"""What the smooth shading of pictures tells: values such as those of where the camera stands.

The ground's brightness fades as lamps and camera stand, in a few ways that all pictures of a studio share. How much of
each way a picture has is found by least squares over the cells that show nothing but ground, in single precision: so it
is known far finer than the light of any one cell, to a tenth of a gray level, which bfloat16 rounds away. Knows no
objects, no cameras and no tokens.

Exposure and white balance multiply light, so that they are added to its logarithm, everywhere alike: one more way for
each channel, of which nothing is told.

Source: images under changing light as linear subspaces: Belhumeur and Kriegman 1998. Differs: the ways, and how much
each cell counts, are trained for what they are to tell.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_PARTS = 2
"""Parts of a cell along one side, whose light and roughness say whether the cell shows ground alone."""
_STEP = 0.02
"""What a brightness deviates by, as the logarithm of an sRGB code, to count as 1."""
_GROUND = 6.0
"""Such steps by which ground deviates at most from a cell's usual light; what deviates more shows something else."""
_RIDGE, _LEAST = 0.003, 1e-4
"""Added to the squares of modes, and of exposure, so that what hardly any cell shows is taken to be usual."""
_WIDTH, _HIDDEN = 64, 256


class ShadingReader(nn.Module):
    """Reads values off the shading of pictures.

    Args:
        grid_size: cells along one side of a picture.
        num_modes: ways in which the ground's light varies, at least 1.
        num_values: how many values are told.
    """

    brightness: Tensor
    typical: Tensor
    spread: Tensor

    def __init__(self, grid_size: int, num_modes: int, num_values: int) -> None:
        super().__init__()
        self.grid_size = grid_size
        self.brightness = nn.Buffer(torch.zeros(()))
        self.usual = nn.Parameter(torch.zeros(3, grid_size, grid_size))
        self.modes = nn.Parameter(torch.randn(3 * grid_size**2, num_modes))
        self.log_ridge = nn.Parameter(torch.zeros(num_modes))
        self.count = nn.Sequential(
            nn.Conv2d(4 * _PARTS**2, _WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, 1, 1),
            nn.Sigmoid(),
        )
        self.tell = nn.Sequential(
            nn.Linear(num_modes, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, num_values),
        )
        self.tell_at_once = nn.Linear(num_modes, num_values)
        self.typical = nn.Buffer(torch.zeros(num_values))
        self.spread = nn.Buffer(torch.ones(num_values))

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch value"]:
        """Return the values of pictures.

        Args:
            images: in [0, 1]; both sides are multiples of twice the grid's.
        """
        with torch.autocast(images.device.type, enabled=False):
            parts = self._parts(images)
            deviation = self._steps(F.avg_pool2d(parts, _PARTS)) - self.usual
            share = self._ground(images, parts)
            amounts = self._amounts(deviation, share)
            return self.typical + self.spread * (self.tell_at_once(amounts) + self.tell(amounts))

    @property
    def has_begun(self) -> bool:
        """Whether the usual light is known; until then, what is told means nothing."""
        return bool(self.brightness)

    @torch.no_grad()
    def light(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 grid grid"]:
        """Return the mean light of each cell of pictures as `forward` takes them."""
        return F.avg_pool2d(self._parts(images), _PARTS)

    @torch.no_grad()
    def begin(self, light: Float[Tensor, "batch 3 grid grid"], values: Float[Tensor, "batch value"]) -> None:
        """Take the ways in which light varies, and the usual values, from pictures: their principal components.

        Args:
            light: of the cells of more pictures than there are modes.
            values: the true ones.
        """
        self.brightness.zero_()
        steps = self._steps(light)
        self.brightness.copy_(steps.mean())
        steps -= self.brightness
        self.usual.copy_(steps.median(dim=0).values)
        deviation = steps - self.usual
        deviation -= deviation.flatten(2).median(dim=2).values[..., None, None]  # each picture's exposure
        deviation[deviation.abs() > _GROUND] = 0
        _, _, modes = torch.linalg.svd(deviation.flatten(1), full_matrices=False)
        # As large as the random ones whose place they take, to which the ridge is fitted.
        self.modes.copy_(modes[: self.modes.shape[1]].T * len(self.modes) ** 0.5)
        self.typical.copy_(values.mean(dim=0))
        self.spread.copy_(values.std(dim=0))

    def _parts(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 row column"]:
        """Return the mean light of each part of a cell."""
        return F.avg_pool2d(images.float(), images.shape[-1] // (_PARTS * self.grid_size))

    def _steps(self, light: Float[Tensor, "batch 3 row column"]) -> Float[Tensor, "batch 3 row column"]:
        """Return light as multiples of a small factor, so that exposure and white balance are added to it."""
        return light.clamp_min(1 / 255).log() / _STEP - self.brightness

    def _ground(
        self, images: Float[Tensor, "batch 3 height width"], parts: Float[Tensor, "batch 3 row column"]
    ) -> Float[Tensor, "batch 1 grid grid"]:
        """Return how far each cell shows ground alone, in [0, 1]."""
        usual = self.usual.repeat_interleave(_PARTS, 1).repeat_interleave(_PARTS, 2)
        light = ((self._steps(parts) - usual) / 4).clamp(-4, 4)
        gray = images.float().mean(dim=1, keepdim=True)
        side = images.shape[-1] // parts.shape[-1]
        variance = F.avg_pool2d(gray.square(), side) - F.avg_pool2d(gray, side).square()
        roughness = (255 * variance.clamp_min(0).sqrt()).log1p()
        share: Tensor = self.count(F.pixel_unshuffle(torch.cat([light, roughness], dim=1), _PARTS))
        return share

    def _amounts(
        self, deviation: Float[Tensor, "batch 3 grid grid"], share: Float[Tensor, "batch 1 grid grid"]
    ) -> Float[Tensor, "batch mode"]:
        """Return how much of each mode a picture has, whatever its exposure: weighted least squares."""
        weights = share.expand_as(deviation).flatten(1) / share[0].numel()
        exposure = torch.eye(3, device=share.device).repeat_interleave(share[0].numel(), dim=0)
        ways = torch.cat([self.modes, exposure], dim=1)
        ridges = F.pad(self.log_ridge.exp() * _RIDGE, (0, 3), value=_LEAST)
        weighted = ways.T * weights[:, None]
        amounts = torch.linalg.solve(weighted @ ways + torch.diag(ridges), weighted @ deviation.flatten(1)[..., None])
        return amounts[:, : len(self.log_ridge), 0]
