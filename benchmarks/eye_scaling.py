"""How seeing grows with an eye's size and with the pictures that it has seen, and what a wanted figure would take.

Eyes of several depths are trained for several lengths, each with its own fall of the learning rate, and the law
`1 - score = E + A / parameters^a + B / pictures^b` is fitted to what held-out pictures say. The score is `place_score`,
above which no recognition by this eye can come. Runs that are finished are kept, so the command can be given again.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from matplotlib.figure import Figure
from plots import save_figure
from tables import Section, last_figures

import trilingua
from trilingua.core.config import replace_dotted
from trilingua.metrics.scaling import ScalingLaw, fit_scaling_law
from trilingua.systems.kyvo.build import load_tokenizers, write_tokenizer_files
from trilingua.systems.kyvo.config import TokenizersConfig, kyvo_clevr, kyvo_clevr_eye
from trilingua.systems.kyvo.train import train_tokenizers
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.training.checkpoints import find_checkpoint

DEPTHS = (1, 3, 6)
STEPS = (100, 200, 400, 800)
FIGURES = ("place_score", "place_error")
"""What `EyeTask.evaluate` says of held-out pictures after the last step."""
WANTED = (0.9212, 0.95)
"""Scores: what the paper's recognition reaches, and the goal."""


def main(
    data: Annotated[Path, tyro.conf.Positional],
    *,
    out: Path,
    plot: Path | None = None,
    start: Path | None = None,
    batch_size: int = 32,
    num_threads: int = 2,
) -> None:
    """Train what is missing, print the runs and the law, and write the plot.

    Args:
        data: CLEVR data directory of the built-in renderer.
        out: folder for the runs.
        plot: picture to write.
        start: run whose latents the eyes look at; the shipped one by default. An eye of its own is left out.
        batch_size: pictures of a step.
        num_threads: for each run.
    """
    table = Section(title="Eyes", header=("layers", "parameters", "pictures", "place_score", "place_error"))
    amounts, losses = [], []
    blind = _without_eye(start or trilingua.shipped_model(), out / "start")
    for depth in DEPTHS:
        for steps in STEPS:
            run = out / f"{depth}-layers-{steps}-steps"
            config = _configure(depth, steps, data, blind, batch_size, num_threads)
            if last_figures(run, steps, FIGURES) is None:
                result = train_tokenizers(config, run, resume=find_checkpoint(run) is not None)
                if result.reason == "interrupted":
                    return
            figures = last_figures(run, steps, FIGURES)
            assert figures is not None, "the run is finished"
            size, pictures = _parameters(config), steps * batch_size
            score, error = figures["place_score"], figures["place_error"]
            table.rows.append((str(depth), f"{size / 1e6:.2f} M", f"{pictures:,}", f"{score:.3f}", f"{error:.3f}"))
            amounts.append((size, pictures))
            losses.append(1 - score)
    law = fit_scaling_law(np.array(amounts, np.float64), np.array(losses))
    parts = [
        f"{scale:.3g} / {name}^{exponent:.2f}"
        for name, scale, exponent in zip(("parameters", "pictures"), law.scales, law.exponents, strict=True)
    ]
    table.notes.append(f"1 - score = {' + '.join([f'{law.floor:.3f}', *parts])}")
    for wanted in WANTED:
        for depth in DEPTHS:
            size = _parameters(_configure(depth, 1, data, Path(), batch_size, num_threads))
            pictures = law.needed(1 - wanted, 1, [size, 0])
            table.notes.append(f"a score of {wanted} with {depth} layers: {pictures:,.0f} pictures")
    print(table.to_markdown())
    if plot is not None:
        _draw(np.array(amounts, np.float64), np.array(losses), law, plot)


def _without_eye(run: Path, out: Path) -> Path:
    """Write the tokenizers of a run without their eye, so that eyes of all depths begin alike; return where."""
    tokenizers = load_tokenizers(run)
    sizes = dataclasses.replace(tokenizers.images.config, eye_layers=0, eye_window_width=0)
    images = ImageTokenizer(sizes)
    images.begin_with(tokenizers.images)
    config = dataclasses.replace(tokenizers.config, images=sizes)
    # As a run of the second stage, which keeps its image tokenizer in a file of its own.
    write_tokenizer_files(out, dataclasses.replace(tokenizers, config=config, images=images), kyvo_clevr())
    return out


def _configure(depth: int, steps: int, data: Path, start: Path, batch_size: int, num_threads: int) -> TokenizersConfig:
    changes = {
        "data": str(data),
        "start": str(start),
        "images.eye_layers": depth,
        "batch_size": batch_size,
        "held_out": 256,
        "trainer.max_steps": steps,
        "trainer.decay_ratio": 0.4,
        "trainer.eval_every_steps": steps,
        "trainer.num_threads": num_threads,
    }
    return replace_dotted(kyvo_clevr_eye(), changes)


def _parameters(config: TokenizersConfig) -> int:
    """Return the number of an eye's parameters."""
    with_eye, without = (
        sum(weight.numel() for weight in ImageTokenizer(sizes).parameters())
        for sizes in (config.images, dataclasses.replace(config.images, eye_layers=0))
    )
    return with_eye - without


def _draw(amounts: np.ndarray, losses: np.ndarray, law: ScalingLaw, out: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    pictures = np.geomspace(amounts[:, 1].min(), 1e6, 50)
    for depth, size in zip(DEPTHS, dict.fromkeys(amounts[:, 0]), strict=True):
        own = amounts[:, 0] == size
        (line,) = axes.loglog(amounts[own, 1], losses[own], "o", label=f"{depth} layers, {size / 1e6:.1f} M parameters")
        axes.loglog(pictures, law.predict(np.column_stack([np.full(50, size), pictures])), "--", color=line.get_color())
    for wanted in WANTED:
        axes.axhline(1 - wanted, color="gray", linewidth=0.7)
        axes.text(pictures[0], 1 - wanted, f" score {wanted}", va="bottom", fontsize=8, color="gray")
    axes.set_xlabel("pictures seen")
    axes.set_ylabel("1 - place_score, held-out pictures")
    axes.legend(fontsize=8)
    save_figure(figure, out)


if __name__ == "__main__":
    tyro.cli(main)
