"""Low-rank adapters: a frozen matrix plus a small trained one of low rank.

Source: Hu et al. 2021 (LoRA), section 4. Differs: here everything that is new to the backbone trains too;
the published Kyvo LoRA run left its number table at random values, which confounds its "LoRA is worse".
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.errors import ConfigError


class LoRALinear(nn.Module):
    """`x W^T + (alpha / rank) x A^T B^T`, with W frozen and B zero at the start."""

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__()
        assert [name for name, _ in base.named_parameters()] == ["weight"], "the decoder's matrices have no bias"
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """Return the adapted product."""
        return self.base(x) + F.linear(F.linear(x, self.down), self.up) * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return one plain matrix that computes the same."""
        self.base.weight += self.up @ self.down * self.scale
        return self.base


def add_adapters(module: nn.Module, *, rank: int, alpha: float | None = None) -> None:
    """Replace every linear layer inside `module` by an adapted one; all else in it is frozen.

    Args:
        module: the backbone's layers.
        rank: of the adapters, at least 1.
        alpha: scale of what they add, as a multiple of 1 / rank; twice the rank by default.

    Raises:
        ConfigError: the rank is below 1.
    """
    if rank < 1:
        raise ConfigError(f'lora rank: {rank}; expected at least 1; to train all of the backbone use recipe "full"')
    module.requires_grad_(False)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, LoRALinear(child, rank=rank, alpha=2.0 * rank if alpha is None else alpha))


def merge_adapters(module: nn.Module) -> None:
    """Fold every adapter inside `module` into its matrix: the result is as plain and as fast as before."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, child.merged())
