"""Vector quantization with a codebook that follows its inputs by exponential moving averages.

Codes and inputs live on the unit sphere, so the nearest code is the one of greatest cosine. Codes that
nothing chooses any more are moved onto inputs of the current batch. Knows nothing of pictures.

Source: van den Oord et al. 2017, appendix A.1 (moving averages); Yu et al. 2022 (ViT-VQGAN), section 3.2
(unit vectors); Dhariwal et al. 2020, section 3 (revival).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class Quantized(NamedTuple):
    """What a quantizer returns for a batch."""

    vectors: Float[Tensor, "*points code_dim"]
    """The chosen code vectors; gradients pass straight through to the inputs' unit vectors."""
    codes: Int[Tensor, "*points"]
    """Index of each input's code."""
    loss: Float[Tensor, ""]
    """Commitment loss: mean squared distance of the inputs' unit vectors from their codes."""


class VectorQuantizer(nn.Module):
    """Nearest of `num_codes` unit vectors.

    Args:
        num_codes: size of the codebook.
        code_dim: width of a code vector.
        decay: share of its old vector that a code keeps in one training step, in (0, 1).
        count_decay: the same for the average of how often a code is chosen; shorter, so that dead codes are soon
            found. All codes are dead at the start, so the first batch gives them their vectors.
        revive_below: a code whose average count falls under this share of the mean count is revived.
    """

    codebook: Tensor
    counts: Tensor

    def __init__(
        self,
        num_codes: int,
        code_dim: int,
        *,
        decay: float = 0.99,
        count_decay: float = 0.95,
        revive_below: float = 0.03,
    ) -> None:
        super().__init__()
        self.decay = decay
        self.count_decay = count_decay
        self.revive_below = revive_below
        self.register_buffer("codebook", F.normalize(torch.randn(num_codes, code_dim), dim=-1))
        self.register_buffer("counts", torch.zeros(num_codes))

    def codes(self, inputs: Float[Tensor, "*points code_dim"]) -> Int[Tensor, "*points"]:
        """Return the index of the code nearest to each input, in [0, num_codes)."""
        # In float32 under autocast too: bfloat16 cannot tell the cosines of near codes apart, and training
        # would choose other codes than tokenizing does.
        with single_precision(inputs):
            return (F.normalize(inputs.float(), dim=-1) @ self.codebook.T).argmax(dim=-1)

    def vectors(self, codes: Int[Tensor, "*points"]) -> Float[Tensor, "*points code_dim"]:
        """Return the vectors of `codes`."""
        return self.codebook[codes]

    def forward(self, inputs: Float[Tensor, "*points code_dim"]) -> Quantized:
        """Quantize `inputs`; in training mode also move the codebook towards them."""
        unit = F.normalize(inputs.float(), dim=-1)
        codes = self.codes(unit.detach())
        vectors = self.codebook[codes]
        loss = F.mse_loss(unit, vectors) * unit.shape[-1]
        if self.training:
            self.follow(unit.detach().flatten(0, -2), codes.flatten())
        return Quantized(unit + (vectors - unit).detach(), codes, loss)

    @torch.no_grad()
    def follow(
        self,
        unit: Float[Tensor, "point code_dim"],
        codes: Int[Tensor, " point"],
        weights: Float[Tensor, " point"] | None = None,
    ) -> None:
        """Move every used code towards the mean of its inputs, and each dead one onto an input that is badly served.

        Args:
            unit: unit vectors of a batch's inputs.
            codes: each input's code.
            weights: how many inputs of weight 1 each one counts as, in means, counts and revival. None: all 1.
        """
        if unit.is_meta:
            return  # sizes alone, and no values that could be followed
        if weights is None:
            weights = torch.ones_like(unit[:, 0])
        counts = torch.zeros_like(self.counts).index_add_(0, codes, weights)
        sums = torch.zeros_like(self.codebook).index_add_(0, codes, weights[:, None] * unit)
        # A code's own average count weighs its old vector, so that rare codes move as surely as common ones.
        moved = self.decay * self.counts[:, None] * self.codebook + (1 - self.decay) * sums
        self.counts.lerp_(counts, 1 - self.count_decay)
        self.codebook.copy_(torch.where(counts[:, None] > 0, F.normalize(moved, dim=-1), self.codebook))
        mean_count = weights.sum() / len(counts)
        dead = self.counts < self.revive_below * mean_count
        if dead.any():
            # Onto inputs that lie far from their codes: a random input is one of the many that are served already.
            # Where training has diverged there are no such inputs; the trainer says so by the loss.
            misfit = (weights * (unit - self.codebook[codes]).square().sum(dim=-1)).nan_to_num(0.0, 0.0) + 1e-9
            chosen = torch.multinomial(misfit, int(dead.sum()), replacement=int(dead.sum()) > len(unit))
            self.codebook[dead] = unit[chosen]
            self.counts[dead] = mean_count


def single_precision(like: Tensor) -> AbstractContextManager:
    """Return a context that keeps autocast out on the device of `like`; the meta device has none to keep out."""
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)


def code_usage(codes: Int[Tensor, "*points"], num_codes: int) -> dict[str, float]:
    """Return how a set of codes uses its codebook.

    Returns:
        `used`: share of the codes that occur, in [0, 1]; `perplexity`: exp of the entropy of their
        frequencies, from 1 (one code) to `num_codes` (all equal).
    """
    counts = torch.bincount(codes.flatten(), minlength=num_codes).double()
    shares = counts / counts.sum().clamp_min(1)
    entropy = -(shares * shares.clamp_min(1e-12).log()).sum()
    return {"used": float((counts > 0).double().mean()), "perplexity": float(entropy.exp())}
