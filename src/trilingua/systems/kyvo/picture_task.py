"""What all training on pictures whose objects are known has in common, whichever part of the tokenizer learns."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.core.config import to_json
from trilingua.data.pictures import PictureBatch
from trilingua.nn.sets import fourier_features
from trilingua.tokenizers.images import ImageTokenizer, ImageTokenizerConfig
from trilingua.tokenizers.sighting import NUM_FREQUENCIES, Sighting
from trilingua.training.task import TrainTask


class PictureTaskOptions(TypedDict, total=False):
    """What may be given to any training on pictures."""

    held_out: PictureBatch | None
    """Pictures for evaluation; None to skip it."""
    on_start: Callable[[Path], None] | None
    """Writes what else a run directory needs, when a run begins; what that is only the caller knows."""
    settings: Mapping[str, Any] | None
    """What else a resumed run must agree with, which only the caller knows too."""


class PictureTask(TrainTask):
    """Counts pictures and cells, and writes the run's files when a run begins.

    Args:
        config: of the image tokenizer.
        options: whatever of `PictureTaskOptions` is wanted.
    """

    model: nn.Module
    """All that is trained or saved."""

    def __init__(self, config: ImageTokenizerConfig, **options: Unpack[PictureTaskOptions]) -> None:
        self.config = config
        self.held_out, self.on_start = options.get("held_out"), options.get("on_start")
        self.settings = options.get("settings") or {}

    def fingerprint(self) -> dict[str, Any]:
        """Return what a resumed run must agree with."""
        return {"images": to_json(self.config), **self.settings}

    def modules(self) -> nn.Module:
        """Return the model."""
        return self.model

    def write_run_files(self, run_dir: Path) -> None:
        """Write what makes the run readable."""
        if self.on_start is not None:
            self.on_start(run_dir)

    def batch_weight(self, batch: PictureBatch) -> float:
        """Return the number of pictures."""
        return float(len(batch.images))

    def num_tokens(self, batch: PictureBatch) -> int:
        """Return the number of cells."""
        return len(batch.images) * self.config.tokens_per_image


def shown_loss(
    tokenizer: ImageTokenizer, seen: Float[Tensor, "batch cell dim"], classes: Int[Tensor, "batch cell category"]
) -> Float[Tensor, ""]:
    """Return how badly a tokenizer with an eye tells the cells that show an object; what it sees does not follow.

    Args:
        tokenizer: tells them.
        seen: what its eye makes of pictures.
        classes: as in `CellTargets`.
    """
    assert tokenizer.eye_shows is not None, "whoever has an eye tells what it shows"
    told = tokenizer.eye_shows(seen.detach())[..., 0].float()
    return F.binary_cross_entropy_with_logits(told, (classes[..., 0] == 1).float())


def sighting_loss(sighting: Sighting, seen: Float[Tensor, "batch cell dim"], batch: PictureBatch) -> Float[Tensor, ""]:
    """Return how badly cells that show objects tell what sighting needs.

    The sum of the mean errors of centres, in cells, of heights, in metres, and of the places that vectors tell.

    Args:
        sighting: reads the vectors.
        seen: what an eye makes of the batch's pictures.
        batch: what they show.
    """
    shown = batch.classes[..., 0] == 1
    offsets, heights = sighting.sight(seen[shown])
    told = sighting.told(seen[shown]).float()
    values = batch.values[shown]
    errors = (
        (offsets - values[:, :2]).abs().sum(dim=-1),
        (heights - batch.heights[shown]).abs(),
        (told - fourier_features(values[:, 2:], NUM_FREQUENCIES)).abs().mean(dim=-1),
    )
    return sum((error.sum() for error in errors), seen.new_zeros(())) / shown.sum().clamp_min(1)
