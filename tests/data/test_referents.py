"""What a text is about: by hand for programs, against the differences of scenes for edits."""

from pathlib import Path

import numpy as np
import pytest
from tests.oracles.alignment import facts

from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.referents import UNKNOWN, edit_referents, program_referents, to_numbers
from trilingua.scenes.program_text import program_from_text
from trilingua.scenes.programs import execute_program, find_asked
from trilingua.scenes.scene import Scene, SceneObject


def item(shape: str, color: str, x: float) -> SceneObject:
    return SceneObject(shape=shape, size="large", color=color, material="rubber", location=(x, 0.0, 0.7))


SCENE = Scene(objects=(item("cube", "red", 2.0), item("sphere", "red", 0.0), item("cube", "blue", -2.0)))
ORDER = [2, 0, 1]
"""The blue cube is number 1, the red cube number 2, the red sphere number 3."""


def referents_of(text: str) -> tuple[int, ...]:
    program = program_from_text(text).program
    assert program is not None
    return program_referents(program, execute_program(program, SCENE).outputs, ORDER)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scene filter_shape:cube count", [0b111, 0b011, 0b011]),
        ("scene filter_color:green exist", [0b111, 0, 0]),
        ("scene filter_color:blue unique query_shape", [0b111, 0b001, 0b001, 0b001]),
        (
            "scene filter_shape:sphere unique same_color filter_shape:cube count",
            [0b111, 0b100, 0b100, 0b010, 0b010, 0b010],
        ),
        (
            "scene filter_shape:cube scene filter_color:red intersect exist",
            [0b111, 0b011, 0b111, 0b110, 0b010, 0b010],
        ),
        (
            "scene filter_shape:sphere count scene filter_shape:cube count less_than",
            [0b111, 0b100, 0b100, 0b111, 0b011, 0b011, UNKNOWN],
        ),
    ],
)
def test_sets_by_hand(text: str, expected: list[int]) -> None:
    assert list(referents_of(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scene filter_shape:cube count", [(1, 2)]),
        ("scene filter_color:green exist", [()]),
        ("scene filter_shape:sphere unique same_color filter_shape:cube count", [(3,), (2,)]),
        (
            "scene filter_color:blue unique query_size scene filter_shape:sphere unique query_size equal_size",
            [(1,), (3,)],
        ),
        ("scene filter_shape:cube count scene count greater_than", [(1, 2), (1, 2, 3)]),
    ],
)
def test_what_a_program_asks_of(text: str, expected: list[tuple[int, ...]]) -> None:
    program = program_from_text(text).program
    assert program is not None
    found = find_asked(program, referents_of(text))
    assert [to_numbers(members) for members in found] == expected


def test_an_edit_is_about_the_object_that_changes(tiny_data: Path) -> None:
    found = set()
    for scene in ClevrFolder(tiny_data).scenes():
        order = np.random.default_rng(1).permutation(len(scene.objects)).tolist()
        for edit in generate_instructions(scene, np.random.default_rng(3), 15):
            changed = edit_referents(scene, edit.target_scene, order)
            found.add(edit.type)
            if edit.type == "insertion":
                assert changed == UNKNOWN
                continue
            assert changed.bit_count() == 1
            index = order[changed.bit_length() - 1]
            stay = [facts(other) for place, other in enumerate(scene.objects) if place != index]
            assert sorted(stay) == sorted(facts(o) for o in edit.target_scene.objects if facts(o) in stay)
            assert facts(scene.objects[index]) not in [facts(other) for other in edit.target_scene.objects]
    assert len(found) == 5
