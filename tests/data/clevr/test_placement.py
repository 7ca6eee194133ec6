"""Placement: every sampled scene obeys CLEVR's rules as the slow oracle states them."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from tests.data.clevr.drawing import DiscRenderer

from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator
from trilingua.data.clevr.placement import complete_scene, placement_problem, sample_scene, visible_enough
from trilingua.data.clevr.views import view_of
from trilingua.data.renderers.views import REFERENCE_VIEW, camera_for_view, reference_directions
from trilingua.scenes.scene import Scene, SceneObject

RADIUS = {"small": 0.35, "large": 0.7}
DIRECTIONS = reference_directions()


def at(x, y, size="small", **changes):
    fields = {"shape": "cube", "color": "red", "material": "rubber", "location": (x, y, RADIUS[size]), **changes}
    return SceneObject(size=size, **fields)


def obeys(objects, directions):
    """The rules as CLEVR's generator applies them: each object against those before it, four directions."""
    for number, new in enumerate(objects):
        x, y, _ = new.location
        if not (-3 <= x <= 3 and -3 <= y <= 3):
            return False
        for old in objects[:number]:
            dx, dy = x - old.location[0], y - old.location[1]
            if math.sqrt(dx * dx + dy * dy) - RADIUS[new.size] - RADIUS[old.size] < 0.25:
                return False
            for name in ("left", "right", "front", "behind"):
                margin = dx * directions[name][0] + dy * directions[name][1]
                if 0 < margin < 0.4:
                    return False
    return True


def test_sampled_scenes_obey_every_rule():
    renderer = DiscRenderer()
    counts = set()
    for index in range(60):
        scene, view = sample_scene(make_generator(3, "placement", index), renderer)
        assert obeys(scene.objects, scene.directions)
        assert placement_problem(scene.objects, scene.directions) is None
        assert min(renderer.count_visible_pixels(scene, view)) >= 200
        assert view_of(scene) == view
        for item in scene.objects:
            assert item.location[2] == RADIUS[item.size]
            assert 0 <= item.rotation_degrees < 360
        counts.add(len(scene.objects))
    assert counts == set(range(3, 11))


def test_placement_problem_agrees_with_the_oracle_on_random_places():
    generator = np.random.default_rng(0)
    verdicts = []
    for _ in range(3000):
        places = generator.uniform(-3.2, 3.2, (int(generator.integers(1, 5)), 2))
        objects = [at(float(x), float(y), str(generator.choice(["small", "large"]))) for x, y in places]
        verdicts.append(obeys(objects, DIRECTIONS))
        assert (placement_problem(objects, DIRECTIONS) is None) == verdicts[-1]
    assert 300 < sum(verdicts) < 2700


def test_attributes_counts_and_places_are_uniform():
    scenes = [
        sample_scene(make_generator(5, "uniform", index), DiscRenderer(everything_visible=True))[0]
        for index in range(300)
    ]
    objects = list(itertools.chain.from_iterable(scene.objects for scene in scenes))
    for name, values in (("shape", 3), ("color", 8), ("material", 2)):
        counts = np.unique([getattr(item, name) for item in objects], return_counts=True)[1]
        assert len(counts) == values
        expected = len(objects) / values
        assert ((counts - expected) ** 2 / expected).sum() < 30
    counts = np.unique([len(scene.objects) for scene in scenes], return_counts=True)[1]
    assert ((counts - 300 / 8) ** 2 / (300 / 8)).sum() < 30
    firsts = np.array([scene.objects[0].location[:2] for scene in scenes])
    assert np.abs(firsts.mean(0)).max() < 0.4
    assert (np.abs(firsts).max(0) > 2.8).all()


def test_equal_generators_give_equal_scenes_and_others_give_others():
    first = sample_scene(make_generator(1, "scene", "a", 0), DiscRenderer())
    assert first == sample_scene(make_generator(1, "scene", "a", 0), DiscRenderer())
    assert first != sample_scene(make_generator(1, "scene", "a", 1), DiscRenderer())


def test_complete_scene_records_what_follows_from_the_view():
    scene = complete_scene([at(0.0, 0.0, "large"), at(2.0, -2.0)], REFERENCE_VIEW)
    camera = camera_for_view(REFERENCE_VIEW)
    for item in scene.objects:
        column, row, depth = camera.project(np.array(item.location))
        assert item.pixel_coords == (round(column), round(row), depth)
    assert scene.directions == DIRECTIONS
    assert scene.relationships == {"left": [[], []], "right": [[], []], "front": [[1], []], "behind": [[], [0]]}
    assert Scene.from_json(scene.to_json()) == scene


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ([at(3.1, 0.0)], "object 0 stands at (3.10, 0.00); x and y must lie in [-3.0, 3.0]"),
        ([at(math.nan, 0.0)], "object 0 stands at (nan, 0.00); x and y must lie in [-3.0, 3.0]"),
        ([at(0.0, 0.0), at(0.9, 0.0)], "objects 0 and 1 are 0.20 m apart; at least 0.25 m is needed"),
        ([at(-2.0, 0.0), at(0.0, -2.0)], "objects 0 and 1 are 0.20 m apart along left; at least 0.4 m is needed"),
        ([at(-2.0, 0.0), at(2.0, 0.0)], None),
    ],
)
def test_placement_problem_says_which_rule_is_broken(objects, problem):
    assert placement_problem(objects, DIRECTIONS) == problem


def test_of_objects_exactly_in_line_neither_stands_more_to_a_side():
    straight = {
        "left": (-1.0, 0.0, 0.0),
        "right": (1.0, 0.0, 0.0),
        "behind": (0.0, 1.0, 0.0),
        "front": (0.0, -1.0, 0.0),
    }
    assert placement_problem([at(0.0, 0.0), at(0.0, 1.5)], straight) is None
    problem = "objects 0 and 1 are 0.10 m apart along left; at least 0.4 m is needed"
    assert placement_problem([at(0.0, 0.0), at(0.1, 1.5)], straight) == problem


def test_a_hidden_object_is_not_visible_enough():
    camera = np.array(REFERENCE_VIEW.camera)
    behind = -camera[:2] / np.linalg.norm(camera[:2]) * 2.0
    scene = complete_scene([at(0.0, 0.0, "large"), at(*map(float, behind))], REFERENCE_VIEW)
    assert visible_enough(DiscRenderer(), scene.replace(objects=scene.objects[:1]), REFERENCE_VIEW)
    counts = DiscRenderer().count_visible_pixels(scene, REFERENCE_VIEW)
    assert visible_enough(DiscRenderer(), scene, REFERENCE_VIEW, min_pixels=min(counts))
    assert not visible_enough(DiscRenderer(), scene, REFERENCE_VIEW, min_pixels=min(counts) + 1)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (0, 3, "objects per scene: 0 to 3 is not allowed; give counts from 1 to 10"),
        (3, 11, "objects per scene: 3 to 11 is not allowed; give counts from 1 to 10"),
        (5, 4, "min_objects: 5 is more than max_objects 4; swap or change them"),
    ],
)
def test_impossible_counts_are_refused(low, high, message):
    with pytest.raises(ConfigError) as error:
        sample_scene(make_generator(0), DiscRenderer(), min_objects=low, max_objects=high)
    assert str(error.value) == message


def test_a_scene_that_can_never_be_seen_ends_with_an_error(monkeypatch):
    monkeypatch.setattr("trilingua.data.clevr.placement._MAX_STARTS", 5)

    class Blind(DiscRenderer):
        def count_visible_pixels(self, scene, view, *, width=320, height=240):
            return [0] * len(scene.objects)

    with pytest.raises(ConfigError, match="no scene of 3 visible objects in 5 starts; ask for fewer objects"):
        sample_scene(make_generator(0), Blind(), min_objects=3, max_objects=3)


def test_the_view_changes_nothing_but_itself():
    scene = complete_scene([at(0.0, 0.0)], REFERENCE_VIEW)
    moved = dataclasses.replace(REFERENCE_VIEW, camera=(7.0, -6.0, 5.0))
    assert complete_scene(scene.objects, moved).directions == scene.directions
