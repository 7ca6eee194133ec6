"""The verb `trilingua score`: no model, only scenes on disk."""

import json
from pathlib import Path
from typing import Annotated, Literal

import tyro

from trilingua.core.errors import InputError
from trilingua.core.io import existing_folder
from trilingua.metrics.scene_match import score_scenes
from trilingua.scenes.scene import Scene


def score(
    predictions: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PREDICTIONS_DIR")],
    truth: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TRUTH_DIR")],
    *,
    dataset: Literal["clevr"] = "clevr",
) -> None:
    """Print the figures of predicted scenes against true ones of the same file names, as JSON.

    Example: trilingua score scenes data/val/scenes

    Args:
        predictions: folder of predicted scenes, one JSON file each; a true scene without one counts as empty.
        truth: folder of true scenes, or a data directory with a folder `scenes`.
        dataset: whose attributes and matching rule.
    """
    del dataset  # One so far; the option is there so that scripts name it.
    found = _scenes(predictions)
    wanted = _scenes(truth / "scenes" if (truth / "scenes").is_dir() else truth)
    strangers = sorted(set(found) - set(wanted))
    if strangers:
        raise InputError(f"{predictions / strangers[0]}: has no true scene of that name in {truth}")
    pairs = [(found.get(name, Scene(objects=())), scene) for name, scene in wanted.items()]
    figures = score_scenes([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    print(json.dumps({"recognition": {**figures, "num_missing": len(wanted) - len(found)}}, indent=2))


def _scenes(folder: Path) -> dict[str, Scene]:
    paths = sorted(existing_folder(folder).glob("*.json"))
    if not paths:
        raise InputError(f"{folder}: holds no scenes; expected files such as CLEVR_val_000000.json")
    return {path.name: Scene.load(path) for path in paths}
