"""How well a model does on a data directory, task by task, beside the baselines."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import read_json
from trilingua.data.clevr.files import ClevrFolder, Instruction, Question
from trilingua.data.clevr.staging import stage
from trilingua.data.renderers.views import REFERENCE_VIEW
from trilingua.metrics.answers import score_answers
from trilingua.metrics.calibration import Calibration, ScoreMap, collect_scores, compute_calibration, fit_score_map
from trilingua.metrics.image import score_images
from trilingua.metrics.scene_match import score_scenes
from trilingua.scenes.functions import answer_type
from trilingua.scenes.scene import Scene
from trilingua.systems.kyvo.pipeline import Kyvo

ItemT = TypeVar("ItemT")
Progress = Callable[[Iterable[list[ItemT]], str], Iterable[list[ItemT]]]

EVALUATED_TASKS = {"recognition": "recognize", "rendering": "render", "editing": "edit", "qa": "ask"}
"""What `trilingua evaluate --tasks` takes, and which verb does it."""

_BATCH = 16


def check_request(tasks: Sequence[str], limit: int | None) -> None:
    """Refuse tasks and limits that `evaluate_folder` does not take.

    Raises:
        ConfigError: no task or an unknown one, or a limit below 1.
    """
    allowed = ", ".join(EVALUATED_TASKS)
    if not tasks:
        raise ConfigError(f"tasks: none is given; choose among {allowed}")
    for task in tasks:
        if task not in EVALUATED_TASKS:
            raise ConfigError(f"tasks: {task!r} is unknown; choose among {allowed}")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: {limit} is not allowed; expected at least 1")


def score_drawings(
    drawn: Sequence[Image.Image], folder: ClevrFolder, scenes: Sequence[Scene], recognizer: Kyvo
) -> dict[str, float | int]:
    """Return how like drawings are to pictures, and as `cycle_jaccard` what is recognized in them.

    Args:
        drawn: a model's pictures of the scenes.
        folder: has the true ones.
        scenes: what was to be drawn; it was staged, so the drawings' camera is the reference camera.
        recognizer: who recognizes; it is told the camera if that is of use to it.
    """
    truth = [folder.image(scene.image_filename) for scene in scenes]
    camera = REFERENCE_VIEW.camera if recognizer.sights else None
    found: list[Scene] = []
    for pictures in _batches(drawn):
        found += recognizer.recognize(list(pictures), camera=camera)
    return {**score_images(drawn, truth), "cycle_jaccard": score_scenes(found, list(map(stage, scenes)))["jaccard"]}


def evaluate_folder(
    model: Kyvo,
    folder: ClevrFolder,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    progress: Callable[[list[Any], str], Iterable[Any]] = lambda items, _: items,
) -> dict[str, Any]:
    """Return the figures of each task, in the form of `summary.json` with more beneath.

    Args:
        model: what is judged.
        folder: the data.
        tasks: which of `EVALUATED_TASKS`.
        limit: use the first so many scenes, and the questions and instructions about them.
        progress: wraps the list of batches of a task, to show how far it is.

    Raises:
        ConfigError: as `check_request`.
        InputError: the folder lacks what a task needs.
    """
    check_request(tasks, limit)
    scenes = list(folder.scenes(limit))
    figures: dict[str, Any] = {"seed": _seed(folder), "num_scenes": len(scenes)}
    seconds: dict[str, float] = {}
    for task in tasks:
        start = time.perf_counter()
        if task == "recognition":
            figures[task] = _recognition(model, folder, scenes, progress)
        elif task == "rendering":
            figures[task] = _rendering(model, folder, scenes, progress)
        elif task == "editing":
            wanted = [item for scene in scenes for item in folder.instructions_of(scene)]
            figures[task] = _editing(model, folder, wanted, progress)
        else:
            asked = [item for scene in scenes for item in folder.questions_of(scene) if item.answer is not None]
            figures[task] = _qa(model, folder, {str(scene.image_filename): scene for scene in scenes}, asked, progress)
        seconds[EVALUATED_TASKS[task]] = round(time.perf_counter() - start, 3)
    return {**figures, "seconds": {**seconds, "total": round(sum(seconds.values()), 3)}}


def _seed(folder: ClevrFolder) -> int | None:
    """Return the seed that the folder was made with; None for data of others."""
    path = folder.folder / "manifest.json"
    manifest = read_json(path) if path.exists() else None
    return manifest.get("seed") if isinstance(manifest, dict) else None


def _batches(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]


def calibrate_run(
    model: Kyvo,
    folder: ClevrFolder,
    *,
    limit: int | None = None,
    progress: Callable[[list[Any], str], Iterable[Any]] = lambda items, _: items,
) -> tuple[ScoreMap, Calibration, Calibration]:
    """Return the map that makes a model's scores honest, and the calibration before and after it.

    Args:
        model: what is calibrated; a map that it has is passed over.
        folder: data that it was not trained on.
        limit: use the first so many scenes.
        progress: as in `evaluate_folder`.

    Raises:
        InputError: nothing is right, or nothing wrong.
    """
    scenes = list(folder.scenes(limit))
    kept, model.score_map = model.score_map, ScoreMap()
    try:
        scores, correct = collect_scores(_recognize(model, folder, scenes, progress), scenes)
    finally:
        model.score_map = kept
    found = fit_score_map(scores, correct)
    mapped = np.array([found(score) for score in scores])
    return found, compute_calibration(scores, correct), compute_calibration(mapped, correct)


def _recognize(model: Kyvo, folder: ClevrFolder, scenes: list[Scene], progress: Any) -> list[Scene]:
    found: list[Scene] = []
    for batch in progress(_batches(scenes), "recognition"):
        found += model.recognize([folder.image(scene.image_filename) for scene in batch])
    return found


def _recognition(model: Kyvo, folder: ClevrFolder, scenes: list[Scene], progress: Any) -> dict[str, Any]:
    found = _recognize(model, folder, scenes, progress)
    scores, correct = collect_scores(found, scenes)
    return {
        **score_scenes(found, scenes),
        "jaccard_optimal": score_scenes(found, scenes, method="optimal")["jaccard"],
        "calibration": compute_calibration(scores, correct).to_json() if len(scores) else None,
    }


def _pictures(folder: ClevrFolder, names: Sequence[str]) -> list[Image.Image]:
    """Return the pictures of these names, equal names the same object, so that the model looks at it once."""
    read = {name: folder.image(name) for name in dict.fromkeys(names)}
    return [read[name] for name in names]


def _rendering(model: Kyvo, folder: ClevrFolder, scenes: list[Scene], progress: Any) -> dict[str, Any]:
    drawn: list[Image.Image] = []
    for batch in progress(_batches(scenes), "rendering"):
        drawn += model.render(list(batch))
    return score_drawings(drawn, folder, scenes, model)


def _editing(model: Kyvo, folder: ClevrFolder, wanted: list[Instruction], progress: Any) -> dict[str, Any]:
    if not wanted:
        raise InputError(f"{folder.folder}: holds no instructions; make some with --instructions-per-scene")
    made: list[tuple[Image.Image, Scene]] = []
    for batch in progress(_batches(wanted), "editing"):
        given = _pictures(folder, [item.image_filename for item in batch])
        made += model.edit(given, [item.source_scene for item in batch], [item.instruction for item in batch])
    targets = [item.target_scene for item in wanted]
    edited = [scene for _, scene in made]
    by_type = {
        kind: score_scenes([edited[i] for i in chosen], [targets[i] for i in chosen])["jaccard"]
        for kind in sorted({item.type for item in wanted})
        if (chosen := [i for i, item in enumerate(wanted) if item.type == kind])
    }
    unchanged = score_scenes([item.source_scene for item in wanted], targets)["jaccard"]
    drawn = [index for index, item in enumerate(wanted) if item.target_image_filename is not None]
    targets_drawn = [folder.image(wanted[index].target_image_filename) for index in drawn]
    return {
        **score_scenes(edited, targets),
        "jaccard_by_type": by_type,
        "jaccard_unchanged": unchanged,
        "picture": score_images([made[index][0] for index in drawn], targets_drawn) if drawn else None,
    }


def _qa(
    model: Kyvo, folder: ClevrFolder, scenes: dict[str, Scene], asked: list[Question], progress: Any
) -> dict[str, Any]:
    if not asked:
        raise InputError(f"{folder.folder}: holds no questions with answers; make some with --questions-per-scene")
    direct: list[str] = []
    by_program: list[str] = []
    for batch in progress(_batches(asked), "qa"):
        pictures = _pictures(folder, [item.image_filename for item in batch])
        texts = [item.question for item in batch]
        known = [scenes[item.image_filename] for item in batch]
        answers = model.ask(pictures, texts, scene=known, explain=True)
        direct += [answer.direct for answer in answers]
        by_program += [answer.text for answer in answers]
    truth = [str(item.answer) for item in asked]
    types = [answer_type(answer) or "other" for answer in truth]
    programs = score_answers(by_program, truth, types)
    return {**score_answers(direct, truth, types), "by_program": programs}
