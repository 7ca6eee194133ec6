"""Tokens that stand somewhere in space, and attention that fades with distance.

What a learned token is about must otherwise be found out first: which of the points are its own, which other tokens
are its neighbours. On a small budget that is most of the training (`docs/log.md`). Knows no shapes.

Source: Press et al. 2022 (ALiBi), section 3, whose tokens stand in a row.

Differs: squared distances in space, at rates that are learned.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.nn.sets import fourier_dim, fourier_features

SLOWEST, FASTEST = 1.0, 32.0
"""How fast the attention of the first and of the last head fades at first: by a factor of e at distance 1 and 0.18."""

_NUM_FREQUENCIES = 6
_BITS = 10


def spread_places(count: int) -> Float[Tensor, "token 3"]:
    """Return places that fill [-1, 1]^3 evenly, such that neighbours in the row are mostly neighbours in space.

    Points of Sobol's sequence in the order of Morton's curve: any run of the row covers a compact piece of space, so
    that a row of latents can be halved and doubled as a picture can.

    Args:
        count: how many, at least 1.

    Source: Sobol 1967; Morton 1966.
    """
    points = torch.quasirandom.SobolEngine(3).draw(count)
    cells = (points * 2**_BITS).long().clamp(max=2**_BITS - 1)
    bits = cells[:, :, None] >> torch.arange(_BITS, device=cells.device) & 1
    weights = 2 ** (3 * torch.arange(_BITS, device=cells.device) + torch.arange(3, device=cells.device)[:, None])
    return points[(bits * weights).sum(dim=(1, 2)).argsort(stable=True)] * 2 - 1


@torch.no_grad()
def squared_distances(
    places: Float[Tensor, "*#batch token 3"],
    others: Float[Tensor, "*#batch other 3"],
    axes: Float[Tensor, "token 3"] | None = None,
    other_axes: Float[Tensor, "other 3"] | None = None,
) -> Float[Tensor, "*batch token other"]:
    """Return the squared distance of every place to every other, in single precision.

    Args:
        places: in [-1, 1]^3.
        others: the same.
        axes: 1 for the axes that count for a place, 0 for those along which it stretches through all of space;
            None: all count.
        other_axes: the same for `others`; an axis counts that counts for both.
    """
    with torch.autocast(places.device.type, enabled=False):  # rounded to eight bits, near places would be one place
        own = torch.ones_like(places) if axes is None else axes
        their = torch.ones_like(others) if other_axes is None else other_axes
        # (p - o)^2 = p^2 - 2 p o + o^2, so that nothing of the size (token, other, 3) is made.
        squares = (own * places.square()) @ their.transpose(-1, -2) + own @ (their * others.square()).transpose(-1, -2)
        return (squares - 2 * (own * places) @ (their * others).transpose(-1, -2)).clamp(min=0)


def embed_places(places: Float[Tensor, "token 3"], dim: int) -> Float[Tensor, "token dim"]:
    """Return vectors to begin learned tokens with, alike where places are near: random mixtures of waves over space."""
    waves = fourier_features(places, _NUM_FREQUENCIES)
    return waves @ (torch.randn(fourier_dim(_NUM_FREQUENCIES), dim) * fourier_dim(_NUM_FREQUENCIES) ** -0.5)


class DistanceFade(nn.Module):
    """What is added to attention scores: minus the squared distance of places times a rate that each head learns.

    Args:
        num_heads: their rates begin evenly spread on a logarithmic scale from `SLOWEST` to `FASTEST`.
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.log_rates = nn.Parameter(torch.linspace(math.log(SLOWEST), math.log(FASTEST), num_heads))

    def forward(
        self,
        places: Float[Tensor, "*#batch query 3"],
        others: Float[Tensor, "*#batch key 3"],
        axes: Float[Tensor, "query 3"] | None = None,
        other_axes: Float[Tensor, "key 3"] | None = None,
    ) -> Float[Tensor, "*batch head query key"]:
        """Return the bias of each head.

        Args:
            places: where each query stands.
            others: where each key stands.
            axes: as of `squared_distances`.
            other_axes: the same for `others`.
        """
        squared = squared_distances(places, others, axes, other_axes)
        return -self.log_rates.exp()[:, None, None] * squared[..., None, :, :]
