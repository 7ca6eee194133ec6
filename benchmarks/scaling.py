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
from collections.abc import Sequence
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
from trilingua.systems.kyvo.evaluate import evaluate_folder, score_drawings
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.systems.kyvo.train import train_decoder, train_tokenizers
from trilingua.tokenizers.images import ImageTokenizer, ImageTokenizerConfig, pixels_to_image
from trilingua.training.checkpoints import find_checkpoint, require_checkpoint, save_module


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is told of a run."""

    name: str
    is_score: bool = True
    """It is to be raised, and at most 1, so that what is missing to 1 is fitted; or it is to be lowered, and fitted."""
    wanted: tuple[float, ...] = ()
    """The values that are asked about."""
    is_fitted: bool = True
    """It falls by a power law; what leaps does not."""

    def falling(self, value: float) -> float:
        """Return what falls as a run gets better, given a value; and the value, given that."""
        return 1 - value if self.is_score else value


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one training run."""

    examples: int
    """Pictures or scenes that it has seen."""
    values: tuple[float, ...]
    """Of each measure of the study."""


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
    examples: ClassVar = "pictures"
    measures: ClassVar = (
        Measure(name="place_score", wanted=(0.9212, 0.95)),
        Measure(name="place_error, m", is_score=False),
    )
    learned: ClassVar = 0.2

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
        return Outcome(examples=steps * config.batch_size, values=tuple(figures.values()))


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
    examples: ClassVar = "pictures"
    measures: ClassVar = (
        Measure(name="SSIM", wanted=(0.9505,)),
        Measure(name="mean squared error", is_score=False, wanted=(0.0010,)),
    )
    learned: ClassVar = 0.0
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
        figures = read_json(judged)
        return Outcome(examples=steps * config.batch_size, values=(figures["ssim"], figures["l2"]))

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
    loss: ClassVar[str]
    """The training's name of the loss, which is the last of the measures."""

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
            write_json(judged, self.judge(trilingua.load(run), ClevrFolder(self.test)))
        losses = [line[self.loss] for line in read_figures(run) if self.loss in line]
        return Outcome(
            examples=require_checkpoint(run).state["stream"]["next_scene"],
            values=(*read_json(judged).values(), float(np.mean(losses[-2:]))),
        )

    def judge(self, model: Kyvo, folder: ClevrFolder) -> dict[str, float]:
        """Return the measures but the loss, in their order."""
        raise NotImplementedError


@dataclass(kw_only=True)
class Recognizer(Decoders):
    """Decoders that do nothing but recognize, from nothing; each scene once."""

    task: ClassVar = "recognition"
    loss: ClassVar = "loss_numbers"
    depths: ClassVar = (2, 4, 6)
    lengths: ClassVar = (150, 300, 600, 1200)
    examples: ClassVar = "scenes"
    measures: ClassVar = (
        Measure(name="Jaccard index", wanted=(0.9212, 0.95)),
        Measure(name="loss of a number, nats", is_score=False),
    )
    learned: ClassVar = 0.2

    def judge(self, model: Kyvo, folder: ClevrFolder) -> dict[str, float]:
        """Return the Jaccard index."""
        return {"jaccard": evaluate_folder(model, folder, (self.task,))[self.task]["jaccard"]}


@dataclass(kw_only=True)
class Drawer(Decoders):
    """Decoders that do nothing but draw, from nothing; each scene once. What they drew the shipped model recognizes."""

    task: ClassVar = "rendering"
    loss: ClassVar = "loss_image"
    depths: ClassVar = (2, 4, 6)
    lengths: ClassVar = (400, 800, 1600)
    examples: ClassVar = "scenes"
    measures: ClassVar = (
        Measure(name="SSIM", wanted=(0.9505,)),
        Measure(name="mean squared error", is_score=False, wanted=(0.0010,)),
        Measure(name="Jaccard index of what is recognized", is_fitted=False),
        Measure(name="loss of a code, nats", is_score=False),
    )
    learned: ClassVar = 0.0
    num_judged: ClassVar = 100

    def judge(self, model: Kyvo, folder: ClevrFolder) -> dict[str, float]:
        """Return how like drawings are to pictures, and what is recognized in them from where they are drawn."""
        scenes = list(folder.scenes(self.num_judged))
        figures = score_drawings(model.render(scenes), folder, scenes, trilingua.load())
        return {name: figures[name] for name in ("ssim", "l2", "cycle_jaccard")}


Study = Eye | Codes | Recognizer | Drawer
"""What can be studied. `depths` in layers and `lengths` in steps say which runs there are, `examples` what they see,
and `measures` what is told of them, the first of which is drawn. `learned` is its value from which on a run counts:
places are guessed, then found at once, and before that no power law holds. The wanted values are what the paper's model
reaches, and the goal."""


def main(study: Study, *, plot: Path | None = None) -> None:
    """Train what is missing, print the runs and the laws, and write the plot.

    Args:
        study: what is trained.
        plot: picture to write.
    """
    rows: list[Sequence[str]] = []
    amounts, values = [], []
    sizes = {depth: study.parameters(depth) for depth in study.depths}
    for steps in study.lengths:
        for depth, size in sizes.items():
            outcome = study.train(depth, steps, study.out / f"{depth}-layers-{steps}-steps")
            if outcome is None:
                return
            measured = [f"{value:.4f}" for value in outcome.values]
            rows.append((str(depth), f"{size / 1e6:.2f} M", f"{outcome.examples:,}", *measured))
            amounts.append((size, outcome.examples))
            values.append(outcome.values)
    header = ("layers", "parameters", study.examples, *(measure.name for measure in study.measures))
    table = Section(title=type(study).__name__, header=header, rows=rows)
    seen, told = np.array(amounts, np.float64), np.array(values)
    counted = told[:, 0] > study.learned
    laws = {}
    for measure, column in zip(study.measures, told.T, strict=True):
        if not measure.is_fitted:
            continue
        law = fit_scaling_law(seen[counted], np.array([measure.falling(value) for value in column[counted]]))
        laws[measure] = law
        table.notes.append(f"{'1 - ' * measure.is_score}{measure.name} = {_formula(law, study.examples)}")
        for wanted in measure.wanted:
            for depth, size in sizes.items():
                needed = law.needed(measure.falling(wanted), 1, [size, 0])
                table.notes.append(f"{measure.name} {wanted:g} with {depth} layers: {needed:,.0f} {study.examples}")
    print(table.to_markdown())
    if plot is not None:
        _draw(study, sizes, seen, 1 - told[:, 0], laws[study.measures[0]], plot)


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
    for wanted in study.measures[0].wanted:
        axes.axhline(1 - wanted, color="gray", linewidth=0.7)
        axes.text(further[0], 1 - wanted, f" {wanted}", va="bottom", fontsize=8, color="gray")
    axes.set_xlabel(f"{study.examples} seen")
    axes.set_ylabel(f"1 - {study.measures[0].name}, held-out pictures")
    axes.legend(fontsize=8)
    save_figure(figure, out)


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes))
