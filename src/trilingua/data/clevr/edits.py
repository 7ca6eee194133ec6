"""The five edits of a CLEVR scene as pure functions: what an instruction means in metres.

Conventions, the same for every edit:

- Directions are the scene's own unit vectors, as they lie on the ground; left and right, front and
  behind are the camera's. Two directions together mean the unit vector of their sum for an insertion
  and one step along each for a move.
- New x and y are rounded to the grid of 0.05 m; z is the object's radius (0.35 small, 0.70 large).
- The other objects keep their values and their order; an inserted object is the last one, is turned
  by 0 degrees and, like every changed object, has no `pixel_coords` and no `score`.
- The target keeps `directions` and gets new relationships. It has no file name and no index: these
  belong to whoever draws it.
- An edit whose result breaks a placement rule between the changed object and any other one gives
  None. This module knows no words and no randomness.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from trilingua.data.clevr.placement import placement_problem
from trilingua.scenes.palette import HALF_SIZES
from trilingua.scenes.relations import compute_relationships
from trilingua.scenes.scene import Scene, SceneObject, Vector

GRID = 0.05
"""New coordinates are multiples of this, in metres; also the granularity of the number tokens."""

GAPS = {"near": 0.3, "default": 0.6, "far": 1.5}
"""Metres of ground between the outlines of the reference object and an object inserted beside it."""

STEP = 1.0
"""Metres of one move along each direction that it names."""


def change_attributes(scene: Scene, index: int, values: dict[str, str]) -> Scene | None:
    """Return the scene with object `index` given new attribute values; x, y and the turn stay."""
    item = scene.objects[index]
    size = values.get("size", item.size)
    return _with_object(scene, index, item, **values, location=(item.location[0], item.location[1], HALF_SIZES[size]))


def insert_beside(
    scene: Scene, values: dict[str, str], reference: int, directions: Sequence[str], distance: str = "default"
) -> Scene | None:
    """Return the scene with a new object beside object `reference`.

    Its centre lies along the direction, at both radii plus the gap of `distance` from the reference's
    centre, whatever else is there. In a single direction it stands in line with the reference, which
    the margin rule would forbid for this pair; the pair's relations are still clear, since the two
    differ across the direction by at most half a grid step, far below the 0.2 m at which a relation
    starts. The gap keeps the pair apart by itself.

    Args:
        scene: the source.
        values: the four attributes of the new object.
        reference: index of the reference object.
        directions: one direction, or one of left/right with one of front/behind.
        distance: a key of `GAPS`.
    """
    other = scene.objects[reference]
    length = HALF_SIZES[values["size"]] + HALF_SIZES[other.size] + GAPS[distance]
    x, y = _ground_sum(scene, directions)
    norm = math.hypot(x, y)
    place = (other.location[0] + length * x / norm, other.location[1] + length * y / norm)
    return _with_new_object(scene, values, place, exempt=reference if len(directions) == 1 else None)


def insert_between(scene: Scene, values: dict[str, str], first: int, second: int) -> Scene | None:
    """Return the scene with a new object in the middle between two objects' centres."""
    (x, y, _), (other_x, other_y, _) = scene.objects[first].location, scene.objects[second].location
    return _with_new_object(scene, values, ((x + other_x) / 2, (y + other_y) / 2), exempt=None)


def remove_object(scene: Scene, index: int) -> Scene | None:
    """Return the scene without object `index`; None if it is the only one."""
    objects = scene.objects[:index] + scene.objects[index + 1 :]
    return _target(scene, objects) if objects else None


def move_object(scene: Scene, index: int, directions: Sequence[str]) -> Scene | None:
    """Return the scene with object `index` moved by `STEP` along each of one or two directions; its turn stays."""
    item = scene.objects[index]
    x, y = _ground_sum(scene, directions)
    place = (item.location[0] + STEP * x, item.location[1] + STEP * y)
    return _with_object(scene, index, item, location=_on_ground(place, item.size))


def _with_object(scene: Scene, index: int, item: SceneObject, **changes: Any) -> Scene | None:
    changed = dataclasses.replace(item, **changes, pixel_coords=None, score=None)
    others = scene.objects[:index] + scene.objects[index + 1 :]
    if not _placeable(changed, others, scene):
        return None
    return _target(scene, (*scene.objects[:index], changed, *scene.objects[index + 1 :]))


def _with_new_object(
    scene: Scene, values: dict[str, str], place: tuple[float, float], *, exempt: int | None
) -> Scene | None:
    new = SceneObject(
        size=values["size"],
        color=values["color"],
        material=values["material"],
        shape=values["shape"],
        location=_on_ground(place, values["size"]),
        rotation_degrees=0.0,
    )
    others = [other for index, other in enumerate(scene.objects) if index != exempt]
    return _target(scene, (*scene.objects, new)) if _placeable(new, others, scene) else None


def _placeable(changed: SceneObject, others: Sequence[SceneObject], scene: Scene) -> bool:
    """Return whether `changed` keeps every placement rule; pairs of other objects are not looked at."""
    if placement_problem((changed,), scene.directions) is not None:
        return False
    return all(placement_problem((changed, other), scene.directions) is None for other in others)


def _target(scene: Scene, objects: tuple[SceneObject, ...]) -> Scene:
    relationships = compute_relationships(objects, scene.directions)
    return scene.replace(objects=objects, relationships=relationships, image_filename=None, image_index=None)


def _on_ground(place: tuple[float, float], size: str) -> Vector:
    x, y = (round(round(value / GRID) * GRID, 2) + 0.0 for value in place)  # + 0.0 turns -0.0 into 0.0
    return x, y, HALF_SIZES[size]


def _ground_sum(scene: Scene, directions: Sequence[str]) -> tuple[float, float]:
    vectors = [scene.directions[name] for name in directions]
    return sum(vector[0] for vector in vectors), sum(vector[1] for vector in vectors)
