"""Pictures of a mesh from a camera: colour, depth and normals, by one ray for each sample.

Matt surfaces under a soft sky and two far lamps, no shadows: the picture tells shape and colour and nothing else.
No random numbers and no graphics system: equal arguments give equal bytes on one device.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from trilingua.core.errors import ConfigError
from trilingua.geometry.cameras import Camera, look_at
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.srgb import bytes_from_unit, linear_from_srgb, srgb_from_linear

BACKGROUND = (238, 238, 240)
"""sRGB bytes of what lies behind an object."""

CAMERA_DISTANCE = 4.0
"""From a normalised object's middle to the camera of a view."""

FOCAL_PER_WIDTH = 1.1
"""Focal length over the picture's side: at CAMERA_DISTANCE a normalised object of any shape is whole in the picture."""

NUM_FIXED_CAMERAS = 6
"""How many cameras every object is seen from."""

_ELEVATIONS_DEGREES = (28.0, -18.0)

_SKY, _GROUND = 0.42, 0.22
_LAMPS = (((0.45, -0.65, 0.75), 0.58), ((-0.8, 0.3, 0.35), 0.16))
"""Direction to each lamp and what it sends; the first two of a place's axes turn with the camera."""


@dataclass(frozen=True, kw_only=True)
class MeshPicture:
    """What a camera sees of a mesh."""

    image: UInt8[np.ndarray, "height width 3"]
    """sRGB bytes, with smooth edges."""
    depth: Float32[np.ndarray, "height width"]
    """Along the camera's axis, at pixel centres; 0 where there is nothing."""
    normals: Float32[np.ndarray, "height width 3"]
    """Unit normals in world axes, turned towards the camera, at pixel centres; 0 where there is nothing."""


def camera_around(
    azimuth_radians: float, elevation_radians: float, *, size: int, distance: float = CAMERA_DISTANCE
) -> Camera:
    """Return a camera that looks at the origin from a distance.

    Args:
        azimuth_radians: about z from +x towards +y.
        elevation_radians: above the ground; between straight down and straight up, both excluded.
        size: side of the square picture, in pixels.
        distance: from the origin.
    """
    level = distance * np.cos(elevation_radians)
    position = (
        level * np.cos(azimuth_radians), level * np.sin(azimuth_radians), distance * np.sin(elevation_radians)
    )  # fmt: skip
    return look_at([float(value) for value in position], focal_length=FOCAL_PER_WIDTH * size, width=size, height=size)


def fixed_cameras(size: int) -> list[Camera]:
    """Return the six cameras that every object is seen from: every 60 degrees, by turns from above and below.

    Args:
        size: side of the square pictures, in pixels.
    """
    return [
        camera_around(np.radians(60 * turn - 60), np.radians(_ELEVATIONS_DEGREES[turn % 2]), size=size)
        for turn in range(NUM_FIXED_CAMERAS)
    ]


def sample_cameras(generator: np.random.Generator, num_views: int, size: int) -> list[Camera]:
    """Return cameras drawn evenly over the sphere between 40 degrees below and 70 above, at distances 4 to 5.

    Args:
        generator: the only source of randomness.
        num_views: how many.
        size: side of the square pictures, in pixels.
    """
    azimuth = generator.uniform(0, 2 * np.pi, num_views)
    elevation = np.arcsin(generator.uniform(np.sin(np.radians(-40)), np.sin(np.radians(70)), num_views))
    distance = generator.uniform(CAMERA_DISTANCE, CAMERA_DISTANCE + 1, num_views)
    places = zip(azimuth, elevation, distance, strict=True)
    return [camera_around(float(a), float(e), size=size, distance=float(d)) for a, e, d in places]


def camera_rays(
    camera: Camera, columns: Float[np.ndarray, "*rays"], rows: Float[np.ndarray, "*rays"]
) -> Float[np.ndarray, "*rays 3"]:
    """Return the directions in the world of rays through places of the picture, of depth 1 along the axis.

    Args:
        camera: where the rays begin.
        columns: in pixels from the left edge; the first pixel's centre is 0.5.
        rows: in pixels from the top edge.
    """
    x = (columns - camera.width / 2) / camera.focal_length
    y = (camera.height / 2 - rows) / camera.focal_length
    return np.stack([x, y, -np.ones_like(x)], axis=-1) @ camera.rotation.T


def render_mesh(queries: MeshQueries, camera: Camera, *, samples_per_side: int = 2) -> MeshPicture:
    """Draw a mesh.

    Args:
        queries: the mesh.
        camera: from where.
        samples_per_side: colour is the mean of this many samples squared in each pixel; 1 to 8.

    Raises:
        ConfigError: a number of samples out of range.
    """
    if not 1 <= samples_per_side <= 8:
        raise ConfigError(f"samples_per_side: {samples_per_side} is out of range; allowed is 1 to 8")
    size = (camera.height, camera.width)
    rows, columns = np.indices(size) + 0.5
    centers = camera_rays(camera, columns, rows).reshape(-1, 3)
    origin = np.broadcast_to(camera.position, centers.shape)
    hits = queries.cast(origin, centers)
    met = hits.faces >= 0
    depth = np.where(met, hits.distances, 0).astype(np.float32)  # a ray is of depth 1, so lengths are depths
    sky = linear_from_srgb(np.array(BACKGROUND, np.uint8))
    light = np.zeros((len(centers), 3))
    places = (np.arange(samples_per_side) + 0.5) / samples_per_side - 0.5
    for down in places:
        for right in places:
            rays = camera_rays(camera, columns + right, rows + down).reshape(-1, 3)
            sample = hits if samples_per_side == 1 else queries.cast(origin, rays)
            seen = sample.faces >= 0
            light += sky
            light[seen] += _shade(sample.colors[seen], sample.normals[seen], camera) - sky
    image = bytes_from_unit(srgb_from_linear(light / samples_per_side**2))
    return MeshPicture(image=image.reshape(*size, 3), depth=depth.reshape(size), normals=hits.normals.reshape(*size, 3))


def _shade(
    colors: UInt8[np.ndarray, "point 3"], normals: Float32[np.ndarray, "point 3"], camera: Camera
) -> Float[np.ndarray, "point 3"]:
    """Return the linear light that leaves matt surfaces."""
    irradiance = _GROUND + (_SKY - _GROUND) * (normals[:, 2] / 2 + 0.5).astype(np.float64)
    backward = camera.rotation[:, 2] * (1, 1, 0)
    backward /= np.linalg.norm(backward)
    right = camera.rotation[:, 0]
    for (x, y, z), power in _LAMPS:
        direction = x * right - y * backward + np.array([0.0, 0.0, z])
        direction /= np.linalg.norm(direction)
        irradiance += power * np.maximum(normals @ direction, 0)
    return linear_from_srgb(colors) * irradiance[:, None]
