"""Programs as text: exact round trips, the same answers for shared nodes, and reasons for what is no program."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.random_programs import random_program, random_scene

from trilingua.core.errors import InputError
from trilingua.scenes.functions import ATTRIBUTES, PROGRAM_WORDS
from trilingua.scenes.program_text import (
    MAX_PROGRAM_WORDS,
    Finding,
    add_findings,
    find_shown,
    program_from_text,
    program_to_text,
    split_findings,
)
from trilingua.scenes.programs import check_program, execute_program
from trilingua.scenes.schema import CLEVR

ONE_ANSWER = "expected exactly one of boolean, integer, size, color, material, shape"


def test_reads_as_documented():
    text = "scene filter_color:red unique relate:left filter_shape:cube count"
    program = program_from_text(text).program
    assert [item["inputs"] for item in program] == [[], [0], [1], [2], [3], [4]]
    assert [item["value_inputs"] for item in program] == [[], ["red"], [], ["left"], ["cube"], []]
    assert program_to_text(program) == text


def test_round_trips_exactly():
    draw = random.Random(0)
    texts = set()
    for _ in range(1000):
        program = random_program(draw)
        if len(program) > MAX_PROGRAM_WORDS:
            continue
        text = program_to_text(program)
        assert program_from_text(text).program == program
        assert set(text.split()) <= set(PROGRAM_WORDS)
        assert program_to_text(program_from_text(f"  {text}\n").program) == text
        texts.add((text, str(program)))
    assert len({text for text, _ in texts}) == len({program for _, program in texts}) > 300


def test_shared_and_unordered_nodes_keep_their_answer():
    program = [
        {"function": "scene", "inputs": [], "value_inputs": []},
        {"function": "filter_size", "inputs": [0], "value_inputs": ["large"]},
        {"function": "filter_shape", "inputs": [0], "value_inputs": ["cube"]},
        {"function": "intersect", "inputs": [2, 1], "value_inputs": []},
        {"function": "count", "inputs": [3], "value_inputs": []},
    ]
    text = program_to_text(program)
    assert text == "scene filter_shape:cube scene filter_size:large intersect count"
    draw = random.Random(1)
    for _ in range(20):
        scene = random_scene(draw)
        assert execute_program(program_from_text(text).program, scene).answer == execute_program(program, scene).answer


def test_what_cannot_be_written_is_refused():
    with pytest.raises(InputError, match=r"^program\[0\]: 'paint' is no function"):
        program_to_text([{"type": "paint", "inputs": []}])
    doubling = [{"type": "scene", "inputs": []}]
    doubling += [{"type": "union", "inputs": [index, index]} for index in range(60)]
    with pytest.raises(InputError, match=r"^program: its text has more than 256 words; give a shorter program$"):
        program_to_text([*doubling, {"type": "count", "inputs": [60]}])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "program: has no words; expected at least 'scene exist'"),
        ("scene paint count", "program, word 2: 'paint' is no word of the catalogue"),
        ("scene filter_color count", "program, word 2: 'filter_color' is no word of the catalogue"),
        ("count", "program, word 1: 'count' expects set before it, found nothing"),
        ("scene query_size", "program, word 2: 'query_size' expects object before it, found set"),
        ("scene count scene union", "program, word 4: 'union' expects set set before it, found integer set"),
        (
            "scene unique query_size scene unique query_color equal_size",
            "program, word 7: 'equal_size' expects size size before it, found size color",
        ),
        ("scene", f"program: ends with set; {ONE_ANSWER}"),
        (
            "scene count scene count",
            f"program: ends with integer integer; {ONE_ANSWER}",
        ),
        ("scene " * 257, "program: has 257 words; allowed are at most 256"),
    ],
)
def test_text_that_is_no_program_gives_a_reason(text, problem):
    parsed = program_from_text(text)
    assert (parsed.program, parsed.problem) == (None, problem)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(words=st.lists(st.sampled_from([*PROGRAM_WORDS, "?"]), max_size=6))
def test_what_parses_is_well_formed(words):
    parsed = program_from_text(" ".join(words))
    assert (parsed.program is None) != (parsed.problem is None)
    if parsed.program is not None:
        assert check_program(parsed.program) is None
        assert program_to_text(parsed.program) == " ".join(words)


@pytest.mark.parametrize(
    ("plain", "findings", "expected"),
    [
        (
            "scene filter_color:red unique relate:left filter_size:small filter_shape:cube count",
            [(2,), (1, 3, 5, 10), (1, 5, 10), 3],
            "scene filter_color:red2. unique relate:left13510. filter_size:small filter_shape:cube1510. count 3",
        ),
        ("scene unique relate:left exist", [(1,), ()], "scene1. unique relate:left. exist"),
        ("scene exist", [()], "scene. exist"),
        ("scene unique", [(1,)], "scene1. unique"),
        ("scene filter_size:large", [(1, 2)], "scene filter_size:large12."),
        (
            "scene filter_shape:cube scene filter_shape:sphere union filter_color:red count",
            [(1,), (2, 3), (1, 2, 3), (2,), 1],
            "scene filter_shape:cube1. scene filter_shape:sphere23. union123. filter_color:red2. count 1",
        ),
        (
            "scene filter_shape:cube unique query_color scene filter_shape:sphere unique same_size unique query_color "
            "equal_color",
            [(1,), "red", (2,), "large", (3,), "blue"],
            "scene filter_shape:cube1. unique query_color red scene filter_shape:sphere2. unique same_size "
            "large3. unique query_color blue equal_color",
        ),
    ],
)
def test_findings_stand_behind_what_finds_them(plain: str, findings: list[Finding], expected: str) -> None:
    assert add_findings(plain, findings) == expected
    assert split_findings(expected) == (plain, findings)


def test_a_finding_that_no_text_can_name_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        add_findings("scene count", [(11,), 1])
    assert str(caught.value) == "findings: object 11; a program's text can name those from 1 to 10"


@given(seed=st.integers(0, 10**6), data=st.data())
def test_findings_are_read_back(seed: int, data: st.DataObject) -> None:
    generator = random.Random(seed)
    plain = program_to_text(random_program(generator))
    program = program_from_text(plain).program
    assert program is not None
    numbers = st.sets(st.integers(1, 10)).map(lambda numbers: tuple(sorted(numbers)))
    kinds: dict[str, tuple[st.SearchStrategy[Finding], ...]] = {
        "count": (st.integers(0, 10),),
        **{f"query_{name}": (st.sampled_from(CLEVR.values(name)),) for name in ATTRIBUTES},
        **{f"same_{name}": (st.sampled_from(CLEVR.values(name)), numbers) for name in ATTRIBUTES},
    }
    shown = find_shown(program)
    assert all(shown.count(index) == 1 + program[index]["type"].startswith("same_") for index in shown)
    findings = [
        data.draw(kind) for index in dict.fromkeys(shown) for kind in kinds.get(program[index]["type"], (numbers,))
    ]
    assert split_findings(add_findings(plain, findings)) == (plain, findings)


@given(st.text(max_size=40) | st.text("scene filter.0123456789:", max_size=40))
def test_findings_in_any_text_are_split(text: str) -> None:
    plain, findings = split_findings(text)
    words = [found for found in findings if not isinstance(found, tuple)]
    assert len(plain.split()) + len(words) == len(text.split())
    assert all(1 <= number <= 10 for numbers in findings if isinstance(numbers, tuple) for number in numbers)
