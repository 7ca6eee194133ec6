"""Slow and obvious: decoding without a cache, and membership in a grammar by trying every way to read it."""

import torch
from tests.oracles.packing import placed

from trilingua.inference.grammar import Grammar
from trilingua.inference.sampling import OrderedIds
from trilingua.models.decoder import Decoder


def ends(grammar: Grammar, ids: list[int], start: int) -> set[int]:
    """Every place where a sentence of `grammar` that starts at `start` may end."""
    if grammar.kind == "set":
        return {start + 1} if start < len(ids) and ids[start] in grammar.ids else set()
    if grammar.kind == "sequence":
        places = {start}
        for part in grammar.parts:
            places = {end for place in places for end in ends(part, ids, place)}
        return places
    if grammar.kind == "choice":
        return {end for part in grammar.parts for end in ends(part, ids, start)}
    found, places, times = set(), {start}, 0
    while places and (grammar.high is None or times <= grammar.high) and times <= len(ids) + grammar.low:
        if times >= grammar.low:
            found |= places
        places = {end for place in places for end in ends(grammar.parts[0], ids, place)}
        times += 1
    return found


def matches(grammar: Grammar, ids: list[int]) -> bool:
    """Whether `ids` as a whole are a sentence of `grammar`."""
    return len(ids) in ends(grammar, ids, 0)


def average_slowly(likely: dict[int, float], best: int, ordered: OrderedIds) -> tuple[int, float, float]:
    """The id to write where `best` is likeliest, its probability, and the mean; `likely` holds all allowed ids'."""
    numbers = range(ordered.start, ordered.stop)
    if best not in numbers:
        return best, likely[best], best
    about = {index: likely[index] for index in likely if index in numbers and abs(index - best) <= ordered.window}
    mean = sum(index * share for index, share in about.items()) / sum(about.values())
    written = min((index for index in likely if index in numbers), key=lambda index: abs(index - mean))
    near = (i for i in likely if i in numbers and abs(i - written) <= ordered.tolerance)
    return written, sum(likely[index] for index in near), mean


@torch.no_grad()
def decode_means_slowly(
    decoder: Decoder, prompt: list[int], grammar: Grammar, vocab_size: int, stop_id: int, longest: int
) -> tuple[list[int], dict[int, torch.Tensor]]:
    """As `decode_slowly`, but of each image code that was chosen the mean of those that were allowed is read on.

    Returns the ids, and the means by their places.
    """
    ids: list[int] = []
    means: dict[int, torch.Tensor] = {}
    codes = range(decoder.config.first_code, decoder.config.vocab_size)
    while True:
        allowed = _allowed(grammar, ids, vocab_size, stop_id)
        table, read = decoder.embedding.table(), prompt + ids
        for place, mean in means.items():
            read[len(prompt) + place] = len(table)
            table = torch.cat([table, (decoder.embedding.projector @ mean)[None]])
        logits = decoder.head(decoder.hidden(torch.tensor([read]), table=table))[0, -1, allowed]
        best = allowed[int(logits.argmax())]
        if best == stop_id:
            return ids, means
        if best in codes and len(allowed) > 1:
            likely = {i: p for i, p in zip(allowed, logits.softmax(0).tolist(), strict=True) if i in codes}
            total = sum(mass * decoder.embedding.codebook[i - codes.start] for i, mass in likely.items())
            means[len(ids)] = total / total.norm()
        ids.append(best)
        assert len(ids) < longest


@torch.no_grad()
def decode_slowly(
    decoder: Decoder,
    prompt: list[int],
    grammar: Grammar,
    vocab_size: int,
    stop_id: int,
    longest: int,
    places: dict[int, int] | None = None,
    ordered: OrderedIds | None = None,
) -> tuple[list[int], list[float], list[float]]:
    """Greedy decoding: read everything again for each id; allow an id iff some sentence goes on that way.

    Returns the ids, their probabilities and their means.
    """
    ids: list[int] = []
    probabilities: list[float] = []
    means: list[float] = []
    while True:
        allowed = _allowed(grammar, ids, vocab_size, stop_id)
        positions = torch.tensor([placed(prompt + ids, places or {})])
        logits = decoder(torch.tensor([prompt + ids]), positions=positions)[0, -1, allowed]
        best = int(logits.argmax())
        if allowed[best] == stop_id:
            return ids, probabilities, means
        likely = dict(zip(allowed, logits.softmax(0).tolist(), strict=True))
        plain = (allowed[best], max(likely.values()), allowed[best])
        written, mass, mean = average_slowly(likely, allowed[best], ordered) if ordered else plain
        ids.append(written)
        probabilities.append(mass)
        means.append(mean)
        assert len(ids) < longest


def _allowed(grammar: Grammar, ids: list[int], vocab_size: int, stop_id: int) -> list[int]:
    """Every id with which some sentence that starts with `ids` goes on, and the stop id behind a whole one."""
    allowed = [index for index in range(vocab_size) if _goes_on(grammar, [*ids, index])]
    return [*allowed, stop_id] if matches(grammar, ids) else allowed


def _goes_on(grammar: Grammar, ids: list[int]) -> bool:
    """Whether some sentence starts with `ids`: the places that a reading of them reaches, one past the end allowed."""
    return _prefix(grammar, ids, 0)[1]


def _prefix(grammar: Grammar, ids: list[int], start: int) -> tuple[set[int], bool]:
    """Ends of whole readings from `start`, and whether a reading can run past the last id (or stop at it)."""
    if grammar.kind == "set":
        if start >= len(ids):
            return set(), True
        return ({start + 1}, start + 1 == len(ids)) if ids[start] in grammar.ids else (set(), False)
    if grammar.kind == "choice":
        results = [_prefix(part, ids, start) for part in grammar.parts]
        return set().union(*(places for places, _ in results)), any(runs for _, runs in results)
    repeating = grammar.kind == "repeat"
    parts = [grammar.parts[0]] * (grammar.high or len(ids) + 1) if repeating else list(grammar.parts)
    places, runs, found = {start}, start == len(ids), set()
    for times, part in enumerate(parts):
        if repeating and times >= grammar.low:
            found |= places
        results = [_prefix(part, ids, place) for place in places]
        runs = runs or any(run for _, run in results)
        places = set().union(*(ends for ends, _ in results)) if results else set()
    found |= places
    return found, runs or len(ids) in found
