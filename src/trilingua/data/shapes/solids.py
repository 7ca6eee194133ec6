"""Solids that procedural objects are built of, and their union into one closed mesh that keeps the parts' colours.

A part is a closed solid of one colour, perhaps with a pattern that planes cut into its surface. The union is exact
(`manifold3d`): walls between parts vanish, and what is left is one watertight surface in which each triangle knows
the part that it came from. Lengths are in metres, z is up. Knows no families and no captions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import manifold3d
import numpy as np
from jaxtyping import Float
from manifold3d import Manifold as Solid

from trilingua.geometry.meshes import Mesh
from trilingua.geometry.subdivision import split_along_plane

Length = float | int
"""In metres."""
Vector = tuple[Length, Length, Length]
Place = tuple[Length, Length]
Color = tuple[int, int, int]

SEGMENTS = 48
"""Sides of what is round, all around."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Bands of a second colour along an axis of the part."""

    axis: Literal[0, 1, 2]
    """0, 1 or 2: across which the bands lie."""
    width: float
    """Of one band, in metres."""
    color: Color
    """sRGB bytes of every second band; the others keep the part's colour."""
    second_axis: Literal[0, 1, 2] | None = None
    """An axis that is divided too: then the colours alternate as on a chess board."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A closed solid of one colour or pattern."""

    solid: Solid
    color: Color
    """sRGB bytes."""
    pattern: Pattern | None = None


def box(size: Vector, center: Vector) -> Solid:
    """Return a box."""
    return Solid.cube(size, True).translate(center)


def post(radius: Length, low: Length, high: Length, *, at: Place = (0.0, 0.0), top: Length = -1.0) -> Solid:
    """Return an upright round post from height `low` to `high`; `top` is its radius there, if it differs."""
    return Solid.cylinder(high - low, radius, top, SEGMENTS).translate((*at, low))


def rod(start: Vector, end: Vector, radius: Length, end_radius: Length | None = None) -> Solid:
    """Return a round rod between two points, which may taper."""
    begin, reach = np.asarray(start), np.asarray(end) - np.asarray(start)
    length = float(np.linalg.norm(reach))
    tilt = math.degrees(math.acos(reach[2] / length))
    turn = math.degrees(math.atan2(reach[1], reach[0]))
    upright = Solid.cylinder(length, radius, radius if end_radius is None else end_radius, SEGMENTS // 2)
    return upright.rotate((0.0, tilt, turn)).translate(tuple(begin))


def ball(radius: Length, center: Vector, *, stretch: Vector = (1.0, 1.0, 1.0)) -> Solid:
    """Return a sphere, or an ellipsoid of radius times `stretch` along each axis."""
    return Solid.sphere(radius, SEGMENTS).scale(stretch).translate(center)


def lathe(profile: Sequence[Place]) -> Solid:
    """Return what turning a closed outline of (radius, height) around the z axis sweeps.

    Args:
        profile: corners, counter-clockwise with the radius to the right and the height up.
    """
    return Solid.revolve(manifold3d.CrossSection([np.asarray(profile, np.float64)]), SEGMENTS)


def ring(radius: Length, thickness: Length, center: Vector, axis: Literal[0, 1, 2]) -> Solid:
    """Return a torus of a middle radius and a tube's radius, around one axis."""
    angles = np.arange(24) * (2 * np.pi / 24)
    outline = np.stack([radius + thickness * np.cos(angles), thickness * np.sin(angles)], axis=1)
    turned = Solid.revolve(manifold3d.CrossSection([outline]), SEGMENTS)
    turn = {0: (0.0, 90.0, 0.0), 1: (90.0, 0.0, 0.0), 2: (0.0, 0.0, 0.0)}[axis]
    return turned.rotate(turn).translate(center)


def prism(outline: Sequence[Place], axis: Literal[0, 1], low: Length, high: Length) -> Solid:
    """Return an outline in the upright plane across `axis`, drawn out along it from `low` to `high`.

    Args:
        outline: corners, counter-clockwise; (y, z) for axis 0 and (x, z) for axis 1.
        axis: 0 or 1.
        low: where it begins.
        high: where it ends.
    """
    drawn = Solid.extrude(manifold3d.CrossSection([np.asarray(outline, np.float64)]), high - low)
    if axis == 0:  # (y, z, along) to (along, y, z)
        return drawn.transform(np.array([[0.0, 0, 1, low], [1, 0, 0, 0], [0, 1, 0, 0]]))
    # (x, z, along) to (x, -along, z), which keeps the outline's turn
    return drawn.transform(np.array([[1.0, 0, 0, 0], [0, 0, -1, high], [0, 1, 0, 0]]))


def hull(points: Sequence[Vector]) -> Solid:
    """Return the smallest convex solid around points."""
    return Solid.hull_points(np.asarray(points, np.float64))


def unite(parts: Sequence[Part]) -> Mesh:
    """Return the union of parts as one closed mesh with colours of triangles; equal parts give equal bytes."""
    originals = [part.solid.as_original() for part in parts]
    owners = {original.original_id(): number for number, original in enumerate(originals)}
    result = Solid.batch_boolean(originals, manifold3d.OpType.Add).to_mesh()
    faces = np.asarray(result.tri_verts, np.int64)
    run_ends = np.asarray(result.run_index, np.int64) // 3
    owner = np.repeat([owners[int(one)] for one in result.run_original_id], run_ends[1:] - run_ends[:-1])
    corners = np.asarray(result.vert_properties, np.float64)[:, :3]
    # The order of the triangles follows ids that count up while the process lives; this order does not.
    order = np.lexsort((*faces.T, owner))
    return _patterned(corners, faces[order], owner[order], parts)


def _patterned(
    corners: Float[np.ndarray, "vertex 3"], faces: np.ndarray, owner: np.ndarray, parts: Sequence[Part]
) -> Mesh:
    """Return the mesh with the colours of its parts, split where a pattern changes its colour."""
    for number, part in enumerate(parts):
        if part.pattern is None or not (owner == number).any():
            continue
        for axis in (part.pattern.axis, part.pattern.second_axis):
            if axis is None:
                continue
            low, high = np.reshape(part.solid.bounding_box(), (2, 3))[:, axis]
            for place in np.arange(low + part.pattern.width, high - 1e-6, part.pattern.width):
                split = split_along_plane(corners, faces, corners[:, axis] - place, owner == number)
                corners, faces, owner = split.corners, split.faces, owner[split.parents]
    colors = np.array([part.color for part in parts], np.uint8)[owner]
    middles = corners[faces].mean(axis=1)
    for number, part in enumerate(parts):
        if part.pattern is not None:
            low = np.reshape(part.solid.bounding_box(), (2, 3))[0]
            axes = [axis for axis in (part.pattern.axis, part.pattern.second_axis) if axis is not None]
            bands = sum(np.floor((middles[:, axis] - low[axis]) / part.pattern.width).astype(int) for axis in axes)
            colors[(owner == number) & (bands % 2 == 1)] = part.pattern.color
    return Mesh(vertices=corners, faces=faces, face_colors=colors)
