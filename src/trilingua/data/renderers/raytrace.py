# mypy: ignore-errors
# ruff: noqa: UP018, RUF046 - warp tells variables from constants by these calls, and knows no any()
"""The colours of CLEVR's solids and floor, as warp kernels for CPU and CUDA.

The kernels know rows of numbers, not scenes: `builtin.py` packs them. One thread draws one pixel, and every
sample position is fixed, so the same rows give the same picture on any number of threads.

Light is direct light from four lamps with soft shadows, the floor's own from `interreflection.py`, plus one bounce
between floor and solids that is estimated from solid angles instead of being sampled; so there is no noise.
"""

import warp as wp

from trilingua.data.renderers.lamps import (
    NUM_LAMPS,
    TILE,
    half_edge,
    irradiance,
    lamp_color,
    lamp_ray,
    seen_share,
    swept_light,
    unshaded_light,
)
from trilingua.data.renderers.solids import (
    BLUE,
    EVERYTHING,
    FAR,
    GREEN,
    MATERIAL,
    NOTHING,
    RED,
    SIZE,
    Bits,
    Floor,
    Lens,
    Rows,
    bit,
    center_of,
    has,
    hit_floor,
    is_blocked,
    near_edge,
    normal_of,
    pixel_ray,
    trace,
)
from trilingua.data.renderers.views import FLOOR_ALBEDO

wp.set_module_options({"enable_backward": False})

RUBBER = wp.constant(0)
METAL = wp.constant(1)

_TILE = wp.constant(TILE)
_TILE_SIDE = wp.constant(float(TILE))
_FLOOR_ALBEDO = wp.constant(FLOOR_ALBEDO)
_PI = wp.constant(3.14159265)
_RUBBER_SENDS = wp.constant(0.75)
_METAL_SENDS = wp.constant(0.45)


@wp.func
def _color(objects: Rows, i: int) -> wp.vec3:
    return wp.vec3(objects[i, RED], objects[i, GREEN], objects[i, BLUE])


@wp.func
def _bounce(objects: Rows, among: Bits, point: wp.vec3, normal: wp.vec3, wrap: float) -> wp.vec3:
    """Return the irradiance that solids send to `point`, each taken as an evenly lit sphere."""
    total = wp.vec3(0.0)
    for i in range(objects.shape[0]):
        if has(among, i):
            to_object = center_of(objects, i) - point
            square = wp.dot(to_object, to_object)
            size = objects[i, SIZE]
            # Fades out where `find_bouncers` cuts off.
            fade = wp.max(1.0 - square / (64.0 * size * size), 0.0)
            cos = (1.0 - wrap) * wp.dot(to_object, normal) / wp.sqrt(square) + wrap
            share = wp.min(size * size / square, 1.0) * wp.max(cos, 0.0) * fade
            sent = wp.where(int(objects[i, MATERIAL]) == METAL, _METAL_SENDS, _RUBBER_SENDS)
            total += share * sent * _color(objects, i)
    return total


@wp.func
def _floor_radiance(lamp_light: wp.vec3, swept: wp.vec3, bounced: wp.vec3) -> wp.vec3:
    return _FLOOR_ALBEDO / _PI * (lamp_light + swept + bounced)


@wp.func
def _floor_light(objects: Rows, lamps: Rows, floor: Floor, point: wp.vec3, slope: float, samples: int) -> wp.vec3:
    """Return the radiance that leaves the floor at `point`."""
    normal = wp.normalize(wp.vec3(0.0, 0.0, 1.0) - slope * floor.axis)
    total = wp.vec3(0.0)
    for j in range(NUM_LAMPS):
        light = unshaded_light(lamps, j, point, normal)
        if light > 1.0e-4:
            total += light * seen_share(objects, lamps, j, EVERYTHING, point, samples) * lamp_color(lamps, j)
    return _floor_radiance(total, swept_light(floor, point), _bounce(objects, EVERYTHING, point, normal, 0.0))


@wp.func
def _gloss(normal: wp.vec3, ray: wp.vec3, view: wp.vec3, alpha: float) -> float:
    """Return the GGX reflection from `ray` to `view` times the cosine to the lamp, without Fresnel's factor."""
    half = wp.normalize(ray + view)
    cos_h = wp.max(wp.dot(normal, half), 0.0)
    cos_l = wp.max(wp.dot(normal, ray), 0.0)
    cos_v = wp.max(wp.dot(normal, view), 1.0e-3)
    a2 = alpha * alpha
    k = cos_h * cos_h * (a2 - 1.0) + 1.0
    d = a2 / (_PI * k * k)
    g = cos_l * wp.sqrt(a2 + (1.0 - a2) * cos_v * cos_v) + cos_v * wp.sqrt(a2 + (1.0 - a2) * cos_l * cos_l)
    return 0.5 * d * cos_l / wp.max(g, 1.0e-4)


@wp.func
def _floor_share(objects: Rows, i: int, point: wp.vec3, normal: wp.vec3) -> float:
    """Return how much of the floor's light reaches a point of solid i: less near the floor, in its own shadow."""
    height = wp.clamp(point[2] / (2.0 * objects[i, SIZE]), 0.0, 1.0)
    return 0.5 * (1.0 - normal[2]) * (0.35 + 0.65 * wp.sqrt(height))


@wp.func
def _rubber(
    objects: Rows,
    lamps: Rows,
    shaders: wp.array2d(dtype=wp.int64),
    i: int,
    point: wp.vec3,
    normal: wp.vec3,
    view: wp.vec3,
    samples: int,
) -> wp.vec3:
    """Return the radiance of matt solid i towards `view`: diffuse with a faint broad highlight."""
    start = point + 1.0e-3 * normal
    diffuse = wp.vec3(0.0)
    sheen = wp.vec3(0.0)
    for j in range(NUM_LAMPS):
        ray, reach = lamp_ray(lamps, j, start, 0.0, 0.0)
        cos = wp.dot(normal, ray)
        if cos > 0.0:
            share = seen_share(objects, lamps, j, shaders[i, j], start, samples)
            light = irradiance(lamps, j, ray, reach) * share * lamp_color(lamps, j)
            diffuse += light * cos
            sheen += light * _gloss(normal, ray, view, 0.35)
    bounced = _bounce(objects, shaders[i, NUM_LAMPS], point, normal, 0.2)
    ambient = diffuse + wp.vec3(0.7 * _floor_share(objects, i, point, normal)) + bounced
    rim = 1.0 - wp.clamp(wp.dot(normal, view), 0.0, 1.0)
    fresnel = 0.0083 + 0.9917 * rim * rim * rim * rim * rim
    matt = (1.0 - fresnel) / _PI * wp.cw_mul(_color(objects, i), ambient)
    return matt + fresnel * (sheen + wp.vec3(0.1 * (1.0 - normal[2])))


@wp.func
def _metal_lamps(objects: Rows, lamps: Rows, among: Bits, point: wp.vec3, normal: wp.vec3, view: wp.vec3) -> wp.vec3:
    """Return the lamps' highlights on an untinted metal: a broad and a narrow lobe, widened by the lamp's size."""
    total = wp.vec3(0.0)
    for j in range(NUM_LAMPS):
        ray, reach = lamp_ray(lamps, j, point, 0.0, 0.0)
        if wp.dot(normal, ray) > 0.0:
            narrow = 0.03 + 0.4 * half_edge(lamps, j, reach)
            lobes = 0.4 * _gloss(normal, ray, view, 0.2) + 0.6 * _gloss(normal, ray, view, narrow)
            light = irradiance(lamps, j, ray, reach) * lobes
            if light > 1.0e-3 and not is_blocked(objects, among, point, ray, reach):
                total += light * lamp_color(lamps, j)
    return total


@wp.func
def _mirrored(
    objects: Rows,
    lamps: Rows,
    shaders: wp.array2d(dtype=wp.int64),
    floor: Floor,
    own: int,
    point: wp.vec3,
    ray: wp.vec3,
) -> wp.vec3:
    """Return the radiance that a mirror on solid `own` sees along `ray`; a second mirror is seen as plain colour."""
    i, distance = trace(objects, EVERYTHING ^ bit(own), point, ray)
    floor_distance, slope = hit_floor(floor, point, ray)
    if i < 0 and floor_distance >= FAR:
        return wp.vec3(0.0)
    if i < 0 or floor_distance < distance:
        return _floor_light(objects, lamps, floor, point + floor_distance * ray, slope, 1)
    place = point + distance * ray
    normal = normal_of(objects, i, place)
    if int(objects[i, MATERIAL]) == RUBBER:
        return _rubber(objects, lamps, shaders, i, place, normal, -ray, 1)
    second = ray - 2.0 * wp.dot(ray, normal) * normal
    seen = 0.04 + 0.2 * wp.clamp(0.3 - second[2] * 2.0, 0.0, 1.0)
    highlight = _metal_lamps(objects, lamps, EVERYTHING ^ bit(i), place + 1.0e-3 * normal, normal, -ray)
    return wp.cw_mul(_color(objects, i), wp.vec3(seen) + highlight)


@wp.func
def _metal(
    objects: Rows,
    lamps: Rows,
    shaders: wp.array2d(dtype=wp.int64),
    floor: Floor,
    i: int,
    point: wp.vec3,
    normal: wp.vec3,
    view: wp.vec3,
    turn: float,
) -> wp.vec3:
    """Return the radiance of metal solid i towards `view`: a sharp and a blurred reflection, both tinted.

    The blurred one takes a single ray, tilted in the direction `turn`; the samples of a pixel turn it around.
    """
    start = point + 1.0e-3 * normal
    sharp = 2.0 * wp.dot(view, normal) * normal - view
    seen = 0.6 * _mirrored(objects, lamps, shaders, floor, i, start, sharp)
    helper = wp.vec3(0.0, 0.0, 1.0)
    if wp.abs(normal[2]) > 0.9:
        helper = wp.vec3(1.0, 0.0, 0.0)
    tangent = wp.normalize(wp.cross(helper, normal))
    other = wp.cross(normal, tangent)
    half = wp.normalize(normal + 0.2 * (wp.cos(turn) * tangent + wp.sin(turn) * other))
    blurred = 2.0 * wp.dot(view, half) * half - view
    if wp.dot(blurred, normal) > 0.0:
        seen += 0.4 * _mirrored(objects, lamps, shaders, floor, i, start, blurred)
    highlight = _metal_lamps(objects, lamps, EVERYTHING ^ bit(i), start, normal, view)
    return 0.92 * wp.cw_mul(_color(objects, i), seen + highlight)


@wp.kernel
def find_objects(
    objects: Rows,
    shown: wp.array2d(dtype=wp.int64),
    floor: Floor,
    lens: Lens,
    want_depth: bool,
    index: wp.array2d(dtype=wp.int16),
    depth: wp.array2d(dtype=float),
) -> None:
    """Write the index of the solid at each pixel's centre, -1 for none, and the depth along the camera's axis."""
    row, column = wp.tid()
    among = shown[row / _TILE, column / _TILE]
    if among == NOTHING and not want_depth:
        index[row, column] = wp.int16(-1)
        return
    ray = pixel_ray(lens, float(column) + 0.5, float(row) + 0.5)
    i, distance = trace(objects, among, lens.position, ray)
    index[row, column] = wp.int16(i)
    if want_depth:
        if i < 0:
            distance, _slope = hit_floor(floor, lens.position, ray)
        depth[row, column] = wp.min(distance, 1000.0) * wp.dot(ray, lens.forward)


@wp.func
def _floor_pixel(
    objects: Rows,
    lamps: Rows,
    floor: Floor,
    lens: Lens,
    shaders: wp.array3d(dtype=wp.int64),
    light: wp.array3d(dtype=float),
    swept: wp.array3d(dtype=wp.vec3),
    x: float,
    y: float,
    samples: int,
) -> wp.vec3:
    """Return the floor's radiance at column `x` and row `y` of the picture."""
    row = int(y) / _TILE
    column = int(x) / _TILE
    if light[row, column, 0] < 0.0:
        ray = pixel_ray(lens, x, y)
        distance, slope = hit_floor(floor, lens.position, ray)
        if distance >= FAR:
            return wp.vec3(0.0)
        return _floor_light(objects, lamps, floor, lens.position + distance * ray, slope, samples)
    a = x / _TILE_SIDE - float(column)
    b = y / _TILE_SIDE - float(row)
    some = shaders[row, column, NUM_LAMPS]
    for j in range(NUM_LAMPS):
        some = some | shaders[row, column, j]
    point = wp.vec3(0.0)
    if some != NOTHING:
        ray = pixel_ray(lens, x, y)
        distance, _slope = hit_floor(floor, lens.position, ray)
        point = lens.position + distance * ray
    total = wp.vec3(0.0)
    for j in range(NUM_LAMPS):
        top = wp.lerp(light[row, column, 4 * j], light[row, column, 4 * j + 1], a)
        low = wp.lerp(light[row, column, 4 * j + 2], light[row, column, 4 * j + 3], a)
        share = seen_share(objects, lamps, j, shaders[row, column, j], point, samples)
        total += wp.lerp(top, low, b) * share * lamp_color(lamps, j)
    behind = wp.lerp(swept[row, column, 0], swept[row, column, 1], a)
    before = wp.lerp(swept[row, column, 2], swept[row, column, 3], a)
    bounced = _bounce(objects, shaders[row, column, NUM_LAMPS], point, wp.vec3(0.0, 0.0, 1.0), 0.0)
    return _floor_radiance(total, wp.lerp(behind, before, b), bounced)


@wp.func
def _encode(value: float, codes: wp.array(dtype=wp.uint8), limits: wp.array(dtype=float)) -> wp.uint8:
    """Return the 8-bit code of linear `value`: the table's guess, corrected by the codes' exact limits."""
    light = wp.clamp(value, 0.0, 1.0)
    code = int(codes[int(light * float(codes.shape[0] - 1))])
    while code < 255 and light >= limits[code]:
        code += 1
    return wp.uint8(code)


@wp.kernel
def shade(
    objects: Rows,
    lamps: Rows,
    floor: Floor,
    lens: Lens,
    shown: wp.array2d(dtype=wp.int64),
    object_shaders: wp.array2d(dtype=wp.int64),
    floor_shaders: wp.array3d(dtype=wp.int64),
    floor_light: wp.array3d(dtype=float),
    floor_swept: wp.array3d(dtype=wp.vec3),
    index: wp.array2d(dtype=wp.int16),
    codes: wp.array(dtype=wp.uint8),
    limits: wp.array(dtype=float),
    samples_per_pixel: int,
    shadow_samples: int,
    image: wp.array3d(dtype=wp.uint8),
) -> None:
    """Write each pixel's sRGB colour: one sample on even matt surfaces, `samples_per_pixel` at edges and on metal."""
    row, column = wp.tid()
    own = index[row, column]
    count = int(1)
    if own >= wp.int16(0) and int(objects[int(own), MATERIAL]) == METAL:
        count = samples_per_pixel
    for r in range(wp.max(row - 1, 0), wp.min(row + 2, index.shape[0])):
        for c in range(wp.max(column - 1, 0), wp.min(column + 2, index.shape[1])):
            if index[r, c] != own:
                count = samples_per_pixel
    among = shown[row / _TILE, column / _TILE]
    if count == 1 and own < wp.int16(0):
        among = wp.int64(NOTHING)
    total = wp.vec3(0.0)
    k = int(0)
    while k < count:
        turn = (float(k) + 0.5) * 0.6180339887
        turn = turn - wp.floor(turn)
        x = float(column) + (float(k) + 0.5) / float(count)
        y = float(row) + turn
        if count == 1:
            y = float(row) + 0.5
        color = wp.vec3(0.0)
        i = int(-1)
        distance = float(0.0)
        ray = wp.vec3(0.0)
        if among != NOTHING:
            ray = pixel_ray(lens, x, y)
            i, distance = trace(objects, among, lens.position, ray)
        if i < 0:
            color = _floor_pixel(
                objects, lamps, floor, lens, floor_shaders, floor_light, floor_swept, x, y, shadow_samples
            )
        else:
            point = lens.position + distance * ray
            if count == 1 and samples_per_pixel > 1 and near_edge(objects, i, point, 0.03):
                # Start again with many samples.
                count = samples_per_pixel
                k = -1
                total = wp.vec3(0.0)
            else:
                normal = normal_of(objects, i, point)
                if int(objects[i, MATERIAL]) == METAL:
                    angle = 2.0 * _PI * turn
                    color = _metal(objects, lamps, object_shaders, floor, i, point, normal, -ray, angle)
                else:
                    color = _rubber(objects, lamps, object_shaders, i, point, normal, -ray, shadow_samples)
        total += wp.vec3(wp.min(color[0], 2.0), wp.min(color[1], 2.0), wp.min(color[2], 2.0))
        k += 1
    total = total / float(count)
    image[row, column, 0] = _encode(total[0], codes, limits)
    image[row, column, 1] = _encode(total[1], codes, limits)
    image[row, column, 2] = _encode(total[2], codes, limits)
