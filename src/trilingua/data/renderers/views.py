"""CLEVR's studio: its camera, lamps and floor, and how each picture jitters camera and lamps.

All numbers are those of the generator's base scene file. Nothing here draws.
Source: CLEVR generator, `base_scene.blend` and `render_images.py`.
"""

import numpy as np
from jaxtyping import Float64

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


LAMPS = (
    (0.5, 25.0, (1.0, 0.9323092, 0.8166636)),
    (0.5, 7.5, (0.7616662, 0.8177196, 1.0)),
    (1.0, 12.5, (1.0, 1.0, 1.0)),
)
"""The square key, fill and back lamp: edge in metres, radiance times area in watts per steradian, linear colour.

The key lamp is warm and the fill lamp cool. Each shines from one side, the side that faces the origin.
"""

SUN_DIRECTION = (0.41449565, -0.19458349, 0.88900542)
"""Unit vector from the ground to a fourth, far lamp, which never moves."""

SUN_IRRADIANCE = 0.45
"""What the far lamp sends to a surface that faces it, in watts per square metre."""

SUN_RADIUS = 0.0995
"""Sine of half the angle that the far lamp spans."""

FLOOR_ALBEDO = 0.8
"""Share of the light that the matt gray floor sends back."""

FLOOR_AXIS = (-0.9032076597, 0.4292037785, 0.0)
"""Unit vector along which the floor rises into a sweep behind the objects."""

FLOOR_ACROSS = (0.4292037785, 0.9032076597, 0.0)

FLOOR_START = -9.546
"""Where the floor begins along its axis, in metres; nearer to the camera there is nothing."""

FLOOR_SIDES = (-26.58, 29.9)
"""Where the floor ends across its axis, in metres."""

FLOOR_PROFILE = (
    (5.12, 0.0), (6.118, 0.022), (7.047, 0.06), (7.909, 0.105), (8.71, 0.163), (9.451, 0.23), (10.136, 0.307),
    (10.769, 0.396), (11.353, 0.499), (11.891, 0.62), (12.385, 0.761), (12.839, 0.925), (13.256, 1.115),
    (13.639, 1.331), (13.989, 1.578), (14.31, 1.858), (14.604, 2.174), (14.874, 2.528), (15.121, 2.924),
    (15.559, 3.854), (15.934, 4.989), (16.262, 6.358), (16.556, 7.991), (16.831, 9.92), (17.229, 13.444),
    (17.641, 17.832), (18.091, 23.215),
)  # fmt: skip
"""Metres along the floor's axis, and how high the floor is there; it is flat before the first.

Differs: the reference floor begins to rise a few millimetres earlier; ours is flat wherever objects stand.
"""


def smoothed_slopes() -> Float64[np.ndarray, " corner"]:
    """Return the floor's slope for shading, where it begins and at each place of its profile: its faces' mean there."""
    places, heights = np.array([(FLOOR_START, 0.0), *FLOOR_PROFILE]).T
    angles = np.arctan2(np.diff(heights), np.diff(places))
    return np.tan((np.append(angles[:1], angles) + np.append(angles, angles[-1:])) / 2)


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
