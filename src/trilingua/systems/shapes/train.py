"""Training of a shape tokenizer, from a configuration to a run directory."""

from pathlib import Path

import torch

from trilingua.core.errors import ConfigError
from trilingua.data.shapes.streams import ShapeStream
from trilingua.systems.shapes.build import begin_with, build_tokenizer
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.systems.shapes.inputs import open_data, read_from_folder
from trilingua.systems.shapes.task import ShapeTask
from trilingua.training.trainer import Trainer, TrainingResult


def train_shapes(config: ShapeConfig, run: Path, *, resume: bool = False) -> TrainingResult:
    """Train a shape tokenizer into the folder `run`.

    Args:
        config: `data` is set.
        run: the run directory.
        resume: go on from its newest checkpoint.

    Raises:
        ConfigError: `data` is not set, or holds too little or voxels of another resolution.
        CheckpointError: as `Trainer.fit`; or `start` is no earlier stage of this tokenizer.
    """
    folder = open_data(config)
    first = max(0, len(folder) - config.held_out)
    if first < config.batch_size:
        raise ConfigError(
            f"{config.data}: holds {len(folder)} objects; training needs {config.batch_size + config.held_out}"
        )
    torch.manual_seed(config.trainer.seed)
    tokenizer = build_tokenizer(config)
    if config.start and not resume:  # a checkpoint holds what became of it
        begin_with(tokenizer, config.start)
    read = read_from_folder(tokenizer)
    read(folder, 0, None)  # objects that cannot be read are refused before anything is written
    stream = ShapeStream(
        folder,
        read,
        batch_size=config.batch_size,
        num_uniform=config.num_uniform,
        num_near=config.num_near,
        seed=config.trainer.seed,
        positions=range(first),
        num_rays=config.num_rays,
    )
    held_out = stream.held_out(range(first, len(folder))) if config.held_out else None
    task = ShapeTask(config, tokenizer, held_out=held_out, num_uniform=folder.manifest["settings"]["num_uniform"])
    return Trainer(task, stream, config.trainer, run).fit(resume=resume)
