"""The public CLEVR question engine gives our answers on our programs and scenes.

Runs where `CLEVR_DATASET_GEN` names a checkout of github.com/facebookresearch/clevr-dataset-gen.
"""

import importlib.util
import json
import os
import random
from pathlib import Path

import pytest
from tests.oracles.random_programs import random_program, random_scene

from trilingua.core.random import make_generator
from trilingua.data.clevr.questions import FAMILIES, generate_questions
from trilingua.scenes.functions import FUNCTIONS
from trilingua.scenes.programs import execute_program

CHECKOUT = os.environ.get("CLEVR_DATASET_GEN")
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="CLEVR_DATASET_GEN names no checkout of facebookresearch/clevr-dataset-gen"
)


@pytest.fixture(scope="module")
def engine():
    path = Path(CHECKOUT) / "question_generation" / "question_engine.py"
    spec = importlib.util.spec_from_file_location("clevr_question_engine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def their_answer(engine, program, scene):
    nodes = [
        {"type": item["type"], "inputs": item["inputs"], "side_inputs": item["value_inputs"]}
        if item["value_inputs"]
        else {"type": item["type"], "inputs": item["inputs"]}
        for item in program
    ]
    answer = engine.answer_question({"nodes": nodes}, None, scene.to_json(), cache_outputs=False)
    if answer == "__INVALID__":
        return None
    return {True: "yes", False: "no"}[answer] if isinstance(answer, bool) else str(answer)


def test_agrees_on_generated_questions(engine):
    draw = random.Random(11)
    families = set()
    for index in range(60):
        scene = random_scene(draw)
        for item in generate_questions(scene, make_generator(1, "questions", index), 10):
            assert their_answer(engine, item["program"], scene) == item["answer"]
            families.add(item["question_family_index"])
    assert len(families) > 0.8 * len(FAMILIES)


def test_agrees_on_random_programs_with_ambiguous_ones_among_them(engine):
    draw = random.Random(12)
    for _ in range(2000):
        scene, program = random_scene(draw, draw.randint(1, 4)), random_program(draw)
        assert their_answer(engine, program, scene) == execute_program(program, scene).answer


def test_the_catalogue_is_theirs():
    metadata = json.loads((Path(CHECKOUT) / "question_generation" / "metadata.json").read_text())
    theirs = {item["name"]: item for item in metadata["functions"] if not item.get("template_only")}
    assert set(FUNCTIONS) == set(theirs) - {"equal_object"}
    names = {"ObjectSet": "set", "Bool": "boolean"}
    for name, signature in FUNCTIONS.items():
        item = theirs[name]
        assert signature.inputs == tuple(names.get(kind, kind.lower()) for kind in item["inputs"])
        assert signature.output == names.get(item["output"], item["output"].lower())
        allowed = [value for kind in item.get("side_inputs", []) for value in metadata["types"][kind]]
        assert sorted(signature.values) == sorted(allowed)
