"""What each task may write: its own sequences, and nothing that differs from them by an object's number."""

import pytest

from trilingua.core.random import make_generator
from trilingua.data.clevr.files import Instruction
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.tokenize import edit_record, question_record
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.systems.kyvo.build import Tokenizers
from trilingua.systems.kyvo.grammars import task_grammar
from trilingua.tokenizers.scenes import NumberedScene
from trilingua.tokenizers.sequences import SEGMENTS, TASKS

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.5, -2.0, 0.7))


def test_all_that_is_taught_may_be_written(tiny_tokenizers: Tokenizers) -> None:
    """Programs and edits of fresh scenes, with what they find, as the shards have them."""
    sequences, renderer = tiny_tokenizers.sequences, BuiltinRenderer()
    grammars = {name: task_grammar(TASKS[name], sequences) for name in ("qa", "editing")}
    codes = range(tiny_tokenizers.images.config.tokens_per_image)
    picture = sequences.segment(SEGMENTS["edited_image"], list(codes))
    end = sequences.vocabulary.end_id
    for index in range(12):
        scene, _ = sample_scene(make_generator(3, "taught", index), renderer)
        for item in generate_questions(scene, make_generator(3, "asked", index), 20):
            record = question_record(item["question"], item["answer"], item["program"], scene, sequences)
            assert record.program
            assert grammars["qa"].accepts([*record.program, *record.answer, end]), item["question"]
        for edit in generate_instructions(scene, make_generator(3, "told", index), 5):
            told = Instruction(
                image_filename="",
                target_image_filename=None,
                type=edit.type,
                instruction=edit.instruction,
                source_scene=scene,
                target_scene=edit.target_scene,
                reference=edit.reference,
            )
            record = edit_record(told, sequences)
            assert record.reference
            ids = [*record.reference, *record.edited_scene, *picture, end]
            assert grammars["editing"].accepts(ids), edit.instruction


@pytest.mark.parametrize(
    ("numbers", "recognized"),
    [((), True), ((1,), True), (tuple(range(1, 11)), True), ((2,), False), ((1, 3), False), ((4, 5, 10), False)],
)
def test_numbers_may_be_left_out_where_another_scene_gave_them(
    tiny_tokenizers: Tokenizers, numbers: tuple[int, ...], recognized: bool
) -> None:
    sequences = tiny_tokenizers.sequences
    tokens_per_image = tiny_tokenizers.images.config.tokens_per_image
    scene = NumberedScene(Scene(objects=(CUBE,) * len(numbers)), numbers)
    codes = list(range(tokens_per_image))
    for name, accepted in (("recognition", recognized), ("editing", True)):
        grammar = task_grammar(TASKS[name], sequences)
        values = {"scene": scene, "reference": "scene12. unique", "edited_scene": scene, "edited_image": codes}
        ids = sequences.prediction(TASKS[name], values)
        assert grammar.accepts(ids) == accepted
        if len(numbers) > 1:  # the first two objects open with each other's numbers
            start = sequences.vocabulary.marker("[SCENE-START]")
            first = len(ids) - ids[::-1].index(start)
            ids[first], ids[first + 14] = ids[first + 14], ids[first]
            assert not grammar.accepts(ids)
