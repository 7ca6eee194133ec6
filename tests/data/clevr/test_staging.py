"""Scenes as they are drawn: the reference camera sees a staged scene as its own camera sees the scene."""

import dataclasses

import numpy as np
import pytest

from trilingua.core.errors import InputError
from trilingua.core.random import make_generator
from trilingua.data.clevr.staging import REFERENCE_CAMERA, stage
from trilingua.data.clevr.views import view_of, with_camera, with_view
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.renderers.views import REFERENCE_VIEW, camera_for_view, sample_view
from trilingua.metrics.image import score_gray
from trilingua.scenes.scene import Scene, SceneObject

KINDS = ("cube", "sphere", "cylinder")


def random_scene(seed: int) -> Scene:
    generator = make_generator(0, "staging", seed)
    places = [(x, y) for x in (-2.4, 0.0, 2.4) for y in (-2.0, 1.5)]
    objects = tuple(
        SceneObject(
            size="large" if large else "small",
            color="red",
            material="rubber",
            shape=KINDS[index % 3],
            location=(x + jitter[0], y + jitter[1], 0.7 if large else 0.35),
            rotation_degrees=10.0 * index,
        )
        for index, ((x, y), large, jitter) in enumerate(
            zip(places, generator.random(6) < 0.5, generator.uniform(-0.3, 0.3, (6, 2)).tolist(), strict=True)
        )
    )
    return with_view(Scene(objects=objects, extra={"note": 1}), sample_view(generator))


@pytest.mark.parametrize("seed", range(5))
def test_the_reference_camera_sees_centres_where_the_scenes_own_does(seed: int) -> None:
    scene = random_scene(seed)
    staged = stage(scene)
    own = camera_for_view(view_of(scene))
    for before, after in zip(scene.objects, staged.objects, strict=True):
        np.testing.assert_allclose(
            REFERENCE_CAMERA.project(np.array(after.location))[:2],
            own.project(np.array(before.location))[:2],
            atol=1e-6,
        )
        assert dataclasses.replace(after, location=before.location) == before
        assert after.location[2] == before.location[2]
    assert staged.extra == {"note": 1}
    assert stage(staged) is staged


def test_a_staged_scene_looks_as_its_own_camera_shows_it() -> None:
    renderer, gained = BuiltinRenderer(), []
    for seed in range(4):
        scene = random_scene(seed)
        truth, plain, staged = (
            renderer.render(drawn, view).image
            for drawn, view in (
                (scene, view_of(scene)),
                (scene, REFERENCE_VIEW),
                (stage(scene), REFERENCE_VIEW),
            )
        )
        gained.append(score_gray(staged, truth)["ssim"] - score_gray(plain, truth)["ssim"])
    assert min(gained) > 0.01


def test_from_the_reference_camera_a_scene_is_staged_already() -> None:
    scene = random_scene(1)
    staged = stage(with_view(scene, REFERENCE_VIEW))
    for before, after in zip(scene.objects, staged.objects, strict=True):
        np.testing.assert_allclose(after.location, before.location, atol=1e-9)
    unknown = scene.replace(extra={})
    assert stage(unknown) is unknown
    assert stage(with_view(Scene(objects=()), REFERENCE_VIEW)) == Scene(objects=())


def test_a_camera_alone_is_a_view() -> None:
    scene = random_scene(2)
    known = with_camera(scene, view_of(scene).camera)
    assert stage(known).objects == stage(scene).objects
    assert view_of(known) == dataclasses.replace(REFERENCE_VIEW, camera=view_of(scene).camera)


def test_a_malformed_view_is_refused() -> None:
    scene = random_scene(1).replace(extra={"view": {"key_light": [1.0, 2.0, 3.0]}})
    with pytest.raises(InputError) as caught:
        stage(scene)
    assert str(caught.value) == (
        "scene: view: expected the field camera and, where known, key_light, back_light, fill_light; got key_light"
    )
