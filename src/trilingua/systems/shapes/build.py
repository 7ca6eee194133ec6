"""Configurations to shape tokenizers, run directories to both.

A run directory holds `config.json` and `model.safetensors`, whose names are the tokenizer's.
"""

import dataclasses
from pathlib import Path

import torch
from torch import nn

from trilingua.core.config import from_json, to_json
from trilingua.core.errors import CheckpointError
from trilingua.core.io import existing_folder, read_json, write_json
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.tokenizers.shapes.sets import SetTokenizer
from trilingua.tokenizers.shapes.triplanes import TriplaneConfig, TriplaneTokenizer
from trilingua.tokenizers.shapes.voxels import VoxelConfig, VoxelTokenizer
from trilingua.training.checkpoints import copy_tensors, load_weights, module_tensors, save_module

KIND = "shape-tokenizer"
"""What `config.json` of a run says that it is."""

AnyTokenizer = SetTokenizer | TriplaneTokenizer | VoxelTokenizer
"""Every shape tokenizer, as a class."""


def build_tokenizer(config: ShapeConfig) -> AnyTokenizer:
    """Return a tokenizer with random weights."""
    if isinstance(config.tokenizer, TriplaneConfig):
        return TriplaneTokenizer(config.tokenizer)
    if isinstance(config.tokenizer, VoxelConfig):
        return VoxelTokenizer(config.tokenizer)
    return SetTokenizer(config.tokenizer)


def load_tokenizer(run: str | Path, *, device: str = "cpu") -> tuple[ShapeConfig, AnyTokenizer]:
    """Read the tokenizer of a run directory, ready to use.

    Raises:
        CheckpointError: the folder is no run of a shape tokenizer, or a file of it is missing or torn.
    """
    run = existing_folder(run)
    path = run / "config.json"
    if not path.exists():
        raise CheckpointError(f"{run}: holds no config.json; pass the folder of a run of `trilingua train`")
    saved = read_json(path)
    if not isinstance(saved, dict) or saved.get("kind") != KIND:
        raise CheckpointError(f"{path}: is no configuration of a shape tokenizer; pass the run of a `shape-*` preset")
    config = from_json(ShapeConfig, saved.get("shapes"), where=f"{path}: shapes")
    tokenizer = build_tokenizer(config)
    load_weights(tokenizer, run / "model.safetensors")
    return config, tokenizer.to(device).eval()


def is_shape_run(run: Path) -> bool:
    """Return whether a folder says of itself that it is the run of a shape tokenizer."""
    path = run / "config.json"
    value = read_json(path) if path.is_file() else None
    return isinstance(value, dict) and value.get("kind") == KIND


def begin_with(tokenizer: nn.Module, run: str | Path) -> None:
    """Take over the weights of an earlier stage: all that it has; what is new to this stage stays as it is.

    Raises:
        CheckpointError: the run has weights that the tokenizer lacks, or of other shapes.
    """
    _, earlier = load_tokenizer(run)
    own, known = module_tensors(tokenizer), module_tensors(earlier)
    copy_tensors({name: value for name, value in own.items() if name in known}, known, str(run))


def write_run_config(run: Path, config: ShapeConfig) -> None:
    """Write what makes a run directory readable."""
    from trilingua import __version__

    write_json(run / "config.json", {"kind": KIND, "version": __version__, "shapes": to_json(config)})


def write_slim_run(run: Path, config: ShapeConfig, tokenizer: nn.Module) -> None:
    """Write a run directory that holds what loading needs and no more, in half precision: the form to ship.

    Its codes are its own: rounded weights are others, and so is the digest of the layout.
    """
    write_run_config(run, dataclasses.replace(config, data="", start=""))
    save_module(tokenizer, run / "model.safetensors", dtype=torch.float16)
