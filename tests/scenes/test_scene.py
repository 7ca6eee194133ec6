import copy
import dataclasses
import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.oracles.random_scenes import scenes

from trilingua.core.errors import ConfigError, InputError
from trilingua.scenes.palette import COLORS, HALF_SIZES
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR, Category

# The type checks of test runs draw which item of a tuple to check; that is no randomness of ours.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

VALUE = {
    "image_filename": "clevr_000007.png",
    "image_index": 7,
    "split": "val",
    "objects": [
        {
            "shape": "cube",
            "size": "large",
            "color": "red",
            "material": "metal",
            "3d_coords": [1.2345678901234567, -2.5, 0.699999988079071],
            "rotation": 359.0000000001,
            "pixel_coords": [120, 88, 11.123456789],
        },
        {
            "shape": "sphere",
            "size": "small",
            "color": "cyan",
            "material": "rubber",
            "3d_coords": [-3, 3, 0.35],
            "score": 0.25,
        },
    ],
    "directions": {"left": [-0.6, -0.8, 0.0], "above": [0, 0, 1]},
    "relationships": {"left": [[1], []], "right": [[], [0]]},
}


def edited(edit):
    value = copy.deepcopy(VALUE)
    edit(value)
    return value


def test_reads_every_field():
    scene = Scene.from_json(VALUE)
    cube, ball = scene.objects
    assert (cube.shape, cube.size, cube.color, cube.material) == ("cube", "large", "red", "metal")
    assert cube.location == (1.2345678901234567, -2.5, 0.699999988079071)
    assert (cube.rotation_degrees, cube.pixel_coords, cube.score) == (359.0000000001, (120.0, 88.0, 11.123456789), None)
    assert (ball.rotation_degrees, ball.pixel_coords, ball.score) == (None, None, 0.25)
    assert (scene.image_filename, scene.image_index, scene.split) == ("clevr_000007.png", 7, "val")
    assert scene.directions == {"left": (-0.6, -0.8, 0.0), "above": (0.0, 0.0, 1.0)}
    assert scene.relationships == VALUE["relationships"]


def test_writes_back_what_was_read_with_whole_pixels_as_integers():
    written = Scene.from_json(VALUE).to_json()
    assert written == VALUE
    assert '"pixel_coords": [120, 88, 11.123456789]' in json.dumps(written)


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_json_round_trip_is_exact(scene):
    value = json.loads(json.dumps(scene.to_json(), allow_nan=False))
    assert Scene.from_json(value) == scene
    assert Scene.from_json(value).to_json() == value


@settings(max_examples=20, deadline=None)
@given(scenes())
def test_a_file_round_trip_is_exact(scene):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scene.json")
        scene.save(path)
        assert Scene.load(path) == scene


def test_unknown_fields_of_scene_and_object_are_kept():
    value = edited(lambda v: (v.update(info={"x": [1, None]}), v["objects"][0].update(mask="abc")))
    scene = Scene.from_json(value)
    assert (scene.extra, scene.objects[0].extra) == ({"info": {"x": [1, None]}}, {"mask": "abc"})
    assert scene.to_json() == value


def test_reading_takes_no_hold_of_the_value():
    value = copy.deepcopy(VALUE)
    scene = Scene.from_json(value)
    value["relationships"]["left"][0].append(99)
    assert scene.relationships["left"] == [[1], []]


def test_objects_of_equal_fields_are_equal_and_can_be_kept_in_sets():
    first, second = (Scene.from_json(VALUE).objects[0] for _ in range(2))
    assert first == second
    assert len({first, second}) == 1


def test_replace_leaves_the_old_scene():
    scene = Scene.from_json(VALUE)
    assert scene.replace(split="train").split == "train"
    assert scene.split == "val"


PREFIX = "objects[1]"


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda v: v.pop("objects"), ": expected a JSON object with a list named 'objects'"),
        (lambda v: v.update(objects={}), ": expected a JSON object with a list named 'objects'"),
        (lambda v: v["objects"].append(3), ": objects[2]: expected a JSON object, got 3"),
        (lambda v: v["objects"][1].pop("shape"), f": {PREFIX}.shape: is missing; every object needs it"),
        (lambda v: v["objects"][1].pop("3d_coords"), f": {PREFIX}.3d_coords: is missing; every object needs it"),
        (
            lambda v: v["objects"][1].update(color="pink"),
            f": {PREFIX}.color: 'pink' is unknown; allowed are gray, red, blue, green, brown, purple, cyan, yellow",
        ),
        (
            lambda v: v["objects"][1].update(shape=["cube"]),
            f": {PREFIX}.shape: ['cube'] is unknown; allowed are cube, sphere, cylinder",
        ),
        (lambda v: v["objects"][1].update(size=None), f": {PREFIX}.size: None is unknown; allowed are small, large"),
        (
            lambda v: v["objects"][1].update({"3d_coords": [0, 1]}),
            f": {PREFIX}.3d_coords: expected three numbers, got [0, 1]",
        ),
        (
            lambda v: v["objects"][1].update({"3d_coords": {"x": 0}}),
            f": {PREFIX}.3d_coords: expected three numbers, got a JSON object",
        ),
        (
            lambda v: v["objects"][1].update({"3d_coords": [0, math.nan, 1]}),
            f": {PREFIX}.3d_coords[1]: nan is not a finite number; allowed is -3 to 3",
        ),
        (
            lambda v: v["objects"][1].update({"3d_coords": [0, 1, -math.inf]}),
            f": {PREFIX}.3d_coords[2]: -inf is not a finite number; allowed is -3 to 3",
        ),
        (
            lambda v: v["objects"][1].update({"3d_coords": ["0", 1, 1]}),
            f": {PREFIX}.3d_coords[0]: '0' is not a finite number; allowed is -3 to 3",
        ),
        (
            lambda v: v["objects"][1].update({"3d_coords": [True, 1, 1]}),
            f": {PREFIX}.3d_coords[0]: True is not a finite number; allowed is -3 to 3",
        ),
        (
            lambda v: v["objects"][1].update({"3d_coords": [1000.0, 1, 1]}),
            f": {PREFIX}.3d_coords[0]: 1000.0 is out of range; allowed is -3 to 3",
        ),
        (
            lambda v: v["objects"][1].update({"3d_coords": [10**400, 1, 1]}),
            f": {PREFIX}.3d_coords[0]: a number of more than 20 digits is out of range; allowed is -3 to 3",
        ),
        (
            lambda v: v["objects"][1].update(rotation=400),
            f": {PREFIX}.rotation: 400 is out of range; allowed is -360 to 360",
        ),
        (
            lambda v: v["objects"][1].update(pixel_coords=[1, 2, math.inf]),
            f": {PREFIX}.pixel_coords[2]: inf is not a finite number; allowed is -1e+06 to 1e+06",
        ),
        (lambda v: v["objects"][1].update(score=1.5), f": {PREFIX}.score: 1.5 is out of range; allowed is 0 to 1"),
        (
            lambda v: v["objects"][1].update(note=math.nan),
            f": {PREFIX}.note: holds a value that JSON cannot: nan; remove it",
        ),
        (lambda v: v.update(note=[math.inf]), ": note: holds a value that JSON cannot: [inf]; remove it"),
        (lambda v: v.update(image_index="7"), ": image_index: expected a whole number, got '7'"),
        (lambda v: v.update(image_index=True), ": image_index: expected a whole number, got True"),
        (lambda v: v.update(image_filename=7), ": image_filename: expected a string, got 7"),
        (lambda v: v.update(split=["val"]), ": split: expected a string, got ['val']"),
        (lambda v: v.update(directions=[]), ": directions: expected a JSON object, got []"),
        (
            lambda v: v.update(directions={"left": [2, 0, 0]}),
            ": directions.left[0]: 2 is out of range; allowed is -1.001 to 1.001",
        ),
        (lambda v: v.update(relationships=0), ": relationships: expected a JSON object, got 0"),
        (
            lambda v: v["relationships"].update(left=[[1]]),
            ": relationships.left: expected 2 lists, one for each object, got [[1]]",
        ),
        (
            lambda v: v["relationships"].update(left=[[2], []]),
            ": relationships.left[0]: expected indices of other objects, each from 0 to 1 and once, got [2]",
        ),
        (
            lambda v: v["relationships"].update(left=[[], [1]]),
            ": relationships.left[1]: expected indices of other objects, each from 0 to 1 and once, got [1]",
        ),
        (
            lambda v: v["relationships"].update(left=[[1, 1], []]),
            ": relationships.left[0]: expected indices of other objects, each from 0 to 1 and once, got [1, 1]",
        ),
        (
            lambda v: v["relationships"].update(left=[[1.0], []]),
            ": relationships.left[0]: expected indices of other objects, each from 0 to 1 and once, got [1.0]",
        ),
        (
            lambda v: v["relationships"].update(left=[3, []]),
            ": relationships.left[0]: expected indices of other objects, each from 0 to 1 and once, got 3",
        ),
    ],
)
def test_each_wrong_field_is_named_in_one_line(tmp_path, edit, text):
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(edited(edit)))
    with pytest.raises(InputError) as caught:
        Scene.load(path)
    assert str(caught.value) == f"{path}{text}"


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(InputError) as caught:
        Scene.from_json(edited(lambda v: v["objects"][0].update(color="p" * 1000)))
    assert str(caught.value) == (
        f"scene: objects[0].color: '{'p' * 56}... is unknown; "
        "allowed are gray, red, blue, green, brown, purple, cyan, yellow"
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty; expected JSON"),
        (" \n", "is empty; expected JSON"),
        ("not json", "is not valid JSON at line 1, column 1; it may be truncated"),
        ('{"objects": [\n  {"shape": "cu', "is not valid JSON at line 2, column 13; it may be truncated"),
        ("[1]", "expected a JSON object with a list named 'objects'"),
        ("null", "expected a JSON object with a list named 'objects'"),
    ],
)
def test_a_file_that_is_no_scene(tmp_path, content, text):
    path = tmp_path / "scene.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        Scene.load(path)
    assert str(caught.value) == f"{path}: {text}"


def test_every_truncation_of_a_scene_file_is_refused(tmp_path):
    path = tmp_path / "scene.json"
    text = json.dumps(VALUE)
    for length in range(0, len(text), 5):
        path.write_text(text[:length])
        with pytest.raises(InputError):
            Scene.load(path)


def test_missing_file_folder_and_suffix(tmp_path):
    for call, text in (
        (lambda: Scene.load(tmp_path / "no.json"), f"{tmp_path / 'no.json'}: no such file; check the path"),
        (lambda: Scene.load(tmp_path), f"{tmp_path}: is a folder; expected a file"),
        (
            lambda: Scene(objects=()).save(tmp_path / "scene.obj"),
            f"{tmp_path / 'scene.obj'}: cannot save a scene as '.obj'; use .json or .glb",
        ),
        (
            lambda: Scene(objects=()).save(tmp_path / "scene"),
            f"{tmp_path / 'scene'}: cannot save a scene as 'a file without suffix'; use .json or .glb",
        ),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


def test_a_scene_with_a_number_that_is_not_finite_is_not_written(tmp_path):
    lost = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.0, math.nan, 0.35))
    with pytest.raises(InputError, match="every number must be finite"):
        Scene(objects=(lost,)).save(tmp_path / "scene.json")
    assert list(tmp_path.iterdir()) == []


def test_the_palette_covers_the_schema():
    assert tuple(COLORS) == CLEVR.values("color")
    assert set(HALF_SIZES) == set(CLEVR.values("size"))


def test_a_schema_with_a_name_twice_is_refused():
    kind = Category(name="kind", values=("a",))
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(CLEVR, name="mine", attributes=(kind, kind))
    assert str(caught.value) == "schema mine: attribute names ['kind', 'kind'] repeat; each must be unique"
