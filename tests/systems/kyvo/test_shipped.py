"""The model that comes with the package: it loads, keeps its budget, and has learnt to see."""

import numpy as np
import pytest
import torch
from PIL import Image

import trilingua
from trilingua.core.random import make_generator
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.clevr.views import view_of, with_view
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.metrics.scene_match import score_scenes
from trilingua.systems.kyvo.build import load_tokenizers
from trilingua.tokenizers.images import image_to_pixels

NUM_SCENES = 6


@pytest.fixture(scope="module")
def model():
    return trilingua.load()


@pytest.fixture(scope="module")
def fresh():
    """Scenes that nobody has trained on, with their pictures."""
    renderer = BuiltinRenderer()
    drawn = [sample_scene(make_generator(2_000, "shipped", index), renderer) for index in range(NUM_SCENES)]
    return [(with_view(scene, view), renderer.render(scene, view).image) for scene, view in drawn]


def test_weights_keep_their_budget():
    assert sum(path.stat().st_size for path in trilingua.shipped_model().glob("*.safetensors")) < 60e6


def test_no_path_of_the_training_data_is_shipped():
    text = (trilingua.shipped_model() / "config.json").read_text()
    assert '"data": ""' in text
    assert '"tokenizers": ""' in text


def test_it_keeps_what_taught_its_eye():
    """Without it, an eye that starts from the shipped one would begin with a probe that says nothing."""
    probes = load_tokenizers(trilingua.shipped_model()).probes
    assert {name.split(".")[0] for name in probes} == {"eye_probe"}


@pytest.fixture(scope="module")
def found(model, fresh):
    return model.recognize([picture for _, picture in fresh])


def test_it_finds_as_many_objects_as_there_are(found, fresh):
    wrong = [abs(len(scene.objects) - len(truth.objects)) for scene, (truth, _) in zip(found, fresh, strict=True)]
    # A model that had not looked would be off by two on average.
    assert np.mean(wrong) < 0.4


def test_it_says_what_they_are_and_where(found, fresh):
    truth = [scene for scene, _ in fresh]
    figures = score_scenes(found, truth)
    assert figures["jaccard"] > 0.65
    assert figures["jaccard"] > 5 * score_scenes(found, truth[1:] + truth[:1])["jaccard"]  # as for other pictures
    assert figures["attribute_accuracy"]["all"] > 0.9
    assert figures["location_error"] < 0.05


def test_it_knows_where_the_camera_stands(model, fresh):
    """Which is moved by up to half a metre along each axis."""
    pictures = np.stack([image_to_pixels(Image.fromarray(picture), 256) for _, picture in fresh])
    found = model.images.eye_sighting.camera(torch.from_numpy(pictures).float() / 255).detach().numpy()
    wanted = [view_of(scene).camera for scene, _ in fresh]
    assert np.abs(found - wanted).mean() < 0.06


def test_places_are_better_if_the_camera_is_known(model, found, fresh):
    errors = []
    for given in (False, True):
        scenes = found
        if given:
            scenes = [model.recognize(picture, camera=view_of(scene).camera) for scene, picture in fresh]
            cameras = [[view_of(scene).camera for scene in known] for known in (scenes, [scene for scene, _ in fresh])]
            np.testing.assert_allclose(*cameras, atol=1e-3)
        errors.append(score_scenes(scenes, [scene for scene, _ in fresh])["location_error"])
    assert errors[1] < errors[0]


def test_it_drafts_objects_right(model, fresh, monkeypatch):
    values = [{"image": seen} for seen in model._see([picture for _, picture in fresh])]
    runs = []
    handle = model.decoder.norm.register_forward_hook(lambda *_: runs.append(1))
    drafted = model.decode_task("recognition", values)
    with_drafts = len(runs)
    monkeypatch.setattr(model, "_drafter", None)
    plain = model.decode_task("recognition", values)
    handle.remove()
    assert [item.ids for item in drafted] == [item.ids for item in plain]
    assert 2 * with_drafts < len(runs) - with_drafts


def test_a_little_more_light_changes_little(model, found, fresh):
    brighter = [np.clip(picture.astype(np.float64) * 1.03, 0, 255).round().astype(np.uint8) for _, picture in fresh]
    truth = [scene for scene, _ in fresh]
    # A model that reads places off the ground's exact brightness loses 40 in 100.
    assert score_scenes(model.recognize(brighter), truth)["jaccard"] > 0.8 * score_scenes(found, truth)["jaccard"]


def test_what_it_draws_looks_like_the_scene(model, fresh):
    truth = [scene for scene, _ in fresh]
    drawn = [np.asarray(picture.resize((320, 240)), dtype=np.float64) for picture in model.render(truth)]
    distances = np.array([[np.abs(one - picture).mean() for _, picture in fresh] for one in drawn])
    # Each drawing is nearest to its own scene's picture, most of them at least.
    assert (distances.argmin(1) == np.arange(len(fresh))).mean() > 0.6


def test_questions_are_answered_by_looking_at_the_scene(model, fresh):
    by_program, direct = [], []
    for index, (scene, picture) in enumerate(fresh):
        asked = generate_questions(scene, make_generator(2_000, "questions", index), 4)
        texts = [item["question"] for item in asked]
        answers = model.ask([picture] * len(asked), texts, scene=[scene] * len(asked), explain=True)
        by_program += [answer.text == item["answer"] for answer, item in zip(answers, asked, strict=True)]
        direct += [answer.direct == item["answer"] for answer, item in zip(answers, asked, strict=True)]
    assert np.mean(by_program) > 0.9
    assert np.mean(direct) > 0.5  # the commonest answers of each type are right in .4


def test_edits_change_what_is_named(model, fresh):
    edited, wanted, given = [], [], []
    for index, (scene, picture) in enumerate(fresh):
        made = generate_instructions(scene, make_generator(2_000, "edits", index), 3, acceptable=lambda target: True)
        pairs = model.edit([picture] * 3, [scene] * 3, [item.instruction for item in made])
        edited += [found for _, found in pairs]
        wanted += [item.target_scene for item in made]
        given += [scene] * 3
    jaccard, unchanged = (score_scenes(scenes, wanted)["jaccard"] for scenes in (edited, given))
    assert jaccard > unchanged
