# mypy: ignore-errors
# ruff: noqa: UP018, RUF046, SIM110 - warp tells variables from constants by these calls, and knows no any()
"""Where a ray meets CLEVR's solids and the studio's floor, as warp functions for CPU and CUDA.

A solid is a row of numbers (the `COLUMNS`); sets of solids are the bits of a 64-bit number. This module knows
geometry alone: no lamps and no colours.
"""

import warp as wp

wp.set_module_options({"enable_backward": False})

Rows = wp.array2d(dtype=float)
Bits = wp.int64

CUBE = wp.constant(0)
SPHERE = wp.constant(1)
CYLINDER = wp.constant(2)

# Columns of a solid's row: centre, half size, cosine and sine of its turn about z, linear colour, shape,
# material, radius of the sphere that holds it.
X, Y, Z, SIZE, COS, SIN, RED, GREEN, BLUE, KIND, MATERIAL, BOUND = (wp.constant(i) for i in range(12))
OBJECT_COLUMNS = 12
MAX_OBJECTS = 63

FAR = wp.constant(1.0e9)
EVERYTHING = wp.constant(wp.int64(-1))
NOTHING = wp.constant(wp.int64(0))
_NEAR = wp.constant(1.0e-4)
# Radius of a rounded edge, as a share of the half size. Differs: CLEVR's `SmoothCube_v2.blend` and
# `SmoothCylinder.blend` have .18 and .054; here an edge keeps its shape, and its normal alone is rounded.
_CUBE_BEVEL = wp.constant(0.1)
_CYLINDER_BEVEL = wp.constant(0.06)


@wp.func
def has(bits: Bits, i: int) -> bool:
    """Return whether solid i is in the set."""
    return ((bits >> wp.int64(i)) & wp.int64(1)) != wp.int64(0)


@wp.func
def bit(i: int) -> Bits:
    """Return the set of solid i alone."""
    return wp.int64(1) << wp.int64(i)


@wp.func
def center_of(objects: Rows, i: int) -> wp.vec3:
    """Return the centre of solid i."""
    return wp.vec3(objects[i, X], objects[i, Y], objects[i, Z])


@wp.func
def _to_object(v: wp.vec3, cos: float, sin: float) -> wp.vec3:
    return wp.vec3(cos * v[0] + sin * v[1], cos * v[1] - sin * v[0], v[2])


@wp.func
def _to_world(v: wp.vec3, cos: float, sin: float) -> wp.vec3:
    return wp.vec3(cos * v[0] - sin * v[1], sin * v[0] + cos * v[1], v[2])


@wp.func
def _away_from_zero(value: float) -> float:
    if wp.abs(value) < 1.0e-9:
        return 1.0e-9
    return value


@wp.func
def _hit_cube(origin: wp.vec3, ray: wp.vec3, size: float) -> float:
    x = 1.0 / _away_from_zero(ray[0])
    y = 1.0 / _away_from_zero(ray[1])
    z = 1.0 / _away_from_zero(ray[2])
    reach_x = size * wp.abs(x)
    reach_y = size * wp.abs(y)
    reach_z = size * wp.abs(z)
    x = -origin[0] * x
    y = -origin[1] * y
    z = -origin[2] * z
    enter = wp.max(wp.max(x - reach_x, y - reach_y), z - reach_z)
    leave = wp.min(wp.min(x + reach_x, y + reach_y), z + reach_z)
    if enter > leave:
        return FAR
    return enter


@wp.func
def _hit_cylinder(origin: wp.vec3, ray: wp.vec3, size: float) -> float:
    a = ray[0] * ray[0] + ray[1] * ray[1]
    b = origin[0] * ray[0] + origin[1] * ray[1]
    c = origin[0] * origin[0] + origin[1] * origin[1] - size * size
    h = b * b - a * c
    if h < 0.0:
        return FAR
    side_enter = -FAR
    side_leave = FAR
    if a > 1.0e-9:
        root = wp.sqrt(h)
        side_enter = (-b - root) / a
        side_leave = (root - b) / a
    up = 1.0 / _away_from_zero(ray[2])
    middle = -origin[2] * up
    half = size * wp.abs(up)
    enter = wp.max(side_enter, middle - half)
    leave = wp.min(side_leave, middle + half)
    if enter > leave:
        return FAR
    return enter


@wp.func
def hit(objects: Rows, i: int, origin: wp.vec3, ray: wp.vec3) -> float:
    """Return the distance along `ray`, of unit length, at which it enters solid i; `FAR` if it does not."""
    local = origin - center_of(objects, i)
    along = wp.dot(local, ray)
    bound = objects[i, BOUND]
    square = wp.dot(local, local)
    room = bound * bound - square + along * along
    if room < 0.0 or (along > 0.0 and square > bound * bound):
        return FAR
    size = objects[i, SIZE]
    kind = int(objects[i, KIND])
    distance = float(FAR)
    if kind == SPHERE:
        distance = -along - wp.sqrt(room)
    elif kind == CYLINDER:
        distance = _hit_cylinder(local, ray, size)
    else:
        cos = objects[i, COS]
        sin = objects[i, SIN]
        distance = _hit_cube(_to_object(local, cos, sin), _to_object(ray, cos, sin), size)
    if distance < _NEAR:
        return FAR
    return distance


@wp.func
def _beyond(value: float, core: float) -> float:
    return value - wp.clamp(value, -core, core)


@wp.func
def normal_of(objects: Rows, i: int, point: wp.vec3) -> wp.vec3:
    """Return the outward normal; near an edge it turns as if the edge were rounded."""
    local = point - center_of(objects, i)
    size = objects[i, SIZE]
    kind = int(objects[i, KIND])
    if kind == SPHERE:
        return wp.normalize(local)
    if kind == CYLINDER:
        core = size * (1.0 - _CYLINDER_BEVEL)
        radius = wp.sqrt(local[0] * local[0] + local[1] * local[1]) + 1.0e-9
        out = wp.max(radius - core, 0.0) / radius
        return wp.normalize(wp.vec3(local[0] * out, local[1] * out, _beyond(local[2], core)))
    cos = objects[i, COS]
    sin = objects[i, SIN]
    turned = _to_object(local, cos, sin)
    core = size * (1.0 - _CUBE_BEVEL)
    normal = wp.vec3(_beyond(turned[0], core), _beyond(turned[1], core), _beyond(turned[2], core))
    return _to_world(wp.normalize(normal), cos, sin)


@wp.func
def near_edge(objects: Rows, i: int, point: wp.vec3, margin: float) -> bool:
    """Return whether `point` on solid i lies within `margin` metres of a rounded edge."""
    local = point - center_of(objects, i)
    size = objects[i, SIZE]
    kind = int(objects[i, KIND])
    if kind == SPHERE:
        return False
    if kind == CYLINDER:
        core = size * (1.0 - _CYLINDER_BEVEL) - margin
        return wp.abs(local[2]) > core and local[0] * local[0] + local[1] * local[1] > core * core
    turned = _to_object(local, objects[i, COS], objects[i, SIN])
    core = size * (1.0 - _CUBE_BEVEL) - margin
    outside = int(0)
    for axis in range(3):
        if wp.abs(turned[axis]) > core:
            outside += 1
    return outside >= 2


@wp.func
def trace(objects: Rows, among: Bits, origin: wp.vec3, ray: wp.vec3):
    """Return the nearest solid of the set `among`, -1 if none, and the distance to it."""
    nearest = int(-1)
    best = float(FAR)
    for i in range(objects.shape[0]):
        if has(among, i):
            distance = hit(objects, i, origin, ray)
            if distance < best:
                best = distance
                nearest = i
    return nearest, best


@wp.func
def is_blocked(objects: Rows, among: Bits, point: wp.vec3, ray: wp.vec3, reach: float) -> bool:
    """Return whether a solid of the set `among` stands between `point` and the place `reach` away along `ray`."""
    for i in range(objects.shape[0]):
        if has(among, i) and hit(objects, i, point, ray) < reach:
            return True
    return False


@wp.struct
class Floor:
    """The studio's floor: flat, then a sweep that rises along one axis; heights in metres at given places.

    `swept` is the light that each place of a grid receives from the rest of the floor: see `interreflection.py`.
    """

    axis: wp.vec3
    across: wp.vec3
    start: float
    side_low: float
    side_high: float
    places: wp.array(dtype=float)
    heights: wp.array(dtype=float)
    slopes: wp.array(dtype=float)
    swept: wp.array2d(dtype=wp.vec3)


@wp.func
def hit_floor(floor: Floor, origin: wp.vec3, ray: wp.vec3):
    """Return the distance to the floor, `FAR` if the ray leaves the studio, and the slope that shades it."""
    distance = float(FAR)
    slope = float(0.0)
    u = wp.dot(origin, floor.axis)
    du = wp.dot(ray, floor.axis)
    flat = float(FAR)
    if ray[2] < -1.0e-6:
        flat = -origin[2] / ray[2]
    if flat < FAR and u + flat * du <= floor.places[0]:
        distance = flat
        # The first face is one large one, and its shading is smoothed towards the next face's.
        slope = floor.slopes[0] * (u + flat * du - floor.start) / (floor.places[0] - floor.start)
    elif du > 1.0e-6:
        found = int(0)
        for k in range(1, floor.places.shape[0]):
            if found == 0:
                t = (floor.places[k] - u) / du
                gap = origin[2] + t * ray[2] - floor.heights[k]
                if t > 0.0 and gap <= 0.0:
                    found = 1
                    before = (floor.places[k - 1] - u) / du
                    above = origin[2] + before * ray[2] - floor.heights[k - 1]
                    share = above / wp.max(above - gap, 1.0e-9)
                    distance = before + (t - before) * share
                    slope = floor.slopes[k - 1] + (floor.slopes[k] - floor.slopes[k - 1]) * share
    if distance < FAR:
        side = wp.dot(origin + distance * ray, floor.across)
        if u + distance * du < floor.start or side < floor.side_low or side > floor.side_high:
            distance = float(FAR)
    return distance, slope


@wp.struct
class Lens:
    """A pinhole camera: where it stands and its axes; focal length in pixels."""

    position: wp.vec3
    right: wp.vec3
    up: wp.vec3
    forward: wp.vec3
    focal: float
    width: float
    height: float


@wp.func
def pixel_ray(lens: Lens, column: float, row: float) -> wp.vec3:
    """Return the direction in which the camera sees a place of the picture, in pixels from the top left."""
    x = (column - 0.5 * lens.width) / lens.focal
    y = (0.5 * lens.height - row) / lens.focal
    return wp.normalize(lens.forward + x * lens.right + y * lens.up)
