"""Where a model is wrong: the pictures that it recognizes worst, and what goes wrong how often.

A ring is where an object stands and a cross where it is said to stand; green pairs agree in everything, to .25 m.
Orange joins what differs in an attribute or is farther apart; red is missed or made up.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from plots import save_figure
from tqdm import tqdm

import trilingua
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.views import view_of
from trilingua.data.renderers.views import camera_for_view
from trilingua.scenes.matching import match_objects
from trilingua.scenes.scene import Scene
from trilingua.scenes.schema import CLEVR

NEAR = 0.25
"""Metres within which an object counts as in its place here."""
FAR = 1.5
"""Metres beyond which two objects have nothing to do with each other."""
SHOWN = 6
"""Pictures in the plot."""
BATCH = 16


def main(data: Annotated[Path, tyro.conf.Positional], *, out: Path, run: Path | None = None, limit: int = 200) -> None:
    """Write the plot, and print how often each kind of mistake is made.

    Args:
        data: CLEVR data directory whose scenes hold their view.
        out: picture to write.
        run: run directory of the model; the shipped one by default.
        limit: use the first so many scenes.
    """
    model, folder = trilingua.load(run or trilingua.shipped_model()), ClevrFolder(data)
    scenes = list(folder.scenes(limit))
    found: list[Scene] = []
    for start in tqdm(range(0, len(scenes), BATCH), desc="recognizing"):
        found += model.recognize([folder.image(scene.image_filename) for scene in scenes[start : start + BATCH]])
    mistakes: Counter[str] = Counter()
    for guess, truth in zip(found, scenes, strict=True):
        mistakes.update(_mistakes(guess, truth))
    objects = sum(len(scene.objects) for scene in scenes)
    for name, count in mistakes.most_common():
        print(f"{name}: {count} of {objects} objects")
    scores = [
        match_objects(guess.objects, truth.objects, NEAR).jaccard for guess, truth in zip(found, scenes, strict=True)
    ]
    worst = np.argsort(scores, kind="stable")[:SHOWN]
    figure = Figure(figsize=(12, 6.6), layout="constrained")
    for axes, index in zip(figure.subplots(2, SHOWN // 2).flat, worst, strict=True):
        axes.imshow(np.asarray(folder.image(scenes[index].image_filename)))
        axes.set_title(f"{scenes[index].image_filename}: {scores[index]:.2f} at {NEAR} m", fontsize=9)
        axes.set_axis_off()
        _mark(axes, found[index], scenes[index])
    save_figure(figure, out)


def _mistakes(guess: Scene, truth: Scene) -> Iterable[str]:
    """Yield a name for each thing that is wrong."""
    pairs = match_objects(guess.objects, truth.objects, FAR, method="optimal", categories=()).pairs
    yield from ["missed"] * (len(truth.objects) - len(pairs))
    yield from ["made up"] * (len(guess.objects) - len(pairs))
    for said, is_there in pairs:
        one, other = guess.objects[said], truth.objects[is_there]
        yield from (
            f"wrong {category.name}"
            for category in CLEVR.categories
            if getattr(one, category.name) != getattr(other, category.name)
        )
        distance = np.hypot(*np.subtract(one.location[:2], other.location[:2]))
        yield from (f"farther off than {limit} m" for limit in (0.05, 0.1, 0.25) if distance >= limit)


def _mark(axes: Axes, guess: Scene, truth: Scene) -> None:
    camera = camera_for_view(view_of(truth))
    said, known = (
        camera.project(np.array([item.location for item in scene.objects]).reshape(-1, 3))[:, :2]
        for scene in (guess, truth)
    )
    right = dict(match_objects(guess.objects, truth.objects, NEAR, method="optimal").pairs)
    near = dict(match_objects(guess.objects, truth.objects, FAR, method="optimal", categories=()).pairs)
    colors = {index: "lime" if index in right else "orange" if index in near else "red" for index in range(len(said))}
    for index, (x, y) in enumerate(said):
        axes.plot(x, y, marker="x", color=colors[index], markersize=7, markeredgewidth=1.5)
        partner = right.get(index, near.get(index))
        if partner is not None:
            axes.plot([x, known[partner, 0]], [y, known[partner, 1]], color=colors[index], linewidth=1)
    paired = set(right.values()) | set(near.values())
    for index, (x, y) in enumerate(known):
        axes.plot(x, y, "o", markerfacecolor="none", color="white" if index in paired else "red", markersize=9)


if __name__ == "__main__":
    tyro.cli(main)
