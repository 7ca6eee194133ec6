"""The verb `trilingua train`: a preset's configuration, with any field set from the command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from trilingua.core.errors import ConfigError
from trilingua.core.presets import describe_preset, get_preset, preset_names
from trilingua.systems.kyvo.config import KyvoConfig, TokenizersConfig

_EPILOG = """example: trilingua train kyvo-clevr --out runs/mine --data shards/train --tokenizers runs/tokenizers
         trilingua train kyvo-clevr --out runs/mine --resume ... --trainer.max-steps 20000

`trilingua train PRESET --help` lists every field of the preset's configuration."""


def command(arguments: Sequence[str]) -> None:
    """Parse the preset, then its configuration, and train."""
    presets = "\n".join(f"  {name}: {describe_preset(name)}" for name in preset_names())
    parser = argparse.ArgumentParser(
        prog="trilingua train",
        description=f"Train a preset into a run directory.\n\npresets:\n{presets}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("preset", nargs="?", help="which configuration to start from")
    parser.add_argument("--out", type=Path, help="run directory; runs/PRESET by default")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    known, rest = parser.parse_known_args(arguments)
    if known.preset is None or known.preset.startswith("-"):
        if {"-h", "--help"} & set(arguments):
            parser.print_help()
            return
        raise ConfigError(f"preset: is missing; choose one of {', '.join(preset_names())}")
    default = get_preset(known.preset)
    config = tyro.cli(type(default), default=default, args=rest, prog=f"trilingua train {known.preset}")
    run = known.out or Path("runs") / known.preset
    result = _train(config, run, resume=known.resume)
    print(f"{run}: {result.reason} at step {result.step}")
    if result.reason == "interrupted":
        sys.exit(1)


def _train(config: KyvoConfig | TokenizersConfig, run: Path, *, resume: bool):  # type: ignore[no-untyped-def]
    from trilingua.systems.kyvo.train import train_decoder, train_tokenizers

    if isinstance(config, TokenizersConfig):
        return train_tokenizers(config, run, resume=resume)
    return train_decoder(config, run, resume=resume)
