"""Rotary position embedding, with Llama 3's stretching of long wavelengths. Holds no parameters.

Positions are whatever integers the caller gives; this module does not count tokens.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """How Llama 3.1 and later stretch their rotary wavelengths for contexts longer than the first pre-training's."""

    factor: float
    """By how much the longest wavelengths grow; at least 1. Llama-3.2: 32."""
    low_freq_factor: float = 1.0
    """Wavelengths above `original_max_positions / low_freq_factor` grow by the whole factor."""
    high_freq_factor: float = 4.0
    """Wavelengths below `original_max_positions / high_freq_factor` stay; between the two, a blend."""
    original_max_positions: int = 8192
    """Context of the first pre-training, in tokens."""

    def __post_init__(self) -> None:
        if self.factor < 1 or not 0 < self.low_freq_factor < self.high_freq_factor:
            raise ConfigError(
                f"factor, low_freq_factor, high_freq_factor: {self.factor}, {self.low_freq_factor}, "
                f"{self.high_freq_factor}; expected factor >= 1, 0 < low < high; copy them from the backbone's config"
            )


def rotary_frequencies(
    head_dim: int, *, theta: float = 10_000.0, scaling: Llama3Scaling | None = None
) -> Float[Tensor, " half"]:
    """Return the angle per position of each pair of channels, in radians, float32: `theta^(-2i / head_dim)`.

    Args:
        head_dim: channels of a head, even.
        theta: base of the geometric series.
        scaling: Llama 3's stretching, or none.
    """
    if head_dim % 2:
        raise ConfigError(f"head_dim: {head_dim} is odd; rotary embedding pairs channels; choose an even width")
    frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim)
    if scaling is None:
        return frequencies
    wavelengths = 2 * math.pi / frequencies
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((scaling.original_max_positions / wavelengths - low) / (high - low)).clamp(0, 1)
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor


class RotaryEmbedding(nn.Module):
    """Turns positions into the cosines and signed sines that `rotate` takes; once a forward pass, for all layers."""

    def __init__(self, head_dim: int, *, theta: float = 10_000.0, scaling: Llama3Scaling | None = None) -> None:
        """Args: as `rotary_frequencies`."""
        super().__init__()
        # No buffer: `module.to(torch.bfloat16)` must never round the frequencies.
        self._frequencies = {torch.device("cpu"): rotary_frequencies(head_dim, theta=theta, scaling=scaling)}

    def forward(
        self, positions: Int[Tensor, "batch seq"], dtype: torch.dtype
    ) -> tuple[Float[Tensor, "batch seq 1 dim"], Float[Tensor, "batch seq 1 dim"]]:
        """Return `(cosines, signed sines)` of `dtype`, over whole heads: the sines of the first half are negated."""
        device = positions.device
        if device not in self._frequencies:
            self._frequencies[device] = self._frequencies[torch.device("cpu")].to(device)
        angles = positions[:, :, None, None].float() * self._frequencies[device]
        cosines, sines = angles.cos(), angles.sin()
        return torch.cat((cosines, cosines), -1).to(dtype), torch.cat((-sines, sines), -1).to(dtype)


def rotate(
    x: Float[Tensor, "batch seq head dim"],
    cosines: Float[Tensor, "#batch seq 1 dim"],
    sines: Float[Tensor, "#batch seq 1 dim"],
) -> Float[Tensor, "batch seq head dim"]:
    """Rotate each pair of channels (i, i + dim/2) by its angle; `cosines, sines` come from `RotaryEmbedding`."""
    first, second = x.chunk(2, -1)
    return torch.addcmul(x * cosines, torch.cat((second, first), -1), sines)
