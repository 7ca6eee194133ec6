"""What a task may write: a regular language over ids, compiled to tables.

A grammar is put together from token sets by sequence, choice and repetition, then made into one
deterministic automaton, so that answers which start alike are simply a trie. Knows ids alone: what
they mean is the business of whoever builds the grammar.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from trilingua.core.errors import ConfigError

_MAX_STATES = 20_000


@dataclass(frozen=True)
class Grammar:
    """A set of id sequences, made by `token_set`, `literal`, `sequence`, `choice`, `repeat`; its fields are private."""

    kind: str
    ids: frozenset[int] = frozenset()
    parts: tuple["Grammar", ...] = ()
    low: int = 1
    high: int | None = 1

    def compile(self, vocab_size: int, *, stop_id: int) -> "GrammarTables":
        """Return the tables of "a sentence of this grammar, then `stop_id`".

        Args:
            vocab_size: number of ids.
            stop_id: ends every sentence. It may occur inside one, but where a sentence may end, it ends it.

        Raises:
            ConfigError: an id lies outside the vocabulary, or the automaton grows past 20,000 states.
        """
        return _Compiler(vocab_size, stop_id).compile(sequence(self, literal(stop_id)))


def token_set(ids: Iterable[int]) -> Grammar:
    """Return "one of `ids`"."""
    members = frozenset(int(index) for index in ids)
    if not members:
        raise ConfigError("grammar: a token set is empty; it needs at least one id")
    return Grammar("set", ids=members)


def literal(*ids: int) -> Grammar:
    """Return "exactly these ids, in this order"."""
    return sequence(*(token_set([index]) for index in ids))


def sequence(*parts: Grammar) -> Grammar:
    """Return "the parts one after the other"; none gives the empty sentence."""
    return Grammar("sequence", parts=parts)


def choice(*parts: Grammar) -> Grammar:
    """Return "one of the parts"; they may start alike."""
    if not parts:
        raise ConfigError("grammar: a choice has no parts; it needs at least one")
    return Grammar("choice", parts=parts)


def repeat(part: Grammar, low: int, high: int | None) -> Grammar:
    """Return "`part` at least `low` and at most `high` times"; `high` None means any number of times."""
    if low < 0 or (high is not None and high < low):
        raise ConfigError(f"grammar: repeat from {low} to {high}; expected 0 <= low <= high")
    return Grammar("repeat", parts=(part,), low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class GrammarTables:
    """A deterministic automaton over ids. State 0 is the start; `done` is entered by the last stop id."""

    vocab_size: int
    stop_id: int
    done: int
    """The state in which nothing more may be written."""
    masks: Bool[Tensor, "allowed_set vocab"]
    """The distinct sets of ids that some state allows."""
    members: tuple[tuple[int, ...], ...]
    """The same sets as ascending ids."""
    set_of_state: tuple[int, ...]
    """Row of `masks` for each state; -1 in `done`."""
    moves: tuple[dict[int, int], ...] = field(repr=False)
    """For each state, the next state by class of id."""
    class_of_id: tuple[int, ...] = field(repr=False)
    """Ids that every part of the grammar treats alike share a class; -1: never allowed."""
    forced: tuple[tuple[tuple[int, ...], int], ...] = field(repr=False)
    """For each state, the ids that must follow because nothing else may, and the state behind them."""
    longest: int | None
    """Ids in the longest sentence, with its stop id; None if there is no longest."""

    @property
    def num_states(self) -> int:
        """Number of states, `done` among them."""
        return len(self.set_of_state)

    def advance(self, state: int, index: int) -> int:
        """Return the state after id `index`, or -1 if it is not allowed in `state`."""
        return self.moves[state].get(self.class_of_id[index], -1)

    def accepts(self, ids: Iterable[int]) -> bool:
        """Return whether `ids`, with the stop id at their end, are a whole sentence."""
        state = 0
        for index in ids:
            state = self.advance(state, index) if 0 <= index < self.vocab_size else -1
            if state < 0:
                return False
        return state == self.done


class _Compiler:
    """Thompson's construction, then the subset construction over classes of ids."""

    def __init__(self, vocab_size: int, stop_id: int) -> None:
        self.vocab_size, self.stop_id = vocab_size, stop_id
        self.free: list[list[int]] = []
        self.labelled: list[list[tuple[frozenset[int], int]]] = []
        self.reached: dict[int, frozenset[int]] = {}

    def compile(self, grammar: Grammar) -> GrammarTables:
        start = self._state()
        end = self._build(grammar, start)
        class_of_id, classes_of_label = self._classes()
        moves, done = self._determinise(start, end, classes_of_label)
        ids_of_class: dict[int, list[int]] = {}
        for index, group in enumerate(class_of_id):
            ids_of_class.setdefault(group, []).append(index)
        sets: dict[tuple[int, ...], int] = {}
        set_of_state = []
        for state, table in enumerate(moves):
            if state == done:
                set_of_state.append(-1)
                continue
            members = tuple(sorted(index for group in table for index in ids_of_class[group]))
            set_of_state.append(sets.setdefault(members, len(sets)))
        masks = torch.zeros(len(sets), self.vocab_size, dtype=torch.bool)
        for members, row in sets.items():
            masks[row, list(members)] = True
        return GrammarTables(
            vocab_size=self.vocab_size,
            stop_id=self.stop_id,
            done=done,
            masks=masks,
            members=tuple(sets),
            set_of_state=tuple(set_of_state),
            moves=tuple(moves),
            class_of_id=tuple(class_of_id),
            forced=_forced(moves, done, list(sets), set_of_state),
            longest=_longest(moves),
        )

    def _state(self) -> int:
        self.free.append([])
        self.labelled.append([])
        if len(self.free) > 20 * _MAX_STATES:
            raise ConfigError(f"grammar: more than {20 * _MAX_STATES} parts; lower the highest number of repetitions")
        return len(self.free) - 1

    def _build(self, grammar: Grammar, start: int) -> int:
        """Add `grammar` behind `start` and return its end."""
        if grammar.kind == "set":
            outside = [index for index in grammar.ids if not 0 <= index < self.vocab_size]
            if outside:
                raise ConfigError(f"grammar: id {outside[0]} lies outside the vocabulary of {self.vocab_size} ids")
            end = self._state()
            self.labelled[start].append((grammar.ids, end))
            return end
        if grammar.kind == "sequence":
            for part in grammar.parts:
                start = self._build(part, start)
            return start
        if grammar.kind == "choice":
            end = self._state()
            for part in grammar.parts:
                first = self._state()
                self.free[start].append(first)
                self.free[self._build(part, first)].append(end)
            return end
        part = grammar.parts[0]
        for _ in range(grammar.low):
            start = self._build(part, start)
        end = self._state()
        if grammar.high is None:
            loop = self._state()
            self.free[start].append(loop)
            self.free[self._build(part, loop)].append(loop)
            self.free[loop].append(end)
            return end
        for _ in range(grammar.high - grammar.low):
            self.free[start].append(end)
            # A state of its own, so that a loop inside the part cannot come back before the way out.
            first = self._state()
            self.free[start].append(first)
            start = self._build(part, first)
        self.free[start].append(end)
        return end

    def _classes(self) -> tuple[list[int], dict[frozenset[int], list[int]]]:
        """Group ids by the labels that hold them: two ids of one class are never told apart."""
        labels = list(dict.fromkeys(label for edges in self.labelled for label, _ in edges))
        holders: dict[int, list[int]] = {}
        for number, label in enumerate(labels):
            for index in label:
                holders.setdefault(index, []).append(number)
        class_of_id = [-1] * self.vocab_size
        numbers: dict[tuple[int, ...], int] = {}
        classes: dict[frozenset[int], set[int]] = {label: set() for label in labels}
        for index, held in holders.items():
            group = numbers.setdefault(tuple(held), len(numbers))
            class_of_id[index] = group
            for number in held:
                classes[labels[number]].add(group)
        return class_of_id, {label: sorted(groups) for label, groups in classes.items()}

    def _closure(self, states: Iterable[int]) -> frozenset[int]:
        """Return the states that are reached without reading anything."""
        return frozenset().union(*map(self._reached, states))

    def _reached(self, first: int) -> frozenset[int]:
        if first not in self.reached:
            closed = {first}
            waiting = [first]
            while waiting:
                for state in self.free[waiting.pop()]:
                    if state not in closed:
                        closed.add(state)
                        waiting.append(state)
            self.reached[first] = frozenset(closed)
        return self.reached[first]

    def _determinise(
        self, start: int, end: int, classes_of_label: dict[frozenset[int], list[int]]
    ) -> tuple[list[dict[int, int]], int]:
        first = self._closure([start])
        numbers = {first: 0}
        waiting = [first]
        moves: list[dict[int, int]] = []
        for states in waiting:  # grows while it is walked
            targets: dict[int, set[int]] = {}
            for state in states:
                for label, target in self.labelled[state]:
                    for group in classes_of_label[label]:
                        targets.setdefault(group, set()).add(target)
            table = {}
            for group, reached in targets.items():
                closed = self._closure(reached)
                if end in closed:
                    # The stop id ends the sentence wherever it may: what it could also continue is dropped.
                    closed = frozenset([end])
                if closed not in numbers:
                    numbers[closed] = len(numbers)
                    waiting.append(closed)
                table[group] = numbers[closed]
            moves.append(table)
            if len(moves) > _MAX_STATES:
                raise ConfigError(f"grammar: more than {_MAX_STATES} states; lower the highest number of repetitions")
        return moves, numbers[frozenset([end])]


def _forced(
    moves: list[dict[int, int]], done: int, sets: list[tuple[int, ...]], set_of_state: list[int]
) -> tuple[tuple[tuple[int, ...], int], ...]:
    chains = []
    for state in range(len(moves)):
        ids = []
        while state != done and len(sets[set_of_state[state]]) == 1:
            ids.append(sets[set_of_state[state]][0])
            (state,) = moves[state].values()
        chains.append((tuple(ids), state))
    return tuple(chains)


def _longest(moves: list[dict[int, int]]) -> int | None:
    """Return the length of the longest path; None if the automaton has a loop."""
    incoming = [0] * len(moves)
    for table in moves:
        for target in table.values():
            incoming[target] += 1
    depth = [0] * len(moves)
    ready = [state for state, count in enumerate(incoming) if count == 0]
    for state in ready:
        for target in moves[state].values():
            depth[target] = max(depth[target], depth[state] + 1)
            incoming[target] -= 1
            if incoming[target] == 0:
                ready.append(target)
    return max(depth) if len(ready) == len(moves) else None
