"""Bad input on the command line: one line that names file, field and what is allowed; status 2; nothing written."""

import functools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from trilingua.cli.main import run

OBJECT = {"shape": "cube", "size": "small", "color": "red", "material": "metal", "3d_coords": [0.5, 1.0, 0.35]}
COLORS = "gray, red, blue, green, brown, purple, cyan, yellow"
PICTURE = "expected a PNG or JPEG picture"
BLOCKED = "is a folder where a result goes; rename it, or choose another --out"
TASKS = "recognition, rendering, editing, qa"
PRESETS = (
    "kyvo-clevr, kyvo-clevr-camera, kyvo-clevr-eye, kyvo-clevr-painter, kyvo-clevr-tokenizers, kyvo-paper, "
    "kyvo-smollm2, kyvo-tiny, kyvo-tiny-tokenizers, "
    "shape-latents, shape-latents-paper, shape-latents-tiny, shape-set, shape-set-paper, shape-set-start, "
    "shape-set-tiny, shape-triplane, shape-triplane-mesh, shape-triplane-paper, shape-triplane-start, "
    "shape-triplane-tiny, shape-voxels, shape-voxels-paper, shape-voxels-tiny"
)


def scene_text(**changes):
    return json.dumps({"objects": [OBJECT, {**OBJECT, **changes}]})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with good and bad files; relative names keep the messages short."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save("good.png")
    shutil.copy("good.png", "truncated.png")
    with (tmp_path / "truncated.png").open("rb+") as stream:
        stream.truncate(60)
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "good.json").write_text(scene_text())
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "truncated.json").write_text(scene_text()[:40])
    (tmp_path / "pink.json").write_text(scene_text(color="pink"))
    (tmp_path / "nan.json").write_text(scene_text(**{"3d_coords": [0.0, float("nan"), 0.35]}))
    (tmp_path / "far.json").write_text(scene_text(**{"3d_coords": [1e6, 0.0, 0.35]}))
    (tmp_path / "shapeless.json").write_text(json.dumps({"objects": [{"color": "red", "3d_coords": [0, 0, 0.35]}]}))
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "library.sh3f").write_text("no zip")
    (tmp_path / "eleven.json").write_text(json.dumps({"objects": [OBJECT] * 11}))
    shutil.copy("good.json", "good2.json")
    for taken in ("good2.png", "good.json"):
        (tmp_path / "blocked" / taken).mkdir(parents=True)
    return tmp_path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.is_dir() or path.read_bytes() for path in folder.rglob("*")}


def assert_refused(capsys, folder, arguments, message):
    before = contents(folder)
    status = run([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert printed.err == f"trilingua {arguments[0]}: {message}\n"
    assert (status, printed.out) == (2, "")
    assert contents(folder) == before


OUT = ("--out", "out/new")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recognize", "text.png", *OUT), f"text.png: is not a readable image, or is truncated; {PICTURE}"),
        (("recognize", "truncated.png", *OUT), f"truncated.png: is not a readable image, or is truncated; {PICTURE}"),
        (("recognize", "good.png", "empty.png", *OUT), f"empty.png: is empty; {PICTURE}"),
        (("recognize", "none.png", *OUT), "none.png: no such file; check the path"),
        (("recognize", "folder.png", *OUT), "folder.png: is a folder; expected a file"),
        (("recognize", *OUT), "IMAGE: is missing; name at least one picture"),
        (
            ("recognize", "good.png", "./good.png", *OUT),
            "good.png: would overwrite the result of good.png; rename one, or run twice",
        ),
        (("recognize", "good.png", "--out", "file"), "file: is a file; choose a folder for --out"),
        (
            ("recognize", "good.png", "--out", "file/new"),
            "file/new: cannot be written (file is a file); choose another --out",
        ),
        (("recognize", "good.png", "--out", "blocked"), f"blocked/good.json: {BLOCKED}"),
        (("render", "good.json", "good2.json", "--out", "blocked"), f"blocked/good2.png: {BLOCKED}"),
        (("edit", "good.png", "--instruction", "Remove it", "--out", "blocked"), f"blocked/good.json: {BLOCKED}"),
        (("render", "empty.json", *OUT), "empty.json: is empty; expected JSON"),
        (
            ("render", "good.json", "truncated.json", *OUT),
            "truncated.json: is not valid JSON at line 1, column 40; it may be truncated",
        ),
        (
            ("render", "pink.json", *OUT),
            f"pink.json: objects[1].color: 'pink' is unknown; allowed are {COLORS}",
        ),
        (
            ("render", "nan.json", *OUT),
            "nan.json: objects[1].3d_coords[1]: nan is not a finite number; allowed is -3 to 3",
        ),
        (
            ("render", "far.json", *OUT),
            "far.json: objects[1].3d_coords[0]: 1000000.0 is out of range; allowed is -3 to 3",
        ),
        (("render", "shapeless.json", *OUT), "shapeless.json: objects[0].size: is missing; every object needs it"),
        (("render", "list.json", *OUT), "list.json: expected a JSON object with a list named 'objects'"),
        (("render", "none.json", *OUT), "none.json: no such file; check the path"),
        (("render", "folder.png", *OUT), "folder.png: is a folder; expected a file"),
        (
            ("edit", "good.png", "--instruction", "Remove it", "--scene", "pink.json", *OUT),
            f"pink.json: objects[1].color: 'pink' is unknown; allowed are {COLORS}",
        ),
        (("ask", "good.png", "--question", "Why?", "--scene", "none.json"), "none.json: no such file; check the path"),
        (("ask", "empty.png", "--question", "Why?"), f"empty.png: is empty; {PICTURE}"),
        (("demo", "--num-scenes", "-1", *OUT), "num_scenes: -1 is not allowed; expected at least 1"),
        (("demo", "--out", "file"), "file: is a file; choose a folder for --out"),
        (
            ("data", "clevr", "--num-scenes", "-1", *OUT),
            "num_scenes: -1 is not allowed; give a whole number of at least 1",
        ),
        (("data", "clevr", "--num-scenes", "1", "--out", "file"), "file: is a file; choose a folder for --out"),
        (("data", "kitti", *OUT), "data set: 'kitti' is unknown; choose one of clevr, shapes"),
        (("data", "clever", *OUT), "data set: 'clever' is unknown; choose one of clevr, shapes (did you mean clevr?)"),
        (
            ("data", "shapes", *OUT),
            "num_objects: is missing; give a whole number of at least 1, or --from",
        ),
        (
            ("data", "shapes", "--num-objects", "0", *OUT),
            "num_objects: 0 is not allowed; give a whole number of at least 1",
        ),
        (("data", "shapes", "--num-objects", "1", "--out", "file"), "file: is a file; choose a folder for --out"),
        (("data", "shapes", "--from", "none.glb", *OUT), "none.glb: no such file or folder; check the path"),
        (
            ("data", "shapes", "--from", "good.png", *OUT),
            "good.png: is no library of shapes; expected .sh3f, .glb, .obj, .ply or a folder",
        ),
        (
            ("data", "shapes", "--from", "folder.png", *OUT),
            "folder.png: holds no meshes; expected files that end in .glb, .obj, .ply",
        ),
        (
            ("data", "shapes", "--from", "library.sh3f", *OUT),
            "library.sh3f: is no furniture library, or is truncated; expected a zip with "
            "PluginFurnitureCatalog.properties",
        ),
        (("data",), "data set: is missing; it comes first, as in `trilingua data clevr`"),
        (("tokenize", "none", *OUT), "none: no such folder; check the path"),
        (
            ("tokenize", "folder.png", *OUT),
            "folder.png: holds no scenes; expected files such as scenes/CLEVR_new_000000.json",
        ),
        (("evaluate", "none", *OUT), "none: no such folder; check the path"),
        (
            ("evaluate", "none", "--tasks", "recognition", "poetry", *OUT),
            f"tasks: 'poetry' is unknown; choose among {TASKS}",
        ),
        (("evaluate", "none", "--limit", "0", *OUT), "limit: 0 is not allowed; expected at least 1"),
        (("evaluate", "none", "--limit", "-3", *OUT), "limit: -3 is not allowed; expected at least 1"),
        (("evaluate", "none", "--out", "folder.png"), "folder.png: is a folder; choose another file to write"),
        (
            ("evaluate", "none", "--out", "file/m.json"),
            "file/m.json: cannot be written (file is a file); choose another --out",
        ),
        (("score", "none", "folder.png"), "none: no such folder; check the path"),
        (
            ("score", "folder.png", "folder.png"),
            "folder.png: holds no scenes; expected files such as CLEVR_val_000000.json",
        ),
        (("export", "none", *OUT), "none: no such folder; check the path"),
        (
            ("export", "folder.png", *OUT),
            "folder.png: holds no config.json; pass the folder of a run of `trilingua train`",
        ),
        (("info", "nonsense"), f"nonsense: no such run directory, and no preset; presets are {PRESETS}"),
        (
            ("info", "kyvo-tny"),
            f"kyvo-tny: no such run directory, and no preset; presets are {PRESETS} (did you mean kyvo-tiny?)",
        ),
        (("train",), f"preset: is missing; it comes first, one of {PRESETS}"),
        (("train", "nothing"), f"preset 'nothing': no such preset; choose one of {PRESETS}"),
        (
            ("train", "kyvo-tiny", *OUT),
            "tokenizers: is not set; pass --tokenizers with the run of a `kyvo-*-tokenizers` preset",
        ),
        (("train", "kyvo-tiny-tokenizers", *OUT), "data: is not set; pass --data with a CLEVR data directory"),
        (
            ("train", "kyvo-tiny-tokenizers", "--schema", "kitchen", *OUT),
            "schema: 'kitchen' is unknown; choose one of clevr",
        ),
        (("train", "kyvo-tiny", "--out", "file"), "file: is a file; choose a folder for --out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_values(place, capsys, arguments, message):
    assert_refused(capsys, place, arguments, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recognize", "good.png"), "--out: is missing; expected a path"),
        (("recognize", "good.png", "--out"), "--out: has too few values; expected 1"),
        (("recognize", "good.png", "--ouu", "x"), "--ouu: no such option (did you mean --out?)"),
        (("recognize", "good.png", *OUT, "--beam", "3"), "--beam: no such option"),
        (("ask", "--question", "Why?"), "IMAGE: is missing"),
        (("ask", "good.png"), "--question: is missing; expected a text"),
        (("evaluate", "data", "more", *OUT), "more: is one argument too many"),
        (("evaluate", "data", *OUT, "--limit", "two"), "--limit: 'two' is not allowed; expected a whole number"),
        (("demo", "--num-scenes", "1.5"), "--num-scenes: '1.5' is not allowed; expected a whole number"),
        (("demo", "--num-scenes", "x" * 200), f"--num-scenes: '{'x' * 200}' is not allowed; expected a whole number"),
        (("export", *OUT, "--format", "onnx"), "--format: 'onnx' is not allowed; expected one of hf, run"),
        (("score", "a", "b", "--dataset", "kitti"), "--dataset: 'kitti' is not allowed; expected one of clevr"),
        (
            ("data clevr", "--num-scenes", "2", *OUT, "--renderer", "crayon"),
            "--renderer: 'crayon' is not allowed; expected one of builtin, blender",
        ),
        (
            ("train kyvo-tiny", "--trainer.max-step", "3"),
            "--trainer.max-step: no such option (did you mean --trainer.max-steps?)",
        ),
        (
            ("train kyvo-tiny", "--trainer.max-steps", "many"),
            "--trainer.max-steps: 'many' is not allowed; expected a whole number",
        ),
        (
            ("train kyvo-tiny", "--trainer.max-steps", "-4"),
            "trainer.max_steps: -4; expected at least 1",
        ),
        (
            ("train kyvo-tiny", "--decoder.head-dim", "7"),
            "decoder.head_dim: 7; expected an even width, rotary embedding pairs channels",
        ),
        (
            ("train kyvo-tiny-tokenizers", "--numbers.step", "0.7"),
            "numbers.step: 0.7 does not divide the range from -3.0 to 3.0; change one",
        ),
        (
            ("train kyvo-tiny", "--trainer.schedule", "zigzag"),
            "--trainer.schedule: 'zigzag' is not allowed; expected one of cosine, constant, wsd",
        ),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("columns", ["80", "43"])
def test_bad_options(place, capsys, monkeypatch, arguments, message, columns):
    monkeypatch.setenv("COLUMNS", columns)  # The parser draws boxes as wide as the terminal.
    verb, *rest = arguments
    before = contents(place)
    assert run([*verb.split(), *rest]) == 2
    assert capsys.readouterr().err == f"trilingua {verb.split()[0]}: {message}; see `trilingua {verb} --help`\n"
    assert contents(place) == before


def test_texts_without_words(place, capsys, tiny_run):
    more = ("--checkpoint", tiny_run)
    for verb, text, extra in (("ask", "question", ()), ("edit", "instruction", OUT)):
        for words in ("", "  "):
            arguments = (verb, "good.png", f"--{text}", words, "--scene", "good.json", *extra, *more)
            assert_refused(capsys, place, arguments, f"{text}: is empty; write one sentence")


@pytest.mark.parametrize(
    "arguments",
    [
        ("render", "good.json", "eleven.json", *OUT),
        ("edit", "good.png", "--instruction", "Remove it", "--scene", "eleven.json", *OUT),
        ("ask", "good.png", "--question", "Why?", "--scene", "eleven.json"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_scenes_that_a_model_cannot_read_are_named_by_their_file(place, capsys, tiny_run, arguments):
    message = "eleven.json: has 11 objects; this model reads at most 10"
    assert_refused(capsys, place, (*arguments, "--checkpoint", tiny_run), message)


@pytest.mark.parametrize(
    ("part", "field", "value", "message"),
    [
        ("tokenizers", "schema", "kitchen", "tokenizers.schema: 'kitchen' is unknown; choose one of clevr"),
        ("tokenizers", "images.dim", 100, "tokenizers.images.dim: 100; expected a multiple of 64, the width of a head"),
        ("tokenizers", "numbers.step", -1.0,
         "tokenizers.numbers.low, high, step: -3.0, 3.0, -1.0; expected low < high, step > 0"),
        ("kyvo", "decoder.num_kv_heads", 2, "kyvo.decoder.num_heads: 1; expected a multiple of num_kv_heads 2"),
        ("kyvo", "decoder.dim", 0, "kyvo.decoder.dim: 0; expected at least 1"),
        ("kyvo", "decoder.rope_scaling", {"factor": 0.5},
         "kyvo.decoder.rope_scaling.factor, low_freq_factor, high_freq_factor: 0.5, 1.0, 4.0; expected factor >= 1, "
         "0 < low < high; copy them from the backbone's config"),
    ],
    ids=lambda value: str(value) if "." in str(value) else None,
)  # fmt: skip
def test_values_in_a_configuration_are_named_by_file_and_field(place, capsys, tiny_run, part, field, value, message):
    shutil.copytree(tiny_run, place / "run", ignore=shutil.ignore_patterns("state", "eval*", "tensorboard"))
    config = json.loads((place / "run" / "config.json").read_text())
    *folders, name = field.split(".")
    functools.reduce(dict.__getitem__, folders, config[part])[name] = value
    (place / "run" / "config.json").write_text(json.dumps(config))
    arguments = ("recognize", "good.png", *OUT, "--checkpoint", "run")
    assert_refused(capsys, place, arguments, f"run/config.json: {message}")


def test_folders_that_may_not_be_written_to(place, capsys, monkeypatch):
    (place / "locked").mkdir()
    locked = (place / "locked").resolve()
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: os.fspath(path) not in ("locked", str(locked)) and allowed(path, mode)
    )
    message = "cannot be written (locked may not be written to); choose another --out"
    assert_refused(capsys, place, ("recognize", "good.png", "--out", "locked"), f"locked: {message}")
    assert_refused(capsys, place, ("export", "--out", "locked/a/b"), f"locked/a/b: {message}")
    assert_refused(capsys, place, ("evaluate", "data", "--out", "locked/m.json"), f"locked/m.json: {message}")


def test_what_was_given_is_not_overwritten(place, capsys, tiny_run):
    shutil.copytree(tiny_run, place / "mine")
    shutil.copy(place / "good.png", place / "other.png")
    (place / "good.json").write_text('{"objects": []}')
    words, given = ("--instruction", "Remove it"), "is what was given, and would be overwritten; choose another --out"
    for arguments, message in (
        (("edit", "good.png", *words, "--out", "."), f"good.png: {given}"),
        (("edit", "good.png", *words, "--out", "sub/.."), f"sub/../good.png: {given}"),
        (("export", "mine", "--out", "mine"), "mine: is the run itself; choose another --out"),
        (("export", "mine", "--format", "run", "--out", "./mine"), "mine: is the run itself; choose another --out"),
    ):
        (place / "sub").mkdir(exist_ok=True)
        assert_refused(capsys, place, arguments, message)


def test_names_that_the_system_refuses(place, capsys):
    long = "x" * 300
    assert run(["recognize", "good.png", "--out", long]) == 2
    assert capsys.readouterr().err.startswith(
        f"trilingua recognize: {long}/good.glb: cannot write here (File name too long)"
    )


def test_runs_whose_files_do_not_belong_together(place, capsys, tiny_run, tiny_tokenizers_run):
    def copied(name):
        return shutil.copytree(tiny_run, place / name, ignore=shutil.ignore_patterns("state", "eval*", "events*"))

    def refused(folder, message):
        assert_refused(capsys, place, ("recognize", "good.png", *OUT, "--checkpoint", folder), message)

    refused("none", "none: no such folder; check the path")
    refused("good.png", "good.png: is a file; expected a folder")
    refused("folder.png", "folder.png: holds no config.json; pass the folder of a run of `trilingua train`")
    refused(
        tiny_tokenizers_run,
        f"{tiny_tokenizers_run}: holds tokenizers and no decoder; pass the run of a `kyvo-*` preset",
    )

    copied("other-vocabulary")
    vocabulary = place / "other-vocabulary" / "vocabulary.json"
    value = json.loads(vocabulary.read_text())
    value["num_image_codes"] = 32
    vocabulary.write_text(json.dumps(value))
    refused(
        "other-vocabulary",
        "other-vocabulary/vocabulary.json: was changed since it was written (its digest does not fit its content); put "
        "back the file that belongs to the run",
    )

    copied("other-texts")
    config = place / "other-texts" / "config.json"
    value = json.loads(config.read_text())
    value["tokenizers"]["numbers"]["step"] = 0.1
    config.write_text(json.dumps(value))
    refused(
        "other-texts",
        "other-texts/vocabulary.json: does not belong to the text.json and config.json beside it; put back the "
        "files that were written together",
    )

    copied("other-weights")
    config = place / "other-weights" / "config.json"
    value = json.loads(config.read_text())
    value["kyvo"]["decoder"]["hidden_dim"] = 192
    config.write_text(json.dumps(value))
    refused(
        "other-weights",
        "other-weights/model.safetensors: layers.0.mlp.gate_up.weight has shape [256, 64], this model's has [384, 64]; "
        "use the configuration that it was trained with",
    )

    copied("torn")
    with (place / "torn" / "model.safetensors").open("rb+") as stream:
        stream.truncate(1000)
    before = contents(place)
    assert run(["recognize", "good.png", *OUT, "--checkpoint", "torn"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("trilingua recognize: torn/model.safetensors: is torn or no safetensors file (")
    assert line.count("\n") == 1
    assert contents(place) == before

    copied("without-weights")
    (place / "without-weights" / "model.safetensors").unlink()
    refused(
        "without-weights",
        "without-weights/model.safetensors: no such file; this folder is no finished run",
    )

    copied("without-part")
    (place / "without-part" / "config.json").write_text('{"kind": "kyvo"}')
    refused(
        "without-part",
        "without-part/config.json: tokenizers: null is not an object; expected the fields of TokenizersConfig",
    )


def python_m(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "trilingua", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_in_a_process_of_its_own(place):
    before = contents(place)
    for arguments, message in (
        (
            ("render", "far.json", *OUT),
            "far.json: objects[1].3d_coords[0]: 1000000.0 is out of range; allowed is -3 to 3",
        ),
        (("recognize", "good.png"), "--out: is missing; expected a path; see `trilingua recognize --help`"),
    ):
        done = python_m(place, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"trilingua {arguments[0]}: {message}\n"
    assert contents(place) == before
