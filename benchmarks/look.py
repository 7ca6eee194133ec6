"""How near the built-in renderer's look comes to Blender's, and what a model makes of the difference.

`make look` has Blender draw the scenes first; here the built-in renderer draws them again, from the same camera and
under the same lamps.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

import trilingua
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.views import view_of
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.metrics.image import score_images
from trilingua.systems.kyvo.evaluate import evaluate_folder

SHOWN = 6
"""Scenes side by side in the picture."""


def main(
    data: Annotated[Path, tyro.conf.Positional], *, out: Path | None = None, run: Path | None = None, limit: int = 200
) -> None:
    """Print the figures, and write a picture of both looks.

    Args:
        data: CLEVR data directory that Blender drew.
        out: picture to write: Blender's above, ours below.
        run: run directory whose model is asked; the shipped one by default.
        limit: use the first so many scenes.
    """
    model = trilingua.load(run or trilingua.shipped_model())
    theirs = ClevrFolder(data)
    scenes = list(theirs.scenes(limit))
    with tempfile.TemporaryDirectory() as folder:
        ours = _draw_again(theirs, Path(folder))
        pairs = [(ours.image(scene.image_filename), theirs.image(scene.image_filename)) for scene in scenes]
        difference = [np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).mean() for a, b in pairs]
        alike = score_images([a for a, _ in pairs], [b for _, b in pairs])
        print(f"{len(pairs)} scenes: " + ", ".join(f"{name} {value:.4f}" for name, value in alike.items()))
        print(f"mean absolute difference {np.mean(difference):.2f} of 255")
        for name, source in (("built-in", ours), ("blender", theirs)):
            found: dict[str, Any] = evaluate_folder(model, source, ["recognition"], limit=limit, progress=_bar)
            print(f"recognition of {name} pictures: {found['recognition']}")
    if out is not None:
        rows = [np.concatenate([np.asarray(pair[row]) for pair in pairs[:SHOWN]], axis=1) for row in (1, 0)]
        shown = Image.fromarray(np.concatenate(rows))
        shown.resize((shown.width // 2, shown.height // 2), Image.Resampling.LANCZOS).save(out)


def _draw_again(theirs: ClevrFolder, folder: Path) -> ClevrFolder:
    renderer = BuiltinRenderer()
    (folder / "images").mkdir()
    (folder / "scenes").mkdir()
    for position in tqdm(range(len(theirs)), desc="built-in"):
        scene = theirs.scene(position)
        Image.fromarray(renderer.render(scene, view_of(scene)).image).save(
            folder / "images" / str(scene.image_filename)
        )
        (folder / "scenes" / theirs.scene_path(position).name).symlink_to(theirs.scene_path(position).absolute())
    return ClevrFolder(folder)


def _bar(items: list[Any], title: str) -> Any:
    return tqdm(items, desc=title)


if __name__ == "__main__":
    tyro.cli(main)
