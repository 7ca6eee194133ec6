"""Descriptions of objects by attributes: which objects one fits, and the shortest that fit one object alone.

A description is a mapping from some of the four attributes to values. This module knows no words and
no geometry.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from trilingua.scenes.functions import ATTRIBUTES
from trilingua.scenes.scene import SceneObject

Description = Mapping[str, str]

_SUBSETS = tuple(subset for count in range(len(ATTRIBUTES) + 1) for subset in itertools.combinations(ATTRIBUTES, count))


def fits(item: SceneObject, description: Description) -> bool:
    """Return whether the object has every value that the description names."""
    return all(getattr(item, name) == value for name, value in description.items())


def fitting(objects: Sequence[SceneObject], description: Description, among: Iterable[int] | None = None) -> list[int]:
    """Return the indices of the objects that fit, in order; only those in `among` if it is given."""
    indices = range(len(objects)) if among is None else among
    return [index for index in indices if fits(objects[index], description)]


def all_descriptions(item: SceneObject) -> list[Description]:
    """Return the 16 descriptions that fit `item`, shortest first; the first names nothing."""
    return [{name: getattr(item, name) for name in subset} for subset in _SUBSETS]


def minimal_descriptions(
    objects: Sequence[SceneObject], index: int, among: Sequence[int] | None = None
) -> list[Description]:
    """Return every minimal description that fits object `index` and no other object.

    Minimal: leaving out any attribute would make another object fit. Empty when another object has the
    same four attributes. The description without attributes ("the object") is returned only when no
    other object is there.

    Args:
        objects: the scene's objects.
        index: the object to describe.
        among: the only objects that could be confused with it, `index` included; all by default.
    """
    minimal: list[Description] = []
    for description in all_descriptions(objects[index]):
        if any(kept.items() <= description.items() for kept in minimal):
            continue
        if fitting(objects, description, among) == [index]:
            minimal.append(description)
    return minimal
