"""What a text is about: by hand for questions, against the differences of scenes for edits."""

import operator
from pathlib import Path

import numpy as np
import pytest
from tests.oracles.alignment import facts

from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.referents import UNKNOWN, UNKNOWN_REFERENTS, edit_referents, question_referents
from trilingua.scenes.program_text import program_from_text
from trilingua.scenes.programs import execute_program
from trilingua.scenes.scene import Scene, SceneObject


def item(shape: str, color: str, x: float) -> SceneObject:
    return SceneObject(shape=shape, size="large", color=color, material="rubber", location=(x, 0.0, 0.7))


SCENE = Scene(objects=(item("cube", "red", 2.0), item("sphere", "red", 0.0), item("cube", "blue", -2.0)))
ORDER = [2, 0, 1]
"""The blue cube is number 1, the red cube number 2, the red sphere number 3."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scene filter_shape:cube count", (0b011, UNKNOWN)),
        ("scene filter_color:green exist", (0, UNKNOWN)),
        ("scene filter_color:blue unique query_shape", (0b001, UNKNOWN)),
        ("scene filter_shape:sphere unique same_color filter_shape:cube count", (0b010, 0b100)),
        ("scene filter_shape:cube count scene filter_color:red count equal_integer", (0b011, 0b110)),
        (
            "scene filter_shape:sphere unique same_color unique same_shape unique query_color",
            (0b001, 0b010),
        ),
        ("scene filter_shape:cube unique query_color", (UNKNOWN, UNKNOWN)),  # two cubes are not one
    ],
)
def test_sets_by_hand(text: str, expected: tuple[int, int]) -> None:
    parsed = program_from_text(text)
    assert parsed.problem is None
    assert question_referents(parsed.program, SCENE, ORDER) == expected


def test_the_sets_of_generated_questions_explain_their_answers(tiny_data: Path) -> None:
    asked = 0
    for scene in ClevrFolder(tiny_data).scenes():
        order = list(range(len(scene.objects)))
        for question in generate_questions(scene, np.random.default_rng(3), 30):
            first, second = question_referents(question["program"], scene, order)
            function, answer = question["program"][-1]["type"], question["answer"]
            if function == "count":
                assert first.bit_count() == int(answer)
            elif function == "exist":
                assert (first > 0) == (answer == "yes")
            elif function in ("equal_integer", "less_than", "greater_than"):
                counts = first.bit_count(), second.bit_count()
                compare = {"equal_integer": operator.eq, "less_than": operator.lt, "greater_than": operator.gt}[function]
                assert compare(*counts) == (answer == "yes")
            elif function.startswith("query"):
                assert first.bit_count() == 1
                assert getattr(scene.objects[first.bit_length() - 1], function.removeprefix("query_")) == answer
            asked += 1
    assert asked > 100


def test_an_edit_is_about_the_object_that_changes(tiny_data: Path) -> None:
    found = set()
    for scene in ClevrFolder(tiny_data).scenes():
        order = np.random.default_rng(1).permutation(len(scene.objects)).tolist()
        for edit in generate_instructions(scene, np.random.default_rng(3), 15):
            changed, nothing = edit_referents(scene, edit.target_scene, order)
            assert nothing == UNKNOWN
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


def test_an_ill_formed_program_is_about_nothing() -> None:
    assert question_referents([], SCENE, ORDER) == UNKNOWN_REFERENTS
    assert execute_program([], SCENE).problem is not None
