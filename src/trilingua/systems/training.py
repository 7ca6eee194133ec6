"""Every system's presets and the training of every system's configurations: one door for the command line."""

from pathlib import Path
from typing import Any

from trilingua.core.errors import ConfigError
from trilingua.systems.kyvo.config import KyvoConfig, TokenizersConfig
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.training.trainer import TrainingResult


def train(config: Any, run: Path, *, resume: bool = False) -> TrainingResult:
    """Train a configuration of any system into the folder `run`.

    Importing this module registers the presets of all systems.

    Args:
        config: of a preset, or changed.
        run: the run directory.
        resume: go on from its newest checkpoint.

    Raises:
        ConfigError: no system knows such a configuration; and what the system's own function raises.
    """
    if isinstance(config, TokenizersConfig | KyvoConfig):
        from trilingua.systems.kyvo.train import train_decoder, train_tokenizers

        if isinstance(config, TokenizersConfig):
            return train_tokenizers(config, run, resume=resume)
        return train_decoder(config, run, resume=resume)
    if isinstance(config, ShapeConfig):
        from trilingua.systems.shapes.train import train_shapes

        return train_shapes(config, run, resume=resume)
    raise ConfigError(f"config: a {type(config).__name__} is of no system; take a preset's")
