"""Where the objects of a recognized scene stand, as finely as sighting knows.

A language model says which objects there are and about where each stands, in numbers of a grid that it has to write.
The cells that show an object know better where, and there are several of them.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from trilingua.scenes.scene import Scene, SceneObject
from trilingua.tokenizers.numbers import NumberGrid

_SAME_WITHIN = 0.2
"""Metres from where an object is said to stand within which a cell means this object; CLEVR's are .95 m apart."""


def stand_as_sighted(scene: Scene, places: Float[np.ndarray, "known 2"], numbers: NumberGrid) -> Scene:
    """Return the scene with each object at the mean of the places near it; where there are none, it stays.

    Args:
        scene: what was recognized.
        places: where cells say that their objects stand, x and y in metres.
        numbers: what a place may be; what lies outside is brought to its end, so that the scene can be written again.
    """
    inside = places.clip(numbers.low, numbers.high)
    return scene.replace(objects=tuple(_moved(item, inside) for item in scene.objects))


def _moved(item: SceneObject, places: Float[np.ndarray, "known 2"]) -> SceneObject:
    near = np.linalg.norm(places - item.location[:2], axis=1) < _SAME_WITHIN
    if not near.any():
        return item
    x, y = places[near].mean(axis=0, dtype=np.float64)
    return dataclasses.replace(item, location=(round(float(x), 3), round(float(y), 3), item.location[2]))
