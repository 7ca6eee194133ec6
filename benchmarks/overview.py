"""The README's picture: what a model finds in some pictures, drawn again from what it found.

Models say nothing of how objects are turned, so none is turned below.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from matplotlib.figure import Figure
from plots import save_figure

import trilingua
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.views import view_of
from trilingua.data.renderers.builtin import BuiltinRenderer


def main(
    data: Annotated[Path, tyro.conf.Positional],
    *,
    out: Path,
    run: Path | None = None,
    scenes: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Draw pictures above and what was found in them below.

    Args:
        data: CLEVR data directory whose scenes hold their view.
        out: picture to write.
        run: run directory of the model; the shipped one by default.
        scenes: which of the data, by position.
    """
    model, folder, renderer = trilingua.load(run or trilingua.shipped_model()), ClevrFolder(data), BuiltinRenderer()
    chosen = [folder.scene(position) for position in scenes]
    pictures = [folder.image(scene.image_filename) for scene in chosen]
    figure = Figure(figsize=(3.2 * len(scenes), 5.2), layout="constrained")
    above, below = figure.subplots(2, len(scenes), squeeze=False)
    for axes, picture in zip(above, pictures, strict=True):
        axes.imshow(np.asarray(picture))
    for axes, found, scene in zip(below, model.recognize(pictures), chosen, strict=True):
        axes.imshow(renderer.render(found, view_of(scene)).image)
    for axes in (*above, *below):
        axes.set_axis_off()
    above[0].set_title("a picture", fontsize=10, loc="left")
    below[0].set_title("the objects that the model found in it, drawn in 3D", fontsize=10, loc="left")
    save_figure(figure, out)


if __name__ == "__main__":
    tyro.cli(main)
