"""Which objects lie left of, right of, in front of and behind which: geometry alone, no words and no pixels."""

from collections.abc import Mapping, Sequence

from trilingua.core.errors import ConfigError
from trilingua.scenes.scene import Scene, SceneObject, Vector

RELATIONS = ("left", "right", "front", "behind")
"""The directions of which CLEVR keeps relationships; `above` and `below` it leaves out."""

MARGIN = 0.2
"""How far an object must lie in a direction to count as being there, in metres. Source: CLEVR generator."""


def compute_relationships(
    objects: Sequence[SceneObject], directions: Mapping[str, Vector], margin: float = MARGIN
) -> dict[str, list[list[int]]]:
    """Return `relationships[d][i]`: the indices j, ascending, of the objects in direction d of object i.

    j is there iff `dot(location_j - location_i, d) > margin`. The result has those of `RELATIONS` that
    `directions` has, in the order of `directions`.

    Args:
        objects: the scene's objects, whose centres are in metres.
        directions: unit vectors in world axes.
        margin: in metres, at least 0; an object exactly this far away does not count.

    Raises:
        ConfigError: `margin` is negative or not a number, which would relate objects to themselves.

    Source: CLEVR generator, `compute_all_relationships`.
    """
    if not margin >= 0:
        raise ConfigError(f"margin: {margin} is not allowed; give a number of metres that is at least 0")
    return {
        name: [
            [
                index
                for index, item in enumerate(objects)
                if _distance_along(direction, reference.location, item.location) > margin
            ]
            for reference in objects
        ]
        for name, direction in directions.items()
        if name in RELATIONS
    }


def with_relationships(scene: Scene, margin: float = MARGIN) -> Scene:
    """Return `scene` with its relationships computed anew from its directions."""
    return scene.replace(relationships=compute_relationships(scene.objects, scene.directions, margin))


def _distance_along(direction: Vector, start: Vector, end: Vector) -> float:
    # Summed in CLEVR's order (0 + x + y + z), so that ties at the margin fall the same way.
    return sum((end[axis] - start[axis]) * direction[axis] for axis in range(3))
