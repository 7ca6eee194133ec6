"""What every renderer does: draw one CLEVR-like scene from one view, with the buffers that training needs.

A `View` holds everything about a picture that is not an object (camera, lights), so that scene and
view together give the same picture again.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int16, UInt8

from trilingua.scenes.scene import Scene, Vector


@dataclass(frozen=True, kw_only=True)
class View:
    """Camera and lights of one picture, in world metres. Source: CLEVR, `render_images.py`."""

    camera: Vector
    """Where the camera stands; it looks where the reference camera's tracking constraint makes it look."""
    key_light: Vector
    back_light: Vector
    fill_light: Vector


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """A picture and what the renderer knows about each of its pixels."""

    image: UInt8[np.ndarray, "height width 3"]
    object_index: Int16[np.ndarray, "height width"]
    """Index of the object that the pixel's centre shows, -1 for the ground."""
    depth: Float[np.ndarray, "height width"]
    """Distance from the camera along its axis, in metres."""


@runtime_checkable
class Renderer(Protocol):
    """Draws scenes; knows nothing of data sets on disk."""

    name: str

    def render(self, scene: Scene, view: View, *, width: int = 320, height: int = 240) -> Rendering:
        """Draw `scene` from `view`. Deterministic: equal arguments give equal pixels."""
        ...
