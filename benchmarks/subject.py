"""What all benchmarks measure: one model, some pictures and a little data, in a folder that is thrown away."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image

from trilingua import shipped_model
from trilingua.core.random import make_generator
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.generate import ClevrConfig, generate_clevr
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.shards import Shards
from trilingua.data.tokenize_folder import tokenize_folder
from trilingua.inference.decode import decode
from trilingua.models.decoder import Decoder
from trilingua.systems.kyvo.build import (
    Tokenizers,
    build_decoder,
    build_sequences,
    build_text_tokenizer,
    load_tokenizers,
    task_texts,
    write_tokenizer_files,
)
from trilingua.systems.kyvo.config import KyvoConfig, kyvo_clevr, kyvo_clevr_tokenizers
from trilingua.systems.kyvo.grammars import task_grammar
from trilingua.systems.kyvo.train import tools_of
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.tokenizers.sequences import TASKS
from trilingua.training.checkpoints import save_module

SEED = 20260


@dataclass(kw_only=True)
class Subject:
    """A model and what it is measured on; everything is made when it is first asked for."""

    folder: Path
    """Where it is made."""
    wanted_run: Path | None
    """Run directory to measure; None for the shipped model, or random weights of its size."""
    quick: bool
    """Make little, repeat little."""
    peak: float
    """What this machine reaches in a bfloat16 matrix product, in operations a second."""

    @property
    def is_trained(self) -> bool:
        """Whether the weights are a trained model's."""
        return self.wanted_run is not None or shipped_model().is_dir()

    @property
    def description(self) -> str:
        """Where the weights come from."""
        if self.wanted_run is not None:
            return "those of the run that `--run` names"
        if self.is_trained:
            return "the shipped model's"
        return "random, of the preset kyvo-clevr's size, since no model is shipped yet"

    @cached_property
    def run(self) -> Path:
        """The run directory."""
        if self.wanted_run is not None:
            return self.wanted_run
        return shipped_model() if self.is_trained else _write_random_run(self.folder / "run", self.data)

    @cached_property
    def pictures(self) -> list[Path]:
        """Eight pictures of fresh scenes, as files."""
        renderer, paths = BuiltinRenderer(), []
        for index in range(8):
            scene, view = sample_scene(make_generator(SEED, "benchmark", index), renderer)
            paths.append(self.folder / f"picture_{index}.png")
            Image.fromarray(renderer.render(scene, view).image).save(paths[-1])
        return paths

    @cached_property
    def data(self) -> ClevrFolder:
        """A small data directory with questions and drawn edits."""
        config = ClevrConfig(num_scenes=8 if self.quick else 48, seed=SEED, split="benchmark")
        generate_clevr(self.folder / "data", config)
        return ClevrFolder(self.folder / "data")

    def shards(self, tokenizers: Tokenizers) -> Shards:
        """Return the data as ids."""
        tokenize_folder(self.data, self.folder / "shards", make_tools=lambda: tools_of(tokenizers))
        return Shards(self.folder / "shards", tokenizers.vocabulary)

    def export(self, decoder: Decoder, tokenizers: Tokenizers) -> Path:
        """Write a decoder as a plain Llama checkpoint and return its folder."""
        from trilingua.models.llama_weights import export_llama

        vocabulary = tokenizers.vocabulary
        export_llama(
            decoder,
            self.folder / "exported",
            start_id=vocabulary.begin_id,
            stop_id=vocabulary.end_id,
            pad_id=vocabulary.marker("[PAD]"),
        )
        return self.folder / "exported"


def _write_random_run(run: Path, data: ClevrFolder) -> Path:
    """Write a run directory of random weights, with tokenizers as large as the shipped ones."""
    run.mkdir()
    torch.manual_seed(SEED)
    config = kyvo_clevr_tokenizers()
    text = build_text_tokenizer(config, task_texts(data))
    tokenizers = Tokenizers(
        config=config, images=ImageTokenizer(config.images).eval(), sequences=build_sequences(config, text)
    )
    decoder = build_decoder(kyvo_clevr(), tokenizers).eval()
    _make_talkative(decoder, tokenizers)
    write_tokenizer_files(run, tokenizers, KyvoConfig(decoder=kyvo_clevr().decoder))
    save_module(decoder, run / "model.safetensors", prefix="decoder.")
    load_tokenizers(run)  # What was written reads back, or this is no stand-in for a run.
    return run


@torch.no_grad()
def _make_talkative(decoder: Decoder, tokenizers: Tokenizers) -> None:
    """See to it that a random decoder writes objects: where it ends a scene at once, it takes the ends for starts."""
    sequences = tokenizers.sequences
    tokens = tokenizers.images.config.tokens_per_image
    task = TASKS["recognition"]
    (written,) = decode(
        decoder,
        [sequences.prompt(task, {"image": [0] * tokens})],
        task_grammar(task, sequences),
    )
    start, end = tokenizers.vocabulary.marker("[OBJECT-1]"), sequences.borders["scene"][1]
    if start not in written.ids:
        rows = next(decoder.head.parameters())
        rows[[start, end]] = rows[[end, start]]
