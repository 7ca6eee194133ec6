"""Light that the studio's floor and the sweep behind it send to each other.

Floor and sweep form a valley, so that each is lit by the other: the floor has a twentieth of its light from there, the
sweep more. That light moves with the lamps; if it were the same in all pictures, a model that reads the camera off half
a gray level of the ground would be misled by pictures that have it right. Solids are left out. Nothing here draws.

Source: Goral et al., "Modeling the Interaction of Light Between Diffuse Surfaces" (1984): radiosity. Differs: nothing
moves but the lamps, so the series of bounces is summed once into one matrix.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from trilingua.data.renderers.views import (
    FLOOR_ACROSS,
    FLOOR_ALBEDO,
    FLOOR_AXIS,
    FLOOR_PROFILE,
    FLOOR_SIDES,
    FLOOR_START,
)

GRID_ALONG = 0.5
"""Metres along the floor's axis between two places where the light is known; the first is at the floor's start."""

GRID_ACROSS = 2.0
"""Metres across the floor's axis between two such places; the first is at the lower side."""

_GRID_END = 16.0
"""Metres along the axis where the grid ends; further back the sweep rises above every picture."""

_BOUNCES = 4
"""Reflections that are followed, as many as Blender's Cycles follows unless it is told otherwise."""

_PATCH = 1.6
"""Largest length of a patch along the profile, in metres."""

_PATCHES_ACROSS = 16
"""Patches side by side; they are narrowest before the camera."""


class Interreflection:
    """The studio's floor in patches, each of which lights every other. Building it takes half a second."""

    def __init__(self) -> None:
        along, heights = _profile()
        across = _middle_dense(*FLOOR_SIDES, _PATCHES_ACROSS)
        lengths = np.hypot(np.diff(along), np.diff(heights))
        areas = np.outer(lengths, np.diff(across)).ravel()
        slopes = np.diff(heights) / np.diff(along)
        patches = _surface(_middles(along), _middles(heights), slopes, _middles(across))
        between = _form_factors(patches, patches, areas)
        # What leaves each patch after all bounces, for each unit that falls onto a patch from the lamps.
        series = np.eye(len(areas))
        for _ in range(_BOUNCES - 1):
            series = np.eye(len(areas)) + FLOOR_ALBEDO * between @ series
        grid = np.arange(FLOOR_START, _GRID_END, GRID_ALONG)
        columns = np.arange(FLOOR_SIDES[0], FLOOR_SIDES[1] + GRID_ACROSS, GRID_ACROSS)
        segments = np.searchsorted(along, grid, side="right") - 1
        places = _surface(grid, np.interp(grid, along, heights), slopes[segments], columns)
        self._patches = patches
        self._shape = (len(grid), len(columns))
        self._transport = (FLOOR_ALBEDO * _form_factors(places, patches, areas) @ series).astype(np.float32)

    def irradiance(self, lamps: Float32[np.ndarray, "lamp column"]) -> Float32[np.ndarray, "along across 3"]:
        """Return what each place of the grid receives from the rest of the floor, in watts per square metre.

        Args:
            lamps: rows as `lamps.py` describes them, the sun last; each shines from its middle.
        """
        points, normals = self._patches
        sun = lamps[-1]
        direct = np.outer(np.maximum(normals @ sun[:3], 0) * sun[9], sun[13:16])
        for lamp in lamps[:-1]:
            to_lamp = lamp[:3] - points
            square = (to_lamp * to_lamp).sum(axis=1)
            facing = np.maximum(to_lamp @ lamp[10:13], 0) * np.maximum((to_lamp * normals).sum(axis=1), 0)
            direct += np.outer(lamp[9] * facing / square**2, lamp[13:16])
        return (self._transport @ direct.astype(np.float32)).reshape(*self._shape, 3)


@functools.cache
def solve_interreflection() -> Interreflection:
    """Return the studio's `Interreflection`, which is solved once in a process."""
    return Interreflection()


class _Surface(NamedTuple):
    points: Float64[np.ndarray, "place 3"]
    normals: Float64[np.ndarray, "place 3"]


def _surface(
    along: Float64[np.ndarray, " row"],
    heights: Float64[np.ndarray, " row"],
    slopes: Float64[np.ndarray, " row"],
    across: Float64[np.ndarray, " column"],
) -> _Surface:
    """Return the floor's points at all pairs of a place along the axis and one across it, with their normals."""
    axis, side, up = np.array(FLOOR_AXIS), np.array(FLOOR_ACROSS), np.array([0.0, 0.0, 1.0])
    points = (np.outer(along, axis) + np.outer(heights, up))[:, None] + np.outer(across, side)
    normals = (up - np.outer(slopes, axis)) / np.sqrt(1 + slopes**2)[:, None]
    return _Surface(points.reshape(-1, 3), np.repeat(normals, len(across), axis=0))


def _form_factors(
    receivers: _Surface, senders: _Surface, areas: Float64[np.ndarray, " sender"]
) -> Float64[np.ndarray, "receiver sender"]:
    """Return the share of each receiver's view, by cosine, that each sender fills, taken as a point of its area."""
    ray = senders.points - receivers.points[:, None]
    square = np.maximum((ray * ray).sum(axis=-1), 1e-9)
    leaving = np.maximum(-(ray * senders.normals).sum(axis=-1), 0)
    falling = np.maximum((ray * receivers.normals[:, None]).sum(axis=-1), 0)
    return leaving * falling * areas / (np.pi * square**2)


def _profile() -> tuple[Float64[np.ndarray, " corner"], Float64[np.ndarray, " corner"]]:
    """Return places along the axis and heights of the floor there, no further apart than a patch is long."""
    corners = np.array([(FLOOR_START, 0.0), *FLOOR_PROFILE])
    counts = np.ceil(np.linalg.norm(np.diff(corners, axis=0), axis=1) / _PATCH).astype(int)
    places = np.concatenate([k + np.arange(count) / count for k, count in enumerate(counts)] + [[len(counts)]])
    return tuple(np.interp(places, np.arange(len(corners)), column) for column in corners.T)


def _middle_dense(low: float, high: float, count: int) -> Float64[np.ndarray, " edge"]:
    """Return the edges of `count` pieces from `low` to `high`, narrower in the middle by nine tenths."""
    edges = np.sinh(np.linspace(-3, 3, count + 1)) / np.sinh(3)
    return (low + high) / 2 + (high - low) / 2 * edges


def _middles(edges: Float64[np.ndarray, " edge"]) -> Float64[np.ndarray, " piece"]:
    return (edges[1:] + edges[:-1]) / 2
