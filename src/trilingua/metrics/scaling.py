"""How a loss falls with what is spent on it, fitted to runs, and what a wanted loss would cost.

Knows numbers only: what an amount is, parameters, pictures or steps, is its caller's business.

Source: Hoffmann et al. 2022 (Chinchilla), section 3.3: `L = E + sum_i A_i / x_i^a_i`, fitted in the logarithm with
Huber's loss. Differs: any number of amounts.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

from trilingua.core.errors import ConfigError

_HUBER = 1e-2
"""Relative error from which on a run counts linearly; Chinchilla: 1e-3, for runs that are far larger and less noisy."""


@dataclass(frozen=True, kw_only=True)
class ScalingLaw:
    """A loss as a function of amounts, each of which takes away its own part of it."""

    floor: float
    """What is left however much is spent."""
    scales: tuple[float, ...]
    """Of each amount, what its part would be at amount 1."""
    exponents: tuple[float, ...]
    """How fast each part falls, at least 0."""

    def predict(self, amounts: Float[np.ndarray, "run amount"]) -> Float[np.ndarray, " run"]:
        """Return the losses."""
        parts = np.array(self.scales) * amounts ** -np.array(self.exponents)
        return self.floor + parts.sum(axis=-1)

    def needed(self, loss: float, which: int, others: Sequence[float]) -> float:
        """Return how much of one amount brings the loss down to `loss`; infinity where nothing does.

        Args:
            loss: what is wanted.
            which: index of the amount.
            others: all amounts; that at `which` is passed over.
        """
        rest = np.array([others], dtype=np.float64)
        rest[0, which] = np.inf
        left = loss - float(self.predict(rest)[0]) if self.exponents[which] > 0 else 0.0
        return (self.scales[which] / left) ** (1 / self.exponents[which]) if left > 0 else math.inf


def fit_scaling_law(amounts: Float[np.ndarray, "run amount"], losses: Float[np.ndarray, " run"]) -> ScalingLaw:
    """Return the law that is nearest to runs, of many starts of the search the best.

    Args:
        amounts: above 0.
        losses: above 0.

    Raises:
        ConfigError: there are fewer runs than the law has numbers.
    """
    count = amounts.shape[1]
    if len(losses) < 1 + 2 * count:
        raise ConfigError(f"runs: there are {len(losses)}; a law of {count} amounts needs at least {1 + 2 * count}")
    # Amounts are counted in their own middles, so that scales are of the losses' size and the search is well posed.
    middles = np.exp(np.log(amounts).mean(axis=0))
    logs, wanted = np.log(amounts / middles), np.log(losses)

    def distance(numbers: Float[np.ndarray, " number"]) -> float:
        log_floor, log_scales, exponents = numbers[0], numbers[1 : 1 + count], numbers[1 + count :]
        parts = np.column_stack([np.full(len(logs), log_floor), log_scales - np.exp(exponents) * logs])
        return float(huber(_HUBER, logsumexp(parts, axis=1) - wanted).sum())

    usual = float(wanted.mean())
    starts = itertools.product((-4.0, -1.5, -0.3), *[(-1.2,)] * count, *[(-2.0, -0.7, 0.3)] * count)
    bounds = [(usual - 12, usual + 2)] * (1 + count) + [(-6.0, 1.5)] * count
    found = [
        minimize(distance, np.array([*(usual + np.array(start[: 1 + count])), *start[1 + count :]]), bounds=bounds)
        for start in starts
    ]
    best = min(found, key=lambda each: float(each.fun)).x
    exponents = np.exp(best[1 + count :])
    scales = np.exp(best[1 : 1 + count]) * middles**exponents
    return ScalingLaw(
        floor=float(np.exp(best[0])),
        scales=tuple(scales.tolist()),
        exponents=tuple(exponents.tolist()),
    )
