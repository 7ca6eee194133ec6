"""`trilingua shape`: round trips, and bad files that are named while the good ones are written."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
import trimesh

from trilingua.cli.main import run
from trilingua.core.io import read_json
from trilingua.geometry.mesh_files import read_mesh
from trilingua.systems.shapes.pipeline import ShapeModel


@pytest.fixture
def place(tmp_path, tiny_shape_run, monkeypatch):
    """A working folder with good and bad meshes and a run; relative names keep the messages short."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_shape_run, "run", ignore=shutil.ignore_patterns("state", "tensorboard"))
    box = trimesh.creation.box((1.0, 0.8, 0.6))
    box.export("box.glb")
    box.export("good.obj")
    (tmp_path / "truncated.glb").write_bytes((tmp_path / "box.glb").read_bytes()[:300])
    (tmp_path / "empty.glb").write_bytes(b"")
    (tmp_path / "nothing.obj").write_text("v 0 0 0\n")
    (tmp_path / "nan.obj").write_text("v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "enormous.obj").write_text("v 0 0 0\nv 1e12 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    # Three triangles on one edge, and no inside.
    (tmp_path / "fan.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 -1 1\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 2 5\n")
    return tmp_path


def call(capsys, *arguments):
    status = run([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


RUN = ("--tokenizer", "run")


def test_a_round_trip_is_that_of_the_model(place, capsys):
    status, out, err = call(
        capsys, "shape", "encode", "box.glb", "good.obj", "fan.obj", "--allow-non-manifold", "--out", "codes", *RUN
    )
    assert (status, out) == (0, "codes/box.json\ncodes/good.json\ncodes/fan.json\n"), err
    written = read_json("codes/box.json")
    assert [len(ids) for ids in written["codes"]] == [1, 4, 16]
    assert set(written) == {"layout", "codes", "frame"}
    model = ShapeModel.load("run")
    code = model.encode(read_mesh("box.glb"))
    assert written["codes"] == [block.tolist() for block in code.blocks]
    assert written["layout"]["digest"] == model.layout.digest
    assert written["frame"] == code.frame.to_json()
    before = (place / "codes/box.json").read_bytes()
    assert call(capsys, "shape", "encode", "box.glb", "--out", "codes", *RUN)[0] == 0
    assert (place / "codes/box.json").read_bytes() == before
    status, out, err = call(
        capsys, "shape", "decode", "codes/box.json", "--out", "meshes", "--resolution", "32", "--scales", "2", *RUN
    )
    assert (status, out) == (0, "meshes/box.glb\n"), err
    mesh = model.decode(code, scales=2, resolution=32)
    np.testing.assert_allclose(read_mesh("meshes/box.glb").bounds, mesh.bounds, atol=1e-5)


BAD = {
    "truncated.glb": "cannot be read as GLB (",
    "empty.glb": "is empty; expected a mesh",
    "nothing.obj": "mesh is empty (0 vertices, 0 faces); expected triangles",
    "nan.obj": "mesh has 1 vertices that are not finite numbers; repair the file",
    "enormous.obj": "mesh has a coordinate of 1e+12; allowed are at most 1e+09, rescale it",
    "flat.obj": "mesh has no area (1 faces on a line or point); expected triangles",
    "fan.obj": "mesh is not manifold (1 edges of three or more triangles that do not close around them); repair it, "
    "or allow it (--allow-non-manifold)",
    "missing.obj": "no such file; check the path",
    "run": "is a folder; expected a file",
}


def test_bad_meshes_are_named_and_the_good_ones_are_written(place, capsys):
    status, out, err = call(capsys, "shape", "encode", *list(BAD)[:4], "box.glb", *list(BAD)[4:], "good.obj",
                            "--out", "codes", *RUN)  # fmt: skip
    assert (status, out) == (2, "codes/box.json\ncodes/good.json\n")
    assert sorted(path.name for path in (place / "codes").iterdir()) == ["box.json", "good.json"]
    lines = err.splitlines()
    assert len(lines) == len(BAD)
    for line, (name, reason) in zip(lines, BAD.items(), strict=True):
        assert line.startswith(f"trilingua shape: {name}: {reason}")
        assert line == f"trilingua shape: {name}: {reason}" or name == "truncated.glb"


def test_bad_codes_are_named_and_the_good_ones_are_written(place, capsys):
    assert call(capsys, "shape", "encode", "box.glb", "--out", ".", *RUN)[0] == 0
    good = read_json("box.json")
    digest = good["layout"]["digest"][:12]
    (place / "torn.json").write_text(json.dumps(good)[:50])
    (place / "list.json").write_text("[1]")
    (place / "short.json").write_text(json.dumps(good | {"codes": good["codes"][:2]}))
    (place / "high.json").write_text(json.dumps(good | {"codes": [[64], *good["codes"][1:]]}))
    (place / "other.json").write_text(json.dumps(good | {"layout": good["layout"] | {"digest": "0" * 64}}))
    (place / "still.json").write_text(json.dumps(good | {"frame": good["frame"] | {"scale": 0}}))
    reasons = {
        "torn.json": "is not valid JSON at line 1, column 51; it may be truncated",
        "list.json": "expected an object with the fields layout, codes and frame",
        "short.json": "codes: 2 blocks; expected 3",
        "high.json": "codes[0]: has an id outside of [0, 64); expected 1 ids",
        "other.json": f"layout 000000000000 is not {digest}, the tokenizer's; decode with the tokenizer that wrote it",
        "still.json": "frame.scale: 0 is not allowed; expected a number above 0",
    }
    status, out, err = call(
        capsys, "shape", "decode", *reasons, "box.json", "--out", "meshes", "--resolution", "32", *RUN
    )
    assert (status, out) == (2, "meshes/box.glb\n")
    expected = [f"trilingua shape: {name}: {reason}" for name, reason in reasons.items()]
    found = err.splitlines()
    assert found[1:] == expected[1:]
    assert found[0].startswith("trilingua shape: torn.json: is not valid JSON at line 1, column ")
    assert [path.name for path in (place / "meshes").iterdir()] == ["box.glb"]


NO_TOKENIZER = (
    "tokenizer: 'nobody' is no run directory and does not come with the package; "
    "train one with `trilingua train shape-set`"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "action: is missing; it comes first, as in `trilingua shape encode`"),
        (("encod",), "action: 'encod' is unknown; choose one of encode, decode, evaluate (did you mean encode?)"),
        (("encode", "--out", "codes"), "files: there are none; name at least one"),
        (("encode", "box.glb"), "--out: is missing; expected a path; see `trilingua shape encode --help`"),
        (("encode", "box.glb", "--out", "codes", "--tokenizer", "nobody"), NO_TOKENIZER),
        (("encode", "box.glb", "a/box.obj", "--out", "codes", *RUN),
         "a/box.obj: would overwrite the result of box.glb; rename one, or run twice"),
        (("encode", "box.glb", "--out", "box.glb", *RUN), "box.glb: is a file; choose a folder for --out"),
        (("encode", "box.glb", "--out", "codes", "--tokenizer", "box.glb"), "box.glb: is a file; expected a folder"),
        (("decode", "a.json", "--out", "meshes", "--resolution", "4", *RUN),
         "resolution: 4 is not allowed; expected 8 to 512"),
        (("decode", "a.json", "--out", "meshes", "--scales", "two", *RUN),
         "--scales: 'two' is not allowed; expected a whole number; see `trilingua shape decode --help`"),
        (("evaluate", "missing", *RUN), "missing: no such folder; check the path"),
        (("evaluate", "run", *RUN), "run: has no manifest.json; finish it with `trilingua data shapes`"),
        (("evaluate", "missing", "--out", "run", *RUN), "run: is a folder; choose another file to write"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line_and_nothing_is_written(place, arguments, message, capsys):
    before = sorted(place.rglob("*"))
    assert call(capsys, "shape", *arguments) == (2, "", f"trilingua shape: {message}\n")
    assert sorted(place.rglob("*")) == before


def test_scales_that_there_are_not_are_named_with_the_file(place, capsys):
    assert call(capsys, "shape", "encode", "box.glb", "--out", ".", *RUN)[0] == 0
    status, out, err = call(capsys, "shape", "decode", "box.json", "--out", "meshes", "--scales", "9", *RUN)
    assert (status, out, err) == (
        2, "", "trilingua shape: box.json: scales: 9 is not allowed; expected 1 to 3\n"
    )  # fmt: skip


def test_a_number_of_latents_that_no_mesh_can_have_is_refused_once(place, capsys):
    status, out, err = call(
        capsys, "shape", "encode", "box.glb", "good.obj", "--out", "codes", "--num-latents", "16", *RUN
    )
    assert (status, out, err) == (
        2,
        "",
        "trilingua shape: num_latents: the tokenizer always writes the same number of codes; leave it out, or use a "
        "run of a `shape-latents` preset\n",
    )


def test_figures_are_printed_or_written(place, shape_folder, capsys):
    status, out, err = call(capsys, "shape", "evaluate", shape_folder, "--limit", "1", *RUN)
    assert status == 0, err
    printed = json.loads(out)
    assert printed["num_objects"] == 1
    status, out, _ = call(capsys, "shape", "evaluate", shape_folder, "--limit", "1", "--out", "figures.json", *RUN)
    assert (status, out) == (0, "figures.json\n")
    written = read_json("figures.json")
    written.pop("seconds")
    printed.pop("seconds")
    assert written == printed


def test_help_shows_the_actions(capsys):
    status, out, _ = call(capsys, "shape", "--help")
    assert status == 0
    assert all(f"trilingua shape {action} " in out for action in ("encode", "decode", "evaluate"))


def test_a_preset_is_trained_and_described(shape_folder, tiny_shape_run, tmp_path, capsys):
    changes = ("--trainer.max-steps", "1", "--trainer.eval-every-steps", "0", "--tokenizer.codes.num-codes", "32")
    run_dir = tmp_path / "run"
    status, out, err = call(capsys, "train", "shape-set-tiny", "--data", shape_folder, "--out", run_dir, *changes)
    assert (status, out) == (0, f"{run_dir}: finished at step 1\n"), err
    status, out, _ = call(capsys, "info", run_dir)
    lines = out.splitlines()
    assert status == 0
    assert [line.split()[0] for line in lines] == ["run", "weights", "reads", "writes", "parameters", "layout"]
    assert lines[3] == "writes      21 ids of 32 in blocks of 1, 4, 16; 14 bytes an object"
    status, out, _ = call(capsys, "info", "shape-latents-paper")
    assert status == 0
    assert "writes      any number of latents of 64 numbers" in out.splitlines()


def test_a_slim_run_is_half_as_large_and_nearly_the_same(place, capsys):
    assert call(capsys, "export", "run", "--format", "run", "--out", "slim") == (0, "slim\n", "")
    assert sorted(path.name for path in (place / "slim").iterdir()) == ["config.json", "model.safetensors"]
    whole, slim = ((place / name / "model.safetensors").stat().st_size for name in ("run", "slim"))
    assert slim < 0.6 * whole
    full, half = ShapeModel.load("run"), ShapeModel.load("slim")
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    code = full.encode(read_mesh("box.glb"))
    same = dataclasses.replace(code, layout=half.layout)
    torch.testing.assert_close(half.field(same).values(points), full.field(code).values(points), atol=0.02, rtol=0.02)
    assert call(capsys, "export", "run", "--out", "hf") == (
        2, "", "trilingua export: run: is a shape tokenizer, which is no Llama; pass --format run\n"
    )  # fmt: skip
    assert not (place / "hf").exists()
