"""`trilingua data clevr` and `shapes` as functions: what it prints, and which settings reach the generator."""

import json
from pathlib import Path

import pytest

from trilingua.cli.data import clevr, shapes
from trilingua.cli.main import run
from trilingua.core.errors import ConfigError, InputError
from trilingua.data.clevr.files import ClevrFolder


def test_it_makes_a_folder_and_prints_its_manifest(tmp_path, capsys):
    out = tmp_path / "data"
    small = {"questions_per_scene": 1, "instructions_per_scene": 0, "max_objects": 3}
    clevr(out=out, num_scenes=2, seed=4, split="val", num_workers=1, **small)
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'manifest.json'}\n"
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["seed"], manifest["renderer"]) == (4, "builtin")
    assert manifest["counts"] == {"scenes": 2, "images": 2, "questions": 2}
    assert [len(scene.objects) for scene in ClevrFolder(out).scenes()] == [3, 3]
    with pytest.raises(InputError) as error:
        clevr(out=out, num_scenes=2, seed=5, split="val", num_workers=1, **small)
    assert str(error.value) == f"{out}: was begun with seed 4, not 5; keep it or choose another --out"


def test_a_bad_count_leaves_nothing_behind(tmp_path):
    with pytest.raises(ConfigError) as error:
        clevr(out=tmp_path / "data", num_scenes=-1)
    assert str(error.value) == "num_scenes: -1 is not allowed; give a whole number of at least 1"
    with pytest.raises(ConfigError) as error:
        clevr(out=tmp_path / "data", num_scenes=1, num_workers=-2)
    assert str(error.value) == "num_workers: -2 is not allowed; give a whole number of at least 1"
    assert list(tmp_path.iterdir()) == []


def test_the_verb_finds_its_data_set(tmp_path, capsys):
    assert run(["data", "clevr", "--out", str(tmp_path / "data"), "--num-scenes", "0"]) == 2
    assert capsys.readouterr().err == (
        "trilingua data: num_scenes: 0 is not allowed; give a whole number of at least 1\n"
    )
    assert run(["data"]) == 2
    message = "trilingua data: data set: is missing; it comes first, as in `trilingua data clevr`\n"
    assert capsys.readouterr().err == message


def test_shapes_are_made_and_what_was_skipped_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = {"num_points": 8, "num_uniform": 8, "num_near": 8, "num_random_views": 0, "view_size": 8, "num_workers": 1}
    shapes(out=Path("made"), num_objects=1, seed=3, split="val", voxel_resolution=8, **few)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("made/manifest.json\n", "")
    manifest = json.loads(Path("made/manifest.json").read_text())
    assert (manifest["settings"]["seed"], manifest["settings"]["split"]) == (3, "val")
    Path("meshes").mkdir()
    Path("meshes/good.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    for number in range(12):
        Path(f"meshes/bad{number:02d}.obj").write_text("")
    shapes(out=Path("read"), from_=(Path("meshes"),), voxel_resolution=8, **few)
    printed = capsys.readouterr()
    assert printed.out == "read/manifest.json\n"
    lines = printed.err.splitlines()
    assert lines[0] == "skipped: meshes/bad00.obj: is empty; expected a mesh"
    assert lines[10:] == ["skipped: 2 more; read/manifest.json says why"]
