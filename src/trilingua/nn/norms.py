"""Normalisation layers. Knows widths alone, no model."""

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
        if x.dtype == torch.float32 and self.weight.dtype == torch.float32:
            return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return functional.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)
