import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import matching as oracle
from tests.oracles.random_scenes import scene_objects

from trilingua.core.errors import ConfigError
from trilingua.scenes.matching import ground_distance, jaccard_index, match_objects
from trilingua.scenes.scene import Scene, SceneObject

# The type checks of test runs draw which item of a tuple to check; that is no randomness of ours.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

THRESHOLDS = st.sampled_from((0.05, 0.10, 0.15, 0.20, 0.25, 2.0))


def at(x, y=0.0, z=0.35, color="red"):
    return SceneObject(shape="cube", size="small", color=color, material="metal", location=(x, y, z))


@st.composite
def pairs_of_scenes(draw, most):
    """Draw few kinds of objects in few places, so that many pairs are acceptable and some just miss."""
    truth = draw(st.lists(scene_objects(full=False, values=1), max_size=most))
    steps = st.integers(-5, 5).map(lambda n: n * 0.05)
    copies = (
        [
            at(
                item.location[0] + draw(steps),
                item.location[1] + draw(steps),
                color=draw(st.sampled_from((item.color, "red"))),
            )
            for item in draw(st.lists(st.sampled_from(truth), max_size=most))
        ]
        if truth
        else []
    )
    fixed = [SceneObject(**{**vars(truth[0]), "location": copy.location, "color": copy.color}) for copy in copies]
    return fixed, truth


@settings(max_examples=150, deadline=None)
@given(pairs_of_scenes(most=8), THRESHOLDS)
def test_first_equals_the_oracle(drawn, threshold):
    predicted, truth = drawn
    matching = match_objects(predicted, truth, threshold)
    assert list(matching.pairs) == oracle.first_pairs(predicted, truth, threshold)
    if predicted or truth:
        scenes = Scene(objects=tuple(predicted)), Scene(objects=tuple(truth))
        assert jaccard_index(*scenes, threshold) == oracle.jaccard(predicted, truth, threshold)


@settings(max_examples=60, deadline=None)
@given(pairs_of_scenes(most=4), THRESHOLDS)
def test_optimal_equals_trying_every_matching(drawn, threshold):
    predicted, truth = drawn
    matching = match_objects(predicted, truth, threshold, method="optimal")
    num_pairs, total = oracle.best(predicted, truth, threshold)
    assert len(matching.pairs) == num_pairs
    assert math.fsum(ground_distance(predicted[i], truth[j]) for i, j in matching.pairs) == pytest.approx(total)
    assert all(oracle.acceptable(predicted[i], truth[j], threshold) for i, j in matching.pairs)
    assert num_pairs >= len(match_objects(predicted, truth, threshold).pairs)


def test_first_takes_the_first_in_order_even_if_another_is_nearer_and_one_is_lost():
    predicted, truth = [at(0.0), at(-0.15)], [at(-0.1), at(0.01)]
    assert match_objects(predicted, truth, 0.12).pairs == ((0, 0),)
    assert match_objects(predicted, truth, 0.12, method="optimal").pairs == ((0, 1), (1, 0))


def test_height_is_ignored_and_the_threshold_itself_is_too_far():
    assert match_objects([at(0.0, z=0.7)], [at(0.0, z=-3.0)], 0.05).jaccard == 1.0
    assert match_objects([at(0.0)], [at(0.25)], 0.25).jaccard == 0.0
    assert match_objects([at(0.0)], [at(0.25)], 0.2500001).jaccard == 1.0


@pytest.mark.parametrize(
    "change", [{"shape": "sphere"}, {"size": "large"}, {"color": "blue"}, {"material": "rubber"}], ids=str
)
def test_every_category_must_be_equal_unless_places_alone_are_asked_for(change):
    other = SceneObject(**{**vars(at(0.0)), **change})
    assert match_objects([at(0.0)], [other], 0.25).pairs == ()
    assert match_objects([at(0.0)], [other], 0.25, categories=()).pairs == ((0, 0),)


@settings(max_examples=50, deadline=None)
@given(st.lists(scene_objects(full=False), max_size=8), THRESHOLDS, st.sampled_from(("first", "optimal")))
def test_a_scene_matches_itself_whole(objects, threshold, method):
    assert match_objects(objects, objects, threshold, method=method).jaccard == 1.0


def test_empty_scenes():
    empty, full = Scene(objects=()), Scene(objects=(at(0.0),))
    for method in ("first", "optimal"):
        assert jaccard_index(empty, empty, 0.05, method) == 1.0
        assert jaccard_index(empty, full, 0.05, method) == 0.0
        assert jaccard_index(full, empty, 0.05, method) == 0.0


def test_bad_settings_are_refused_in_words():
    for call, text in (
        (lambda: match_objects([], [], 0.0), "threshold: 0.0 is not allowed; give a number of metres above 0"),
        (lambda: match_objects([], [], math.nan), "threshold: nan is not allowed; give a number of metres above 0"),
        (
            lambda: match_objects([], [], 0.1, categories=("weight",)),
            "schema clevr: no category 'weight'; it has size, color, material, shape",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == text
