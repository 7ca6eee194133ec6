"""Means of what was measured since the last line of metrics.

Sums stay on the device until they are asked for, so that a step never waits for a number.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Gather = Callable[[list[Any]], list[Any]]
"""Turns this process's list into that of all processes; `list` for one process."""


class MetricsWindow:
    """Weighted sums of metrics over the batches of some steps."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        """When the time of these steps began; moved on by what should not count, such as saving."""
        self._norms: float | Tensor = 0.0
        self._clear()

    def add(self, metrics: Mapping[str, float | Tensor], weight: float, num_tokens: int) -> None:
        """Take in the metrics of one batch, which counts `weight`."""
        for name, value in metrics.items():
            number = value.detach() if isinstance(value, Tensor) else value
            known, weights = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = (known + number * weight, weights + weight)
        self._tokens += num_tokens

    def end_step(self, gradient_norm: Tensor, learning_rate: float) -> None:
        """Take in what belongs to a whole step."""
        self.steps += 1
        self._norms = self._norms + gradient_norm.detach()
        self._rate = learning_rate

    def peek(self, gather: Gather) -> tuple[dict[str, float], int, int, float]:
        """Return (means, tokens, steps, seconds) over all processes; every process must call it."""
        mine = {name: (float(total), weight) for name, (total, weight) in self._sums.items()}
        sums: dict[str, tuple[float, float]] = {}
        tokens = 0
        for theirs, their_tokens in gather([(mine, self._tokens)]):
            tokens += their_tokens
            for name, (total, weight) in theirs.items():
                known, weights = sums.get(name, (0.0, 0.0))
                sums[name] = (known + total, weights + weight)
        means = {name: total / weight if weight else 0.0 for name, (total, weight) in sums.items()}
        means |= {"gradient_norm": float(self._norms) / max(self.steps, 1), "learning_rate": self._rate}
        return means, tokens, self.steps, max(time.monotonic() - self.start, 1e-9)

    def close(self, gather: Gather) -> tuple[dict[str, float], int, int, float]:
        """Return what `peek` returns and begin anew."""
        result = self.peek(gather)
        self._clear()
        self.start = time.monotonic()
        return result

    def _clear(self) -> None:
        self.steps = 0
        self._sums: dict[str, tuple[float | Tensor, float]] = {}
        self._norms = 0.0
        self._tokens = 0
        self._rate = 0.0
