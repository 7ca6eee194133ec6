"""Whether a score of 0.8 is right eight times in ten, and how to make it so.

Knows scores and verdicts; scenes only to collect them.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.special import expit, logit

from trilingua.core.errors import ConfigError, InputError
from trilingua.scenes.matching import Method, match_objects
from trilingua.scenes.scene import Scene
from trilingua.scenes.schema import CLEVR, Schema

Binning = Literal["width", "mass"]
"""`width`: bins of equal width over [0, 1]. `mass`: bins of equally many scores, as nearly as can be."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The scores that fall between `low` and `high`."""

    low: float
    high: float
    count: int
    score: float
    """Mean score in the bin."""
    accuracy: float
    """Share that is right in the bin."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Expected calibration error and the bins that it is made of; empty bins are left out."""

    error: float
    """Mean over scores of |accuracy - score| of their bin, in [0, 1]; 0 is perfect."""
    binning: Binning
    num_bins: int
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON value."""
        return {**asdict(self), "bins": [asdict(item) for item in self.bins]}


@dataclass(frozen=True, kw_only=True)
class ScoreMap:
    """From a model's own score to how often such a score is right: its log odds, stretched and shifted.

    It keeps the order of scores. Source: Platt 1999; Guo et al. 2017, section 4.
    """

    scale: float = 1.0
    """Above 1 where the model is too modest, between 0 and 1 where it boasts."""
    offset: float = 0.0
    """Added to the stretched log odds."""

    def __post_init__(self) -> None:
        if not (0 < self.scale < math.inf and math.isfinite(self.offset)):
            raise ConfigError(
                f"score map: scale {self.scale}, offset {self.offset}; expected a finite scale above 0 and offset"
            )

    def __call__(self, score: float) -> float:
        """Return the probability in [0, 1] that a score in [0, 1] stands for."""
        if self == ScoreMap():
            return score
        return float(expit(self.scale * logit(score) + self.offset))


_LEAST_ODDS = 1e-6
"""Scores nearer to 0 or 1 are fitted as if they were so near: log odds have no end."""


def fit_score_map(scores: Float[np.ndarray, "object"], correct: Bool[np.ndarray, "object"]) -> ScoreMap:
    """Return the map under which verdicts are likeliest, one right and one wrong more than there are.

    Without these, scores that a border tells apart without an error would become a step (Platt 1999, section 2.2).

    Args:
        scores: a model's own, in [0, 1], on scenes that it was not trained on.
        correct: whether each was right.

    Raises:
        InputError: there are no right or no wrong ones to tell apart.

    Differs from Platt in that the scale may not fall to 0 or below: the order of scores stays.
    """
    if not (correct.any() and not correct.all()):
        raise InputError(
            f"scores: {correct.sum()} right of {len(correct)}; expected right and wrong ones, so use more scenes"
        )
    num_right, num_wrong = correct.sum(), (~correct).sum()
    wanted = np.where(correct, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))
    odds = logit(scores.clip(_LEAST_ODDS, 1 - _LEAST_ODDS))

    def loss(parameters: Float[np.ndarray, "2"]) -> float:
        mapped = np.exp(parameters[0]) * odds + parameters[1]
        return float((np.logaddexp(0, mapped) - wanted * mapped).mean())

    found = minimize(loss, np.zeros(2)).x
    return ScoreMap(scale=float(np.exp(found[0])), offset=float(found[1]))


def compute_calibration(
    scores: Float[np.ndarray, "object"],
    correct: Bool[np.ndarray, "object"],
    *,
    num_bins: int = 10,
    binning: Binning = "width",
) -> Calibration:
    """Return the expected calibration error: sum over bins of `count / total * |accuracy - mean score|`.

    Args:
        scores: probabilities, in [0, 1].
        correct: whether each was right.
        num_bins: at least 1.
        binning: how bins are cut. A score on the border of two bins of equal width falls into the upper one,
            and 1 into the last.

    Raises:
        InputError: no scores, not as many verdicts, or a score outside [0, 1].
        ConfigError: no bins or an unknown binning.

    Source: Guo et al., On Calibration of Modern Neural Networks, section 2 (bins of equal width).
    """
    if num_bins < 1:
        raise ConfigError(f"num_bins: {num_bins} is not allowed; give at least 1")
    if binning not in get_args(Binning):
        raise ConfigError(f"binning: {binning!r} is unknown; allowed are {', '.join(get_args(Binning))}")
    if len(scores) != len(correct) or not len(scores):
        raise InputError(
            f"scores: {len(scores)} scores and {len(correct)} verdicts; expected as many of each, at least one"
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InputError(f"scores: from {scores.min():g} to {scores.max():g}; allowed is 0 to 1")
    order = np.argsort(scores, kind="stable")
    if binning == "width":
        edges = np.linspace(0, 1, num_bins + 1)
        groups = [
            order[np.clip(np.searchsorted(edges, scores[order], side="right") - 1, 0, num_bins - 1) == index]
            for index in range(num_bins)
        ]
        limits = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    else:
        groups = np.array_split(order, num_bins)
        limits = [(float(scores[group[0]]), float(scores[group[-1]])) if len(group) else (0.0, 0.0) for group in groups]
    bins = tuple(
        Bin(
            low=low,
            high=high,
            count=len(group),
            score=float(scores[group].mean()),
            accuracy=float(correct[group].mean()),
        )
        for group, (low, high) in zip(groups, limits, strict=True)
        if len(group)
    )
    error = sum(item.count * abs(item.accuracy - item.score) for item in bins) / len(scores)
    return Calibration(error=error, binning=binning, num_bins=num_bins, bins=bins)


def collect_scores(
    predicted: Sequence[Scene],
    truth: Sequence[Scene],
    *,
    threshold: float = 0.25,
    method: Method = "first",
    schema: Schema = CLEVR,
) -> tuple[Float[np.ndarray, "object"], Bool[np.ndarray, "object"]]:
    """Return the score of each predicted object that has one, and whether the object was matched.

    Args:
        predicted: scenes whose objects carry scores; objects without are left out, after matching.
        truth: the true scenes, in the same order.
        threshold: greatest distance on the ground, in metres, exclusive.
        method: how objects are paired, see `scenes.matching.match_objects`.
        schema: says which attributes must be equal.

    Raises:
        InputError: not as many predicted as true scenes.
    """
    if len(predicted) != len(truth):
        raise InputError(f"scenes: {len(predicted)} predicted and {len(truth)} true ones; expected as many of each")
    scores: list[float] = []
    correct: list[bool] = []
    for guess, true in zip(predicted, truth, strict=True):
        pairs = match_objects(guess.objects, true.objects, threshold, method=method, schema=schema).pairs
        matched = {i for i, _ in pairs}
        for index, item in enumerate(guess.objects):
            if item.score is not None:
                scores.append(item.score)
                correct.append(index in matched)
    return np.array(scores, dtype=np.float64), np.array(correct, dtype=np.bool_)
