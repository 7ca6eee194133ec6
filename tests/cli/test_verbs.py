"""Every verb that needs a model, through the real command line on a tiny run: what it prints and writes."""

import dataclasses
import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trilingua.cli.main import run
from trilingua.data.clevr.files import ClevrFolder
from trilingua.scenes.scene import Scene


@pytest.fixture
def picture(tiny_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_data / "images" / ClevrFolder(tiny_data).scene(0).image_filename, "photo.v2.png")
    return "photo.v2.png"


def call(capsys, *arguments):
    status = run([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    return printed


def test_recognize_render_edit_ask(picture, tiny_run, tiny_model, tiny_data, tmp_path, capsys):
    model = ("--checkpoint", tiny_run)
    printed = call(capsys, "recognize", picture, "--out", "scenes", *model)
    assert (printed.out, printed.err) == ("scenes/photo.v2.json\n", "")
    found = Scene.load(tmp_path / "scenes" / "photo.v2.json")
    assert [item.location for item in found.objects] == [
        item.location for item in tiny_model.recognize(picture).objects
    ]
    assert len(Scene.load(tmp_path / "scenes" / "photo.v2.glb").objects) == len(found.objects)

    printed = call(capsys, "render", "scenes/photo.v2.json", "--out", "drawn", *model)
    assert (printed.out, printed.err) == ("drawn/photo.v2.png\n", "")
    with Image.open(tmp_path / "drawn" / "photo.v2.png") as drawn:
        assert drawn.size == tiny_model.render(found).size

    words = ("--instruction", "Remove the red cube")
    printed = call(capsys, "edit", picture, *words, "--out", "edited", *model)
    assert (printed.out, printed.err) == ("edited/photo.v2.png\nedited/photo.v2.json\n", "")
    assert sorted(path.name for path in (tmp_path / "edited").iterdir()) == ["photo.v2.json", "photo.v2.png"]

    true = ClevrFolder(tiny_data).scene_path(0)
    question = "How many cubes are there?"
    printed = call(capsys, "ask", picture, "--question", question, "--scene", true, *model)
    answer = tiny_model.ask(picture, question, scene=Scene.load(true))
    assert (printed.out, printed.err) == (f"{answer}\n", "")
    printed = call(capsys, "ask", picture, "--question", question, "--scene", true, "--explain", *model)
    explained = tiny_model.ask(picture, question, scene=Scene.load(true), explain=True)
    assert printed.out == f"{explained.text}\n"
    first, *others = printed.err.splitlines()
    assert first == f"program: {explained.program}"
    assert [line for line in others if line.startswith("object: ")] == [
        f"object: {o.size} {o.color} {o.material} {o.shape} at x {o.location[0]:.2f} m, y {o.location[1]:.2f} m"
        for o in explained.objects
    ]


@pytest.mark.parametrize("verb", ["recognize", "render"])
def test_each_file_has_what_belongs_to_it(verb, tmp_path, capsys, monkeypatch):
    """Of more inputs than one batch takes; and one that is broken leaves nothing."""

    class Echo:
        def recognize(self, pictures, *, camera):
            assert camera == (7.5, -6.5, 5.0)
            return [Scene(objects=(), image_index=int(Path(picture).stem)) for picture in pictures]

        def render(self, scenes):
            return [Image.new("RGB", (2, 2), (scene.image_index, 0, 0)) for scene in scenes]

        def check_scene(self, scene, where):
            assert scene.image_index == int(Path(where).stem)

    monkeypatch.setattr("trilingua.load", lambda run: Echo())
    names = [str(tmp_path / f"{number}{'.png' if verb == 'recognize' else '.json'}") for number in range(40)]
    for number, name in enumerate(names):
        if verb == "recognize":
            Image.new("RGB", (2, 2)).save(name)
        else:
            Scene(objects=(), image_index=number).save(name)
    camera = ("--camera", "7.5", "-6.5", "5") if verb == "recognize" else ()
    call(capsys, verb, *names, *camera, "--out", tmp_path / "out")
    for number in range(40):
        if verb == "recognize":
            assert Scene.load(tmp_path / "out" / f"{number}.json").image_index == number
            assert Scene.load(tmp_path / "out" / f"{number}.glb").image_index == number
        else:
            assert np.asarray(Image.open(tmp_path / "out" / f"{number}.png"))[0, 0].tolist() == [number, 0, 0]
    Path(names[-1]).write_bytes(b"broken")
    assert run([verb, *names, *camera, "--out", str(tmp_path / "none")]) == 2
    assert names[-1] in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_evaluate_and_score(tiny_run, tiny_data, tmp_path, capsys):
    out = tmp_path / "new" / "metrics.json"
    tasks = ("--tasks", "recognition", "qa", "--limit", "1")
    printed = call(capsys, "evaluate", tiny_data, *tasks, "--checkpoint", tiny_run, "--out", out)
    assert (printed.out, printed.err) == (f"{out}\n", "")
    figures = json.loads(out.read_text())
    assert list(figures) == ["seed", "num_scenes", "recognition", "qa", "seconds"]
    assert list(figures["seconds"]) == ["recognize", "ask", "total"]
    scored = json.loads(call(capsys, "score", tiny_data / "scenes", tiny_data).out)
    assert scored["recognition"]["jaccard"] == 1.0
    assert set(scored["recognition"]["jaccard_at"].values()) == {1.0}


def test_a_full_disk_is_a_failure_that_leaves_nothing(tiny_run, tiny_data, tmp_path, capsys):
    scene = ClevrFolder(tiny_data).scene_path(0)
    arguments = ["render", scene, "--out", tmp_path / "drawn", "--checkpoint", tiny_run]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        status = run([str(argument) for argument in arguments])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    printed = capsys.readouterr()
    target = tmp_path / "drawn" / f"{scene.stem}.png"
    problem = "writing failed (File too large); free some space or choose another --out"
    assert (status, printed.out, printed.err) == (1, "", f"trilingua render: {target}: {problem}\n")
    assert list((tmp_path / "drawn").iterdir()) == []


def test_export_says_how_a_llama_decodes(tiny_run, tmp_path, capsys):
    printed = call(capsys, "export", tiny_run, "--out", tmp_path / "hf")
    assert printed.out == f"{tmp_path / 'hf'}\n"
    assert printed.err == (
        'greedy `generate` from model.tokenize("recognition", image=image) gives model.recognize(image, '
        "constrained=False); other tasks need position_ids (docs/cookbook.md)\n"
    )
    printed = call(capsys, "export", tiny_run, "--out", tmp_path / "slim", "--format", "run")
    assert (printed.out, printed.err) == (f"{tmp_path / 'slim'}\n", "")
    said = " ".join(call(capsys, "export", "--help").out.split())
    assert "`generate` writes the scene that `model.recognize(image, constrained=False)` returns" in said
    assert "The other tasks need `position_ids`" in said


def test_calibrate_changes_nothing_but_the_runs_score_map(tiny_run, tiny_data, tmp_path, capsys, monkeypatch):
    from trilingua.systems.kyvo.pipeline import Kyvo

    model = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("state", "eval*"))
    before = (model / "config.json").read_bytes()
    arguments = ["calibrate", str(tiny_data), "--checkpoint", str(model), "--plot", str(tmp_path / "plot.svg")]
    recognize = Kyvo.recognize
    folder = ClevrFolder(tiny_data)
    monkeypatch.setattr(Kyvo, "recognize", lambda self, pictures: [Scene(objects=()) for _ in pictures])
    assert run(arguments) == 2
    message = "scores: 0 right of 0; expected right and wrong ones, so use more scenes"
    assert capsys.readouterr().err.splitlines()[-1] == f"trilingua calibrate: {message}"
    assert (model / "config.json").read_bytes() == before
    assert not (tmp_path / "plot.svg").exists()

    scenes = iter(folder.scenes())

    def half_right(self, pictures):
        """Return what is there, with every other object far from its place."""
        found = recognize(self, list(pictures))
        for index, scene in enumerate(next(scenes) for _ in pictures):
            objects = [
                dataclasses.replace(item, location=(item.location[0] + 9 * (n % 2), *item.location[1:]), score=0.2)
                for n, item in enumerate(scene.objects)
            ]
            found[index] = Scene(objects=tuple(objects))
        return found

    monkeypatch.setattr(Kyvo, "recognize", half_right)
    printed = call(capsys, *arguments)
    assert printed.out == f"{tmp_path / 'plot.svg'}\n{model / 'config.json'}\n"
    assert "after, on the same scenes" in printed.err
    assert (tmp_path / "plot.svg").read_text().startswith("<svg ")
    assert json.loads((model / "config.json").read_text())["kyvo"]["score_map"] != {"scale": 1.0, "offset": 0.0}
