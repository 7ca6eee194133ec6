import json

import numpy as np
import pytest

from trilingua.core.errors import ConfigError, InputError
from trilingua.metrics.calibration import Bin, ScoreMap, collect_scores, compute_calibration, fit_score_map
from trilingua.scenes.scene import Scene, SceneObject


def slow_error(scores, correct, num_bins):
    """Sum over bins of their share of scores times how far accuracy and mean score are apart, bin by bin."""
    total = 0.0
    for index in range(num_bins):
        low, high = index / num_bins, (index + 1) / num_bins
        inside = [i for i, s in enumerate(scores) if low <= s < high or (index == num_bins - 1 and s == 1)]
        if inside:
            accuracy = sum(bool(correct[i]) for i in inside) / len(inside)
            total += len(inside) / len(scores) * abs(accuracy - sum(scores[i] for i in inside) / len(inside))
    return total


@pytest.mark.parametrize("num_bins", [1, 4, 8, 16])
def test_equal_width_equals_the_definition(num_bins):
    stream = np.random.default_rng(num_bins)
    scores = np.concatenate([stream.random(300), np.arange(17) / 16])  # borders of bins, 0 and 1 among them
    correct = stream.random(317) < 0.5
    calibration = compute_calibration(scores, correct, num_bins=num_bins)
    assert calibration.error == pytest.approx(slow_error(scores.tolist(), correct, num_bins), abs=1e-12)
    assert sum(item.count for item in calibration.bins) == 317


def test_equal_mass_puts_as_many_scores_in_each_bin():
    stream = np.random.default_rng(0)
    scores, correct = stream.random(103) ** 4, stream.random(103) < 0.3
    calibration = compute_calibration(scores, correct, num_bins=10, binning="mass")
    assert sorted(item.count for item in calibration.bins) == [10] * 7 + [11] * 3
    assert all(first.high <= second.low for first, second in zip(calibration.bins, calibration.bins[1:], strict=False))
    ranks = np.array_split(np.sort(scores), 10)
    assert [item.score for item in calibration.bins] == pytest.approx([float(group.mean()) for group in ranks])


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_honest_scores_have_a_small_error_and_boastful_ones_a_large(binning):
    stream = np.random.default_rng(1)
    scores = stream.random(20_000)
    correct = stream.random(20_000) < scores
    assert compute_calibration(scores, correct, binning=binning).error < 0.02
    assert compute_calibration(np.ones(4), np.zeros(4, dtype=bool), binning=binning).error == 1.0


def test_bins_and_their_json():
    calibration = compute_calibration(np.array([0.125, 0.25, 0.9]), np.array([False, True, True]), num_bins=2)
    assert calibration.bins == (
        Bin(low=0.0, high=0.5, count=2, score=0.1875, accuracy=0.5),
        Bin(low=0.5, high=1.0, count=1, score=0.9, accuracy=1.0),
    )
    value = json.loads(json.dumps(calibration.to_json(), allow_nan=False))
    assert (value["binning"], value["num_bins"]) == ("width", 2)
    assert value["bins"][1] == {"low": 0.5, "high": 1.0, "count": 1, "score": 0.9, "accuracy": 1.0}


def test_fewer_scores_than_bins_of_equal_mass():
    calibration = compute_calibration(np.array([0.5, 0.7]), np.array([True, True]), binning="mass")
    assert [item.count for item in calibration.bins] == [1, 1]
    assert calibration.error == pytest.approx(0.4)


def test_collect_scores_pairs_objects_and_leaves_out_those_without_a_score():
    def at(x, score=None):
        return SceneObject(
            shape="cube", size="small", color="red", material="metal", location=(x, 0.0, 0.35), score=score
        )

    truth = Scene(objects=(at(0.0), at(1.0)))
    predicted = Scene(objects=(at(0.1, 0.9), at(0.1, 0.4), at(1.0)))
    scores, correct = collect_scores([predicted, Scene(objects=())], [truth, truth])
    assert scores.tolist() == [0.9, 0.4]
    assert correct.tolist() == [True, False]
    assert collect_scores([predicted], [truth], threshold=0.05)[1].tolist() == [False, False]


def test_bad_arguments_are_refused_in_words():
    one = np.array([0.5])
    for call, kind, text in (
        (
            lambda: compute_calibration(one, np.array([True]), num_bins=0),
            ConfigError,
            "num_bins: 0 is not allowed; give at least 1",
        ),
        (
            lambda: compute_calibration(np.array([]), np.array([], dtype=bool)),
            InputError,
            "scores: 0 scores and 0 verdicts; expected as many of each, at least one",
        ),
        (
            lambda: compute_calibration(np.array([0.5, 1.5]), np.array([True, True])),
            InputError,
            "scores: from 0.5 to 1.5; allowed is 0 to 1",
        ),
        (
            lambda: compute_calibration(np.array([np.nan]), np.array([True])),
            InputError,
            "scores: from nan to nan; allowed is 0 to 1",
        ),
        (
            lambda: collect_scores([], [Scene(objects=())]),
            InputError,
            "scenes: 0 predicted and 1 true ones; expected as many of each",
        ),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == text


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (2.5, 0.7), (0.4, -1.0)])
def test_the_fit_finds_the_map_that_made_the_verdicts(scale, offset):
    stream = np.random.default_rng(2)
    scores = stream.random(40_000)
    true = ScoreMap(scale=scale, offset=offset)
    honest = np.array([true(score) for score in scores])
    assert honest == pytest.approx(1 / (1 + np.exp(-scale * np.log(scores / (1 - scores)) - offset)))
    correct = stream.random(40_000) < honest
    found = fit_score_map(scores, correct)
    assert (found.scale, found.offset) == (pytest.approx(scale, rel=0.06), pytest.approx(offset, abs=0.06))
    mapped = np.array([found(score) for score in scores])
    assert compute_calibration(mapped, correct).error < 0.01


def test_a_score_map_keeps_order_and_ends_and_leaves_scores_alone_by_default():
    grid = np.linspace(0, 1, 101)
    assert [ScoreMap()(score) for score in grid] == grid.tolist()
    mapped = [ScoreMap(scale=3.0, offset=-1.0)(score) for score in grid]
    assert (mapped[0], mapped[-1]) == (0.0, 1.0)
    assert (np.diff(mapped) > 0).all()
    # Scores of 0 and 1 have no finite log odds, and yet they can be fitted.
    found = fit_score_map(np.array([0.0, 1.0, 1.0, 0.0, 0.5]), np.array([False, True, False, True, True]))
    assert 0 < found.scale < 0.2


def test_scores_that_a_border_tells_apart_do_not_become_a_step():
    scores = np.array([0.62, *np.linspace(0.7, 0.99, 59)])
    found = fit_score_map(scores, scores > 0.65)
    assert found.scale < 5
    assert found(0.62) > 0.5


def test_what_cannot_be_fitted_is_refused_in_words():
    for correct in ([True, True], [False, False]):
        with pytest.raises(InputError) as caught:
            fit_score_map(np.array([0.1, 0.2]), np.array(correct))
        assert str(caught.value) == (
            f"scores: {sum(correct)} right of 2; expected right and wrong ones, so use more scenes"
        )
    for values in ({"scale": 0.0}, {"scale": -1.0}, {"offset": float("inf")}, {"scale": float("nan")}):
        with pytest.raises(ConfigError, match="expected a finite scale above 0 and offset"):
            ScoreMap(**values)
