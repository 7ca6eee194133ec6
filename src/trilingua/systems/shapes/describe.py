"""Facts about a shape tokenizer: what it reads and writes, how large it is."""

from pathlib import Path

import torch
from torch import nn

from trilingua.metrics.codes import bytes_per_object
from trilingua.systems.shapes.build import AnyTokenizer, build_tokenizer, load_tokenizer
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.tokenizers.shapes.codes import Block, CodeLayout


def describe_shape_run(run: Path) -> list[str]:
    """Return lines about a run directory.

    Raises:
        CheckpointError: the folder is no run of a shape tokenizer, or a file of it is missing or torn.
    """
    _, tokenizer = load_tokenizer(run)
    layout = tokenizer.layout()
    weights = run / "model.safetensors"
    return [
        f"run         {run}",
        f"weights     {weights.stat().st_size / 1e6:.1f} MB, digest {layout.weights[:12]}",
        *_describe(tokenizer, layout.blocks),
        f"layout      digest {layout.digest[:12]}",
    ]


def describe_shape_plan(config: ShapeConfig) -> list[str]:
    """Return lines about a preset, whose weights are not made."""
    with torch.device("meta"):
        tokenizer = build_tokenizer(config)
    return _describe(tokenizer, tokenizer.blocks())


def _describe(tokenizer: AnyTokenizer, blocks: tuple[Block, ...]) -> list[str]:
    parts = [f"{name} {_millions(part)}" for name, part in tokenizer.named_children()]
    return [
        f"reads       {tokenizer.reads}",
        f"writes      {_words(blocks)}",
        f"parameters  {_millions(tokenizer)}: {', '.join(parts)}",
    ]


def _words(blocks: tuple[Block, ...]) -> str:
    layout = CodeLayout(kind="", weights="", blocks=blocks)
    if layout.num_ids:
        sizes = ", ".join(map(str, layout.num_ids))
        size = bytes_per_object(layout.num_ids, layout.vocabularies)
        return f"{sum(layout.num_ids)} ids of {layout.vocabularies[0]} in blocks of {sizes}; {size} bytes an object"
    (block,) = blocks
    return f"{'any number of' if block.size is None else block.size} latents of {block.dim} numbers"


def _millions(module: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in module.parameters()) / 1e6:.2f} M"
