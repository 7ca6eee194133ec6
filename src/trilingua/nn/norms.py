"""Normalisation layers, by the statistics of a row or of the data. Knows widths alone, no model."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class RMSNorm(nn.Module):
    """Divides by the root mean square over the last axis, then scales: `x / sqrt(mean(x^2) + eps) * weight`.

    The statistics are taken in float32 whatever the input's type; the output has the input's type.
    """

    def __init__(self, dim: int, *, eps: float = 1e-5) -> None:
        """Args: dim: width of the last axis; eps: added to the mean square."""
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        """Return the normalised rows."""
        return functional.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)


class ChannelScale(nn.Module):
    """Brings each channel to mean 0 and standard deviation 1 by figures of the data, and back.

    In training the figures follow: they are plain means over all batches seen so far, so that they settle and depend
    on no batch of the moment. Data of the first batch are brought to its own figures.

    Args:
        channels: how many there are.
    """

    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self, x: Float[Tensor, "*rows channel"]) -> None:
        """Take in a batch; one without rows changes nothing."""
        rows = x.flatten(0, -2)
        if rows.is_meta or not len(rows):
            return
        self.batches.add_(1)
        self.mean.lerp_(rows.mean(dim=0), 1 / int(self.batches))
        self.square.lerp_(rows.square().mean(dim=0), 1 / int(self.batches))

    @property
    def deviation(self) -> Float[Tensor, " channel"]:
        """The standard deviation of each channel, at least 0.01 of its root mean square."""
        return (self.square - self.mean.square()).clamp_min(1e-4 * self.square).sqrt().clamp_min(1e-6)

    def forward(self, x: Float[Tensor, "*rows channel"]) -> Float[Tensor, "*rows channel"]:
        """Return `(x - mean) / deviation`."""
        return (x - self.mean) / self.deviation

    def restore(self, x: Float[Tensor, "*rows channel"]) -> Float[Tensor, "*rows channel"]:
        """Return `x * deviation + mean`, the inverse of `forward`."""
        return x * self.deviation + self.mean
