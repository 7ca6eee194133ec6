"""The compiled automaton against a reader that tries everything."""

import random

import pytest
from tests.oracles.decoding import matches

from trilingua.core.errors import ConfigError
from trilingua.inference.grammar import Grammar, choice, literal, repeat, sequence, token_set

STOP = 9


def random_grammar(random_source: random.Random, depth: int = 0) -> Grammar:
    kind = random_source.choice(["set", "literal"] if depth > 2 else ["set", "literal", "sequence", "choice", "repeat"])
    if kind == "set":
        return token_set(random_source.sample(range(4), random_source.randint(1, 3)))
    if kind == "literal":
        return literal(*(random_source.randrange(4) for _ in range(random_source.randint(0, 2))))
    if kind == "repeat":
        low = random_source.randint(0, 2)
        high = random_source.choice([None, low, low + 1, low + 2])
        return repeat(random_grammar(random_source, depth + 1), low, high)
    parts = [random_grammar(random_source, depth + 1) for _ in range(random_source.randint(1, 3))]
    return sequence(*parts) if kind == "sequence" else choice(*parts)


@pytest.mark.parametrize("seed", range(150))
def test_accepts_what_the_oracle_accepts(seed: int) -> None:
    source = random.Random(seed)
    grammar = random_grammar(source)
    tables = grammar.compile(10, stop_id=STOP)
    for _ in range(150):
        ids = [source.randrange(4) for _ in range(source.randint(0, 6))]
        assert tables.accepts([*ids, STOP]) == matches(grammar, ids), ids
        assert not tables.accepts(ids)
    # A random walk through the tables is always a sentence, and no longer than promised.
    for _ in range(20):
        state, ids = 0, []
        while state != tables.done:
            members = tables.members[tables.set_of_state[state]]
            assert tables.masks[tables.set_of_state[state]].nonzero()[:, 0].tolist() == list(members)
            ids.append(STOP if STOP in members and len(ids) > 30 else source.choice(members))
            state = tables.advance(state, ids[-1])
            if len(ids) > 200:
                break
        else:
            assert matches(grammar, ids[:-1])
            assert tables.longest is None or len(ids) <= tables.longest


def test_answers_that_start_alike_are_a_trie() -> None:
    answers = choice(literal(1, 2, 3), literal(1, 2, 4), literal(1, 5), literal(1))
    tables = answers.compile(10, stop_id=0)
    state = tables.advance(0, 1)
    assert tables.members[tables.set_of_state[state]] == (0, 2, 5)
    assert tables.num_states == 7
    assert tables.longest == 4
    assert tables.forced[0] == ((1,), state)


def test_sets_are_stored_once_and_a_scene_is_small() -> None:
    marker = [literal(index) for index in range(100, 110)]
    words, numbers = token_set(range(8)), token_set(range(8, 90))
    thing = sequence(marker[0], marker[1], words, marker[2], words, marker[3], numbers, numbers, numbers, marker[4])
    scene = sequence(
        marker[5], repeat(thing, 3, 10), marker[6], literal(120), repeat(token_set(range(90, 100)), 256, 256)
    )
    tables = scene.compile(121, stop_id=0)
    assert tables.num_states == 1 + 1 + 10 * 10 + 1 + 1 + 256 + 1
    assert len(tables.members) == 13
    assert tables.longest == 1 + 10 * 10 + 1 + 1 + 256 + 1
    assert tables.forced[0][0] == (105, 100, 101)
    assert literal(1, 2).compile(3, stop_id=0).forced[0] == ((1, 2, 0), literal(1, 2).compile(3, stop_id=0).done)


def test_where_a_sentence_may_end_its_end_ends_it() -> None:
    """The end is itself a token of the language here: what may follow it otherwise does not."""
    tables = repeat(literal(1), 0, None).compile(3, stop_id=1)
    assert tables.longest == 1
    assert tables.accepts([1])
    assert not tables.accepts([1, 1])


def test_errors_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="grammar: a token set is empty; it needs at least one id"):
        token_set([])
    with pytest.raises(ConfigError, match="grammar: a choice has no parts"):
        choice()
    with pytest.raises(ConfigError, match="grammar: repeat from 3 to 2; expected 0 <= low <= high"):
        repeat(literal(1), 3, 2)
    with pytest.raises(ConfigError, match="grammar: id 12 lies outside the vocabulary of 10 ids"):
        literal(1, 12).compile(10, stop_id=0)
    with pytest.raises(ConfigError, match="grammar: more than 20000 states; lower the highest number"):
        repeat(literal(1), 0, 30_000).compile(10, stop_id=0)
