# mypy: ignore-errors
# ruff: noqa: UP018, RUF046 - warp tells variables from constants by these calls, and knows no any()
"""The studio's lamps and what shades them, as warp functions and kernels for CPU and CUDA.

What many pixels share is planned once: for tiles of pixels, which solids they may show or be shaded by and the
floor's unshaded light; for solids, which others may shade them. This module knows no materials.
"""

import warp as wp

from trilingua.data.renderers.interreflection import GRID_ACROSS, GRID_ALONG
from trilingua.data.renderers.solids import (
    BOUND,
    FAR,
    NOTHING,
    SIZE,
    Bits,
    Floor,
    Lens,
    Rows,
    bit,
    center_of,
    hit_floor,
    is_blocked,
    pixel_ray,
)

wp.set_module_options({"enable_backward": False})

# Columns of a lamp's row: place (for the sun: direction), two half edges, radiance times area (for the sun:
# irradiance), direction from the lamp's target to the lamp, colour.
LAMP_COLUMNS = 16
NUM_LAMPS = wp.constant(4)
SUN = wp.constant(3)

TILE = 8
"""Side of a tile, in pixels."""

_TILE = wp.constant(TILE)
_GRID_ALONG = wp.constant(GRID_ALONG)
_GRID_ACROSS = wp.constant(GRID_ACROSS)


@wp.func
def lamp_ray(lamps: Rows, j: int, point: wp.vec3, a: float, b: float):
    """Return the direction and distance from `point` to the place (a, b) in [-1, 1] of lamp j."""
    place = wp.vec3(
        lamps[j, 0] + a * lamps[j, 3] + b * lamps[j, 6],
        lamps[j, 1] + a * lamps[j, 4] + b * lamps[j, 7],
        lamps[j, 2] + a * lamps[j, 5] + b * lamps[j, 8],
    )
    reach = float(FAR)
    if j == SUN:
        return wp.normalize(place), reach
    to_lamp = place - point
    reach = wp.length(to_lamp)
    return to_lamp / reach, reach


@wp.func
def half_edge(lamps: Rows, j: int, reach: float) -> float:
    """Return half the lamp's edge over its distance."""
    edge = wp.length(wp.vec3(lamps[j, 3], lamps[j, 4], lamps[j, 5]))
    if j == SUN:
        return edge
    return edge / reach


@wp.func
def irradiance(lamps: Rows, j: int, ray: wp.vec3, reach: float) -> float:
    """Return what lamp j sends, without shadow, to a surface that faces it."""
    if j == SUN:
        return lamps[j, 9]
    facing = wp.dot(ray, wp.vec3(lamps[j, 10], lamps[j, 11], lamps[j, 12]))
    return wp.max(facing, 0.0) * lamps[j, 9] / (reach * reach)


@wp.func
def lamp_color(lamps: Rows, j: int) -> wp.vec3:
    """Return the linear colour of lamp j."""
    return wp.vec3(lamps[j, 13], lamps[j, 14], lamps[j, 15])


@wp.func
def unshaded_light(lamps: Rows, j: int, point: wp.vec3, normal: wp.vec3) -> float:
    """Return what all of lamp j sends, without shadow, to a surface at `point`: the mean over four of its places."""
    total = float(0.0)
    for k in range(4):
        # Gauss's places: a lamp taken as a point is brighter by up to a hundredth.
        a, b = 0.57735 * (2.0 * float(k % 2) - 1.0), 0.57735 * (2.0 * float(k / 2) - 1.0)
        ray, reach = lamp_ray(lamps, j, point, a, b)
        total += 0.25 * irradiance(lamps, j, ray, reach) * wp.max(wp.dot(normal, ray), 0.0)
    return total


@wp.func
def swept_light(floor: Floor, point: wp.vec3) -> wp.vec3:
    """Return the irradiance that the floor at `point` has from the rest of the floor."""
    along = (wp.dot(point, floor.axis) - floor.start) / _GRID_ALONG
    across = (wp.dot(point, floor.across) - floor.side_low) / _GRID_ACROSS
    i = wp.clamp(int(along), 0, floor.swept.shape[0] - 2)
    j = wp.clamp(int(across), 0, floor.swept.shape[1] - 2)
    a, b = wp.min(along - float(i), 1.0), across - float(j)
    near = wp.lerp(floor.swept[i, j], floor.swept[i, j + 1], b)
    far = wp.lerp(floor.swept[i + 1, j], floor.swept[i + 1, j + 1], b)
    return wp.lerp(near, far, a)


@wp.func
def find_shaders(objects: Rows, lamps: Rows, j: int, point: wp.vec3, radius: float, own: int) -> Bits:
    """Return the solids that may shade lamp j for some place within `radius` of `point`."""
    ray, reach = lamp_ray(lamps, j, point, 0.0, 0.0)
    # The lamp's corners lie this far from its middle, seen from a metre away.
    spread = 1.4143 * half_edge(lamps, j, reach)
    result = wp.int64(NOTHING)
    for k in range(objects.shape[0]):
        local = center_of(objects, k) - point
        along = wp.dot(local, ray)
        bound = objects[k, BOUND] + radius
        wide = bound + wp.max(along, 0.0) * spread
        if k != own and along > -bound and along < reach + bound and wp.dot(local, local) - along * along < wide * wide:
            result = result | bit(k)
    return result


@wp.func
def find_bouncers(objects: Rows, point: wp.vec3, radius: float, own: int) -> Bits:
    """Return the solids near enough to light some place within `radius` of `point`."""
    result = wp.int64(NOTHING)
    for k in range(objects.shape[0]):
        reach = 8.0 * objects[k, SIZE] + radius
        local = center_of(objects, k) - point
        if k != own and wp.dot(local, local) < reach * reach:
            result = result | bit(k)
    return result


@wp.func
def seen_share(objects: Rows, lamps: Rows, j: int, among: Bits, point: wp.vec3, samples: int) -> float:
    """Return the share of lamp j, in [0, 1], that `point` sees past the solids of `among`."""
    if among == NOTHING:
        return 1.0
    if samples <= 1:
        ray, reach = lamp_ray(lamps, j, point, 0.0, 0.0)
        if is_blocked(objects, among, point, ray, reach):
            return 0.0
        return 1.0
    near = find_shaders(objects, lamps, j, point, 0.0, -1) & among
    if near == NOTHING:
        return 1.0
    open_corners = int(0)
    for k in range(4):
        corner, distance = lamp_ray(lamps, j, point, 2.0 * float(k % 2) - 1.0, 2.0 * float(k / 2) - 1.0)
        if not is_blocked(objects, near, point, corner, distance):
            open_corners += 1
    if open_corners == 0:
        return 0.0
    if open_corners == 4:
        return 1.0
    # A Fibonacci lattice: as even as a grid, but an edge in any direction crosses its points one by one.
    seen = int(0)
    for k in range(samples):
        a = 2.0 * (float(k) + 0.5) / float(samples) - 1.0
        turn = (float(k) + 0.5) * 0.6180339887
        b = 2.0 * (turn - wp.floor(turn)) - 1.0
        inner, distance = lamp_ray(lamps, j, point, a, b)
        if not is_blocked(objects, near, point, inner, distance):
            seen += 1
    return float(seen) / float(samples)


@wp.kernel
def plan_objects(objects: Rows, lamps: Rows, shaders: wp.array2d(dtype=wp.int64)) -> None:
    """Write for each solid the sets of solids that may shade each lamp for it and, last, that light it."""
    i = wp.tid()
    center = center_of(objects, i)
    for j in range(NUM_LAMPS):
        shaders[i, j] = find_shaders(objects, lamps, j, center, objects[i, BOUND], i)
    shaders[i, NUM_LAMPS] = find_bouncers(objects, center, objects[i, BOUND], i)


@wp.kernel
def plan_tiles(boxes: wp.array2d(dtype=int), shown: wp.array2d(dtype=wp.int64)) -> None:
    """Write for each tile the set of solids that it may show."""
    row, column = wp.tid()
    result = wp.int64(NOTHING)
    for i in range(boxes.shape[0]):
        wide = boxes[i, 1] >= column * _TILE and boxes[i, 0] < (column + 1) * _TILE
        if wide and boxes[i, 3] >= row * _TILE and boxes[i, 2] < (row + 1) * _TILE:
            result = result | bit(i)
    shown[row, column] = result


@wp.kernel
def light_floor(
    objects: Rows,
    lamps: Rows,
    floor: Floor,
    lens: Lens,
    shaders: wp.array3d(dtype=wp.int64),
    light: wp.array3d(dtype=float),
    swept: wp.array3d(dtype=wp.vec3),
) -> None:
    """Write each tile's floor light: irradiance of lamps and floor at its corners, and which solids shade or add."""
    row, column = wp.tid()
    middle = wp.vec3(0.0)
    for corner in range(4):
        c = float((column + corner % 2) * _TILE)
        r = float((row + corner / 2) * _TILE)
        ray = pixel_ray(lens, c, r)
        distance, slope = hit_floor(floor, lens.position, ray)
        if distance >= FAR:
            light[row, column, 0] = -1.0
            return
        point = lens.position + distance * ray
        middle += 0.25 * point
        normal = wp.normalize(wp.vec3(0.0, 0.0, 1.0) - slope * floor.axis)
        for j in range(NUM_LAMPS):
            light[row, column, 4 * j + corner] = unshaded_light(lamps, j, point, normal)
        swept[row, column, corner] = swept_light(floor, point)
    radius = float(0.0)
    for corner in range(4):
        ray = pixel_ray(lens, float((column + corner % 2) * _TILE), float((row + corner / 2) * _TILE))
        distance, slope = hit_floor(floor, lens.position, ray)
        radius = wp.max(radius, wp.length(lens.position + distance * ray - middle))
    for j in range(NUM_LAMPS):
        shaders[row, column, j] = find_shaders(objects, lamps, j, middle, radius, -1)
    shaders[row, column, NUM_LAMPS] = find_bouncers(objects, middle, radius, -1)
