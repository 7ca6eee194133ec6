"""How seeing, recognizing and drawing grow with size and with what was seen, and what a wanted figure would take.

    python benchmarks/scaling.py --plot law.svg eye DATA --out out/eyes
    python benchmarks/scaling.py --plot law.svg codes DATA --test DATA --out out/codes
    python benchmarks/scaling.py --plot law.svg recognizer SHARDS --tokenizers RUN --test DATA --out out/recognizers
    python benchmarks/scaling.py --plot law.svg drawer SHARDS --tokenizers RUN --test DATA --out out/drawers

Models of several depths are trained for several lengths, each with its own fall of the learning rate, and the law
`1 - score = E + A / parameters^a + B / examples^b` is fitted to what held-out pictures say of those that have learned.
No recognition by an eye can come above its score. Runs that are finished are kept, so the command can be given again.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import tyro
from matplotlib.figure import Figure
from plots import save_figure
from tables import Section, last_figures, read_figures

import trilingua
from trilingua.core.config import replace_dotted
from trilingua.core.io import read_json, write_json
from trilingua.data.clevr.files import ClevrFolder
from trilingua.metrics.image import score_images
from trilingua.metrics.scaling import ScalingLaw, fit_scaling_law
from trilingua.systems.kyvo.build import Tokenizers, build_decoder, load_tokenizers, write_tokenizer_files
from trilingua.systems.kyvo.config import (
    KyvoConfig,
    TokenizersConfig,
    kyvo_clevr,
    kyvo_clevr_eye,
    kyvo_clevr_tokenizers,
)
from trilingua.systems.kyvo.evaluate import evaluate_folder
from trilingua.systems.kyvo.train import train_decoder, train_tokenizers
from trilingua.tokenizers.images import ImageTokenizer, ImageTokenizerConfig, pixels_to_image
from trilingua.training.checkpoints import find_checkpoint, require_checkpoint, save_module


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one training run."""

    examples: int
    """Pictures or scenes that it has seen."""
    score: float
    """What is to be raised, at most 1."""
    loss: float
    """What is to be lowered."""


@dataclass(kw_only=True)
class Eye:
    """Eyes alone, on the latents of a tokenizer that has learned to paint."""

    data: tyro.conf.Positional[Path]
    """CLEVR data directory of the built-in renderer."""
    out: Path
    """Folder for the runs."""
    start: Path | None = None
    """Run whose latents the eyes look at; the shipped one by default. An eye of its own is left out."""
    num_threads: int = 2
    """For each run."""

    depths: ClassVar = (1, 3, 6)
    lengths: ClassVar = (320, 640, 1280, 2560)
    names: ClassVar = ("pictures", "place_score", "place_error, m")
    learned: ClassVar = 0.2
    wanted: ClassVar = (0.9212, 0.95)

    @cached_property
    def blind(self) -> Path:
        """A run with the tokenizer and without its eye, so that eyes of all depths begin alike."""
        tokenizers = load_tokenizers(self.start or trilingua.shipped_model())
        sizes = _without_eye(tokenizers.images.config)
        images = ImageTokenizer(sizes)
        images.begin_with(tokenizers.images)
        config = dataclasses.replace(tokenizers.config, images=sizes)
        run = self.out / "start"
        write_tokenizer_files(run, dataclasses.replace(tokenizers, config=config, images=images))
        save_module(images, run / "model.safetensors", prefix="tokenizer.")
        return run

    def configure(self, depth: int, steps: int) -> TokenizersConfig:
        """Return what trains an eye."""
        changes = {
            "data": str(self.data),
            "start": str(self.blind),
            "images.eye_layers": depth,
            "images.eye_light_modes": 0,  # what an eye tells by itself
            "held_out": 256,
            "batch_size": 8,  # so few pictures teach more in small steps
            "trainer.learning_rate": 7.5e-4,
            "trainer.max_steps": steps,
            "trainer.eval_every_steps": steps,
            "trainer.num_threads": self.num_threads,
        }
        return replace_dotted(kyvo_clevr_eye(), changes)

    def parameters(self, depth: int) -> int:
        """Return the number of an eye's parameters."""
        sizes = self.configure(depth, 1).images
        with_eye, without = (
            sum(weight.numel() for weight in ImageTokenizer(each).parameters()) for each in (sizes, _without_eye(sizes))
        )
        return with_eye - without

    def train(self, depth: int, steps: int, run: Path) -> Outcome | None:
        """Return what comes of an eye, or None if its training was interrupted."""
        config = self.configure(depth, steps)
        names = ("place_score", "place_error")
        if last_figures(run, steps, names) is None:
            train_tokenizers(config, run, resume=find_checkpoint(run) is not None)
        figures = last_figures(run, steps, names)
        if figures is None:
            return None
        return Outcome(examples=steps * config.batch_size, score=figures["place_score"], loss=figures["place_error"])


@dataclass(kw_only=True)
class Codes:
    """Image tokenizers without an eye, from nothing: how like a picture is to what is painted of its codes."""

    data: tyro.conf.Positional[Path]
    """CLEVR data directory of the built-in renderer."""
    test: Path
    """CLEVR data directory of other scenes."""
    out: Path
    """Folder for the runs."""
    num_threads: int = 2
    """For each run."""

    depths: ClassVar = (1, 2, 4)
    lengths: ClassVar = (400, 800, 1600)
    names: ClassVar = ("pictures", "SSIM", "loss of pixels")
    learned: ClassVar = 0.0
    wanted: ClassVar = (0.9505,)
    num_judged: ClassVar = 100

    def configure(self, depth: int, steps: int) -> TokenizersConfig:
        """Return what trains a tokenizer whose halves have as many layers each."""
        changes = {
            "data": str(self.data),
            "images.encoder_layers": depth,
            "images.decoder_layers": depth,
            "augmentation.share": 0.0,
            "held_out": 0,
            "batch_size": 8,
            "trainer.learning_rate": 7.5e-4,
            "trainer.warmup_steps": 20,
            "trainer.decay_ratio": 0.5,
            "trainer.max_steps": steps,
            "trainer.compile": False,  # it takes longer than what it saves in so few steps
            "trainer.num_threads": self.num_threads,
        }
        tokenizers = kyvo_clevr_tokenizers()
        return replace_dotted(dataclasses.replace(tokenizers, images=_without_eye(tokenizers.images)), changes)

    def parameters(self, depth: int) -> int:
        """Return the number of a tokenizer's parameters."""
        return sum(weight.numel() for weight in ImageTokenizer(self.configure(depth, 1).images).parameters())

    def train(self, depth: int, steps: int, run: Path) -> Outcome | None:
        """Return what comes of a tokenizer, or None if its training was interrupted."""
        config, judged = self.configure(depth, steps), run / "painting.json"
        if not judged.is_file():
            if train_tokenizers(config, run, resume=find_checkpoint(run) is not None).reason == "interrupted":
                return None
            write_json(judged, self._judge(load_tokenizers(run).images))
        losses = [line["pixels"] for line in read_figures(run) if "pixels" in line]
        return Outcome(
            examples=steps * config.batch_size, score=read_json(judged)["ssim"], loss=float(np.mean(losses[-2:]))
        )

    def _judge(self, images: ImageTokenizer) -> dict[str, float | int]:
        folder = ClevrFolder(self.test)
        pictures = [folder.image(scene.image_filename) for scene in folder.scenes(self.num_judged)]
        painted = [images.detokenize(images.tokenize_pictures([picture]))[0] for picture in pictures]
        return score_images([pixels_to_image(each) for each in painted], pictures)


def _without_eye(sizes: ImageTokenizerConfig) -> ImageTokenizerConfig:
    return dataclasses.replace(sizes, eye_layers=0, eye_window_width=0, eye_light_modes=0)


@dataclass(kw_only=True)
class Decoders:
    """Decoders that do nothing but one task, from nothing; each scene once."""

    data: tyro.conf.Positional[Path]
    """Folder of shards, enough for the longest run."""
    tokenizers: Path
    """Run that the shards were made with."""
    test: Path
    """CLEVR data directory of other scenes."""
    out: Path
    """Folder for the runs."""
    num_threads: int = 2
    """For each run."""

    task: ClassVar[str]
    """What they learn."""
    figure: ClassVar[str]
    """The evaluation's name of the score."""
    loss: ClassVar[str]
    """The training's name of the loss."""
    num_judged: ClassVar[int | None] = None
    """Scenes of `test` that a run is judged on; None for all."""

    @cached_property
    def known(self) -> Tokenizers:
        """The tokenizers."""
        return load_tokenizers(self.tokenizers)

    def configure(self, depth: int, steps: int) -> KyvoConfig:
        """Return what trains a decoder."""
        changes = {
            "data": str(self.data),
            "tokenizers": str(self.tokenizers),
            "decoder.num_layers": depth,
            "probe_layer": depth // 2,
            "held_out": 0,
            "loader.code_share": 0.0,
            "loader.blind_share": 0.0,
            "loader.mix": {self.task: 1.0},
            "loader.row_length": 2048,
            "trainer.max_steps": steps,
            "trainer.learning_rate": 2e-3,
            "trainer.warmup_steps": 20,
            "trainer.decay_ratio": 0.5,
            "trainer.ema_decay": 0.0,
            "trainer.num_threads": self.num_threads,
        }
        return replace_dotted(kyvo_clevr(), changes)

    def parameters(self, depth: int) -> int:
        """Return the number of parameters of a decoder's layers."""
        layers = build_decoder(self.configure(depth, 1), self.known).layers
        return sum(weight.numel() for weight in layers.parameters())

    def train(self, depth: int, steps: int, run: Path) -> Outcome | None:
        """Return what comes of a decoder, or None if its training was interrupted."""
        judged = run / f"{self.task}.json"
        if not judged.is_file():
            resume = find_checkpoint(run) is not None
            if train_decoder(self.configure(depth, steps), run, resume=resume).reason == "interrupted":
                return None
            folder = ClevrFolder(self.test)
            write_json(judged, evaluate_folder(trilingua.load(run), folder, (self.task,), limit=self.num_judged))
        losses = [line[self.loss] for line in read_figures(run) if self.loss in line]
        return Outcome(
            examples=require_checkpoint(run).state["stream"]["next_scene"],
            score=read_json(judged)[self.task][self.figure],
            loss=float(np.mean(losses[-2:])),
        )


@dataclass(kw_only=True)
class Recognizer(Decoders):
    """Decoders that do nothing but recognize, from nothing; each scene once."""

    task: ClassVar = "recognition"
    figure: ClassVar = "jaccard"
    loss: ClassVar = "loss_numbers"
    depths: ClassVar = (2, 4, 6)
    lengths: ClassVar = (150, 300, 600, 1200)
    names: ClassVar = ("scenes", "Jaccard index", "loss of a number, nats")
    learned: ClassVar = 0.2
    wanted: ClassVar = (0.9212, 0.95)


@dataclass(kw_only=True)
class Drawer(Decoders):
    """Decoders that do nothing but draw, from nothing; each scene once."""

    task: ClassVar = "rendering"
    figure: ClassVar = "ssim"
    loss: ClassVar = "loss_image"
    num_judged: ClassVar = 100
    depths: ClassVar = (2, 4, 6)
    lengths: ClassVar = (400, 800, 1600)
    names: ClassVar = ("scenes", "SSIM", "loss of a code, nats")
    learned: ClassVar = 0.0
    wanted: ClassVar = (0.9505,)


Study = Eye | Codes | Recognizer | Drawer
"""What can be studied. `depths` in layers and `lengths` in steps say which runs there are, `names` what they count.
`learned` is the score from which on a run counts: places are guessed, then found at once, and before that no power law
holds. `wanted` are the scores that are asked about: what the paper's model reaches, and the goal."""


def main(study: Study, *, plot: Path | None = None) -> None:
    """Train what is missing, print the runs and the laws, and write the plot.

    Args:
        study: what is trained.
        plot: picture to write.
    """
    amounts, outcomes = [], []
    examples, score, loss = study.names
    table = Section(title=type(study).__name__, header=("layers", "parameters", examples, score, loss))
    sizes = {depth: study.parameters(depth) for depth in study.depths}
    for steps in study.lengths:
        for depth, size in sizes.items():
            outcome = study.train(depth, steps, study.out / f"{depth}-layers-{steps}-steps")
            if outcome is None:
                return
            table.rows.append(
                (
                    str(depth),
                    f"{size / 1e6:.2f} M",
                    f"{outcome.examples:,}",
                    f"{outcome.score:.3f}",
                    f"{outcome.loss:.3f}",
                )
            )
            amounts.append((size, outcome.examples))
            outcomes.append(outcome)
    seen = np.array(amounts, np.float64)
    missing = np.array([1 - outcome.score for outcome in outcomes])
    counted = missing < 1 - study.learned
    law = fit_scaling_law(seen[counted], missing[counted])
    table.notes.append(f"1 - {score} = {_formula(law, examples)}")
    losses = np.array([outcome.loss for outcome in outcomes])
    by_loss = fit_scaling_law(seen[counted], losses[counted])
    table.notes.append(f"{loss} = {_formula(by_loss, examples)}")
    for wanted in study.wanted:
        for depth, size in sizes.items():
            needed = law.needed(1 - wanted, 1, [size, 0])
            table.notes.append(f"{score} {wanted} with {depth} layers: {needed:,.0f} {examples}")
    print(table.to_markdown())
    if plot is not None:
        _draw(study, sizes, seen, missing, law, plot)


def _formula(law: ScalingLaw, examples: str) -> str:
    parts = [
        f"{scale:.3g} / {name}^{exponent:.2f}"
        for name, scale, exponent in zip(("parameters", examples), law.scales, law.exponents, strict=True)
    ]
    return " + ".join([f"{law.floor:.3g}", *parts])


def _draw(
    study: Study,
    sizes: dict[int, int],
    amounts: np.ndarray,
    missing: np.ndarray,
    law: ScalingLaw,
    out: Path,
) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    further = np.geomspace(amounts[:, 1].min(), 1e6, 50)
    for depth, size in sizes.items():
        own = amounts[:, 0] == size
        label = f"{depth} layers, {size / 1e6:.1f} M parameters"
        (line,) = axes.loglog(amounts[own, 1], missing[own], "o", label=label)
        axes.loglog(further, law.predict(np.column_stack([np.full(50, size), further])), "--", color=line.get_color())
    for wanted in study.wanted:
        axes.axhline(1 - wanted, color="gray", linewidth=0.7)
        axes.text(further[0], 1 - wanted, f" {wanted}", va="bottom", fontsize=8, color="gray")
    axes.set_xlabel(f"{study.names[0]} seen")
    axes.set_ylabel(f"1 - {study.names[1]}, held-out pictures")
    axes.legend(fontsize=8)
    save_figure(figure, out)


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes))
