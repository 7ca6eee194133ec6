"""Between the full grid of latents and the coarser grid of a scale, and the convolution that smooths the way back.

Three arrangements of latents share everything: a `set` in a row (batch, length, dim), a `map` (batch, side, side, dim)
and a `triplane` (batch, 3, side, side, dim), whose planes never mix. Channels come last, as quantizers want them.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.errors import ConfigError

Arrangement = Literal["set", "map", "triplane"]
"""How the latents of an object lie. Planes that are coded together are a map with three times the channels."""

NUM_AXES = {"set": 1, "map": 2, "triplane": 2}
"""Axes along which neighbours are neighbours."""


@runtime_checkable
class Resampler(Protocol):
    """What takes latents to a scale's grid and back. A module with weights will do, and learns them."""

    @property
    def arrangement(self) -> Arrangement:
        """How the latents lie."""
        ...

    @property
    def grids(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each scale's grid of codes, from coarse to fine."""
        ...

    @property
    def full_grid(self) -> tuple[int, ...]:
        """Shape of the latents' own grid."""
        ...

    def down(self, latents: Float[Tensor, "batch *full dim"], scale: int) -> Float[Tensor, "batch *grid dim"]:
        """Return latents on the grid of `scale`."""
        ...

    def up(self, vectors: Float[Tensor, "batch *grid dim"], scale: int) -> Float[Tensor, "batch *full dim"]:
        """Return vectors of the grid of `scale` on the full grid."""
        ...


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """Means of areas downwards, interpolation upwards; a scale of full size passes untouched.

    Source: VAR's and SAR3D's published quantizers: area and cubic. VAT does not say how it resizes sets.
    """

    arrangement: Arrangement
    sizes: tuple[int, ...]
    """Length of a set, or side of a map or plane, at each scale; never falling. Equal sizes are plain residual
    quantization."""
    full_size: int | None = None
    """The same of the latents; None: the last scale's."""
    upsampling: Literal["linear", "cubic"] = "cubic"
    """Interpolation on the way up; a set has `linear` only."""

    def __post_init__(self) -> None:
        sizes = (*self.sizes, self._full_size) if self.sizes else ()
        if not sizes or sizes[0] < 1 or any(first > second for first, second in pairwise(sizes)):
            raise ConfigError(
                f"sizes: {list(self.sizes)} of {self.full_size or 'as many'}; expected at least one, from 1 on,"
                " none smaller than the one before, none greater than full_size"
            )
        if self.arrangement == "set" and self.upsampling == "cubic":
            raise ConfigError("upsampling: 'cubic' is not defined for a set; choose 'linear'")

    @property
    def _full_size(self) -> int:
        return self.sizes[-1] if self.full_size is None else self.full_size

    @property
    def grids(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each scale's grid of codes, from coarse to fine."""
        return tuple(self._grid(size) for size in self.sizes)

    @property
    def full_grid(self) -> tuple[int, ...]:
        """Shape of the latents' own grid."""
        return self._grid(self._full_size)

    def _grid(self, size: int) -> tuple[int, ...]:
        return {"set": (size,), "map": (size, size), "triplane": (3, size, size)}[self.arrangement]

    def down(self, latents: Float[Tensor, "batch *full dim"], scale: int) -> Float[Tensor, "batch *grid dim"]:
        """Return the mean of the latents over each cell of the grid of `scale`."""
        return self._resize(latents, self.sizes[scale], "area")

    def up(self, vectors: Float[Tensor, "batch *grid dim"], scale: int) -> Float[Tensor, "batch *full dim"]:
        """Return vectors interpolated from the grid of `scale`, whose cells' centres keep their places."""
        modes = {"linear": ("linear", "bilinear"), "cubic": ("", "bicubic")}
        return self._resize(vectors, self._full_size, modes[self.upsampling][NUM_AXES[self.arrangement] - 1])

    def _resize(self, x: Float[Tensor, "batch *old dim"], size: int, mode: str) -> Float[Tensor, "batch *new dim"]:
        axes = NUM_AXES[self.arrangement]
        if x.shape[-2] == size:
            return x
        resized = F.interpolate(channels_first(x, axes), (size,) * axes, mode=mode)
        return resized.movedim(1, -1).reshape(*x.shape[: -1 - axes], *(size,) * axes, x.shape[-1])


class Refinement(nn.Module):
    """Mixes vectors on the full grid with a convolution of themselves: `(1 - share) x + share conv(x)`.

    What interpolation smears, the convolution may learn to sharpen. It starts as the identity and has no bias.

    Args:
        arrangement: of the latents; planes do not mix.
        dim: width of the vectors.
        share: of the convolution, in [0, 1].

    Source: VAR's published quantizer, whose convolution starts at random and has a bias.
    """

    def __init__(self, arrangement: Arrangement, dim: int, share: float = 0.5) -> None:
        super().__init__()
        self.num_axes = NUM_AXES[arrangement]
        self.share = share
        convolution = nn.Conv1d if self.num_axes == 1 else nn.Conv2d
        self.convolution = convolution(dim, dim, 3, padding=1, bias=False)
        nn.init.dirac_(self.convolution.weight)

    def forward(self, x: Float[Tensor, "batch *full dim"]) -> Float[Tensor, "batch *full dim"]:
        """Return the mixture, of the input's shape."""
        mixed = self.convolution(channels_first(x, self.num_axes)).movedim(1, -1).reshape(x.shape)
        return torch.lerp(x, mixed, self.share)


def channels_first(x: Float[Tensor, "batch *grid dim"], num_axes: int) -> Float[Tensor, "rows dim *axes"]:
    """Return each object's grids as rows of their own, with the channels where convolutions want them."""
    return x.reshape(-1, *x.shape[-1 - num_axes :]).movedim(-1, 1)
