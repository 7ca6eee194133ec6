"""An exponential moving average of a module's trained parameters."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps `average = decay * average + (1 - decay) * weights`, one update a step.

    Early on the decay is (1 + step) / (10 + step) if that is less, so that the first random weights are forgotten.

    Args:
        module: whose parameters that require gradients are averaged.
        decay: in (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step` (0 is the first)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.tensors.values()), [p.detach() for p in self._weights.values()], share)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in the module's place for a while; afterwards the weights are exactly as before."""
        with torch.no_grad():
            kept = {name: p.detach().clone() for name, p in self._weights.items()}
            for name, parameter in self._weights.items():
                parameter.copy_(self.tensors[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self._weights.items():
                    parameter.copy_(kept[name])
