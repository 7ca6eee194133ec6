"""The built-in renderer: CLEVR's studio by analytic ray casting, on CPU or CUDA.

Packs a scene and a view into the rows that `raytrace.py` draws. It needs no graphics system and no random
numbers: equal arguments give equal bytes.
"""

import math
from typing import Any

import numpy as np
import warp as wp
from jaxtyping import Float32, Int16, Int32, UInt8

from trilingua.core.errors import ConfigError, InputError
from trilingua.data.renderers import lamps, raytrace, solids
from trilingua.data.renderers.interreflection import solve_interreflection
from trilingua.data.renderers.protocol import Rendering, View
from trilingua.data.renderers.views import (
    FLOOR_ACROSS,
    FLOOR_AXIS,
    FLOOR_PROFILE,
    FLOOR_SIDES,
    FLOOR_START,
    LAMPS,
    SUN_DIRECTION,
    SUN_IRRADIANCE,
    SUN_RADIUS,
    camera_for_view,
    smoothed_slopes,
)
from trilingua.geometry.cameras import Camera
from trilingua.geometry.srgb import linear_from_srgb
from trilingua.geometry.warp_devices import find_device
from trilingua.scenes.palette import COLORS, HALF_SIZES
from trilingua.scenes.scene import Scene

_KINDS = {"cube": int(solids.CUBE), "sphere": int(solids.SPHERE), "cylinder": int(solids.CYLINDER)}
_MATERIALS = {"rubber": int(raytrace.RUBBER), "metal": int(raytrace.METAL)}
_BOUND_PER_SIZE = {"cube": math.sqrt(3.0), "sphere": 1.0, "cylinder": math.sqrt(2.0)}


class BuiltinRenderer:
    """Draws scenes with warp kernels, which are compiled once and kept on disk.

    Args:
        samples_per_pixel: rays at pixels where surfaces meet or shine; even surfaces always get one. 1 to 256.
        shadow_samples: rays to each lamp from points in half shadow; default twice `samples_per_pixel`, at least 8.
        device: `cpu`, or `cuda` with an optional number.

    Raises:
        ConfigError: a number of samples out of range, or a device that is not there.
    """

    name = "builtin"

    def __init__(self, *, samples_per_pixel: int = 8, shadow_samples: int | None = None, device: str = "cpu") -> None:
        for label, value in (("samples_per_pixel", samples_per_pixel), ("shadow_samples", shadow_samples)):
            if value is not None and not 1 <= value <= 256:
                raise ConfigError(f"{label}: {value} is out of range; allowed is 1 to 256")
        self.samples_per_pixel = samples_per_pixel
        self.shadow_samples = max(8, 2 * samples_per_pixel) if shadow_samples is None else shadow_samples
        self._device = find_device(device)
        self._floor = _build_floor(self._device)
        self._interreflection = solve_interreflection()
        codes, limits = _build_srgb_table()
        self._codes, self._limits = self._array(codes, wp.uint8), self._array(limits, float)

    def render(self, scene: Scene, view: View, *, width: int = 320, height: int = 240) -> Rendering:
        """Draw `scene` from `view`. Equal arguments give equal bytes.

        Args:
            scene: objects of any number; one without a rotation is drawn unturned.
            view: camera and lamps.
            width: of the picture, in pixels.
            height: of the picture, in pixels.

        Raises:
            InputError: an object has a word that this renderer cannot draw.
        """
        camera = camera_for_view(view, width=width, height=height)
        objects, shown, index, depth = self._find(scene, camera, want_depth=True)
        rows = _pack_lamps(view)
        lamp_rows = self._array(rows, float)
        self._floor.swept = self._array(self._interreflection.irradiance(rows), wp.vec3)
        lens = _build_lens(camera)
        object_shaders = self._empty((len(scene.objects), 5), wp.int64)
        if scene.objects:
            self._launch(lamps.plan_objects, len(scene.objects), objects, lamp_rows, object_shaders)
        floor_shaders = self._empty((*shown.shape, 5), wp.int64)
        floor_light = self._empty((*shown.shape, 16), float)
        floor_swept = self._empty((*shown.shape, 4), wp.vec3)
        floor_plan = (floor_shaders, floor_light, floor_swept)
        self._launch(lamps.light_floor, shown.shape, objects, lamp_rows, self._floor, lens, *floor_plan)
        image = self._empty((height, width, 3), wp.uint8)
        plan = (shown, object_shaders, *floor_plan, index)
        counts = (self._codes, self._limits, self.samples_per_pixel, self.shadow_samples)
        self._launch(raytrace.shade, (height, width), objects, lamp_rows, self._floor, lens, *plan, *counts, image)
        return Rendering(image=image.numpy(), object_index=index.numpy(), depth=depth.numpy())

    def find_objects(
        self, scene: Scene, view: View, *, width: int = 320, height: int = 240
    ) -> Int16[np.ndarray, "height width"]:
        """Return the index of the object at each pixel's centre, -1 for the ground, without drawing."""
        camera = camera_for_view(view, width=width, height=height)
        return self._find(scene, camera, want_depth=False)[2].numpy()

    def find_surfaces(
        self, scene: Scene, view: View, *, width: int = 320, height: int = 240
    ) -> tuple[Int16[np.ndarray, "height width"], Float32[np.ndarray, "height width"]]:
        """Return object index and depth at the pixels' centres, as `render` does, without drawing."""
        camera = camera_for_view(view, width=width, height=height)
        _, _, index, depth = self._find(scene, camera, want_depth=True)
        return index.numpy(), depth.numpy()

    def count_visible_pixels(self, scene: Scene, view: View, *, width: int = 320, height: int = 240) -> list[int]:
        """Return for each object of `scene` how many pixels show it."""
        index = self.find_objects(scene, view, width=width, height=height)
        return np.bincount(index[index >= 0], minlength=len(scene.objects)).tolist()

    def _find(self, scene: Scene, camera: Camera, *, want_depth: bool) -> tuple[wp.array, ...]:
        """Return the packed objects, the tiles' sets, and index and depth at pixel centres."""
        rows = _pack_objects(scene)
        objects = self._array(rows, float)
        boxes = self._array(_pixel_boxes(rows, camera), int)
        shown = self._empty((-(-camera.height // lamps.TILE), -(-camera.width // lamps.TILE)), wp.int64)
        self._launch(lamps.plan_tiles, shown.shape, boxes, shown)
        shape = (camera.height, camera.width)
        index = self._empty(shape, wp.int16)
        depth = self._empty(shape if want_depth else (0, 0), float)
        lens = _build_lens(camera)
        self._launch(raytrace.find_objects, shape, objects, shown, self._floor, lens, want_depth, index, depth)
        return objects, shown, index, depth

    def _launch(self, kernel: wp.Kernel, size: int | tuple[int, ...], *inputs: Any) -> None:
        wp.launch(kernel, size, inputs=inputs, device=self._device)

    def _array(self, values: np.ndarray, dtype: type) -> wp.array:
        return wp.array(values, dtype=dtype, device=self._device)

    def _empty(self, shape: tuple[int, ...], dtype: type) -> wp.array:
        return wp.empty(shape, dtype=dtype, device=self._device)


def _pack_objects(scene: Scene) -> Float32[np.ndarray, "object column"]:
    if len(scene.objects) > solids.MAX_OBJECTS:
        raise InputError(f"scene has {len(scene.objects)} objects; at most {solids.MAX_OBJECTS} can be drawn")
    rows = np.zeros((len(scene.objects), solids.OBJECT_COLUMNS), np.float32)
    for index, item in enumerate(scene.objects):
        try:
            size = HALF_SIZES[item.size]
            color = COLORS[item.color]
            kind = _KINDS[item.shape]
            material = _MATERIALS[item.material]
        except KeyError as error:
            raise InputError(
                f"objects[{index}]: {error.args[0]!r} cannot be drawn; allowed are "
                f"{', '.join([*HALF_SIZES, *COLORS, *_MATERIALS, *_KINDS])}"
            ) from None
        angle = math.radians(item.rotation_degrees or 0.0)
        # CLEVR's renderer takes value / 255 as linear light.
        red, green, blue = (value / 255.0 for value in color)
        x, y, _ = item.location
        # What stands on the ground is drawn on the ground, whatever height a model wrote.
        rows[index] = (x, y, size, size, math.cos(angle), math.sin(angle), red, green, blue, kind, material,
                       size * _BOUND_PER_SIZE[item.shape])  # fmt: skip
    return rows


def _pixel_boxes(rows: Float32[np.ndarray, "object column"], camera: Camera) -> Int32[np.ndarray, "object 4"]:
    """Return first and last column, first and last row of the pixels that may show each object."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    reach = np.repeat(rows[:, 11:12], 3, axis=1)
    reach[:, 2] = rows[:, 3]
    points = rows[:, None, :3] + corners * reach[:, None, :]
    places = camera.project(points)
    low = np.floor(places[..., :2].min(axis=1)) - 1
    high = np.ceil(places[..., :2].max(axis=1)) + 1
    # A box that reaches behind the camera has no bounded image.
    behind = (places[..., 2] < 1e-2).any(axis=1)
    low[behind], high[behind] = -1, 2**30
    boxes = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=-1)
    return np.clip(boxes, -(2**30), 2**30).astype(np.int32)


def _pack_lamps(view: View) -> Float32[np.ndarray, "lamp column"]:
    rows = np.zeros((4, lamps.LAMP_COLUMNS), np.float32)
    places = (view.key_light, view.fill_light, view.back_light)
    for row, place, (edge, power, color) in zip(rows, places, LAMPS, strict=False):
        row[:3] = place
        row[3:9] = _half_edges(np.asarray(place), edge / 2)
        row[9] = power
        row[10:13] = np.asarray(place) / np.linalg.norm(place)
        row[13:16] = color
    rows[3, :3] = SUN_DIRECTION
    # A square of the disc's area stands for the sun's disc.
    rows[3, 3:9] = _half_edges(np.asarray(SUN_DIRECTION), SUN_RADIUS * math.sqrt(math.pi) / 2)
    rows[3, 9] = SUN_IRRADIANCE
    rows[3, 13:16] = 1.0
    return rows


def _half_edges(facing: np.ndarray, half: float) -> np.ndarray:
    """Return two half edges of a level square that faces the origin, one after the other."""
    level = np.cross((0.0, 0.0, 1.0), facing)
    level = level / np.linalg.norm(level) if np.linalg.norm(level) > 1e-9 else np.array([1.0, 0.0, 0.0])
    upright = np.cross(facing / np.linalg.norm(facing), level)
    return np.concatenate([level, upright]) * half


def _build_lens(camera: Camera) -> solids.Lens:
    lens = solids.Lens()
    lens.position = wp.vec3(*camera.position)
    lens.right = wp.vec3(*camera.rotation[:, 0])
    lens.up = wp.vec3(*camera.rotation[:, 1])
    lens.forward = wp.vec3(*-camera.rotation[:, 2])
    lens.focal = camera.focal_length
    lens.width = camera.width
    lens.height = camera.height
    return lens


def _build_floor(device: str) -> solids.Floor:
    places, heights = np.array(FLOOR_PROFILE).T
    floor = solids.Floor()
    floor.axis = wp.vec3(*FLOOR_AXIS)
    floor.across = wp.vec3(*FLOOR_ACROSS)
    floor.start = FLOOR_START
    floor.side_low, floor.side_high = FLOOR_SIDES
    floor.places = wp.array(places, dtype=float, device=device)
    floor.heights = wp.array(heights, dtype=float, device=device)
    floor.slopes = wp.array(smoothed_slopes()[1:], dtype=float, device=device)
    floor.swept = wp.zeros((2, 2), dtype=wp.vec3, device=device)
    return floor


def _build_srgb_table() -> tuple[UInt8[np.ndarray, " bucket"], Float32[np.ndarray, " code"]]:
    """Return the 8-bit sRGB code of evenly spaced linear values, and the value at which each code gives way."""
    limits = linear_from_srgb((np.arange(255) + 0.5) / 255.0)
    codes = np.searchsorted(limits, np.arange(4097) / 4096.0, side="right")
    return codes.astype(np.uint8), limits.astype(np.float32)
