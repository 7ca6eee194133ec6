"""From states to ids: what is chosen where, among what a grammar allows, and what else is known of the choice."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from trilingua.inference.grammar import GrammarTables
from trilingua.inference.sampling import EmbeddedIds, OrderedIds, Sampling, average_ids, sample_ids
from trilingua.inference.weights import column_major


class Choice(NamedTuple):
    """An id that was chosen, as `DecodedSequence` has it."""

    token: int
    mean: int | float
    probability: float
    vector: Float[Tensor, " dim"] | None


class Chooser:
    """Chooses ids.

    Args:
        weight: of the decoder's head.
        grammar: what is allowed; None for all ids.
        sampling: how an id is chosen.
        generator: source of the draws.
        ordered: as `decode` takes them; nothing is averaged above temperature 0.
        embedded: ids of whose vectors the mean is wanted, if not above temperature 0.
    """

    def __init__(
        self,
        weight: Float[Tensor, "vocab dim"],
        grammar: GrammarTables | None,
        sampling: Sampling,
        generator: torch.Generator,
        *,
        ordered: OrderedIds | None = None,
        embedded: EmbeddedIds | None = None,
    ) -> None:
        drawn = sampling.temperature > 0
        self.sampling, self.generator = sampling, generator
        self.ordered = replace(ordered, window=0) if drawn and ordered is not None else ordered
        self.embedded = None if drawn else embedded
        self.weight, self.grammar = weight, grammar
        self.masks = None if grammar is None else grammar.masks.to(weight.device)
        self._rows: dict[int, Tensor] = {}

    def __call__(self, states: Float[Tensor, "stop dim"], allowed_in: Sequence[int]) -> list[Choice]:
        """Return what is chosen at each stop, where the grammar is in the state `allowed_in`."""
        logits, members = self._logits(states, allowed_in)
        chosen = sample_ids(logits, self.sampling, self.generator)
        probabilities = logits.float().softmax(-1)
        likelihoods = probabilities.gather(1, chosen[:, None])[:, 0]
        known = range(logits.shape[-1]) if members is None else members
        means = {} if self.ordered is None else _settle_numbers(chosen, likelihoods, probabilities, known, self.ordered)
        vectors = {} if self.embedded is None else _average_vectors(chosen, probabilities, known, self.embedded)
        written = [known[choice] for choice in chosen.tolist()]
        return [
            Choice(token, means.get(number, token), probability, vectors.get(number))
            for number, (token, probability) in enumerate(zip(written, likelihoods.tolist(), strict=True))
        ]

    def _logits(
        self, states: Float[Tensor, "stop dim"], allowed_in: Sequence[int]
    ) -> tuple[Float[Tensor, "stop allowed"], tuple[int, ...] | None]:
        """Return logits, and which id each column stands for (None: column i is id i).

        Where all stops share one allowed set, only that set's logits are computed.
        """
        if self.grammar is None or self.masks is None:
            return functional.linear(states, self.weight), None
        sets = [self.grammar.set_of_state[state] for state in allowed_in]
        first = sets[0]
        if all(other == first for other in sets):
            members = self.grammar.members[first]
            if first not in self._rows:
                self._rows[first] = column_major(self.weight[torch.tensor(members, device=self.weight.device)])
            return functional.linear(states, self._rows[first]), members
        logits = functional.linear(states, self.weight)
        return logits.masked_fill(~self.masks[torch.tensor(sets, device=logits.device)], float("-inf")), None


def _settle_numbers(
    chosen: Int[Tensor, " stop"],
    likelihoods: Float[Tensor, " stop"],
    probabilities: Float[Tensor, "stop allowed"],
    known: Sequence[int],
    ordered: OrderedIds,
) -> dict[int, float]:
    """Replace, where an ordered id was chosen, its column and its probability by what `average_ids` makes of them.

    Returns:
        The mean at each such stop, by its number.
    """
    columns = _columns(known, ordered.start, ordered.stop)
    rows = _rows_within(chosen, columns)
    if not len(rows):
        return {}
    ids = torch.tensor(known[columns], device=chosen.device)
    averaged = average_ids(probabilities[rows, columns], chosen[rows] - columns.start, ids, ordered)
    chosen[rows], likelihoods[rows] = averaged.columns + columns.start, averaged.masses
    return dict(zip(rows.tolist(), averaged.means.tolist(), strict=True))


def _average_vectors(
    chosen: Int[Tensor, " stop"],
    probabilities: Float[Tensor, "stop allowed"],
    known: Sequence[int],
    embedded: EmbeddedIds,
) -> dict[int, Float[Tensor, " dim"]]:
    """Return the mean vector, of length 1, at each stop where an embedded id was chosen, by its number."""
    columns = _columns(known, embedded.start, embedded.start + len(embedded.vectors))
    rows = _rows_within(chosen, columns)
    if not len(rows):
        return {}
    which = torch.tensor(known[columns], device=chosen.device) - embedded.start
    means = functional.normalize(probabilities[rows, columns] @ embedded.vectors[which].float(), dim=-1)
    return dict(zip(rows.tolist(), means, strict=True))


def _columns(known: Sequence[int], start: int, stop: int) -> slice:
    """Return the columns of the ids from `start` to `stop`."""
    return slice(bisect_left(known, start), bisect_left(known, stop))


def _rows_within(chosen: Int[Tensor, " stop"], columns: slice) -> Int[Tensor, " row"]:
    return ((chosen >= columns.start) & (chosen < columns.stop)).nonzero()[:, 0]
