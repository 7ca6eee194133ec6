# mypy: disable-error-code="valid-type,no-any-return"
"""Ray casting and shading of analytic solids in CLEVR's studio, as warp kernels for CPU and CUDA.

The kernels know rows of numbers, not scenes: `builtin.py` packs them. One thread draws one pixel and reads no
other pixel's result but the object index, and every sample position is fixed, so the same rows give the same
picture on any number of threads.

Light is direct light from four lamps with soft shadows, plus one bounce between ground and objects that is
estimated from solid angles instead of being sampled. It is therefore free of noise.
"""

import warp as wp

wp.set_module_options({"enable_backward": False})

RUBBER = wp.constant(0)
METAL = wp.constant(1)
CUBE = wp.constant(0)
SPHERE = wp.constant(1)
CYLINDER = wp.constant(2)

# Columns of an object's row.
_X, _Y, _Z, _SIZE, _COS, _SIN, _RED, _GREEN, _BLUE, _KIND, _MATERIAL, _BOUND = (wp.constant(i) for i in range(12))
OBJECT_COLUMNS = 12

# Columns of a lamp's row: place (or direction to the sun), two half edges, radiance times area, radiance.
LAMP_COLUMNS = 12
NUM_LAMPS = wp.constant(4)
SUN = wp.constant(3)

_FAR = wp.constant(1.0e9)
_NEAR = wp.constant(1.0e-4)
_GROUND_ALBEDO = wp.constant(0.8)
_CUBE_BEVEL = wp.constant(0.1)
_CYLINDER_BEVEL = wp.constant(0.06)


@wp.func
def _center(objects: wp.array2d(dtype=float), i: int) -> wp.vec3:
    return wp.vec3(objects[i, _X], objects[i, _Y], objects[i, _Z])


@wp.func
def _color(objects: wp.array2d(dtype=float), i: int) -> wp.vec3:
    return wp.vec3(objects[i, _RED], objects[i, _GREEN], objects[i, _BLUE])


@wp.func
def _to_object(v: wp.vec3, cos: float, sin: float) -> wp.vec3:
    return wp.vec3(cos * v[0] + sin * v[1], cos * v[1] - sin * v[0], v[2])


@wp.func
def _to_world(v: wp.vec3, cos: float, sin: float) -> wp.vec3:
    return wp.vec3(cos * v[0] - sin * v[1], sin * v[0] + cos * v[1], v[2])


@wp.func
def _hit_sphere(origin: wp.vec3, ray: wp.vec3, radius: float) -> float:
    b = wp.dot(origin, ray)
    h = b * b - wp.dot(origin, origin) + radius * radius
    if h < 0.0:
        return _FAR
    return -b - wp.sqrt(h)


@wp.func
def _hit_cube(origin: wp.vec3, ray: wp.vec3, size: float) -> float:
    enter = float(-_FAR)
    leave = float(_FAR)
    for axis in range(3):
        direction = ray[axis]
        if wp.abs(direction) < 1.0e-9:
            direction = 1.0e-9
        inverse = 1.0 / direction
        a = -origin[axis] * inverse
        b = size * wp.abs(inverse)
        enter = wp.max(enter, a - b)
        leave = wp.min(leave, a + b)
    if enter > leave:
        return _FAR
    return enter


@wp.func
def _hit_cylinder(origin: wp.vec3, ray: wp.vec3, size: float) -> float:
    a = ray[0] * ray[0] + ray[1] * ray[1]
    b = origin[0] * ray[0] + origin[1] * ray[1]
    c = origin[0] * origin[0] + origin[1] * origin[1] - size * size
    h = b * b - a * c
    if h < 0.0:
        return _FAR
    side_enter = -_FAR
    side_leave = _FAR
    if a > 1.0e-9:
        root = wp.sqrt(h)
        side_enter = (-b - root) / a
        side_leave = (root - b) / a
    up = ray[2]
    if wp.abs(up) < 1.0e-9:
        up = 1.0e-9
    middle = -origin[2] / up
    half = size / wp.abs(up)
    enter = wp.max(side_enter, middle - half)
    leave = wp.min(side_leave, middle + half)
    if enter > leave:
        return _FAR
    return enter


@wp.func
def _hit(objects: wp.array2d(dtype=float), i: int, origin: wp.vec3, ray: wp.vec3) -> float:
    """Return the distance along `ray`, of unit length, at which it enters object i; `_FAR` if it does not."""
    local = origin - _center(objects, i)
    along = wp.dot(local, ray)
    bound = objects[i, _BOUND]
    if wp.dot(local, local) - along * along > bound * bound:
        return _FAR
    size = objects[i, _SIZE]
    kind = int(objects[i, _KIND])
    distance = float(_FAR)
    if kind == SPHERE:
        distance = _hit_sphere(local, ray, size)
    elif kind == CYLINDER:
        distance = _hit_cylinder(local, ray, size)
    else:
        cos = objects[i, _COS]
        sin = objects[i, _SIN]
        distance = _hit_cube(_to_object(local, cos, sin), _to_object(ray, cos, sin), size)
    if distance < _NEAR:
        return _FAR
    return distance


@wp.func
def _normal(objects: wp.array2d(dtype=float), i: int, point: wp.vec3) -> wp.vec3:
    """Return the outward normal; near an edge it turns as if the edge were rounded."""
    local = point - _center(objects, i)
    size = objects[i, _SIZE]
    kind = int(objects[i, _KIND])
    if kind == SPHERE:
        return wp.normalize(local)
    if kind == CYLINDER:
        core = size * (1.0 - _CYLINDER_BEVEL)
        radius = wp.sqrt(local[0] * local[0] + local[1] * local[1]) + 1.0e-9
        out = wp.max(radius - core, 0.0)
        up = wp.max(wp.abs(local[2]) - core, 0.0) * wp.sign(local[2])
        return wp.normalize(wp.vec3(local[0] / radius * out, local[1] / radius * out, up))
    cos = objects[i, _COS]
    sin = objects[i, _SIN]
    turned = _to_object(local, cos, sin)
    core = size * (1.0 - _CUBE_BEVEL)
    normal = wp.vec3(
        turned[0] - wp.clamp(turned[0], -core, core),
        turned[1] - wp.clamp(turned[1], -core, core),
        turned[2] - wp.clamp(turned[2], -core, core),
    )
    return _to_world(wp.normalize(normal), cos, sin)


@wp.struct
class Ground:
    """The studio's floor: flat, then a sweep that rises along one axis; heights in metres at given places."""

    axis: wp.vec3
    across: wp.vec3
    start: float
    side_low: float
    side_high: float
    places: wp.array(dtype=float)
    heights: wp.array(dtype=float)
    slopes: wp.array(dtype=float)


@wp.func
def _hit_ground(ground: Ground, origin: wp.vec3, ray: wp.vec3):
    """Return the distance to the floor, `_FAR` if the ray leaves the studio, and the floor's slope there."""
    distance = float(_FAR)
    slope = float(0.0)
    u = wp.dot(origin, ground.axis)
    du = wp.dot(ray, ground.axis)
    flat = float(_FAR)
    if ray[2] < -1.0e-6:
        flat = -origin[2] / ray[2]
    if flat < _FAR and u + flat * du <= ground.places[0]:
        distance = flat
    elif du > 1.0e-6:
        found = int(0)
        for k in range(1, ground.places.shape[0]):
            if found == 0:
                t = (ground.places[k] - u) / du
                gap = origin[2] + t * ray[2] - ground.heights[k]
                if t > 0.0 and gap <= 0.0:
                    found = 1
                    before = (ground.places[k - 1] - u) / du
                    above = origin[2] + before * ray[2] - ground.heights[k - 1]
                    share = above / wp.max(above - gap, 1.0e-9)
                    distance = before + (t - before) * share
                    slope = ground.slopes[k - 1] + (ground.slopes[k] - ground.slopes[k - 1]) * share
    if distance < _FAR:
        side = wp.dot(origin + distance * ray, ground.across)
        if u + distance * du < ground.start or side < ground.side_low or side > ground.side_high:
            distance = float(_FAR)
    return distance, slope


@wp.func
def _trace(objects: wp.array2d(dtype=float), origin: wp.vec3, ray: wp.vec3):
    """Return the nearest object, -1 if none, and the distance to it."""
    nearest = int(-1)
    best = float(_FAR)
    for i in range(objects.shape[0]):
        distance = _hit(objects, i, origin, ray)
        if distance < best:
            best = distance
            nearest = i
    return nearest, best


@wp.func
def _blocked(objects: wp.array2d(dtype=float), point: wp.vec3, ray: wp.vec3, reach: float) -> bool:
    for i in range(objects.shape[0]):
        local = _center(objects, i) - point
        if wp.dot(local, ray) > -objects[i, _BOUND] and _hit(objects, i, point, ray) < reach:
            return True
    return False


@wp.func
def _lamp_ray(lamps: wp.array2d(dtype=float), j: int, point: wp.vec3, a: float, b: float):
    """Return the direction and distance from `point` to the place (a, b) in [-1, 1] of lamp j."""
    place = wp.vec3(
        lamps[j, 0] + a * lamps[j, 3] + b * lamps[j, 6],
        lamps[j, 1] + a * lamps[j, 4] + b * lamps[j, 7],
        lamps[j, 2] + a * lamps[j, 5] + b * lamps[j, 8],
    )
    reach = float(_FAR)
    if j == SUN:
        return wp.normalize(place), reach
    to_lamp = place - point
    reach = wp.length(to_lamp)
    return to_lamp / reach, reach


@wp.func
def _visible(
    objects: wp.array2d(dtype=float), lamps: wp.array2d(dtype=float), j: int, point: wp.vec3, samples: int
) -> float:
    """Return the share of lamp j, in [0, 1], that `point` sees."""
    ray, reach = _lamp_ray(lamps, j, point, 0.0, 0.0)
    # Sine of half the angle that the lamp's corners span.
    spread = wp.sqrt(2.0) * wp.length(wp.vec3(lamps[j, 3], lamps[j, 4], lamps[j, 5]))
    if j != SUN:
        spread = spread / reach
    candidates = int(0)
    for i in range(objects.shape[0]):
        local = _center(objects, i) - point
        along = wp.dot(local, ray)
        bound = objects[i, _BOUND]
        if along > -bound and along < reach:
            wide = bound + wp.max(along, 0.0) * spread
            if wp.dot(local, local) - along * along < wide * wide:
                candidates += 1
    if candidates == 0:
        return 1.0
    if samples <= 1:
        if _blocked(objects, point, ray, reach):
            return 0.0
        return 1.0
    open_corners = int(0)
    for k in range(4):
        a = 2.0 * float(k % 2) - 1.0
        b = 2.0 * float(k / 2) - 1.0
        corner, distance = _lamp_ray(lamps, j, point, a, b)
        if not _blocked(objects, point, corner, distance):
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
        inner, distance = _lamp_ray(lamps, j, point, a, b)
        if not _blocked(objects, point, inner, distance):
            seen += 1
    return float(seen) / float(samples)


@wp.func
def _lamp_power(lamps: wp.array2d(dtype=float), j: int, ray: wp.vec3, reach: float) -> float:
    """Return the irradiance of a surface that faces lamp j, without shadow."""
    if j == SUN:
        return lamps[j, 9]
    emit = wp.dot(ray, wp.normalize(wp.vec3(lamps[j, 0], lamps[j, 1], lamps[j, 2])))
    # The lamp faces the origin, where its ray comes from.
    return wp.max(emit, 0.0) * lamps[j, 9] / (reach * reach)


@wp.func
def _gloss(normal: wp.vec3, ray: wp.vec3, view: wp.vec3, alpha: float) -> float:
    """Return the GGX lobe times the cosine to the lamp; 1 over the projected solid angle is its scale."""
    half = wp.normalize(ray + view)
    cos_h = wp.max(wp.dot(normal, half), 0.0)
    cos_l = wp.max(wp.dot(normal, ray), 0.0)
    cos_v = wp.max(wp.dot(normal, view), 1.0e-3)
    a2 = alpha * alpha
    k = cos_h * cos_h * (a2 - 1.0) + 1.0
    d = a2 / (3.14159265 * k * k)
    g = cos_l * wp.sqrt(a2 + (1.0 - a2) * cos_v * cos_v) + cos_v * wp.sqrt(a2 + (1.0 - a2) * cos_l * cos_l)
    return 0.5 * d * cos_l / wp.max(g, 1.0e-4)


@wp.func
def _bounce(objects: wp.array2d(dtype=float), own: int, point: wp.vec3, normal: wp.vec3) -> wp.vec3:
    """Return the irradiance that other objects send to `point`, each taken as an evenly lit sphere."""
    total = wp.vec3(0.0)
    for i in range(objects.shape[0]):
        if i != own:
            to_object = _center(objects, i) - point
            square = wp.dot(to_object, to_object)
            size = objects[i, _SIZE]
            cos = wp.dot(to_object, normal) / wp.sqrt(square)
            share = wp.min(size * size / square, 1.0) * wp.max(0.8 * cos + 0.2, 0.0)
            total += share * 0.45 * _color(objects, i)
    return total


@wp.func
def _ground_light(
    objects: wp.array2d(dtype=float),
    lamps: wp.array2d(dtype=float),
    point: wp.vec3,
    slope: float,
    ground: Ground,
    samples: int,
) -> wp.vec3:
    """Return the radiance that leaves the floor at `point`."""
    normal = wp.normalize(wp.vec3(0.0, 0.0, 1.0) - slope * ground.axis)
    total = float(0.0)
    for j in range(NUM_LAMPS):
        ray, reach = _lamp_ray(lamps, j, point, 0.0, 0.0)
        light = _lamp_power(lamps, j, ray, reach) * wp.max(wp.dot(normal, ray), 0.0)
        if light > 1.0e-4:
            total += light * _visible(objects, lamps, j, point, samples)
    bounced = _bounce(objects, -1, point, normal)
    return _GROUND_ALBEDO / 3.14159265 * (wp.vec3(total + 0.02) + bounced)


@wp.func
def _floor_share(objects: wp.array2d(dtype=float), i: int, point: wp.vec3, normal: wp.vec3) -> float:
    """Return how much of the floor's light reaches a point of object i: less near the floor, in its own shadow."""
    height = wp.clamp(point[2] / (2.0 * objects[i, _SIZE]), 0.0, 1.0)
    return 0.5 * (1.0 - normal[2]) * (0.35 + 0.65 * wp.sqrt(height))


@wp.func
def _rubber(
    objects: wp.array2d(dtype=float),
    lamps: wp.array2d(dtype=float),
    i: int,
    point: wp.vec3,
    normal: wp.vec3,
    view: wp.vec3,
    samples: int,
) -> wp.vec3:
    """Return the radiance of matt object i towards `view`: diffuse with a faint broad highlight."""
    color = _color(objects, i)
    start = point + 1.0e-3 * normal
    diffuse = float(0.0)
    sheen = float(0.0)
    cos_v = wp.clamp(wp.dot(normal, view), 0.0, 1.0)
    rim = wp.pow(1.0 - cos_v, 5.0)
    for j in range(NUM_LAMPS):
        ray, reach = _lamp_ray(lamps, j, start, 0.0, 0.0)
        cos_l = wp.dot(normal, ray)
        if cos_l > 0.0:
            light = _lamp_power(lamps, j, ray, reach) * _visible(objects, lamps, j, start, samples)
            diffuse += light * cos_l
            sheen += light * _gloss(normal, ray, view, 0.35)
    bounced = _bounce(objects, i, point, normal)
    floor_light = 0.74 * _floor_share(objects, i, point, normal)
    ambient = wp.vec3(diffuse + floor_light) + bounced
    fresnel = 0.0123 + 0.9877 * rim
    matt = (1.0 - fresnel) / 3.14159265 * wp.cw_mul(color, ambient)
    return matt + wp.vec3(fresnel * (sheen + 0.1 * (1.0 - normal[2])))


@wp.func
def _metal_lamps(
    objects: wp.array2d(dtype=float),
    lamps: wp.array2d(dtype=float),
    point: wp.vec3,
    normal: wp.vec3,
    view: wp.vec3,
) -> float:
    """Return the lamps' highlights on an untinted metal: a broad and a narrow lobe, widened by the lamp's size."""
    total = float(0.0)
    for j in range(NUM_LAMPS):
        ray, reach = _lamp_ray(lamps, j, point, 0.0, 0.0)
        if wp.dot(normal, ray) > 0.0:
            edge = wp.length(wp.vec3(lamps[j, 3], lamps[j, 4], lamps[j, 5]))
            if j != SUN:
                edge = edge / reach
            lobes = 0.4 * _gloss(normal, ray, view, 0.2) + 0.6 * _gloss(normal, ray, view, 0.03 + 0.4 * edge)
            if lobes > 1.0e-3:
                light = _lamp_power(lamps, j, ray, reach) * lobes
                if not _blocked(objects, point, ray, reach):
                    total += light
    return total


@wp.func
def _seen_in_metal(
    objects: wp.array2d(dtype=float),
    lamps: wp.array2d(dtype=float),
    ground: Ground,
    own: int,
    point: wp.vec3,
    ray: wp.vec3,
) -> wp.vec3:
    """Return the radiance that a mirror at `point` sees along `ray`; a second mirror is seen as plain colour."""
    i, distance = _trace(objects, point, ray)
    floor_distance, slope = _hit_ground(ground, point, ray)
    if i < 0 and floor_distance >= _FAR:
        return wp.vec3(0.0)
    if i < 0 or floor_distance < distance:
        return _ground_light(objects, lamps, point + floor_distance * ray, slope, ground, 1)
    place = point + distance * ray
    normal = _normal(objects, i, place)
    if int(objects[i, _MATERIAL]) == RUBBER:
        return _rubber(objects, lamps, i, place, normal, -ray, 1)
    mirrored = ray - 2.0 * wp.dot(ray, normal) * normal
    seen = 0.04 + 0.2 * wp.clamp(0.3 - mirrored[2] * 2.0, 0.0, 1.0)
    return _color(objects, i) * (seen + _metal_lamps(objects, lamps, place + 1.0e-3 * normal, normal, -ray))


@wp.func
def _metal(
    objects: wp.array2d(dtype=float),
    lamps: wp.array2d(dtype=float),
    ground: Ground,
    i: int,
    point: wp.vec3,
    normal: wp.vec3,
    view: wp.vec3,
    turn: float,
) -> wp.vec3:
    """Return the radiance of metal object i towards `view`: a sharp and a blurred reflection, both tinted."""
    start = point + 1.0e-3 * normal
    sharp = 2.0 * wp.dot(view, normal) * normal - view
    seen = 0.6 * _seen_in_metal(objects, lamps, ground, i, start, sharp)
    helper = wp.vec3(0.0, 0.0, 1.0)
    if wp.abs(normal[2]) > 0.9:
        helper = wp.vec3(1.0, 0.0, 0.0)
    tangent = wp.normalize(wp.cross(helper, normal))
    other = wp.cross(normal, tangent)
    for k in range(3):
        angle = 2.0943951 * float(k) + turn
        tilt = 0.2
        half = wp.normalize(normal + tilt * (wp.cos(angle) * tangent + wp.sin(angle) * other))
        ray = 2.0 * wp.dot(view, half) * half - view
        if wp.dot(ray, normal) > 0.0:
            seen += 0.4 / 3.0 * _seen_in_metal(objects, lamps, ground, i, start, ray)
    light = _metal_lamps(objects, lamps, start, normal, view)
    return wp.cw_mul(_color(objects, i), seen + wp.vec3(light))


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
def _pixel_ray(lens: Lens, column: float, row: float) -> wp.vec3:
    x = (column - 0.5 * lens.width) / lens.focal
    y = (0.5 * lens.height - row) / lens.focal
    return wp.normalize(lens.forward + x * lens.right + y * lens.up)


@wp.func
def _trace_boxed(
    objects: wp.array2d(dtype=float),
    boxes: wp.array2d(dtype=int),
    origin: wp.vec3,
    ray: wp.vec3,
    row: int,
    column: int,
):
    """Return what `_trace` returns, testing only objects whose box of pixels holds the pixel."""
    nearest = int(-1)
    best = float(_FAR)
    for i in range(objects.shape[0]):
        if column >= boxes[i, 0] and column <= boxes[i, 1] and row >= boxes[i, 2] and row <= boxes[i, 3]:
            distance = _hit(objects, i, origin, ray)
            if distance < best:
                best = distance
                nearest = i
    return nearest, best


@wp.func
def _sample(
    objects: wp.array2d(dtype=float),
    boxes: wp.array2d(dtype=int),
    lamps: wp.array2d(dtype=float),
    ground: Ground,
    lens: Lens,
    row: int,
    column: int,
    dx: float,
    dy: float,
    samples: int,
    turn: float,
) -> wp.vec3:
    ray = _pixel_ray(lens, float(column) + dx, float(row) + dy)
    i, distance = _trace_boxed(objects, boxes, lens.position, ray, row, column)
    if i < 0:
        floor_distance, slope = _hit_ground(ground, lens.position, ray)
        if floor_distance >= _FAR:
            return wp.vec3(0.0)
        return _ground_light(objects, lamps, lens.position + floor_distance * ray, slope, ground, samples)
    point = lens.position + distance * ray
    normal = _normal(objects, i, point)
    if int(objects[i, _MATERIAL]) == METAL:
        return _metal(objects, lamps, ground, i, point, normal, -ray, turn)
    return _rubber(objects, lamps, i, point, normal, -ray, samples)


@wp.kernel
def find_objects(
    objects: wp.array2d(dtype=float),
    boxes: wp.array2d(dtype=int),
    ground: Ground,
    lens: Lens,
    far: float,
    index: wp.array2d(dtype=wp.int16),
    depth: wp.array2d(dtype=float),
) -> None:
    """Write the index of the object at each pixel's centre, -1 for none, and the depth along the camera's axis."""
    row, column = wp.tid()
    ray = _pixel_ray(lens, float(column) + 0.5, float(row) + 0.5)
    i, distance = _trace_boxed(objects, boxes, lens.position, ray, row, column)
    if i < 0 and far > 0.0:
        distance, _slope = _hit_ground(ground, lens.position, ray)
        distance = wp.min(distance, far)
    index[row, column] = wp.int16(i)
    depth[row, column] = distance * wp.dot(ray, lens.forward)


@wp.func
def _encode(value: float) -> wp.uint8:
    light = wp.clamp(value, 0.0, 1.0)
    if light <= 0.0031308:
        light = 12.92 * light
    else:
        light = 1.055 * wp.pow(light, 0.41666667) - 0.055
    return wp.uint8(int(light * 255.0 + 0.5))


@wp.kernel
def shade(
    objects: wp.array2d(dtype=float),
    boxes: wp.array2d(dtype=int),
    lamps: wp.array2d(dtype=float),
    ground: Ground,
    lens: Lens,
    index: wp.array2d(dtype=wp.int16),
    samples_per_pixel: int,
    shadow_samples: int,
    image: wp.array3d(dtype=wp.uint8),
) -> None:
    """Write each pixel's sRGB colour: one sample on even matt surfaces, `samples_per_pixel` at edges and on metal."""
    row, column = wp.tid()
    height = index.shape[0]
    width = index.shape[1]
    i = int(index[row, column])
    fine = bool(False)
    if i >= 0:
        fine = int(objects[i, _MATERIAL]) == METAL or int(objects[i, _KIND]) != SPHERE
    for dr in range(-1, 2):
        for dc in range(-1, 2):
            r = wp.clamp(row + dr, 0, height - 1)
            c = wp.clamp(column + dc, 0, width - 1)
            if int(index[r, c]) != i:
                fine = True
    count = int(1)
    if fine:
        count = samples_per_pixel
    total = wp.vec3(0.0)
    for k in range(count):
        turn = (float(k) + 0.5) * 0.6180339887
        dx = (float(k) + 0.5) / float(count)
        dy = turn - wp.floor(turn)
        if count == 1:
            dy = 0.5
        color = _sample(objects, boxes, lamps, ground, lens, row, column, dx, dy, shadow_samples, 2.0943951 * dy)
        total += wp.vec3(wp.min(color[0], 2.0), wp.min(color[1], 2.0), wp.min(color[2], 2.0))
    total = total / float(count)
    image[row, column, 0] = _encode(total[0])
    image[row, column, 1] = _encode(total[1])
    image[row, column, 2] = _encode(total[2])
