"""The model that comes with the package: it loads, keeps its budget, and has learnt to see."""

import numpy as np
import pytest

import trilingua
from trilingua.core.random import make_generator
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.renderers.builtin import BuiltinRenderer

NUM_SCENES = 6


@pytest.fixture(scope="module")
def model():
    return trilingua.load()


@pytest.fixture(scope="module")
def fresh():
    """Scenes that nobody has trained on, with their pictures."""
    renderer = BuiltinRenderer()
    drawn = [sample_scene(make_generator(2_000, "shipped", index), renderer) for index in range(NUM_SCENES)]
    return [(scene, renderer.render(scene, view).image) for scene, view in drawn]


def test_weights_keep_their_budget():
    assert sum(path.stat().st_size for path in trilingua.shipped_model().glob("*.safetensors")) < 60e6


def test_no_path_of_the_training_data_is_shipped():
    text = (trilingua.shipped_model() / "config.json").read_text()
    assert '"data": ""' in text
    assert '"tokenizers": ""' in text


def test_it_finds_as_many_objects_as_there_are(model, fresh):
    found = model.recognize([picture for _, picture in fresh])
    wrong = [abs(len(scene.objects) - len(truth.objects)) for scene, (truth, _) in zip(found, fresh, strict=True)]
    # A model that had not looked would be off by two on average.
    assert np.mean(wrong) < 1


def test_what_it_draws_looks_like_the_scene(model, fresh):
    scene, picture = fresh[0]
    drawn = np.asarray(model.render(scene).resize((320, 240)), dtype=np.float64)
    assert np.abs(drawn - picture).mean() < np.abs(drawn.mean() - picture).mean()
