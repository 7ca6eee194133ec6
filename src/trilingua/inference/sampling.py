"""How one id is drawn from logits. Knows no model and no grammar; what is forbidden arrives as minus infinity."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trilingua.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How an id is chosen."""

    temperature: float = 0.0
    """0 takes the likeliest id (of `OrderedIds` the mean), else logits are divided by it."""
    top_k: int | None = None
    """Draw from so many of the likeliest ids; None for all."""
    top_p: float | None = None
    """Then from the fewest likeliest ids whose probabilities reach this sum, in (0, 1]; None for all."""
    seed: int = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature: {self.temperature}; expected 0 (greedy) or more")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k: {self.top_k}; expected at least 1, or None for all ids")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p: {self.top_p}; expected more than 0 and at most 1, or None for all ids")

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """Return the source of the draws, at its start."""
        return torch.Generator(device).manual_seed(self.seed)


GREEDY = Sampling()
"""The likeliest id, always."""


@dataclass(frozen=True, kw_only=True)
class OrderedIds:
    """Ids that stand for ascending numbers in equal steps, where a near miss is nearly right."""

    start: int
    """The id of the least number."""
    stop: int
    """One more than the id of the greatest number."""
    window: int = 0
    """The likeliest id gives way to the id next to the mean of those up to so many steps from it; 0: it stays."""
    tolerance: int = 0
    """The probability of an id is that of all ids up to so many steps from it."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ConfigError(f"ordered ids: {self.start} to {self.stop}; expected 0 <= start < stop")
        for name in ("window", "tolerance"):
            if getattr(self, name) < 0:
                raise ConfigError(f"ordered ids: {name} {getattr(self, name)}; expected 0 or more")


class EmbeddedIds(NamedTuple):
    """Ids that stand for vectors of length 1, between which a mean may lie."""

    start: int
    """The id of the first vector."""
    vectors: Float[Tensor, "id dim"]
    """What they stand for."""


class AveragedIds(NamedTuple):
    """What is written in place of the likeliest ids."""

    columns: Int[Tensor, " batch"]
    """The column that stands nearest to the mean."""
    masses: Float[Tensor, " batch"]
    """Its probability, with those of its neighbours within the tolerance."""
    means: Float[Tensor, " batch"]
    """The mean itself, between two ids; the id of the column where nothing is averaged."""


def average_ids(
    probabilities: Float[Tensor, "batch number"],
    likeliest: Int[Tensor, " batch"],
    ids: Int[Tensor, " number"],
    ordered: OrderedIds,
) -> AveragedIds:
    """Return the ids that stand nearest to the mean about the likeliest ones.

    A distribution over numbers is wide and ragged where its mean is sharp: the mean is the guess of least squared
    error, the window keeps a second, distant mode out of it. Differs: the published code takes the likeliest id.

    Args:
        probabilities: of the ordered ids; 0 for those that are forbidden.
        likeliest: column of the likeliest of them.
        ids: which id each column stands for, ascending.
        ordered: how wide the window is, and the tolerance.
    """

    def near(column: Int[Tensor, " batch"], reach: int) -> Float[Tensor, "batch number"]:
        return probabilities * ((ids - ids[column][:, None]).abs() <= reach)

    weights = near(likeliest, ordered.window)
    # Counted from the likeliest: a number's fraction of a step would be lost beside ids in the ten thousands.
    steps = (weights * (ids - ids[likeliest][:, None])).sum(-1) / weights.sum(-1)
    means = ids[likeliest] + steps.double()
    columns = (ids - means[:, None]).abs().where(probabilities > 0, torch.inf).argmin(-1)
    return AveragedIds(columns, near(columns, ordered.tolerance).sum(-1), means)


def filter_logits(
    logits: Float[Tensor, "batch vocab"], *, top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "batch vocab"]:
    """Return `logits` with minus infinity at what the filters drop; the likeliest id always stays.

    Args:
        logits: unnormalised log-probabilities.
        top_k: keep this many of the likeliest ids (and those that tie with the last).
        top_p: then keep the fewest likeliest ids whose probabilities reach this sum.
    """
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k, -1).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    if top_p is not None and top_p < 1:
        ordered, order = logits.sort(-1, descending=True)
        probabilities = ordered.softmax(-1)
        # An id is dropped if those before it already reach the sum.
        dropped = probabilities.cumsum(-1) - probabilities >= top_p
        dropped[:, 0] = False
        logits = logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), float("-inf"))
    return logits


def sample_ids(
    logits: Float[Tensor, "batch vocab"], sampling: Sampling = GREEDY, generator: torch.Generator | None = None
) -> Int[Tensor, " batch"]:
    """Return one id a row: the likeliest if the temperature is 0 (the first of equals), else a draw.

    Args:
        logits: unnormalised log-probabilities.
        sampling: how to choose.
        generator: source of the draws, on the device of `logits`; None for torch's own.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    filtered = filter_logits(logits.float() / sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p)
    return torch.multinomial(filtered.softmax(-1), 1, generator=generator)[:, 0]
