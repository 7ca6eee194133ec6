import json
import random

import pytest
from tests.oracles import matching as oracle

from trilingua.core.errors import ConfigError, InputError
from trilingua.metrics.scene_match import THRESHOLDS, score_scenes
from trilingua.scenes.scene import Scene, SceneObject


def at(x, y=0.0, z=0.35, **changes):
    return SceneObject(
        **{"shape": "cube", "size": "small", "color": "red", "material": "metal", "location": (x, y, z), **changes}
    )


def noisy_scenes(num_scenes, seed=0):
    """Draw true scenes and versions of them with moved, recoloured, doubled and lost objects."""
    stream = random.Random(seed)
    truth, predicted = [], []
    for _ in range(num_scenes):
        objects = [
            at(stream.uniform(-3, 3), stream.uniform(-3, 3), color=stream.choice(("red", "blue")))
            for _ in range(stream.randint(1, 6))
        ]
        found = [
            at(
                item.location[0] + stream.uniform(-0.2, 0.2),
                item.location[1],
                color=item.color if stream.random() < 0.9 else "gray",
            )
            for item in objects
            for _ in range(stream.choice((0, 1, 1, 2)))
        ]
        truth.append(Scene(objects=tuple(objects)))
        predicted.append(Scene(objects=tuple(found)))
    return predicted, truth


def test_equals_the_oracle_over_many_scenes():
    predicted, truth = noisy_scenes(60)
    scores = score_scenes(predicted, truth)
    for threshold in THRESHOLDS:
        each = [oracle.jaccard(p.objects, t.objects, threshold) for p, t in zip(predicted, truth, strict=True)]
        assert scores["jaccard_at"][f"{threshold:.2f}"] == pytest.approx(sum(each) / 60, abs=1e-12)
        pairs = sum(
            len(oracle.first_pairs(p.objects, t.objects, threshold)) for p, t in zip(predicted, truth, strict=True)
        )
        assert scores["precision_at"][f"{threshold:.2f}"] == pairs / sum(len(p.objects) for p in predicted)
        assert scores["recall_at"][f"{threshold:.2f}"] == pairs / sum(len(t.objects) for t in truth)
    assert scores["jaccard"] == pytest.approx(sum(scores["jaccard_at"].values()) / 5, abs=1e-12)
    assert 0.1 < scores["jaccard_at"]["0.05"] < scores["jaccard_at"]["0.25"] < 0.9
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_every_figure_of_a_small_case():
    truth = [Scene(objects=(at(0.0), at(2.0, shape="sphere"))), Scene(objects=(at(1.0),))]
    predicted = [
        Scene(objects=(at(0.12, z=0.51), at(2.0, shape="sphere", color="blue"), at(-2.0))),
        Scene(objects=(at(1.0),)),
    ]
    scores = score_scenes(predicted, truth, thresholds=(0.1, 0.2))
    assert scores == {
        "jaccard": pytest.approx((0.5 + (1 / 4 + 1) / 2) / 2),
        "jaccard_at": {"0.10": 0.5, "0.20": (1 / 4 + 1) / 2},
        "precision": pytest.approx((1 / 4 + 2 / 4) / 2),
        "precision_at": {"0.10": 1 / 4, "0.20": 2 / 4},
        "recall": pytest.approx((1 / 3 + 2 / 3) / 2),
        "recall_at": {"0.10": 1 / 3, "0.20": 2 / 3},
        "count_accuracy": 0.5,
        "attribute_accuracy": {"size": 1.0, "color": 2 / 3, "material": 1.0, "shape": 1.0, "all": 2 / 3},
        "location_error": pytest.approx((0.2 + 0.0) / 2),
        "num_matched": 2,
        "num_scenes": 2,
        "num_predicted": 4,
        "num_truth": 3,
    }


def test_equal_scenes_are_perfect_and_optimal_is_never_below_first():
    predicted, truth = noisy_scenes(40, seed=1)
    perfect = score_scenes(truth, truth)
    assert perfect["jaccard"] == perfect["precision"] == perfect["recall"] == perfect["count_accuracy"] == 1.0
    assert perfect["location_error"] == 0.0
    first, optimal = score_scenes(predicted, truth), score_scenes(predicted, truth, method="optimal")
    assert all(optimal["jaccard_at"][name] >= first["jaccard_at"][name] for name in first["jaccard_at"])


def test_the_optimal_pairing_is_that_of_all_figures():
    """The nearer of two takes what the first one, which comes before it, would take."""
    truth = [Scene(objects=(at(0.0), at(0.3)))]
    predicted = [Scene(objects=(at(0.14), at(-0.1)))]
    first, optimal = score_scenes(predicted, truth), score_scenes(predicted, truth, method="optimal")
    assert first["location_error"] == pytest.approx(0.14)
    assert optimal["location_error"] == pytest.approx((0.16 + 0.1) / 2)
    assert (first["num_matched"], optimal["num_matched"]) == (1, 2)


def test_nothing_found_is_none_not_a_division_by_zero():
    empty = Scene(objects=())
    scores = score_scenes([empty], [Scene(objects=(at(0.0),))])
    assert (scores["jaccard"], scores["precision"], scores["recall"]) == (0.0, None, 0.0)
    assert scores["location_error"] is None
    assert set(scores["attribute_accuracy"].values()) == {None}
    assert score_scenes([empty], [empty])["jaccard"] == 1.0


def test_keys_tell_fine_thresholds_apart():
    scene = Scene(objects=(at(0.0),))
    assert list(score_scenes([scene], [scene], thresholds=(0.05, 0.125, 1.5))["jaccard_at"]) == [
        "0.05",
        "0.125",
        "1.50",
    ]


def test_bad_arguments_are_refused_in_words():
    scene = Scene(objects=())
    with pytest.raises(InputError) as caught:
        score_scenes([scene], [scene, scene])
    assert str(caught.value) == "scenes: 1 predicted and 2 true ones; expected as many of each, at least one"
    with pytest.raises(InputError) as caught:
        score_scenes([], [])
    assert str(caught.value) == "scenes: 0 predicted and 0 true ones; expected as many of each, at least one"
    with pytest.raises(ConfigError) as caught:
        score_scenes([scene], [scene], thresholds=(0.1, 0.1))
    assert str(caught.value) == "thresholds: [0.1, 0.1] is not allowed; give at least one and each only once"
