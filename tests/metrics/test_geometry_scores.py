"""Figures of shapes against slow oracles, against what is known in closed form, and at their ends."""

import numpy as np
import pytest
import trimesh
from tests.oracles import geometry_scores as oracle

from trilingua.core.errors import ConfigError, InputError
from trilingua.metrics.geometry import compute_iou, cross_scale_iou, near_surface_accuracy, score_surface


def random_surface(seed, number):
    generator = np.random.default_rng(seed)
    normals = generator.normal(size=(number, 3))
    return generator.normal(size=(number, 3)), normals / np.linalg.norm(normals, axis=-1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_figures_of_surfaces_equal_the_oracles(seed):
    (first, first_normals), (second, second_normals) = random_surface(seed, 40), random_surface(seed + 100, 25)
    scores = score_surface(
        first, second, predicted_normals=first_normals, truth_normals=second_normals, thresholds=(0.5, 1.0)
    )
    for threshold in (0.5, 1.0):
        expected = oracle.surface(first, second, first_normals, second_normals, threshold)
        expected[f"f_score_{threshold:g}"] = expected.pop("f_score")
        for name, value in expected.items():
            assert scores[name] == pytest.approx(value, rel=1e-12), name


def test_balls_within_each_other_are_as_far_as_their_radii():
    inner, outer = (trimesh.creation.icosphere(subdivisions=4, radius=radius) for radius in (0.5, 0.6))
    first, faces = inner.sample(20000, return_index=True, seed=0)
    second, others = outer.sample(20000, return_index=True, seed=1)
    scores = score_surface(
        first,
        second,
        predicted_normals=inner.face_normals[faces],
        truth_normals=-outer.face_normals[others],
        thresholds=(0.09, 0.12),
    )
    assert scores["chamfer_l1"] == pytest.approx(0.1, rel=0.02)
    assert scores["chamfer_l2"] == pytest.approx(0.02, rel=0.02)
    assert scores["f_score_0.09"] == 0
    assert scores["f_score_0.12"] == 1
    assert scores["normal_consistency"] > 0.99


def test_equal_surfaces_have_the_best_figures_whatever_their_order():
    points, normals = random_surface(0, 30)
    order = np.random.default_rng(1).permutation(30)
    scores = score_surface(points, points[order], predicted_normals=normals, truth_normals=-normals[order])
    assert scores == {
        "chamfer_l1": 0.0,
        "chamfer_l2": 0.0,
        "f_score_0.01": 1.0,
        "f_score_0.02": 1.0,
        "normal_consistency": pytest.approx(1.0),
    }


def test_figures_are_symmetric_and_thresholds_are_not_reached_by_equality():
    first, second = np.zeros((1, 3)), np.array([[0.25, 0.0, 0.0], [0.0, 3.0, 4.0]])
    forth, back = (
        score_surface(first, second, thresholds=(0.25, 0.26)),
        score_surface(second, first, thresholds=(0.25, 0.26)),
    )
    assert forth == back
    assert forth["chamfer_l1"] == (0.25 + (0.25 + 5) / 2) / 2
    assert forth["chamfer_l2"] == 0.0625 + (0.0625 + 25) / 2
    assert forth["f_score_0.25"] == 0
    assert forth["f_score_0.26"] == pytest.approx(2 / 3)
    assert "normal_consistency" not in forth


@pytest.mark.parametrize("seed", range(5))
def test_iou_and_accuracy_equal_the_oracles(seed):
    generator = np.random.default_rng(seed)
    predicted, truth = generator.random((2, 6, 7)) < 0.4
    distances = generator.normal(size=(6, 7)) * 0.1
    flat = [part.ravel().tolist() for part in (predicted, truth, distances)]
    assert compute_iou(predicted, truth) == pytest.approx(oracle.iou(*flat[:2]))
    assert near_surface_accuracy(predicted, truth, distances) == pytest.approx(oracle.near_accuracy(*flat, 0.05))
    assert near_surface_accuracy(predicted, truth, distances, near=0.2) == pytest.approx(
        oracle.near_accuracy(*flat, 0.2)
    )


def test_empty_shapes_agree_and_no_near_point_is_no_figure():
    nothing, something = np.zeros(4, bool), np.array([True, False, False, False])
    assert compute_iou(nothing, nothing) == 1
    assert compute_iou(something, nothing) == compute_iou(nothing, something) == 0
    assert near_surface_accuracy(something, nothing, np.ones(4)) is None
    assert near_surface_accuracy(something, nothing, np.full(4, -0.05)) == 0.75


def test_cross_scale_iou_is_the_mean_over_prefixes():
    truth = np.array([True, True, True, True, False])
    prefixes = [np.array([True, False, False, False, True]), np.array([True, True, False, False, False]), truth]
    scores = cross_scale_iou(prefixes, truth)
    assert scores["iou_at"] == [0.2, 0.5, 1.0]
    assert scores["cross_scale_iou"] == pytest.approx(1.7 / 3)
    assert scores["iou"] == 1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: score_surface(np.zeros((0, 3)), np.zeros((2, 3))),
            InputError,
            "predicted points: there are none; expected at least one",
        ),
        (
            lambda: score_surface(np.zeros((2, 3)), np.array([[0, 0, 0], [0, np.nan, 1.0]])),
            InputError,
            "true points: 1 of 2 are not finite; expected numbers",
        ),
        (
            lambda: score_surface(np.zeros((2, 3)), np.zeros((2, 3)), thresholds=(0.01, 0.0)),
            ConfigError,
            "thresholds: 0.0 is not allowed; expected distances above 0",
        ),
        (
            lambda: cross_scale_iou([], np.zeros(3, bool)),
            InputError,
            "prefixes: there are none; expected the occupancies of at least one scale",
        ),
    ],
)
def test_what_cannot_be_scored_is_told(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
