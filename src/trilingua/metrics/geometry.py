"""How close a predicted shape is to the true one: by points on both surfaces, and by what lies inside.

Takes points, normals and occupancies; who made them, and from which mesh or field, is not known here. Distances are in
the units of the points; the published thresholds are for objects that fill the cube from -1 to 1.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from trilingua.core.errors import ConfigError, InputError

THRESHOLDS = (0.01, 0.02)
"""Distances within which a point counts as found, for the F-score. Source: VAT (0.01)."""

NEAR = 0.05
"""Distance from the surface within which a point is near it. Source: VAT, section 4.1."""


def score_distances(
    to_truth: Float[np.ndarray, " point"],
    to_predicted: Float[np.ndarray, " true_point"],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, float]:
    """Return how well two surfaces agree, of whose evenly drawn points the distances to the other are known.

    Returns:
        - `chamfer_l1`: (mean over predicted + mean over true points) / 2;
        - `chamfer_l2`: mean of squares over predicted + that over true points, a sum and not halved;
        - `f_score_0.01`, `f_score_0.02` ...: 2 P R / (P + R), where P is the share of predicted and R that of true
          points below the threshold; 0 where both are 0.

    Args:
        to_truth: distance of each point of the predicted surface to the true one.
        to_predicted: distance of each point of the true surface to the predicted one.
        thresholds: above 0.

    Raises:
        ConfigError: a threshold that is not above 0.

    Source: Mescheder et al. 2019, section 4 (Chamfer-L1); Fan et al. 2017 (Chamfer-L2); Knapitsch et al. 2017
    (F-score).
    """
    for threshold in thresholds:
        if not threshold > 0:
            raise ConfigError(f"thresholds: {threshold} is not allowed; expected distances above 0")
    scores = {
        "chamfer_l1": float(to_truth.mean() + to_predicted.mean()) / 2,
        "chamfer_l2": float(np.square(to_truth).mean() + np.square(to_predicted).mean()),
    }
    for threshold in thresholds:
        precision, recall = float((to_truth < threshold).mean()), float((to_predicted < threshold).mean())
        both = precision + recall
        scores[f"f_score_{threshold:g}"] = 2 * precision * recall / both if both else 0.0
    return scores


def score_surface(
    predicted: Float[np.ndarray, "point 3"],
    truth: Float[np.ndarray, "true_point 3"],
    *,
    predicted_normals: Float[np.ndarray, "point 3"] | None = None,
    truth_normals: Float[np.ndarray, "true_point 3"] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, float]:
    """Return the figures of `score_distances` for points drawn evenly from two surfaces, and of their normals.

    A point's distance is that to the nearest point of the other set. So few points make good surfaces look bad: of
    two sets of 10,000 points of one surface of area 8, a fifth lies farther than 0.02 from the other.

    Returns:
        `score_distances`, and, if both normals are given, `normal_consistency`: mean of |cosine| between a point's
        normal and that of the point nearest to it, over both ways, from 0 to 1. Its sign is not looked at, as
        published.

    Args:
        predicted: points on the predicted surface.
        truth: points on the true surface.
        predicted_normals: of length 1.
        truth_normals: of length 1.
        thresholds: above 0.

    Raises:
        InputError: a set without points, or with one that is not finite.
        ConfigError: a threshold that is not above 0.

    Source: Mescheder et al. 2019, section 4 (normals).
    Differs: VAT aligns both sets by ICP before it takes the F-score; here they are compared as they lie.
    """
    for name, points in (("predicted", predicted), ("true", truth)):
        if not len(points):
            raise InputError(f"{name} points: there are none; expected at least one")
        bad = int((~np.isfinite(points)).any(axis=-1).sum())
        if bad:
            raise InputError(f"{name} points: {bad} of {len(points)} are not finite; expected numbers")
    to_truth, nearest_truth = cKDTree(truth).query(predicted)
    to_predicted, nearest_predicted = cKDTree(predicted).query(truth)
    scores = score_distances(to_truth, to_predicted, thresholds=thresholds)
    if predicted_normals is not None and truth_normals is not None:
        one_way = np.abs((predicted_normals * truth_normals[nearest_truth]).sum(-1)).mean()
        back = np.abs((truth_normals * predicted_normals[nearest_predicted]).sum(-1)).mean()
        scores["normal_consistency"] = float(one_way + back) / 2
    return scores


def compute_iou(predicted: Bool[np.ndarray, "*point"], truth: Bool[np.ndarray, "*point"]) -> float:
    """Return the points inside both shapes over those inside either, in [0, 1]; 1 where both are empty.

    The points should be drawn evenly from the box that holds both; near the surface, they weigh its neighbourhood.
    """
    either = int((predicted | truth).sum())
    return int((predicted & truth).sum()) / either if either else 1.0


def near_surface_accuracy(
    predicted: Bool[np.ndarray, "*point"],
    truth: Bool[np.ndarray, "*point"],
    distances: Float[np.ndarray, "*point"],
    *,
    near: float = NEAR,
) -> float | None:
    """Return the share of points near the true surface that are rightly called inside or outside; None without any.

    Args:
        predicted: which points are inside the predicted shape.
        truth: which are inside the true one.
        distances: of each point to the true surface; their signs do not matter.
        near: greatest distance that is near.
    """
    chosen = np.abs(distances) <= near
    return float((predicted == truth)[chosen].mean()) if chosen.any() else None


def cross_scale_iou(
    prefixes: Sequence[Bool[np.ndarray, "*point"]], truth: Bool[np.ndarray, "*point"]
) -> dict[str, Any]:
    """Return how much of the shape is there from the first scales on.

    Args:
        prefixes: which points are inside the shape that is decoded from the first scale, the first two, and so on.
        truth: which are inside the true one.

    Returns:
        `iou_at`: of each prefix, in order; `cross_scale_iou`: their mean; `iou`: the last, of all scales.

    Raises:
        InputError: no prefixes.

    Source: VAT, section 4.3.
    """
    if not prefixes:
        raise InputError("prefixes: there are none; expected the occupancies of at least one scale")
    iou_at = [compute_iou(prefix, truth) for prefix in prefixes]
    return {"iou_at": iou_at, "cross_scale_iou": math.fsum(iou_at) / len(iou_at), "iou": iou_at[-1]}
