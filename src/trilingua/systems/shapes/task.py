"""Training of a shape tokenizer: its own loss on a batch, and how much of held-out shapes is there at each scale."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from accelerate.utils import send_to_device
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.config import to_json
from trilingua.data.shapes.streams import ShapeBatch
from trilingua.metrics.codes import score_codes
from trilingua.quantize.vq import single_precision
from trilingua.systems.shapes.build import AnyTokenizer, write_run_config
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.systems.shapes.insides import compare_insides
from trilingua.tokenizers.shapes.codes import Codes
from trilingua.tokenizers.shapes.protocol import Judged, Rays
from trilingua.training.task import TrainTask

_JUDGED_AT_ONCE = 8
"""Held-out objects that are encoded and decoded together."""


class ShapeTask(TrainTask):
    """Trains any shape tokenizer.

    Args:
        config: what to train.
        tokenizer: with the weights to begin with.
        held_out: objects for evaluation, whose places are uniform first; None to skip it.
        num_uniform: how many of their places are uniform.
    """

    def __init__(
        self,
        config: ShapeConfig,
        tokenizer: AnyTokenizer,
        *,
        held_out: ShapeBatch | None = None,
        num_uniform: int = 0,
    ) -> None:
        self.config, self.tokenizer, self.held_out, self.num_uniform = config, tokenizer, held_out, num_uniform

    def modules(self) -> nn.Module:
        """Return the tokenizer."""
        return self.tokenizer

    def fingerprint(self) -> dict[str, Any]:
        """Return what a resumed run must agree with."""
        return {name: value for name, value in to_json(self.config).items() if name not in ("data", "trainer")}

    def write_run_files(self, run_dir: Path) -> None:
        """Write the configuration."""
        write_run_config(run_dir, self.config)

    def batch_weight(self, batch: ShapeBatch) -> float:
        """Return the number of objects."""
        return float(len(batch.inputs))

    def loss(self, batch: ShapeBatch) -> tuple[Float[Tensor, ""], Mapping[str, float | Tensor]]:
        """Return the tokenizer's loss and its parts."""
        return self.tokenizer.loss(batch.inputs, Judged(batch.places, batch.distances, batch.rays))

    @torch.no_grad()
    def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
        """Return IoU of all scales and their mean, accuracy near the surface, and perplexity of the codes.

        What there are no places to judge by is left out; without any, the losses are there instead.
        """
        if self.held_out is None:
            return {}
        device = next(self.tokenizer.parameters()).device
        found: list[dict[str, float]] = []
        all_codes: list[Codes] = []
        with single_precision(self.held_out.inputs.to(device)):
            for start in range(0, len(self.held_out.inputs), _JUDGED_AT_ONCE):
                chosen = slice(start, start + _JUDGED_AT_ONCE)
                some = send_to_device(_part(self.held_out, chosen), device)
                codes = self.tokenizer.encode(some.inputs)
                all_codes.append(codes)
                found += self._judge(codes, some) if some.places.shape[1] else self._rate(some)
        names = dict.fromkeys(name for one in found for name in one)
        figures = {name: fmean(one[name] for one in found if name in one) for name in names}
        if (vocabulary := self.tokenizer.blocks()[0].vocabulary) is not None:
            together = [torch.cat(parts).cpu() for parts in zip(*all_codes, strict=True)]
            perplexity = score_codes(together, vocabulary)["perplexity"]
            figures |= {"perplexity_first": perplexity[0], "perplexity_last": perplexity[-1]}
        return figures

    def _rate(self, batch: ShapeBatch) -> list[dict[str, float]]:
        """Return the losses of a batch without places to judge by, for each object the same."""
        _, parts = self.loss(batch)
        return [{name: float(part) for name, part in parts.items()}] * len(batch.inputs)

    def _judge(self, codes: Codes, batch: ShapeBatch) -> list[dict[str, float]]:
        """Return the figures of each object of a batch."""
        prefixes = [self.tokenizer.decode(codes, upto=upto + 1) for upto in range(len(codes))]
        figures = []
        for fields, places, distances in zip(zip(*prefixes, strict=True), batch.places, batch.distances, strict=True):
            scores = compare_insides(fields, places, distances.cpu().numpy(), num_uniform=self.num_uniform)
            figures.append({name: scores[name] for name in _JUDGED if name in scores})
        return figures


_JUDGED = ("iou", "cross_scale_iou", "near_accuracy")
"""Of what `compare_insides` returns, what is logged."""


def _part(batch: ShapeBatch, chosen: slice) -> ShapeBatch:
    """Return some objects of a batch."""
    rays = None if batch.rays is None else Rays(*(values[chosen] for values in batch.rays))
    return ShapeBatch(batch.inputs[chosen], batch.places[chosen], batch.distances[chosen], rays)
