"""Running programs: equal to the oracle, and a reason instead of an exception for whatever is ill-formed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import programs as oracle
from tests.oracles.random_programs import random_program, random_scene

from trilingua.scenes.functions import ANSWER_TYPES, FUNCTIONS, PROGRAM_WORDS, answer_type
from trilingua.scenes.programs import REFERENCE_DIRECTIONS, check_program, execute_program, relationships_of
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR


def node(kind, *inputs, value=None):
    return {"type": kind, "inputs": list(inputs), "value_inputs": [] if value is None else [value]}


def test_equals_the_oracle_on_random_programs_and_scenes():
    draw = random.Random(0)
    answered, used = 0, set()
    for _ in range(3000):
        scene, program = random_scene(draw, draw.randint(1, 4)), random_program(draw)
        result = execute_program(program, scene)
        assert result.answer == oracle.run(program, scene)
        assert (result.answer is None) == ("expects exactly one object" in (result.problem or ""))
        if result.answer is not None:
            answered += 1
            used |= {item["type"] for item in program}
            assert len(result.outputs) == len(program)
            assert answer_type(result.answer) is not None
    assert answered > 600
    assert used == set(FUNCTIONS)


def test_relations_come_from_the_scene_before_its_directions_before_the_reference():
    scene = random_scene(random.Random(1), 5)
    assert relationships_of(scene) == scene.relationships
    assert relationships_of(scene.replace(relationships={})) == scene.relationships
    assert relationships_of(scene.replace(relationships={}, directions={})) == scene.relationships
    opposite = {"left": REFERENCE_DIRECTIONS["right"], "right": REFERENCE_DIRECTIONS["left"]}
    swapped = relationships_of(scene.replace(relationships={}, directions=opposite))
    assert swapped["left"] == scene.relationships["right"] != scene.relationships["left"]
    assert swapped["front"] == scene.relationships["front"]
    odd = {name: [[] for _ in scene.objects] for name in scene.relationships}
    assert relationships_of(scene.replace(relationships=odd)) == odd


def test_picture_relations_of_the_reference_camera():
    def place(x, y):
        return SceneObject(shape="cube", size="small", color="red", material="metal", location=(x, y, 0.35))

    lists = relationships_of(Scene(objects=(place(0.0, 0.0), place(1.0, 1.0), place(-1.0, 1.0))))
    assert lists == {
        "left": [[], [0, 2], []],
        "right": [[1], [], [1]],
        "front": [[], [], [0, 1]],
        "behind": [[2], [2], []],
    }


@pytest.mark.parametrize(("names", "value_names"), [("function", "value_inputs"), ("type", "side_inputs")])
def test_reads_the_keys_of_clevr_files_and_of_its_engine(names, value_names):
    draw = random.Random(2)
    for _ in range(100):
        scene, program = random_scene(draw), random_program(draw)
        renamed = [
            {
                names: item["type"],
                "inputs": item["inputs"],
                **({value_names: item["value_inputs"]} if item["value_inputs"] else {}),
            }
            for item in program
        ]
        assert execute_program(renamed, scene) == execute_program(program, scene)


def test_an_empty_scene_is_answered():
    empty = Scene(objects=())
    assert execute_program([node("scene"), node("count", 0)], empty).answer == "0"
    assert execute_program([node("scene"), node("exist", 0)], empty).answer == "no"


SCENE = node("scene")


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (None, "program: expected a list of at least one node"),
        ([], "program: expected a list of at least one node"),
        ("scene", "program: expected a list of at least one node"),
        ([node("scene", 0)], "program[0]: scene takes 0 inputs, got [0]"),
        ([SCENE, node("count")], "program[1]: count takes 1 inputs, got []"),
        ([SCENE, node("count", 1)], "program[1]: count has the input 1; allowed are indices of earlier nodes"),
        ([SCENE, node("count", -1)], "program[1]: count has the input -1; allowed are indices of earlier nodes"),
        ([SCENE, node("count", True)], "program[1]: count has the input True; allowed are indices of earlier nodes"),
        ([SCENE, node("query_size", 0)], "program[1]: query_size expects 'object', but node 0 gives 'set'"),
        ([SCENE, node("filter_size", 0)], "program[1]: filter_size takes 1 value inputs, got []"),
        (
            [SCENE, node("filter_size", 0, value="red")],
            "program[1]: filter_size has the value 'red'; allowed are small, large",
        ),
        (
            [SCENE, node("filter_size", 0, value=["red"])],
            "program[1]: filter_size has the value ['red']; allowed are small, large",
        ),
        (
            [SCENE],
            "program: ends with 'set'; end with one of boolean, integer, size, color, material, shape",
        ),
        ([SCENE, node("unique", 0), node("query_size", 1)], "program[1]: unique expects exactly one object, got 3"),
    ],
)
def test_an_ill_formed_program_gives_a_reason(program, problem):
    result = execute_program(program, random_scene(random.Random(3), 3))
    assert (result.answer, result.problem) == (None, problem)


def test_an_unknown_function_is_named():
    for bad in ({"type": "paint", "inputs": []}, {"inputs": []}, 7, {"type": ["scene"], "inputs": []}):
        problem = check_program([bad])
        assert problem is not None
        assert problem.startswith("program[0]: ")
        assert "is no function; allowed are scene, filter_size, " in problem


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from([*FUNCTIONS, "red", "left"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "inputs", "value_inputs"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(program=anything)
def test_never_raises(program):
    result = execute_program(program, random_scene(random.Random(4), 3))
    assert (result.answer is None) != (result.problem is None)


def test_the_words_cover_the_catalogue_once():
    assert len(PROGRAM_WORDS) == 40
    assert {word.function.name for word in PROGRAM_WORDS.values()} == set(FUNCTIONS)
    for text, word in PROGRAM_WORDS.items():
        assert text == (word.function.name if word.value is None else f"{word.function.name}:{word.value}")
        assert word.arity == len(word.function.inputs) <= 2
    produced = {signature.output for signature in FUNCTIONS.values()}
    assert {kind for signature in FUNCTIONS.values() for kind in signature.inputs} <= produced
    assert set(ANSWER_TYPES) < produced


def test_answer_type():
    for name in ("size", "color", "material", "shape"):
        assert {answer_type(value) for value in CLEVR.values(name)} == {name}
    assert [answer_type(word) for word in ("yes", "no", "0", "10", "left", "")] == ["yes/no"] * 2 + ["number"] * 2 + [
        None
    ] * 2
