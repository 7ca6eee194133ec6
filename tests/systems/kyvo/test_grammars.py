"""What each task may write: its own sequences, and nothing that differs from them by an object's number."""

import pytest

from trilingua.scenes.scene import Scene, SceneObject
from trilingua.systems.kyvo.build import Tokenizers
from trilingua.systems.kyvo.grammars import task_grammar
from trilingua.tokenizers.scenes import NumberedScene
from trilingua.tokenizers.sequences import TASKS

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.5, -2.0, 0.7))


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
