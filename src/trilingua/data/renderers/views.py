"""CLEVR's studio: the reference camera and lamps, and how each picture jitters them.

All numbers are those of the generator's base scene file. Nothing here draws.
Source: CLEVR generator, `base_scene.blend` and `render_images.py`.
"""

import numpy as np

from trilingua.data.renderers.protocol import View
from trilingua.geometry.cameras import Camera, directions_for_camera, look_at
from trilingua.scenes.scene import Vector

REFERENCE_VIEW = View(
    camera=(7.481131553649902, -6.5076398849487305, 5.34366512298584),
    key_light=(6.446710109710693, -2.905174732208252, 4.258398056030273),
    back_light=(-1.168501377105713, 2.646024465560913, 5.815736770629883),
    fill_light=(-4.671124458312988, -4.01359748840332, 3.0112245082855225),
)
"""Camera and lamps before jitter."""

CAMERA_JITTER = 0.5
"""Largest move of the camera along each axis, in metres."""

LIGHT_JITTER = 1.0
"""Largest move of a lamp along each axis, in metres."""

FOCAL_PER_WIDTH = 35.0 / 32.0
"""Focal length over the width of the sensor: a 35 mm lens on a sensor 32 mm wide."""


def camera_for_view(view: View, *, width: int = 320, height: int = 240) -> Camera:
    """Return the camera of `view`: it looks at the world's origin and keeps the horizon level.

    The lens spans the longer side of the picture, as the reference camera's does.
    """
    return look_at(view.camera, focal_length=FOCAL_PER_WIDTH * max(width, height), width=width, height=height)


def reference_directions() -> dict[str, Vector]:
    """Return the ground directions of the reference camera, which every published CLEVR scene carries.

    The generator moves the camera and reads its axes before they are brought up to date, so that the directions
    of all published scenes are those of the camera without jitter.
    """
    return directions_for_camera(camera_for_view(REFERENCE_VIEW))


def sample_view(generator: np.random.Generator) -> View:
    """Return a view whose camera and lamps are moved uniformly along each axis, as CLEVR moves them."""

    def jitter(place: Vector, size: float) -> Vector:
        x, y, z = np.asarray(place) + generator.uniform(-size, size, 3)
        return float(x), float(y), float(z)

    return View(
        camera=jitter(REFERENCE_VIEW.camera, CAMERA_JITTER),
        key_light=jitter(REFERENCE_VIEW.key_light, LIGHT_JITTER),
        back_light=jitter(REFERENCE_VIEW.back_light, LIGHT_JITTER),
        fill_light=jitter(REFERENCE_VIEW.fill_light, LIGHT_JITTER),
    )
