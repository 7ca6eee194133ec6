"""The built-in renderer: its buffers against a ray marcher, its look by properties that CLEVR's pictures have."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from tests.oracles.raycast import cast

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.random import make_generator
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.renderers.views import REFERENCE_VIEW, camera_for_view, sample_view
from trilingua.scenes.palette import COLORS, HALF_SIZES
from trilingua.scenes.scene import Scene, SceneObject


def make_object(shape="sphere", size="large", color="red", material="rubber", place=(0.0, 0.0), turn=30.0):
    return SceneObject(
        shape=shape,
        size=size,
        color=color,
        material=material,
        location=(*place, HALF_SIZES[size]),
        rotation_degrees=turn,
    )


MIXED = Scene(
    objects=(
        make_object("cube", "large", "cyan", "metal", (-1.5, -1.0), 20.0),
        make_object("sphere", "small", "yellow", "rubber", (0.2, 0.3), 0.0),
        make_object("cylinder", "large", "purple", "rubber", (1.8, 1.5), 100.0),
        make_object("cube", "small", "green", "rubber", (0.5, -2.0), 75.0),
        make_object("cylinder", "small", "gray", "metal", (2.6, 0.2), 0.0),
        make_object("sphere", "large", "blue", "metal", (-2.5, 2.0), 200.0),
    )
)


@pytest.fixture(scope="module")
def renderer():
    return BuiltinRenderer(samples_per_pixel=4)


def test_index_and_depth_equal_the_ray_marcher(renderer):
    view = sample_view(make_generator(0, "view"))
    camera = camera_for_view(view, width=128, height=96)
    solids = [
        (item.shape, HALF_SIZES[item.size], item.rotation_degrees, np.array(item.location)) for item in MIXED.objects
    ]
    index, depth = cast(solids, camera)
    rendering = renderer.render(MIXED, view, width=128, height=96)
    assert (rendering.object_index == index).mean() > 0.999
    both = (rendering.object_index == index) & (index >= 0)
    assert both.sum() > 800
    assert np.median(np.abs(rendering.depth - depth)[both]) < 1e-4
    assert np.quantile(np.abs(rendering.depth - depth)[both], 0.98) < 1e-2


def test_depth_of_the_ground_lies_on_the_ground(renderer):
    camera = camera_for_view(REFERENCE_VIEW)
    rendering = renderer.render(Scene(objects=()), REFERENCE_VIEW)
    assert (rendering.object_index == -1).all()
    place = np.array([0.5, -1.0, 0.0])
    column, row, depth = camera.project(place)
    assert rendering.depth[int(row), int(column)] == pytest.approx(depth, abs=0.05)


def test_depth_at_the_nearest_point_of_a_sphere(renderer):
    rendering = renderer.render(Scene(objects=(make_object(),)), REFERENCE_VIEW)
    camera = camera_for_view(REFERENCE_VIEW)
    center = np.array([0.0, 0.0, 0.7])
    column, row, _ = camera.project(center)
    nearest = np.linalg.norm(center - camera.position) - 0.7
    ray = camera.rotation @ [(column - 160) / 350, (120 - row) / 350, -1.0]
    assert rendering.depth[int(row), int(column)] == pytest.approx(nearest / np.linalg.norm(ray), abs=1e-3)


@pytest.mark.parametrize("shape", ["cube", "sphere", "cylinder"])
def test_projected_centre_shows_the_object(renderer, shape):
    generator = make_generator(1, shape)
    for _ in range(5):
        place = tuple(float(value) for value in generator.uniform(-3, 3, 2))
        view = sample_view(generator)
        item = make_object(shape, "small", place=place, turn=float(generator.uniform(0, 360)))
        column, row, _ = camera_for_view(view).project(np.array(item.location))
        assert renderer.find_objects(Scene(objects=(item,)), view)[int(row), int(column)] == 0


def test_equal_arguments_give_equal_bytes(renderer):
    first = renderer.render(MIXED, REFERENCE_VIEW)
    again = BuiltinRenderer(samples_per_pixel=4).render(MIXED, REFERENCE_VIEW)
    for name in ("image", "object_index", "depth"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()


def test_counts_are_those_of_the_index(renderer):
    rendering = renderer.render(MIXED, REFERENCE_VIEW)
    counts = renderer.count_visible_pixels(MIXED, REFERENCE_VIEW)
    assert counts == [int((rendering.object_index == index).sum()) for index in range(len(MIXED.objects))]
    assert min(counts) > 100
    assert renderer.count_visible_pixels(Scene(objects=()), REFERENCE_VIEW) == []


def test_hidden_object_counts_zero(renderer):
    away = np.array(REFERENCE_VIEW.camera[:2]) / np.linalg.norm(REFERENCE_VIEW.camera[:2])
    hidden = make_object("sphere", "small", place=(-float(away[0]), -float(away[1])))
    front = make_object("cube", "large", place=(0.3 * float(away[0]), 0.3 * float(away[1])))
    counts = renderer.count_visible_pixels(Scene(objects=(hidden, front)), REFERENCE_VIEW)
    assert counts[0] == 0
    assert counts[1] > 1000


def test_buffers_have_the_asked_size_and_types(renderer):
    rendering = renderer.render(MIXED, REFERENCE_VIEW, width=100, height=75)
    assert rendering.image.shape == (75, 100, 3)
    assert rendering.image.dtype == np.uint8
    assert rendering.object_index.shape == rendering.depth.shape == (75, 100)
    assert rendering.object_index.dtype == np.int16


@pytest.mark.parametrize("material", ["rubber", "metal"])
def test_the_eight_colours_are_told_apart(renderer, material):
    means = {}
    for color in COLORS:
        rendering = renderer.render(Scene(objects=(make_object(color=color, material=material),)), REFERENCE_VIEW)
        pixels = rendering.image[rendering.object_index == 0].astype(float)
        means[color] = pixels.mean(axis=0)
    for color, value in means.items():
        expected = sorted(range(3), key=lambda channel: COLORS[color][channel])
        if len(set(COLORS[color])) == 3:
            assert sorted(range(3), key=lambda channel: value[channel]) == expected
        others = [np.abs(value - other).max() for name, other in means.items() if name != color]
        assert min(others) > 15


def test_metal_is_told_from_rubber(renderer):
    for shape in ("cube", "sphere", "cylinder"):
        pixels = []
        for material in ("rubber", "metal"):
            rendering = renderer.render(Scene(objects=(make_object(shape, material=material),)), REFERENCE_VIEW)
            pixels.append(rendering.image[rendering.object_index == 0].astype(float))
        assert np.abs(pixels[0] - pixels[1]).mean() > 10
        rubber, metal = (values.std() / values.mean() for values in pixels)
        assert metal > 1.1 * rubber  # a mirror has more contrast


def test_metal_mirrors_its_neighbour(renderer):
    mirror = make_object("cube", "large", "gray", "metal", turn=40.0)
    front = np.array(REFERENCE_VIEW.camera[:2]) / np.linalg.norm(REFERENCE_VIEW.camera[:2])
    place = tuple(float(value) for value in 1.9 * (front + 0.35 * np.array([front[1], -front[0]])))
    pictures = [
        renderer.render(Scene(objects=(mirror, make_object("sphere", "small", color, place=place))), REFERENCE_VIEW)
        for color in ("red", "blue")
    ]
    shown = pictures[0].object_index == 0
    change = np.abs(pictures[0].image[shown].astype(int) - pictures[1].image[shown]).max(axis=1)
    assert (change > 15).sum() > 50


def test_object_shades_the_ground_and_nothing_else_does(renderer):
    empty = renderer.render(Scene(objects=()), REFERENCE_VIEW).image.astype(int)
    rendering = renderer.render(Scene(objects=(make_object(color="gray"),)), REFERENCE_VIEW)
    change = (rendering.image.astype(int) - empty).mean(axis=2)
    ground = rendering.object_index == -1
    assert (change[ground] < -15).sum() > 200
    assert change[ground].max() <= 6
    assert np.abs(change[:, :40]).max() <= 3


def test_more_samples_refine_the_same_picture(renderer):
    fine = BuiltinRenderer(samples_per_pixel=32).render(MIXED, REFERENCE_VIEW).image.astype(int)
    coarse = renderer.render(MIXED, REFERENCE_VIEW).image.astype(int)
    assert 0 < np.abs(fine - coarse).mean() < 1.0


def test_height_of_an_object_is_its_size(renderer):
    item = make_object("cube")
    lifted = dataclasses.replace(item, location=(0.0, 0.0, 2.0))
    images = [renderer.render(Scene(objects=(each,)), REFERENCE_VIEW).image for each in (item, lifted)]
    assert images[0].tobytes() == images[1].tobytes()


def test_errors_name_the_value():
    with pytest.raises(ConfigError, match=r"samples_per_pixel: 0 is out of range; allowed is 1 to 256"):
        BuiltinRenderer(samples_per_pixel=0)
    with pytest.raises(ConfigError, match=r"device 'tpu': not available; this machine has cpu"):
        BuiltinRenderer(device="tpu")
    scene = Scene(objects=(dataclasses.replace(make_object(), color="pink"),))
    with pytest.raises(InputError, match=r"objects\[0\]: 'pink' cannot be drawn; allowed are large, small, gray"):
        BuiltinRenderer().render(scene, REFERENCE_VIEW)
    with pytest.raises(InputError, match=r"scene has 64 objects; at most 63 can be drawn"):
        BuiltinRenderer().find_objects(Scene(objects=(make_object(),) * 64), REFERENCE_VIEW)


def test_import_does_no_work_and_start_is_silent():
    code = (
        "import trilingua.data.renderers.builtin as b; import warp._src.context as c; assert c.runtime is None; "
        "b.BuiltinRenderer()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_the_ground_has_the_tint_of_published_pictures(renderer):
    """Red over blue of CLEVR's own pictures is 1.05 at the lower right, under the key lamp, and .98 at the left."""
    image = renderer.render(Scene(objects=()), REFERENCE_VIEW).image.astype(float)
    for patch, ratio in ((image[215:, 250:], 1.051), (image[120:140, :20], 0.977), (image[:20, 100:200], 1.004)):
        red, _, blue = patch.mean(axis=(0, 1))
        assert abs(red / blue - ratio) < 0.01
