"""How well predicted scenes agree with true ones, over many scenes. One scene's matching is `scenes.matching`.

Every figure is a plain float or None, ready for JSON.
"""

import math
from collections.abc import Sequence
from typing import Any

from trilingua.core.errors import ConfigError, InputError
from trilingua.scenes.matching import Method, match_objects
from trilingua.scenes.scene import Scene
from trilingua.scenes.schema import CLEVR, Schema

THRESHOLDS = (0.05, 0.10, 0.15, 0.20, 0.25)
"""Distances on the ground, in metres, over which the Jaccard index is averaged. Source: Kyvo, appendix C.1."""


def score_scenes(
    predicted: Sequence[Scene],
    truth: Sequence[Scene],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    method: Method = "first",
    schema: Schema = CLEVR,
) -> dict[str, Any]:
    """Score predicted scenes against true ones, the i-th against the i-th.

    Returns:
        - `jaccard`: mean over thresholds of the mean over scenes of TP / (TP + FP + FN), in [0, 1];
        - `jaccard_at`: the mean over scenes at each threshold, under keys such as `"0.05"`;
        - `precision`, `recall`: mean over thresholds of matched objects over all predicted or all true objects
          (None where there are none); `precision_at`, `recall_at` beneath them;
        - `count_accuracy`: share of scenes with the right number of objects;
        - `attribute_accuracy`: for each category, the share of right values among objects paired by place
          alone (optimally, at the loosest threshold), and `all` for all categories at once; None if no pair;
        - `location_error`: mean distance in three dimensions, in metres, of the pairs at the loosest threshold;
          None if there is no pair;
        - `num_scenes`, `num_predicted`, `num_truth`, `num_matched` (at the loosest threshold).

    Args:
        predicted: what a model found.
        truth: what is there, in the same order.
        thresholds: in metres, above 0, each a different one.
        method: how objects are paired, see `scenes.matching.match_objects`.
        schema: says which attributes must be equal.

    Raises:
        InputError: no scenes, or not as many predicted as true ones.
        ConfigError: no thresholds, or two that read the same.

    Source: Kyvo, section 4 and appendix C.1.
    Differs: two empty scenes score 1; see `scenes.matching.Matching.jaccard`.
    """
    if len(predicted) != len(truth) or not truth:
        raise InputError(
            f"scenes: {len(predicted)} predicted and {len(truth)} true ones; expected as many of each, at least one"
        )
    names = [f"{threshold:.2f}" if round(threshold, 2) == threshold else f"{threshold:g}" for threshold in thresholds]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"thresholds: {list(thresholds)} is not allowed; give at least one and each only once")
    num_predicted = sum(len(scene.objects) for scene in predicted)
    num_truth = sum(len(scene.objects) for scene in truth)
    jaccard_at, precision_at, recall_at = {}, {}, {}
    for name, threshold in zip(names, thresholds, strict=True):
        matchings = [
            match_objects(guess.objects, true.objects, threshold, method=method, schema=schema)
            for guess, true in zip(predicted, truth, strict=True)
        ]
        num_matched = sum(len(matching.pairs) for matching in matchings)
        jaccard_at[name] = math.fsum(matching.jaccard for matching in matchings) / len(matchings)
        precision_at[name] = _share(num_matched, num_predicted)
        recall_at[name] = _share(num_matched, num_truth)
    return {
        "jaccard": _mean(list(jaccard_at.values())),
        "jaccard_at": jaccard_at,
        "precision": _mean(list(precision_at.values())),
        "precision_at": precision_at,
        "recall": _mean(list(recall_at.values())),
        "recall_at": recall_at,
        "count_accuracy": sum(
            len(guess.objects) == len(true.objects) for guess, true in zip(predicted, truth, strict=True)
        )
        / len(truth),
        "attribute_accuracy": _attribute_accuracy(predicted, truth, max(thresholds), schema),
        **_location_error(predicted, truth, max(thresholds), method, schema),
        "num_scenes": len(truth),
        "num_predicted": num_predicted,
        "num_truth": num_truth,
    }


def _attribute_accuracy(
    predicted: Sequence[Scene], truth: Sequence[Scene], threshold: float, schema: Schema
) -> dict[str, float | None]:
    names = [category.name for category in schema.categories]
    num_right = dict.fromkeys([*names, "all"], 0)
    num_pairs = 0
    for guess, true in zip(predicted, truth, strict=True):
        by_place = match_objects(guess.objects, true.objects, threshold, method="optimal", schema=schema, categories=())
        for i, j in by_place.pairs:
            right = [getattr(guess.objects[i], name) == getattr(true.objects[j], name) for name in names]
            for name, is_right in zip([*names, "all"], [*right, all(right)], strict=True):
                num_right[name] += is_right
            num_pairs += 1
    return {name: _share(count, num_pairs) for name, count in num_right.items()}


def _location_error(
    predicted: Sequence[Scene], truth: Sequence[Scene], threshold: float, method: Method, schema: Schema
) -> dict[str, float | int | None]:
    distances = [
        math.dist(guess.objects[i].location, true.objects[j].location)
        for guess, true in zip(predicted, truth, strict=True)
        for i, j in match_objects(guess.objects, true.objects, threshold, method=method, schema=schema).pairs
    ]
    return {"location_error": _mean(distances) if distances else None, "num_matched": len(distances)}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
