"""Generation: the same bytes however the work is split or interrupted, and refusals in words."""

import errno
import itertools
import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tests.data.clevr.drawing import DiscRenderer

from trilingua.core.errors import ConfigError, InputError, WorkerError, WriteError
from trilingua.core.io import digest_file
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.generate import ClevrConfig, generate_clevr

CONFIG = ClevrConfig(
    num_scenes=3, seed=5, split="test", renderer="discs", questions_per_scene=2, instructions_per_scene=1
)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "data"
    return folder, generate_clevr(folder, CONFIG, make_renderer=DiscRenderer)


def test_the_manifest_tells_all_files_and_counts(finished):
    folder, manifest = finished
    assert manifest == json.loads((folder / "manifest.json").read_text())
    assert manifest["counts"] == {"scenes": 3, "questions": 6, "instructions": 3, "images": 6}
    assert (manifest["seed"], manifest["renderer"]) == (5, "discs")
    assert set(manifest["files"]) == set(contents(folder)) - {"manifest.json", "settings.json"}
    for name, digest in manifest["files"].items():
        assert digest_file(folder / name) == digest
    assert {name for name in manifest["files"] if name.startswith("images/")} == {
        f"images/CLEVR_test_{index:06d}{end}.png" for index in range(3) for end in ("", "_edit0")
    }
    with Image.open(folder / "images" / "CLEVR_test_000002.png") as image:
        assert (image.size, image.mode) == ((320, 240), "RGB")


def test_a_share_of_the_edited_scenes_is_drawn(tmp_path):
    config = ClevrConfig(**{**vars(CONFIG), "num_scenes": 4, "instructions_per_scene": 3, "pictured_share": 0.5})
    manifest = generate_clevr(tmp_path / "data", config, make_renderer=DiscRenderer)
    names = [item.target_image_filename for item in ClevrFolder(tmp_path / "data").instructions()]
    drawn = [name for name in names if name is not None]
    assert 0 < len(drawn) < len(names) == 12
    assert manifest["counts"]["images"] == 4 + len(drawn)
    assert {path.name for path in (tmp_path / "data" / "images").glob("*_edit*.png")} == set(drawn)


def test_two_workers_write_the_bytes_of_one(finished, tmp_path):
    folder, _ = finished
    generate_clevr(tmp_path / "data", CONFIG, num_workers=2, make_renderer=DiscRenderer)
    assert contents(tmp_path / "data") == contents(folder)


def test_a_scene_does_not_depend_on_how_many_there_are_nor_on_later_stages(finished, tmp_path):
    folder, _ = finished
    few = ClevrConfig(**{**vars(CONFIG), "num_scenes": 1, "questions_per_scene": 0, "instructions_per_scene": 0})
    manifest = generate_clevr(tmp_path / "data", few, make_renderer=DiscRenderer)
    assert manifest["counts"] == {"scenes": 1, "images": 1}
    everything = contents(folder)
    for name in manifest["files"]:
        assert (tmp_path / "data" / name).read_bytes() == everything[name]
    generate_clevr(tmp_path / "data", CONFIG, make_renderer=DiscRenderer)
    assert contents(tmp_path / "data") == everything


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *itertools.product(
            [
                "images/CLEVR_test_000001.png",
                "images/CLEVR_test_000001_edit0.png",
                "scenes/CLEVR_test_000001.json",
                "CLEVR_test_questions.json",
                "CLEVR_test_instructions.json",
            ],
            ["deleted", "truncated"],
        ),
        ("manifest.json", "deleted"),
    ],
)
def test_what_is_deleted_or_truncated_is_made_again(finished, name, harm):
    folder, manifest = finished
    before = contents(folder)
    if harm == "deleted":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(before[name][:40])
    assert generate_clevr(folder, CONFIG, make_renderer=DiscRenderer) == manifest
    assert contents(folder) == before


def test_a_manifest_that_points_outside_is_refused(finished, tmp_path):
    folder, manifest = finished
    copy = tmp_path / "data"
    shutil.copytree(folder, copy)
    (tmp_path / "precious").write_text("x")
    path = copy / "manifest.json"
    path.write_text(json.dumps({**manifest, "files": {"../precious": "0"}}))
    with pytest.raises(InputError) as error:
        generate_clevr(copy, CONFIG, make_renderer=DiscRenderer)
    assert str(error.value) == f"{path}: files: '../precious' lies outside the folder; choose another --out"
    assert (tmp_path / "precious").read_text() == "x"


class InterruptedRunError(Exception):
    pass


class StoppingRenderer(DiscRenderer):
    """Draws as many pictures as it is told and then stops the whole run."""

    left = 0

    def render(self, scene, view, **size):
        type(self).left -= 1
        if type(self).left < 0:
            raise InterruptedRunError
        return super().render(scene, view, **size)


def test_a_run_that_is_stopped_over_and_over_ends_with_the_same_bytes(finished, tmp_path):
    folder, _ = finished
    # The visible pixels are counted by drawing, so that a run may stop between any two steps of a scene.
    for attempt in itertools.count():
        StoppingRenderer.left = 3 + attempt
        try:
            generate_clevr(tmp_path / "data", CONFIG, make_renderer=StoppingRenderer)
            break
        except InterruptedRunError:
            assert not (tmp_path / "data" / "manifest.json").exists()
    assert attempt >= 2
    assert contents(tmp_path / "data") == contents(folder)


class DyingRenderer(DiscRenderer):
    """Takes its process with it, as a machine short of memory would."""

    def render(self, scene, view, **size):
        if multiprocessing.parent_process() is not None:
            os._exit(9)
        return super().render(scene, view, **size)


def test_a_dead_worker_is_told_and_its_work_can_be_done_again(finished, tmp_path):
    folder, _ = finished
    with pytest.raises(WorkerError) as error:
        generate_clevr(tmp_path / "data", CONFIG, num_workers=2, make_renderer=DyingRenderer)
    problem = "num_workers: one of 2 processes died, perhaps for want of memory"
    assert str(error.value) == f"{problem}; give the same command with fewer to go on"
    generate_clevr(tmp_path / "data", CONFIG, make_renderer=DyingRenderer)
    assert contents(tmp_path / "data") == contents(folder)


def test_a_refusal_inside_a_worker_reaches_the_caller(finished, tmp_path):
    folder, _ = finished
    copy = tmp_path / "data"
    shutil.copytree(folder, copy)
    (copy / "manifest.json").unlink()
    (copy / "images" / "CLEVR_test_000001.png").unlink()
    path = copy / "scenes" / "CLEVR_test_000001.json"
    path.write_text("{")
    with pytest.raises(InputError) as error:
        generate_clevr(copy, CONFIG, num_workers=2, make_renderer=DiscRenderer)
    assert str(error.value) == f"{path}: is not valid JSON at line 1, column 2; it may be truncated"


def test_a_finished_folder_is_left_alone(finished):
    folder, manifest = finished
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert generate_clevr(folder, CONFIG, make_renderer=DiscRenderer) == manifest
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 6}, "was begun with seed 5, not 6; keep it or choose another --out"),
        ({"split": "val"}, "was begun with split 'test', not 'val'; keep it or choose another --out"),
        ({"num_scenes": 2}, "was begun with num_scenes 3, not 2; keep it or choose another --out"),
        ({"renderer": "other"}, "was begun with renderer 'discs', not 'other'; keep it or choose another --out"),
        ({"questions_per_scene": 3}, "was begun with questions_per_scene 2, not 3; keep it or choose another --out"),
    ],
)
def test_going_on_with_other_settings_is_refused(finished, changes, message):
    folder, _ = finished
    before = contents(folder)
    with pytest.raises(InputError) as error:
        generate_clevr(folder, ClevrConfig(**{**vars(CONFIG), **changes}), make_renderer=DiscRenderer)
    assert str(error.value) == f"{folder}: {message}"
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_scenes": 0}, "num_scenes: 0 is not allowed; give a whole number of at least 1"),
        ({"num_scenes": -3}, "num_scenes: -3 is not allowed; give a whole number of at least 1"),
        ({"questions_per_scene": -1}, "questions_per_scene: -1 is not allowed; give a whole number of at least 0"),
        ({"split": "../x"}, "split: '../x' is not allowed; use letters, digits, '-' and '_'"),
        ({"min_objects": 6, "max_objects": 5}, "min_objects: 6 is more than max_objects 5; swap or change them"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        ClevrConfig(**{**vars(CONFIG), **changes})
    assert str(error.value) == message


def test_bad_places_are_refused_and_left_alone(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError) as error:
        generate_clevr(tmp_path / "file", CONFIG, make_renderer=DiscRenderer)
    assert str(error.value) == f"{tmp_path / 'file'}: is a file; choose a folder for --out"
    with pytest.raises(InputError) as error:
        generate_clevr(tmp_path, CONFIG, make_renderer=DiscRenderer)
    problem = "is not empty and was not begun by `trilingua data clevr`; choose another --out"
    assert str(error.value) == f"{tmp_path}: {problem}"
    with pytest.raises(ConfigError, match="num_workers: 0 is not allowed; give a whole number of at least 1"):
        generate_clevr(tmp_path / "data", CONFIG, num_workers=0)
    with pytest.raises(ConfigError, match="renderer: 'discs' is unknown; choose one of builtin, blender"):
        generate_clevr(tmp_path / "data", CONFIG)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_full_disk_is_one_line_and_no_torn_file(tmp_path, monkeypatch):
    write = Path.write_bytes
    room = 60_000

    def write_bytes(path, content):
        nonlocal room
        room -= len(content)
        if room < 0:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    out = tmp_path / "data"
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(WriteError) as error:
        generate_clevr(out, ClevrConfig(**{**vars(CONFIG), "num_scenes": 30}), make_renderer=DiscRenderer)
    path, _, problem = str(error.value).partition(": ")
    assert problem == "writing failed (No space left on device); free some space or choose another --out"
    assert Path(path).parent.parent == out
    for name in contents(out):
        assert not Path(name).name.startswith(".")
        if name.endswith(".png"):
            with Image.open(out / name) as image:
                image.load()
        else:
            json.loads((out / name).read_text())
