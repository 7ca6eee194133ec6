"""Which predicted object is which true one, and how much of a scene was found (Jaccard index).

Knows one scene at a time; averages over thresholds and scenes are `metrics.scene_match`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from trilingua.core.errors import ConfigError
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR, Schema

Method = Literal["first", "optimal"]
"""`first`: each predicted object takes the first acceptable true one left. `optimal`: most pairs, then nearest."""


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Pairs of predicted and true objects; each object is in at most one pair."""

    pairs: tuple[tuple[int, int], ...]
    """(index of the predicted object, index of the true object), ascending."""
    num_predicted: int
    num_truth: int

    @property
    def jaccard(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]; 1 if there is no object in either scene.

        Differs: the published script scores two empty scenes as -1, so that finding nothing where nothing is
        would count for less than a wrong answer.
        """
        union = self.num_predicted + self.num_truth - len(self.pairs)
        return len(self.pairs) / union if union else 1.0


def match_objects(
    predicted: Sequence[SceneObject],
    truth: Sequence[SceneObject],
    threshold: float,
    *,
    method: Method = "first",
    schema: Schema = CLEVR,
    categories: Sequence[str] | None = None,
) -> Matching:
    """Pair predicted objects with true ones.

    A pair is acceptable iff the categories are equal and the centres are less than `threshold` apart on the
    ground (x and y; height is ignored).

    Args:
        predicted: objects in the order in which they were predicted; `first` depends on it.
        truth: objects of the true scene.
        threshold: in metres, above 0; a pair exactly this far apart is not acceptable.
        method: `first` pairs each predicted object, in order, with the first acceptable true object that is
            still free, as published; `optimal` makes as many pairs as can be made and, among these, those of
            least total distance.
        schema: says which attributes are categories.
        categories: names of the attributes that must be equal, instead of all the schema's; `()` compares
            places alone.

    Raises:
        ConfigError: an unknown method or category, or a threshold that is not above 0.

    Source: Kyvo, appendix C.1, Algorithm 1.
    """
    if not threshold > 0:
        raise ConfigError(f"threshold: {threshold} is not allowed; give a number of metres above 0")
    if method not in get_args(Method):
        raise ConfigError(f"method: {method!r} is unknown; allowed are {', '.join(get_args(Method))}")
    names = [category.name for category in schema.categories] if categories is None else list(categories)
    for name in names:
        schema.values(name)
    distances = {
        (i, j): distance
        for i, guess in enumerate(predicted)
        for j, true in enumerate(truth)
        if all(getattr(guess, name) == getattr(true, name) for name in names)
        and (distance := ground_distance(guess, true)) < threshold
    }
    pairs = _first(distances) if method == "first" else _optimal(distances, threshold)
    return Matching(pairs=pairs, num_predicted=len(predicted), num_truth=len(truth))


def jaccard_index(
    predicted: Scene, truth: Scene, threshold: float, method: Method = "first", *, schema: Schema = CLEVR
) -> float:
    """Return the share of objects found: TP / (TP + FP + FN) of one scene, in [0, 1].

    Differs: 1 when both scenes are empty, where the published script gives -1.

    Args:
        predicted: what a model found.
        truth: what is there.
        threshold: greatest distance on the ground, in metres, exclusive.
        method: see `match_objects`.
        schema: says which attributes must be equal.

    Source: Kyvo, appendix C.1, Algorithm 1.
    """
    return match_objects(predicted.objects, truth.objects, threshold, method=method, schema=schema).jaccard


def ground_distance(first: SceneObject, second: SceneObject) -> float:
    """Return the distance between two centres in x and y, in metres."""
    # numpy's norm, not math.hypot: its last bit decides ties at the threshold as the published script does.
    return float(np.linalg.norm(np.array(first.location[:2]) - np.array(second.location[:2])))


def _first(distances: dict[tuple[int, int], float]) -> tuple[tuple[int, int], ...]:
    truth_of: dict[int, int] = {}
    taken: set[int] = set()
    for i, j in distances:
        if i not in truth_of and j not in taken:
            truth_of[i] = j
            taken.add(j)
    return tuple(truth_of.items())


def _optimal(distances: dict[tuple[int, int], float], threshold: float) -> tuple[tuple[int, int], ...]:
    if not distances:
        return ()
    num_predicted, num_truth = (1 + max(pair[axis] for pair in distances) for axis in (0, 1))
    # A pair earns more than all distances together can cost, so that no nearer set of fewer pairs wins.
    reward = 1.0 + threshold * min(num_predicted, num_truth)
    cost = np.zeros((num_predicted, num_truth))
    for pair, distance in distances.items():
        cost[pair] = distance - reward
    rows, columns = linear_sum_assignment(cost)
    return tuple(pair for pair in zip(rows.tolist(), columns.tolist(), strict=True) if pair in distances)
