"""Published claims about shape tokenizers, put to the test at a size that two cores train: three seeds of each variant.

What is compared, by what and from when on a claim counts as confirmed stood here before the runs were made. Runs that
are finished are kept, so the command can be stopped and given again; `docs/cookbook.md` holds the outcome.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from tables import Section, last_figures

from trilingua.core.config import replace_dotted
from trilingua.quantize.multiscale import MultiScaleConfig
from trilingua.systems.shapes.build import build_tokenizer
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.systems.shapes.train import train_shapes
from trilingua.tokenizers.shapes.sets import SetConfig
from trilingua.tokenizers.shapes.voxels import VoxelConfig
from trilingua.training.checkpoints import find_checkpoint
from trilingua.training.trainer import TrainerConfig

SEEDS = (0, 1, 2)

FIGURES = ("iou", "cross_scale_iou", "near_accuracy")
"""What `ShapeTask.evaluate` says of held-out objects after the last step."""

_TRAINER = TrainerConfig(
    max_steps=600,
    learning_rate=3e-3,
    warmup_steps=60,
    schedule="wsd",
    optimizer="muon",
    ema_decay=0.99,
    eval_every_steps=600,
    num_threads=1,
)

SET = ShapeConfig(
    tokenizer=SetConfig(
        num_points=512,
        num_queries=128,
        num_latents=64,
        dim=128,
        encoder_layers=3,
        decoder_layers=2,
        num_frequencies=6,
        plane_side=8,
        patch_size=4,
        num_mips=2,
        reader_dim=64,
        scales=(1, 4, 9, 16, 25, 36, 64),
        codes=MultiScaleConfig(num_codes=512, code_dim=8),
        surface_width=1 / 32,
    ),
    num_uniform=512,
    num_near=512,
    held_out=64,
    trainer=_TRAINER,
)
"""In context, variational, by triplanes, 155 ids; variants of set tokenizers are this with some fields changed."""

VOXELS = ShapeConfig(
    tokenizer=VoxelConfig(num_codes=1024, code_dim=16),
    batch_size=4,
    held_out=64,
    trainer=dataclasses.replace(_TRAINER, max_steps=150, learning_rate=2e-3, warmup_steps=20, eval_every_steps=150),
)
"""512 ids of voxels of 64 x 64 x 64 cells, in few steps, since each costs four times as much."""

_VIEWS = {"none": "no pictures", "one": "one view", "random": "random views"}
_NAIVE = {"tokenizer.compression": "pooling", "tokenizer.variational": False}
_ROWS = {16: (1, 4, 9, 16), 64: (1, 4, 9, 16, 25, 36, 64), 144: (1, 4, 9, 16, 25, 36, 64, 100, 144)}
_ROWS[256] = (*_ROWS[144], 196, 256)

VARIANTS: Mapping[str, ShapeConfig] = {
    "base": SET,
    "not variational": replace_dotted(SET, {"tokenizer.variational": False}),
    "scale dropout": replace_dotted(SET, {"tokenizer.variational": False, "tokenizer.codes.scale_dropout": 0.5}),
    "Q-Former": replace_dotted(SET, {"tokenizer.compression": "queries"}),
    "pooling": replace_dotted(SET, {"tokenizer.compression": "pooling"}),
    "points": replace_dotted(SET, {"tokenizer.decoding": "points"}),
    **{
        f"{count} naive tokens": replace_dotted(
            SET,
            {
                **_NAIVE,
                "tokenizer.num_queries": count,
                "tokenizer.num_latents": count,
                "tokenizer.scales": scales,
            },
        )
        for count, scales in _ROWS.items()
    },
    **{name: replace_dotted(VOXELS, {"tokenizer.views": views}) for views, name in _VIEWS.items()},
}

Means = Callable[[str, str], np.ndarray]
"""From a variant and a figure to its values, one a seed."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What was published, and when it counts as confirmed here."""

    said: str
    variants: tuple[str, ...]
    test: str
    holds: Callable[[Means], bool]


def _above(values: Means, figure: str, better: str, worse: str) -> bool:
    """Return whether every seed of one variant beats every seed of the other."""
    return bool(values(better, figure).min() > values(worse, figure).max())


CLAIMS = (
    Claim(
        said="variational quantization raises cross-scale IoU and costs at most two points of IoU (VAT, table 2)",
        variants=("base", "not variational", "scale dropout"),
        test="cross-scale IoU of every seed above all of `not variational`; mean IoU at most .02 below its",
        holds=lambda values: (
            _above(values, "cross_scale_iou", "base", "not variational")
            and values("base", "iou").mean() > values("not variational", "iou").mean() - 0.02
        ),
    ),
    Claim(
        said="in-context compression beats a Q-Former, which beats pooling (VAT, section 4.3)",
        variants=("base", "Q-Former", "pooling"),
        test="IoU of every seed above all of the next",
        holds=lambda values: _above(values, "iou", "base", "Q-Former") and _above(values, "iou", "Q-Former", "pooling"),
    ),
    Claim(
        said="more naive tokens are not always better (VAT, table 2)",
        variants=tuple(f"{count} naive tokens" for count in _ROWS),
        test="the most tokens have not the highest mean IoU",
        holds=lambda values: (
            int(np.argmax([values(f"{count} naive tokens", "iou").mean() for count in _ROWS])) < len(_ROWS) - 1
        ),
    ),
    Claim(
        said="triplanes beat attention from the points (VAT, section 4.3)",
        variants=("base", "points"),
        test="IoU of every seed above all of the other",
        holds=lambda values: _above(values, "iou", "base", "points"),
    ),
    Claim(
        said="pictures of input and output, compared from random views, beat one view, which beats none (Kyvo, D.3)",
        variants=("no pictures", "one view", "random views"),
        test="IoU of every seed above all of the one before",
        holds=lambda values: (
            _above(values, "iou", "random views", "one view") and _above(values, "iou", "one view", "no pictures")
        ),
    ),
)


def main(data: Annotated[Path, tyro.conf.Positional], *, out: Path, only: tuple[str, ...] = ()) -> None:
    """Train what is missing, and print a table for each claim whose runs are there.

    Args:
        data: shape data directory of at least 1,000 objects, with voxels of 64 cells along each side.
        out: folder for the runs.
        only: names of variants to train; all by default.
    """
    for seed in SEEDS:
        for name in only or VARIANTS:
            run = _run_of(out, name, seed)
            if _figures(run, name) is None:
                result = train_shapes(_configure(name, data, seed), run, resume=find_checkpoint(run) is not None)
                if result.reason == "interrupted":
                    return
    found = {name: [_figures(_run_of(out, name, seed), name) for seed in SEEDS] for name in VARIANTS}
    for claim in CLAIMS:
        rows = {name: [row for row in found[name] if row is not None] for name in claim.variants}
        if all(len(seeds) == len(SEEDS) for seeds in rows.values()):
            print(_tell(claim, rows).to_markdown())


def _run_of(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(' ', '-').lower()}-{seed}"


def _configure(name: str, data: Path, seed: int) -> ShapeConfig:
    return replace_dotted(VARIANTS[name], {"data": str(data), "trainer.seed": seed})


def _figures(run: Path, name: str) -> dict[str, float] | None:
    """Return the figures after the last step, or None where training has not come so far."""
    return last_figures(run, VARIANTS[name].trainer.max_steps, FIGURES)


def _tell(claim: Claim, rows: Mapping[str, list[dict[str, float]]]) -> Section:
    def values(variant: str, figure: str) -> np.ndarray:
        return np.array([row[figure] for row in rows[variant]])

    verdict = "confirmed" if claim.holds(values) else "not confirmed"
    section = Section(title=f"{claim.said}: {verdict}", header=("variant", "parameters", *FIGURES))
    for name in claim.variants:
        size = sum(weight.numel() for weight in build_tokenizer(_configure(name, Path(), 0)).parameters())
        section.rows.append((name, f"{size / 1e6:.2f} M", *(_spread(values(name, figure)) for figure in FIGURES)))
    section.notes.append(f"test: {claim.test}")
    return section


def _spread(seeds: np.ndarray) -> str:
    return f"{seeds.mean():.3f} ({seeds.min():.3f} to {seeds.max():.3f})"


if __name__ == "__main__":
    tyro.cli(main)
