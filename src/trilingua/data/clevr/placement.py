"""Where CLEVR's objects may stand: sampling a scene by its rules, and checking one against them.

A scene is drawn from a generator alone, so equal generators give equal scenes with any renderer that
counts visible pixels alike. This module knows no files.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from trilingua.core.errors import ConfigError
from trilingua.data.clevr.views import with_view
from trilingua.data.renderers.protocol import View
from trilingua.data.renderers.views import camera_for_view, reference_directions, sample_view
from trilingua.scenes.palette import HALF_SIZES
from trilingua.scenes.relations import compute_relationships
from trilingua.scenes.scene import Scene, SceneObject, Vector
from trilingua.scenes.schema import CLEVR

RANGE = 3.0
"""x and y of a centre lie in [-RANGE, RANGE], in metres."""
MIN_DISTANCE = 0.25
"""Least gap in metres between two objects' circles on the ground."""
MIN_MARGIN = 0.4
"""Least distance in metres between two centres along each of left, right, front and behind."""
MIN_VISIBLE_PIXELS = 200
"""Least number of pixels that show an object in a picture of 320 x 240."""
MAX_TRIES = 50
"""How many places are tried for one object before the scene is started over."""

_MAX_STARTS = 20_000
_HORIZONTAL = ("left", "front")  # right and behind are their opposites


@runtime_checkable
class VisibilityCounter(Protocol):
    """The part of a renderer that placement needs."""

    def count_visible_pixels(self, scene: Scene, view: View, *, width: int = 320, height: int = 240) -> list[int]:
        """Return for each object how many pixels' centres show it."""
        ...


def placement_problem(objects: Sequence[SceneObject], directions: Mapping[str, Vector]) -> str | None:
    """Return why CLEVR's rules forbid these objects side by side, or None if they allow them.

    Checks, in this order: each centre's range; then, pair by pair, the gap between the circles that the
    objects' sizes span and the margin along the four directions. A margin of exactly 0 is allowed.

    Source: CLEVR generator, `add_random_objects`.
    """
    for index, item in enumerate(objects):
        x, y, _ = item.location
        if not (abs(x) <= RANGE and abs(y) <= RANGE):
            return f"object {index} stands at ({x:.2f}, {y:.2f}); x and y must lie in [{-RANGE}, {RANGE}]"
    for (first, a), (second, b) in itertools.combinations(enumerate(objects), 2):
        dx, dy = b.location[0] - a.location[0], b.location[1] - a.location[1]
        gap = math.sqrt(dx * dx + dy * dy) - HALF_SIZES[b.size] - HALF_SIZES[a.size]
        if gap < MIN_DISTANCE:
            return f"objects {first} and {second} are {gap:.2f} m apart; at least {MIN_DISTANCE} m is needed"
        for name in _HORIZONTAL:
            margin = abs(dx * directions[name][0] + dy * directions[name][1])
            if 0 < margin < MIN_MARGIN:
                return (
                    f"objects {first} and {second} are {margin:.2f} m apart along {name}; "
                    f"at least {MIN_MARGIN} m is needed"
                )
    return None


def visible_enough(
    renderer: VisibilityCounter, scene: Scene, view: View, *, min_pixels: int = MIN_VISIBLE_PIXELS
) -> bool:
    """Return whether every object of `scene` shows at least `min_pixels` pixels in a picture of 320 x 240."""
    return min(renderer.count_visible_pixels(scene, view), default=min_pixels) >= min_pixels


def complete_scene(objects: Sequence[SceneObject], view: View) -> Scene:
    """Return the scene of `objects` with all that follows from the view.

    The directions, the relationships, each object's pixel coordinates at 320 x 240 (column and row rounded to
    whole numbers, as CLEVR writes them, and depth) and the view itself are recorded anew; the file's name, index
    and split are not. The directions are those of the camera without jitter, as in the published scenes.
    """
    directions = reference_directions()
    camera = camera_for_view(view)
    located = []
    for item in objects:
        column, row, depth = (float(value) for value in camera.project(np.array(item.location)))
        located.append(dataclasses.replace(item, pixel_coords=(float(round(column)), float(round(row)), depth)))
    relationships = compute_relationships(located, directions)
    return with_view(Scene(objects=tuple(located), directions=directions, relationships=relationships), view)


def sample_scene(
    generator: np.random.Generator,
    renderer: VisibilityCounter,
    *,
    min_objects: int = 3,
    max_objects: int = 10,
) -> tuple[Scene, View]:
    """Draw a view and a scene that obeys CLEVR's rules.

    The number of objects is uniform in [min_objects, max_objects]; places are uniform in the square, sizes,
    shapes, colours and materials uniform, rotations uniform in [0, 360) degrees. An object that finds no
    place in `MAX_TRIES` tries, or that shows fewer than `MIN_VISIBLE_PIXELS` pixels, starts the scene over
    with the same number of objects and the same view.

    Raises:
        ConfigError: a count is below 1, above the schema's maximum, or the two contradict each other.

    Source: CLEVR generator, `render_scene` and `add_random_objects`.
    """
    check_object_counts(min_objects, max_objects)
    num_objects = int(generator.integers(min_objects, max_objects + 1))
    view = sample_view(generator)
    directions = reference_directions()
    for _ in range(_MAX_STARTS):
        objects = _place_objects(generator, num_objects, directions)
        if objects is None:
            continue
        if visible_enough(renderer, Scene(objects=tuple(objects), directions=directions), view):
            return complete_scene(objects, view), view
    raise ConfigError(f"no scene of {num_objects} visible objects in {_MAX_STARTS} starts; ask for fewer objects")


def check_object_counts(min_objects: int, max_objects: int) -> None:
    """Raise `ConfigError` unless 1 <= min_objects <= max_objects <= the schema's maximum."""
    if min_objects < 1 or max_objects > CLEVR.max_objects:
        raise ConfigError(
            f"objects per scene: {min_objects} to {max_objects} is not allowed; "
            f"give counts from 1 to {CLEVR.max_objects}"
        )
    if min_objects > max_objects:
        raise ConfigError(f"min_objects: {min_objects} is more than max_objects {max_objects}; swap or change them")


def _place_objects(
    generator: np.random.Generator, num_objects: int, directions: Mapping[str, Vector]
) -> list[SceneObject] | None:
    axes = [directions[name] for name in _HORIZONTAL]
    objects: list[SceneObject] = []
    centres = np.zeros((0, 2))
    radii = np.zeros(0)
    for _ in range(num_objects):
        size = _choose(generator, "size")
        # All tries are drawn at once: the stream then does not depend on which of them fits.
        tries = generator.uniform(-RANGE, RANGE, size=(MAX_TRIES, 2))
        fits = _fits(tries, HALF_SIZES[size], centres, radii, axes)
        if not fits.any():
            return None
        x, y = (float(item) for item in tries[int(fits.argmax())])
        objects.append(
            SceneObject(
                size=size,
                shape=_choose(generator, "shape"),
                color=_choose(generator, "color"),
                material=_choose(generator, "material"),
                rotation_degrees=float(generator.uniform(0.0, 360.0)),
                location=(x, y, HALF_SIZES[size]),
            )
        )
        centres = np.vstack([centres, (x, y)])
        radii = np.append(radii, HALF_SIZES[size])
    return objects


def _fits(
    tries: Float[np.ndarray, "batch 2"],
    radius: float,
    centres: Float[np.ndarray, "object 2"],
    radii: Float[np.ndarray, " object"],
    axes: Sequence[Vector],
) -> Bool[np.ndarray, " batch"]:
    # The same operations in the same order as in `placement_problem`, so that both agree to the last bit.
    dx = tries[:, None, 0] - centres[:, 0]
    dy = tries[:, None, 1] - centres[:, 1]
    too_near = np.sqrt(dx * dx + dy * dy) - radius - radii < MIN_DISTANCE
    for axis in axes:
        margin = np.abs(dx * axis[0] + dy * axis[1])
        too_near |= (margin > 0) & (margin < MIN_MARGIN)
    return ~too_near.any(-1)


def _choose(generator: np.random.Generator, category: str) -> str:
    values = CLEVR.values(category)
    return values[int(generator.integers(len(values)))]
