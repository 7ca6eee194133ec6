"""The published Jaccard script gives our figures on scenes with near misses, strays and twins.

Runs where `KYVO` names a checkout of github.com/AadSah/kyvo (`make peers` makes one).
"""

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.oracles.random_programs import random_scene

from trilingua.metrics.scene_match import score_scenes
from trilingua.scenes.scene import Scene

CHECKOUT = os.environ.get("KYVO")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="KYVO names no checkout of AadSah/kyvo")


def disturbed(scene: Scene, draw: random.Random) -> Scene:
    """Move, recolour, lose and repeat objects."""
    objects = []
    for item in scene.objects:
        if draw.random() < 0.15:
            continue
        x, y, z = item.location
        moved = (x + draw.gauss(0, 0.06), y + draw.gauss(0, 0.06), z)
        color = draw.choice((item.color, item.color, item.color, "red"))
        objects += [dataclasses.replace(item, location=moved, color=color)] * draw.choice((1, 1, 1, 2))
    draw.shuffle(objects)
    return Scene(objects=tuple(objects))


def test_figures_are_the_published_scripts(tmp_path: Path) -> None:
    draw = random.Random(5)
    truth = [random_scene(draw) for _ in range(60)]
    predicted = [disturbed(scene, draw) for scene in truth]
    true_folder, folder = tmp_path / "truth", tmp_path / "run"
    true_folder.mkdir()
    folder.mkdir()
    entries = []
    for index, (scene, guess) in enumerate(zip(truth, predicted, strict=True)):
        name = f"scene_{index:06d}"
        value = scene.to_json() | {"image_filename": f"{name}.png"}
        (true_folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
        entries.append({"key": f"{name}.png", "objects": guess.to_json()["objects"]})
    (folder / "predicted_scenes_run.json").write_text(json.dumps({"scenes": entries}), encoding="utf-8")
    ours = score_scenes(predicted, truth)["jaccard_at"]
    assert len(ours) == 5
    assert 0.1 < min(ours.values()) < max(ours.values()) < 0.9
    for threshold, figure in ours.items():
        subprocess.run(
            [
                sys.executable,
                Path(str(CHECKOUT)) / "scripts" / "compute_jaccard_index.py",
                *("--generated_folder", folder, "--groundtruth_folder", true_folder),
                *("--tau", threshold, "--dataset", "clevr"),
            ],
            check=True,
            capture_output=True,
        )
        written = (folder / f"jaccard_index_tau-{float(threshold)}.txt").read_text()
        assert written == f"Jaccard Index: {figure:.4f}"
