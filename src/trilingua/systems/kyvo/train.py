"""The two stages of training, from a configuration to a run directory."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int16
from torch import Tensor

from trilingua.core.errors import ConfigError
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.views import view_of
from trilingua.data.loaders import KyvoBatch, PackedStream, SequenceBuilder
from trilingua.data.pictures import PictureStream
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.shards import Shards
from trilingua.data.tokenize_folder import ShardTools
from trilingua.models.decoder import Decoder
from trilingua.scenes.scene import Scene
from trilingua.systems.kyvo.build import (
    Tokenizers,
    begin_probes,
    build_decoder,
    build_image_task,
    build_sequences,
    build_text_tokenizer,
    load_tokenizers,
    sees_already,
    task_texts,
    write_tokenizer_files,
)
from trilingua.systems.kyvo.camera_task import CameraTask
from trilingua.systems.kyvo.config import KyvoConfig, TokenizersConfig, schema_named
from trilingua.systems.kyvo.judge import make_judge
from trilingua.systems.kyvo.task import KyvoTask
from trilingua.tokenizers.images import ImageTokenizer, image_to_pixels
from trilingua.training.trainer import Trainer, TrainingResult

_BEGUN_ON, _AT_ONCE = 1000, 100
"""Most pictures whose shading is looked through before training, and how many together."""

_ALIGNED_ON = 200
"""Most pictures by which what is seen is aligned with codes, before training."""


def index_maps() -> Callable[[Scene], Int16[np.ndarray, "height width"]]:
    """Return a function from a scene that records its view to the object that each pixel shows."""
    renderer = BuiltinRenderer()
    return lambda scene: renderer.find_objects(scene, view_of(scene))


def shard_tools(run: str | Path) -> ShardTools:
    """Return what turns scenes into records, from a run directory of either stage."""
    return tools_of(load_tokenizers(run))


def tools_of(tokenizers: Tokenizers) -> ShardTools:
    """Return what turns scenes into records with the tokenizers of a run."""
    return ShardTools(tokenizers.images, tokenizers.sequences, index_maps())


def train_tokenizers(config: TokenizersConfig, run: Path, *, resume: bool = False) -> TrainingResult:
    """Train the text tokenizer, then the image tokenizer or a part of it, into the folder `run`.

    Args:
        config: the first stage; `data` is set.
        run: the run directory.
        resume: go on from its newest checkpoint.

    Raises:
        ConfigError: `data` is not set, or holds too few pictures; or `start` has another image tokenizer.
        CheckpointError: as `Trainer.fit`.
    """
    data = _required(config.data, "data", "a CLEVR data directory")
    folder = ClevrFolder(data, split=config.split or None, schema=schema_named(config.schema))
    held_out = range(max(0, len(folder) - config.held_out), len(folder))
    if held_out.start < config.batch_size:
        raise ConfigError(
            f"{config.data}: holds {len(folder)} pictures; training needs {config.batch_size + config.held_out}"
        )
    torch.manual_seed(config.trainer.seed)
    stream = PictureStream(
        folder,
        index_map=index_maps(),
        prepare=lambda picture: image_to_pixels(picture, config.images.image_size),
        batch_size=config.batch_size,
        grid_size=config.images.grid_size,
        seed=config.trainer.seed,
        positions=range(held_out.start),
        augmentation=config.augmentation,
    )

    images = ImageTokenizer(config.images)
    if config.learns != "all":
        _required(config.start, "start", "the run whose codes stay as they are")
    start = load_tokenizers(config.start) if config.start else None
    if start is not None:
        images.begin_with(start.images)

    def write_run_files(run_dir: Path) -> None:
        text = start.sequences.text if start is not None else build_text_tokenizer(config, task_texts(folder))
        parts = Tokenizers(config=config, images=images, sequences=build_sequences(config, text))
        write_tokenizer_files(run_dir, parts)

    judged = stream.batch(held_out) if held_out else None
    task = build_image_task(config, images, held_out=judged, on_start=write_run_files)
    if isinstance(task, CameraTask) and not resume:
        some = range(min(held_out.start, _BEGUN_ON))
        task.begin(stream.batch(some[start : start + _AT_ONCE]) for start in range(0, len(some), _AT_ONCE))
    return Trainer(task, stream, config.trainer, run).fit(resume=resume)


def train_decoder(config: KyvoConfig, run: Path, *, resume: bool = False) -> TrainingResult:
    """Train the decoder into the folder `run`.

    Args:
        config: the second stage; `tokenizers` and `data` are set.
        run: the run directory.
        resume: go on from its newest checkpoint.

    Raises:
        ConfigError: a folder is not set, or holds too few scenes.
        CheckpointError: as `Trainer.fit`.
        VocabularyError: the shards were made with other tokenizers.
    """
    tokenizers = load_tokenizers(_required(config.tokenizers, "tokenizers", "the run of a `kyvo-*-tokenizers` preset"))
    folder = _required(config.data, "data", "a folder of shards")
    shards = Shards(folder, tokenizers.vocabulary, image_tokenizer=tokenizers.images.digest)
    if len(shards) <= config.held_out:
        raise ConfigError(f"held_out: {config.held_out} of {len(shards)} scenes in {folder} leave none to train on")
    torch.manual_seed(config.trainer.seed)
    decoder = build_decoder(config, tokenizers)
    builder = SequenceBuilder(config.loader, tokenizers.sequences)

    def make_stream() -> PackedStream:
        return PackedStream(shards, builder, seed=config.trainer.seed, num_scenes=len(shards) - config.held_out)

    judge = None
    if config.held_out:
        judge = make_judge(tokenizers, shards, config.held_out, read_codes=config.loader.reads_codes)
    task = KyvoTask(config, tokenizers, decoder, judge=judge)
    if not resume:
        begin_probes(config, task.model.probes)
        _begin_to_see(task, shards, make_stream())
    return Trainer(task, make_stream(), config.trainer, run).fit(resume=resume)


def _begin_to_see(task: KyvoTask, shards: Shards, stream: PackedStream) -> None:
    """Let what is seen in pictures be read as well as is known before training; nothing to do if codes are read."""
    decoder = task.model.decoder
    if decoder.embedding.seen_projector is None:
        return
    learned = decoder.embedding.seen_projector.clone()
    _align_seen(decoder, shards)
    if not sees_already(task.config):
        return
    batch = next((batch for batch in itertools.islice(stream, len(shards)) if len(batch.vectors)), None)
    if batch is None:  # in this mix no picture is seen
        with torch.no_grad():
            decoder.embedding.seen_projector.copy_(learned)
    else:
        _put_back_if_better(task, learned, batch)


def _align_seen(decoder: Decoder, shards: Shards) -> None:
    """Let what is seen in some of the pictures be read as their codes are."""
    some = [shards[index] for index in range(0, len(shards), -(-len(shards) // _ALIGNED_ON))]
    vectors = np.concatenate([record.vectors for record in some]).astype(np.float32)
    codes = np.concatenate([record.image[list(record.shown)] for record in some]).astype(np.int64)
    decoder.embedding.align_seen(torch.from_numpy(vectors), torch.from_numpy(codes))


@torch.no_grad()
def _put_back_if_better(task: KyvoTask, learned: Tensor, batch: KyvoBatch) -> None:
    """Let what is seen be read by the matrix that was learned, if a batch is so written better.

    It is if this eye is the one that the decoder learned to read, or has grown from it, and is not if it is a new one.
    """
    projector = task.model.decoder.embedding.seen_projector
    assert projector is not None, "a learned one was put aside"
    aligned, loss = projector.clone(), task.loss(batch)[1]["tokens"]
    projector.copy_(learned)
    if task.loss(batch)[1]["tokens"] > loss:
        projector.copy_(aligned)


def _required(path: str, name: str, what: str) -> Path:
    if not path:
        raise ConfigError(f"{name}: is not set; pass --{name} with {what}")
    return Path(path)
