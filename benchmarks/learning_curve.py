"""How a decoder learned: held-out scenes' figures while it trained, and its losses, over the tokens that it read.

Reads the figures that training has written into its run directory; trains nothing.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from matplotlib.figure import Figure
from plots import save_figure
from tables import read_figures

from trilingua.core.io import read_json

JUDGED = {
    "recognition_jaccard": "recognition",
    "editing_jaccard": "editing",
    "qa_accuracy": "answers",
    "program_accuracy": "programs, word for word",
    "rendering_ssim": "drawings, SSIM to true codes' pictures",
}
"""Figures of held-out scenes, and what they are called."""
LOSSES = {"loss_numbers": "numbers", "loss_image": "image codes", "loss_text": "text"}
"""Losses of a token by its kind, and what the kinds are called."""
_SMOOTHED = 10
"""Lines of the log of which a loss is the mean."""


def main(run: Annotated[Path, tyro.conf.Positional], *, plot: Path) -> None:
    """Draw the curves of a run.

    Args:
        run: directory of a `kyvo-*` run.
        plot: picture to write.
    """
    loader = read_json(run / "config.json")["kyvo"]["loader"]
    tokens = loader["row_length"] * loader["rows_per_batch"] / 1e6
    lines = read_figures(run)
    trained = [line for line in lines if "learning_rate" in line]
    rates = [line["learning_rate"] for line in trained]
    falls = trained[int(np.flatnonzero(np.isclose(rates, max(rates)))[-1])]["step"] * tokens
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    above, below = figure.subplots(1, 2)
    for name, label in JUDGED.items():
        judged = [(line["step"] * tokens, line[f"evaluation/{name}"]) for line in lines if f"evaluation/{name}" in line]
        if judged:  # a run need not be judged on all of them
            above.plot(*zip(*judged, strict=True), "o-", label=label, markersize=4)
    for name, label in LOSSES.items():
        known = np.array([(line["step"] * tokens, line[name]) for line in trained if name in line])
        blocks = [block.mean(axis=0) for block in np.array_split(known, max(1, len(known) // _SMOOTHED))]
        below.plot(*np.array(blocks).T, label=label)
    below.set_yscale("log")
    for axes, title in ((above, "64 held-out scenes"), (below, "loss of a token, nats")):
        axes.axvline(falls, color="gray", linewidth=0.7)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("million tokens read; the rate falls behind the line")
        axes.legend(fontsize=8)
    save_figure(figure, plot)


if __name__ == "__main__":
    tyro.cli(main)
