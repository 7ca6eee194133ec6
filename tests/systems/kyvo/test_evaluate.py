"""The figures of a tiny model: their names, their agreement with the metrics, and what cannot be judged."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import read_json, write_json
from trilingua.data.clevr.files import ClevrFolder
from trilingua.metrics.calibration import ScoreMap
from trilingua.metrics.scene_match import score_scenes
from trilingua.scenes.scene import Scene
from trilingua.systems.kyvo.build import write_score_map
from trilingua.systems.kyvo.evaluate import EVALUATED_TASKS, calibrate_run, evaluate_folder
from trilingua.systems.kyvo.pipeline import Kyvo


@pytest.fixture(scope="module")
def figures(tiny_model, tiny_data):
    return evaluate_folder(tiny_model, ClevrFolder(tiny_data), tuple(EVALUATED_TASKS), limit=2)


def test_names_are_those_of_the_demos_summary_with_more_beneath(figures):
    assert list(figures) == ["seed", "num_scenes", "recognition", "rendering", "editing", "qa", "seconds"]
    assert (figures["seed"], figures["num_scenes"]) == (3, 2)
    assert list(figures["seconds"]) == ["recognize", "render", "edit", "ask", "total"]
    assert {"jaccard", "jaccard_at", "jaccard_optimal", "calibration"} <= set(figures["recognition"])
    assert list(figures["recognition"]["jaccard_at"]) == ["0.05", "0.10", "0.15", "0.20", "0.25"]
    assert {"ssim", "l2", "psnr", "cycle_jaccard"} <= set(figures["rendering"])
    assert {"jaccard", "jaccard_at", "jaccard_by_type", "jaccard_unchanged", "picture"} <= set(figures["editing"])
    assert {"accuracy", "by_type", "by_program"} <= set(figures["qa"])
    json.dumps(figures, allow_nan=False)


def test_figures_are_those_of_the_metrics(figures, tiny_model, tiny_data):
    folder = ClevrFolder(tiny_data)
    scenes = list(folder.scenes(2))
    found = tiny_model.recognize([folder.image(scene.image_filename) for scene in scenes])
    assert figures["recognition"]["jaccard"] == pytest.approx(score_scenes(found, scenes)["jaccard"])
    names = {scene.image_filename for scene in scenes}
    wanted = [item for item in folder.instructions() if item.image_filename in names]
    unchanged = score_scenes([item.source_scene for item in wanted], [item.target_scene for item in wanted])
    assert figures["editing"]["jaccard_unchanged"] == pytest.approx(unchanged["jaccard"])
    assert set(figures["editing"]["jaccard_by_type"]) == {item.type for item in wanted}
    asked = [item for item in folder.questions() if item.image_filename in names]
    assert figures["qa"]["num_questions"] == len(asked)
    texts, known = [item.question for item in asked], {scene.image_filename: scene for scene in scenes}
    answers = tiny_model.ask(
        [folder.image(item.image_filename) for item in asked],
        texts,
        scene=[known[item.image_filename] for item in asked],
    )
    right = sum(answer == item.answer for answer, item in zip(answers, asked, strict=True))
    assert figures["qa"]["accuracy"] == pytest.approx(right / len(asked))


def test_progress_sees_every_task(tiny_model, tiny_data):
    seen = []

    def progress(items, title):
        seen.append((title, [len(item) for item in items]))
        return items

    evaluate_folder(tiny_model, ClevrFolder(tiny_data), ("recognition", "qa"), limit=1, progress=progress)
    assert seen == [("recognition", [1]), ("qa", [3])]


def test_targets_that_were_not_drawn_are_judged_by_their_scenes_alone(tiny_model, tiny_data, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(tiny_data, folder)
    (path,) = folder.glob("*_instructions.json")
    records = read_json(path)
    for item in records["instructions"]:
        item["target_image_filename"] = None
    write_json(path, records)
    editing = evaluate_folder(tiny_model, ClevrFolder(folder), ("editing",), limit=1)["editing"]
    assert editing["picture"] is None
    assert 0.0 <= editing["jaccard"] <= 1.0
    for name, kind in (("instructions", "editing"), ("questions", "qa")):
        (path,) = folder.glob(f"*_{name}.json")
        path.unlink()
        what = "instructions" if kind == "editing" else "questions with answers"
        with pytest.raises(InputError) as caught:
            evaluate_folder(tiny_model, ClevrFolder(folder), (kind,), limit=1)
        assert str(caught.value) == f"{folder}: holds no {what}; make some with --{name}-per-scene"


def test_wrong_requests_are_refused(tiny_model, tiny_data):
    allowed = "recognition, rendering, editing, qa"
    for tasks, limit, message in (
        (("recognize",), None, f"tasks: 'recognize' is unknown; choose among {allowed}"),
        ((), None, f"tasks: none is given; choose among {allowed}"),
        (("qa",), 0, "limit: 0 is not allowed; expected at least 1"),
    ):
        with pytest.raises(ConfigError) as caught:
            evaluate_folder(tiny_model, ClevrFolder(tiny_data), tasks, limit=limit)
        assert str(caught.value) == message


def test_calibration_is_fitted_to_the_models_own_scores(tiny_model, tiny_data, monkeypatch):
    """With a model that finds every object, and is right about those that it is sure of."""
    folder = ClevrFolder(tiny_data)
    asked = folder.scenes()
    stream = np.random.default_rng(0)

    def recognize(pictures):
        found = []
        for scene in (next(asked) for _ in pictures):
            objects = []
            for item in scene.objects:
                score = stream.random()
                x, y, z = item.location
                moved = (x, y, z) if stream.random() < score**0.25 else (x + 9.0, y, z)
                objects.append(dataclasses.replace(item, location=moved, score=tiny_model.score_map(score)))
            found.append(Scene(objects=tuple(objects)))
        return found

    monkeypatch.setattr(tiny_model, "recognize", recognize)
    monkeypatch.setattr(tiny_model, "score_map", ScoreMap(scale=9.0))
    found, before, after = calibrate_run(tiny_model, folder)
    assert tiny_model.score_map == ScoreMap(scale=9.0)
    assert sum(item.count for item in before.bins) == sum(len(scene.objects) for scene in folder.scenes())
    assert found != ScoreMap()
    assert sum(item.count * item.score for item in after.bins) == pytest.approx(
        sum(item.count * item.accuracy for item in after.bins), rel=0.05
    )


def test_a_score_map_is_kept_by_the_run(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("state", "eval*"))
    assert Kyvo.load(run).score_map == ScoreMap()
    write_score_map(run, ScoreMap(scale=2.0, offset=0.5))
    assert Kyvo.load(run).score_map == ScoreMap(scale=2.0, offset=0.5)
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (tiny_run, run))
    assert after["kyvo"].pop("score_map") == {"scale": 2.0, "offset": 0.5}
    before["kyvo"].pop("score_map")
    assert before == after
