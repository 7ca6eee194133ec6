"""How one id is drawn from logits. Knows no model and no grammar; what is forbidden arrives as minus infinity."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trilingua.core.errors import ConfigError


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise `ConfigError` in words if a sampling setting is out of range."""
    if not 0 <= temperature < float("inf"):
        raise ConfigError(f"temperature: {temperature}; expected 0 (greedy) or more")
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k: {top_k}; expected at least 1, or None for all ids")
    if top_p is not None and not 0 < top_p <= 1:
        raise ConfigError(f"top_p: {top_p}; expected more than 0 and at most 1, or None for all ids")


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
    logits: Float[Tensor, "batch vocab"],
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " batch"]:
    """Return one id a row: the likeliest if `temperature` is 0 (the first of equals), else a draw.

    Args:
        logits: unnormalised log-probabilities.
        temperature: divides the logits before the filters.
        top_k: as `filter_logits`.
        top_p: as `filter_logits`.
        generator: source of the draws, on the device of `logits`.
    """
    if temperature == 0:
        return logits.argmax(-1)
    filtered = filter_logits(logits.float() / temperature, top_k=top_k, top_p=top_p)
    return torch.multinomial(filtered.softmax(-1), 1, generator=generator)[:, 0]
