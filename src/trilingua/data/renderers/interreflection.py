"""Light that the studio's floor and the sweep behind it send to each other.

Floor and sweep form a valley, so that each is lit by the other: the floor has a twentieth of its light from there, the
sweep more. That light moves with the lamps; if it were the same in all pictures, a model that reads the camera off half
a gray level of the ground would be misled by pictures that have it right. Solids are left out. Nothing here draws.

Source: Goral et al., "Modeling the Interaction of Light Between Diffuse Surfaces" (1984): radiosity. Differs: nothing
moves but the lamps, so the series of bounces is summed once into one matrix; what a patch sends to a point is exact, so
that few patches are enough; the floor's normals are smoothed, as Blender's are. Places here are along the floor's axis,
across it and up.
"""

import functools

import numpy as np
from jaxtyping import Float32, Float64

from trilingua.data.renderers.views import (
    FLOOR_ACROSS,
    FLOOR_ALBEDO,
    FLOOR_AXIS,
    FLOOR_PROFILE,
    FLOOR_SIDES,
    FLOOR_START,
    smoothed_slopes,
)

GRID_ALONG = 0.5
"""Metres along the floor's axis between two places where the light is known; the first is at the floor's start."""

GRID_ACROSS = 2.0
"""Metres across the floor's axis between two such places; the first is at the lower side."""

_GRID_END = 16.0
"""Metres along the axis where the grid ends; further back the sweep rises above every picture."""

_BOUNCES = 4
"""Reflections that are followed, as many as Blender's Cycles follows unless it is told otherwise."""

_PATCH = 3.2
"""Largest length of a patch along the profile, in metres."""

_PATCHES_ACROSS = 12
"""Patches side by side; they are narrowest before the camera."""


class Interreflection:
    """The studio's floor in patches, each of which lights every other. Building it takes a third of a second."""

    def __init__(self) -> None:
        along = _refined_places()
        across = _middle_dense(*FLOOR_SIDES, _PATCHES_ACROSS)
        corners = _points(along, across)
        middles = _points(_middles(along), _middles(across)).reshape(-1, 3)
        normals = np.repeat(_shading_normals(_middles(along)), _PATCHES_ACROSS, axis=0)
        between = _form_factors(middles, normals, corners)
        # What leaves each patch after all bounces, for each unit that falls onto a patch from the lamps.
        itself: Float32[np.ndarray, "patch patch"] = np.eye(len(middles), dtype=np.float32)
        series = itself
        for _ in range(_BOUNCES - 1):
            series = itself + FLOOR_ALBEDO * between @ series
        rows = np.arange(FLOOR_START, _GRID_END, GRID_ALONG)
        columns = np.arange(FLOOR_SIDES[0], FLOOR_SIDES[1] + GRID_ACROSS, GRID_ACROSS)
        places = _points(rows, columns).reshape(-1, 3)
        gather = _form_factors(places, np.repeat(_shading_normals(rows), len(columns), axis=0), corners)
        axes = np.array([FLOOR_AXIS, FLOOR_ACROSS, (0.0, 0.0, 1.0)])
        self._points, self._normals = middles @ axes, normals @ axes
        self._shape = (len(rows), len(columns))
        self._transport = FLOOR_ALBEDO * gather @ series

    def irradiance(self, lamps: Float32[np.ndarray, "lamp column"]) -> Float32[np.ndarray, "along across 3"]:
        """Return what each place of the grid receives from the rest of the floor, in watts per square metre.

        Args:
            lamps: rows as `lamps.py` describes them, the sun last; each shines from its middle.
        """
        sun = lamps[-1]
        direct = np.outer(np.maximum(self._normals @ sun[:3], 0) * sun[9], sun[13:16])
        for lamp in lamps[:-1]:
            to_lamp = lamp[:3] - self._points
            square = (to_lamp * to_lamp).sum(axis=1)
            facing = np.maximum(to_lamp @ lamp[10:13], 0) * np.maximum((to_lamp * self._normals).sum(axis=1), 0)
            direct += np.outer(lamp[9] * facing / square**2, lamp[13:16])
        return (self._transport @ direct.astype(np.float32)).reshape(*self._shape, 3)


@functools.cache
def solve_interreflection() -> Interreflection:
    """Return the studio's `Interreflection`, which is solved once in a process."""
    return Interreflection()


def _form_factors(
    points: Float64[np.ndarray, "point 3"],
    normals: Float64[np.ndarray, "point 3"],
    corners: Float64[np.ndarray, "row column 3"],
) -> Float32[np.ndarray, "point patch"]:
    """Return the share of each point's view, by cosine, that each patch between four of the corners fills.

    A patch's share is the sum over its edges of the angle that the edge spans times the cosine between the point's
    normal and that of the plane through the edge and the point (Lambert). In a valley no patch hides another.
    """
    rays = (corners - points[:, None, None]).astype(np.float32)
    rays /= np.maximum(np.linalg.norm(rays, axis=-1, keepdims=True), 1e-9)
    toward = normals[:, None, None].astype(np.float32)

    def spanned(
        begin: Float32[np.ndarray, "point row column 3"], end: Float32[np.ndarray, "point row column 3"]
    ) -> Float32[np.ndarray, "point row column"]:
        turn = np.cross(begin, end)
        sine = np.linalg.norm(turn, axis=-1)
        return np.arctan2(sine, (begin * end).sum(axis=-1)) / np.maximum(sine, 1e-9) * (turn * toward).sum(axis=-1)

    rows = spanned(rays[:, :, :-1], rays[:, :, 1:])
    columns = spanned(rays[:, :-1], rays[:, 1:])
    shares = (rows[:, :-1] - rows[:, 1:] + columns[:, :, 1:] - columns[:, :, :-1]) / (2 * np.pi)
    first = corners[:-1, :-1]
    facing = np.cross(corners[1:, :-1] - first, corners[:-1, 1:] - first)
    # A point in a patch's own plane has nothing from it.
    height = (points[:, None, None] * facing).sum(axis=-1) - (first * facing).sum(axis=-1)
    return np.where(height > 1e-6, np.maximum(shares, 0), 0).reshape(len(points), -1)


def _points(
    along: Float64[np.ndarray, " row"], across: Float64[np.ndarray, " column"]
) -> Float64[np.ndarray, "row column 3"]:
    """Return the floor's points at all pairs of a place along the axis and one across it."""
    places, heights = np.array([(FLOOR_START, 0.0), *FLOOR_PROFILE]).T
    up = np.interp(along, places, heights)
    return np.stack(np.broadcast_arrays(along[:, None], across, up[:, None]), axis=-1)


def _shading_normals(along: Float64[np.ndarray, " row"]) -> Float64[np.ndarray, "row 3"]:
    places = [FLOOR_START, *(place for place, _ in FLOOR_PROFILE)]
    slopes = np.interp(along, places, smoothed_slopes())
    return np.stack([-slopes, 0 * slopes, np.ones_like(slopes)], axis=1) / np.sqrt(1 + slopes**2)[:, None]


def _refined_places() -> Float64[np.ndarray, " place"]:
    """Return places along the axis, all corners of the profile among them, no further apart than a patch is long."""
    corners = np.array([(FLOOR_START, 0.0), *FLOOR_PROFILE])
    counts = np.ceil(np.linalg.norm(np.diff(corners, axis=0), axis=1) / _PATCH).astype(int)
    order = np.concatenate([k + np.arange(count) / count for k, count in enumerate(counts)] + [[len(counts)]])
    return np.interp(order, np.arange(len(corners)), corners[:, 0])


def _middle_dense(low: float, high: float, count: int) -> Float64[np.ndarray, " edge"]:
    """Return the edges of `count` pieces from `low` to `high`, narrower in the middle by nine tenths."""
    edges = np.sinh(np.linspace(-3, 3, count + 1)) / np.sinh(3)
    return (low + high) / 2 + (high - low) / 2 * edges


def _middles(edges: Float64[np.ndarray, " edge"]) -> Float64[np.ndarray, " piece"]:
    return (edges[1:] + edges[:-1]) / 2
