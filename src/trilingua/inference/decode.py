"""The decoding loop: prompts in, ids and their probabilities out, under a grammar or freely.

Prompts are read once into a key-value cache, and what several of them begin with once for all. Ids that the
grammar forces are never asked of the model: they ride along in the chunk of the id that was chosen before them. So do
ids that someone drafts, which the model then only checks: what is written is what it would have written without.
Image codes stand for vectors: in place of the likeliest one the mean of the likely ones can be read. Knows ids alone
otherwise.

Source: Leviathan et al. 2023 (drafted ids are checked in one step).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trilingua.core.errors import ConfigError, VocabularyError
from trilingua.core.positions import count_positions
from trilingua.inference.choosing import Choice, Chooser
from trilingua.inference.grammar import GrammarTables
from trilingua.inference.sampling import GREEDY, EmbeddedIds, OrderedIds, Sampling
from trilingua.models.decoder import Decoder
from trilingua.nn.caches import KVCache
from trilingua.nn.embeddings import PlacedVectors

_SHARED_AT = 64
"""Prompts that begin with so many equal ids are read together up to where they part; less does not pay."""

_SHRINK_AT = 0.75
"""Rows are taken out of the batch when at most this share of it is still being written: copying the cache costs."""


@dataclass(frozen=True, kw_only=True)
class DecodedSequence:
    """What the model wrote after one prompt."""

    ids: list[int]
    """The ids, without the stop id."""
    probabilities: list[float]
    """Each id's probability among the ids that were allowed there, at temperature 1; 1 where only one was. Of an
    ordered id: the probability that it is right within the tolerance."""
    means: list[int | float]
    """The ids, with the mean that it was rounded from in place of an ordered id that is one."""
    finished: bool
    """The stop id was written; False if `max_new_tokens` came first."""
    vectors: dict[int, Float[Tensor, " dim"]] = field(default_factory=dict)
    """For each image code that was averaged, by its place in `ids`: the mean of the code vectors, of length 1."""


Drafter = Callable[[Sequence[tuple[int, int]], Sequence[Sequence[int]]], list[list[int]]]
"""Guesses what follows. It is given, for some rows, the place of the state that chose the last id, as row and token of
the decoder's last chunk, and all ids that were written; it returns for each the ids that may follow, or none."""


@dataclass(kw_only=True)
class _Row:
    """One prompt's state while it is being written."""

    index: int
    state: int = 0
    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    means: list[int | float] = field(default_factory=list)
    vectors: dict[int, Float[Tensor, " dim"]] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    """Ids that are decided but not yet read by the model."""
    draft: list[int] = field(default_factory=list)
    """Ids behind these that are guessed."""
    stops: list[tuple[int, int]] = field(default_factory=list)
    """Where among pending and drafted ids one is chosen that follows, and the state of the grammar there."""
    position: int = -1
    """Position of the last id that the model has read."""
    finished: bool = False
    active: bool = True


@torch.inference_mode()
def decode(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    grammar: GrammarTables | None = None,
    *,
    places: Mapping[int, int] = MappingProxyType({}),
    vectors: Sequence[PlacedVectors | None] | None = None,
    ordered: OrderedIds | None = None,
    average_codes: bool = False,
    drafter: Drafter | None = None,
    max_new_tokens: int | None = None,
    stop_id: int | None = None,
    sampling: Sampling = GREEDY,
    generator: torch.Generator | None = None,
) -> list[DecodedSequence]:
    """Continue each prompt until its stop id; the i-th result belongs to the i-th prompt.

    Under a grammar every finished result is a sentence of it, whatever the weights.

    Args:
        decoder: the model; computes in its parameters' type, on their device.
        prompts: ids of each prompt, at least one each; lengths may differ.
        grammar: compiled tables; None: all ids are allowed.
        places: ids that have a position of their own, as `count_positions` takes them.
        vectors: for each prompt what is seen, given to ids at indices into it.
        ordered: ids that stand for numbers; at temperature 0 the mean within their window is written.
        average_codes: at temperature 0, read the mean of the image codes that are allowed, by their probabilities, in
            place of the likeliest one, which is written; and return it.
        drafter: guesses ids ahead at temperature 0 under a grammar; wrong guesses cost time and change nothing.
        max_new_tokens: most ids a row may get, stop id included; None: the grammar's longest sentence.
        stop_id: ends a row; None: the grammar's.
        sampling: how an id is chosen.
        generator: source of the draws; None for one of the sampling's seed.

    Raises:
        ConfigError: no length is known, or a prompt is empty.
        VocabularyError: a prompt or the grammar belongs to another vocabulary.
    """
    stop_id, max_new_tokens = _check(decoder, prompts, grammar, max_new_tokens, stop_id)
    rows = [_Row(index=index, pending=list(prompt)) for index, prompt in enumerate(prompts)]
    results = list(rows)
    for row in rows:
        _follow(row, grammar, stop_id, max_new_tokens)
    rows = [row for row in rows if row.active]
    if not rows:
        return [_result(row) for row in results]
    table = decoder.embedding.table()
    device = table.device
    generator = generator or sampling.generator(device)
    embedded = None
    if average_codes:
        embedded = EmbeddedIds(decoder.config.first_code, decoder.embedding.codebook)
        # Behind the ids' rows there is one for each mean that is read together.
        table = torch.cat([table, table.new_zeros(len(rows), table.shape[1])])
    choose = Chooser(decoder.head.weight, grammar, sampling, generator, ordered=ordered, embedded=embedded)
    most = max(len(row.pending) for row in rows) + max_new_tokens
    beginnings = _find_beginnings(rows, vectors)
    if len(beginnings) < len(rows):
        cache, seen = _read_beginnings(decoder, beginnings, places, vectors, table, most), None
    else:
        cache, seen = decoder.make_cache(len(rows), most), _placed([row.pending for row in rows], rows, vectors, device)
    if sampling.temperature > 0 or grammar is None:
        drafter = None
    for row in rows:
        _lay_out(row, grammar, [], 0)
    while True:
        chunks = [row.pending + row.draft for row in rows]
        placed = [count_positions(chunk, places, last=row.position) for row, chunk in zip(rows, chunks, strict=True)]
        states = _read_chunks(decoder, rows, chunks, placed, cache, table, seen)
        choices = iter(choose(states, [state for row in rows for _, state in row.stops]))
        seen = None
        read = [
            _accept(row, chunk, list(islice(choices, len(row.stops))), grammar, stop_id, max_new_tokens)
            for row, chunk in zip(rows, chunks, strict=True)
        ]
        cache.advance(read)
        for row, line, count in zip(rows, placed, read, strict=True):
            row.position = line[count - 1] if count else row.position
        active = [place for place, row in enumerate(rows) if row.active]
        if not active:
            return [_result(row) for row in results]
        drafts: list[list[int]] = [[] for _ in active]
        if drafter is not None:
            drafts = drafter([(place, read[place] - 1) for place in active], [rows[place].ids for place in active])
        for place, draft in zip(active, drafts, strict=True):
            _lay_out(rows[place], grammar, draft, max_new_tokens)
        if len(active) <= _SHRINK_AT * len(rows):
            rows, cache = [rows[place] for place in active], cache.select(active)


def _read_chunks(
    decoder: Decoder,
    rows: Sequence[_Row],
    chunks: Sequence[Sequence[int]],
    placed: Sequence[Sequence[int]],
    cache: KVCache,
    table: Float[Tensor, "vocab dim"],
    vectors: PlacedVectors | None,
) -> Float[Tensor, "stop dim"]:
    """Read the chunk of each row, at its positions, and return the states at the rows' stops, row by row.

    A chunk begins with the id that was chosen last. Where a mean is known of it, this is read in its place.
    """
    ids, positions = _pad(chunks, table.device), _pad(placed, table.device)
    last = [row.vectors.get(len(row.ids) - len(row.pending)) for row in rows]
    averaged = [place for place, mean in enumerate(last) if mean is not None]
    if averaged:
        fresh = torch.arange(len(averaged), device=table.device) + decoder.config.vocab_size
        table[fresh] = decoder.embedding.code_rows(torch.stack([mean for mean in last if mean is not None]))
        ids[averaged, 0] = fresh
    # A row that is done but still in the batch reads nothing, and stops nowhere.
    ends = None
    if ids.shape[1] > 1 and not any(row.draft for row in rows):
        ends = torch.tensor([max(len(chunk), 1) - 1 for chunk in chunks], device=table.device)
    states = decoder.hidden(ids, positions=positions, cache=cache, table=table, vectors=vectors, ends=ends)
    stops = [(place, 0 if ends is not None else at) for place, row in enumerate(rows) for at, _ in row.stops]
    which, where = zip(*stops, strict=True)
    return states[list(which), list(where)]


def _pad(lines: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "line longest"]:
    """Return lines of different lengths as rows, filled up with zeros."""
    longest = max(map(len, lines))
    return torch.tensor([[*line, *[0] * (longest - len(line))] for line in lines], device=device)


@dataclass(kw_only=True)
class _Beginning:
    """Rows, one behind the other in the batch, whose prompts begin with the same ids."""

    rows: list[_Row]
    length: int
    """How many ids they share; every row has one more at least."""


def _find_beginnings(rows: Sequence[_Row], vectors: Sequence[PlacedVectors | None] | None) -> list[_Beginning]:
    """Return the rows in groups that are worth reading together as far as they are alike, most often groups of one."""
    found: list[_Beginning] = []
    for row in rows:
        if found:
            group, first = found[-1], found[-1].rows[0]
            most = min(group.length, len(row.pending) - 1)
            common = next((i for i in range(most) if row.pending[i] != first.pending[i]), most)
            if common >= _SHARED_AT and (vectors is None or _same(vectors[first.index], vectors[row.index], common)):
                group.rows.append(row)
                group.length = common
                continue
        found.append(_Beginning(rows=[row], length=len(row.pending) - 1))
    return found


def _same(one: PlacedVectors | None, other: PlacedVectors | None, length: int) -> bool:
    """Return whether two prompts read the same vectors, all of them among their first `length` ids."""
    if one is None or other is None:
        return one is other
    return (
        torch.equal(one.places, other.places)
        and torch.equal(one.vectors, other.vectors)
        and bool((one.places < length).all())
    )


def _read_beginnings(
    decoder: Decoder,
    beginnings: Sequence[_Beginning],
    places: Mapping[int, int],
    vectors: Sequence[PlacedVectors | None] | None,
    table: Float[Tensor, "vocab dim"],
    most: int,
) -> KVCache:
    """Read each beginning once and return a cache of all rows, which have the rest of their prompts pending."""
    heads = [group.rows[0] for group in beginnings]
    read = [group.rows[0].pending[: group.length] for group in beginnings]
    positions = [count_positions(ids, places) for ids in read]
    cache = decoder.make_cache(len(beginnings), most)
    decoder.hidden(
        _pad(read, table.device),
        positions=_pad(positions, table.device),
        cache=cache,
        table=table,
        vectors=_placed(read, heads, vectors, table.device),
        ends=torch.zeros(len(heads), dtype=torch.int64, device=table.device),  # no state is wanted
    )
    cache.advance([group.length for group in beginnings])
    for group, line in zip(beginnings, positions, strict=True):
        for row in group.rows:
            row.pending, row.position = row.pending[group.length :], line[-1] if line else -1
    return cache.select([index for index, group in enumerate(beginnings) for _ in group.rows])


def _placed(
    read: Sequence[Sequence[int]],
    rows: Sequence[_Row],
    vectors: Sequence[PlacedVectors | None] | None,
    device: torch.device,
) -> PlacedVectors | None:
    """Return the prompts' vectors, placed in the batch that reads them from their beginning."""
    length = max(map(len, read))
    own = [] if vectors is None else [(place, vectors[row.index]) for place, row in enumerate(rows)]
    known = [(place, item) for place, item in own if item is not None]
    if not known:
        return None
    return PlacedVectors(
        torch.cat([item.places + place * length for place, item in known]).to(device),
        torch.cat([item.vectors for _, item in known]).to(device),
    )


def _lay_out(row: _Row, grammar: GrammarTables | None, guess: Sequence[int], max_new_tokens: int) -> None:
    """Say where the row's next ids are chosen: behind what is pending, and behind each guess as far as one may go."""
    row.draft, row.stops = [], [(len(row.pending) - 1, row.state)]
    state, room = row.state, max_new_tokens - len(row.ids)
    place = 0
    while grammar is not None and place < len(guess):
        state = grammar.advance(state, guess[place])
        if state < 0:
            return
        forced, state = grammar.forced[state]
        ids = [guess[place], *forced]
        said = list(guess[place : place + len(ids)])
        if state == grammar.done or said != ids[: len(said)] or len(row.draft) + len(ids) >= room:
            return
        place += len(ids)
        row.draft += ids
        row.stops.append((len(row.pending) + len(row.draft) - 1, state))


def _accept(
    row: _Row,
    chunk: Sequence[int],
    choices: Sequence[Choice],
    grammar: GrammarTables | None,
    stop_id: int,
    max_new_tokens: int,
) -> int:
    """Write what was chosen as far as the chunk's guesses are right, and return how many of its ids were read for good.

    Args:
        row: what is written to.
        chunk: the pending and drafted ids that the model read.
        choices: what was chosen at each of the row's stops.
        grammar: as in `decode`.
        stop_id: as in `decode`.
        max_new_tokens: as in `decode`.
    """
    for (at, _), choice in zip(row.stops, choices, strict=True):
        _write(row, choice, grammar, stop_id)
        _follow(row, grammar, stop_id, max_new_tokens)
        if not row.active:
            row.pending, row.draft, row.stops = [], [], []
        right = at + 1 < len(chunk) and chunk[at + 1] == choice.token and choice.vector is None
        if not row.active or not right:
            return at + 1
    return 0


def _write(row: _Row, choice: Choice, grammar: GrammarTables | None, stop_id: int) -> None:
    if grammar is not None:
        row.state = grammar.advance(row.state, choice.token)
        assert row.state >= 0, "the mask allowed an id that the automaton does not"
        row.finished = row.state == grammar.done
    else:
        row.finished = choice.token == stop_id
    if choice.vector is not None:
        row.vectors[len(row.ids)] = choice.vector
    row.ids.append(choice.token)
    row.means.append(choice.mean)
    row.probabilities.append(choice.probability)
    row.pending = [choice.token]


def _follow(row: _Row, grammar: GrammarTables | None, stop_id: int, max_new_tokens: int) -> None:
    """Append what the grammar forces, and end the row if it is finished or full."""
    if grammar is not None and not row.finished:
        forced, row.state = grammar.forced[row.state]
        row.ids += forced
        row.means += forced
        row.pending += forced
        row.probabilities += [1.0] * len(forced)
        row.finished = row.state == grammar.done
    if len(row.ids) > max_new_tokens:
        row.finished = False
        for written in (row.ids, row.means, row.probabilities):
            del written[max_new_tokens:]
    row.active = not row.finished and len(row.ids) < max_new_tokens


def _result(row: _Row) -> DecodedSequence:
    end = len(row.ids) - row.finished
    return DecodedSequence(
        ids=row.ids[:end],
        probabilities=row.probabilities[:end],
        means=row.means[:end],
        vectors={place: mean for place, mean in row.vectors.items() if place < end},
        finished=row.finished,
    )


def _check(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    grammar: GrammarTables | None,
    max_new_tokens: int | None,
    stop_id: int | None,
) -> tuple[int, int]:
    vocab_size = decoder.config.vocab_size
    if grammar is not None:
        if grammar.vocab_size != vocab_size:
            raise VocabularyError(
                f"grammar: made for {grammar.vocab_size} ids, the decoder has {vocab_size}; compile it for these"
            )
        if stop_id not in (None, grammar.stop_id):
            raise ConfigError(f"stop_id: {stop_id}, but the grammar ends with {grammar.stop_id}; leave stop_id out")
        stop_id = grammar.stop_id
        max_new_tokens = grammar.longest if max_new_tokens is None else max_new_tokens
    if stop_id is None or not 0 <= stop_id < vocab_size:
        raise ConfigError(f"stop_id: {stop_id}; expected an id from 0 to {vocab_size - 1}")
    if max_new_tokens is None or max_new_tokens < 1:
        raise ConfigError(
            f"max_new_tokens: {max_new_tokens}; expected at least 1, since nothing else bounds the length"
        )
    for index, prompt in enumerate(prompts):
        if len(prompt) == 0:
            raise ConfigError(f"prompt {index}: is empty; expected at least one id")
        if min(prompt) < 0 or max(prompt) >= vocab_size:
            bad = next(token for token in prompt if not 0 <= token < vocab_size)
            raise VocabularyError(f"prompt {index}: id {bad} lies outside the decoder's vocabulary of {vocab_size} ids")
    return stop_id, max_new_tokens
