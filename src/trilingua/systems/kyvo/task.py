"""Training of the decoder: the loss of a packed batch, and how the model does on held-out scenes.

Source: Kyvo, section 3.2. Differs: one model for all tasks; probes on the states of given pictures and of those that
are about to be drawn, and on those behind each step of a program.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.config import to_json
from trilingua.core.errors import ConfigError
from trilingua.data.cells import NUM_CELL_VALUES, num_cell_classes
from trilingua.data.loaders import Cells, KyvoBatch, Pointers
from trilingua.data.packing import IGNORED
from trilingua.models.decoder import Decoder
from trilingua.nn.embeddings import PlacedVectors
from trilingua.nn.losses import token_loss
from trilingua.nn.masks import build_mask
from trilingua.nn.probes import DenseProbe, PointerProbe
from trilingua.systems.kyvo.build import Tokenizers, write_tokenizer_files
from trilingua.systems.kyvo.config import KyvoConfig
from trilingua.training.task import TrainTask

Evaluate = Callable[[Decoder, int, Path], dict[str, float]]
"""Judges a decoder after a step; may write files into the folder."""


class KyvoTask(TrainTask):
    """Trains a decoder on packed trees of sequences.

    Args:
        config: the run's configuration.
        tokenizers: what made the data.
        decoder: the model.
        judge: evaluates the decoder on held-out scenes; None to skip evaluation.

    Raises:
        ConfigError: the probe asks a layer that the decoder does not have.
    """

    def __init__(
        self, config: KyvoConfig, tokenizers: Tokenizers, decoder: Decoder, *, judge: Evaluate | None = None
    ) -> None:
        self.config, self.tokenizers, self.judge = config, tokenizers, judge
        self.model = _Trained(decoder)
        numbers = tokenizers.vocabulary.span("numbers")
        self.ordered_span = (numbers.start, numbers.stop)
        self._probed = _LastOutput()
        weights = {
            "given": config.probe_weight,
            "drawn": config.drawn_probe_weight,
            "referents": config.referent_probe_weight,
        }
        self._probe_weights = {name: weight for name, weight in weights.items() if weight}
        if self._probe_weights:
            if not 1 <= config.probe_layer <= len(decoder.layers):
                raise ConfigError(
                    f"probe_layer: {config.probe_layer}; expected 1 to {len(decoder.layers)}, the decoder's layers"
                )
            decoder.layers[config.probe_layer - 1].register_forward_hook(self._probed)
        for name in self._probe_weights:
            self.model.probes[name] = (
                PointerProbe(decoder.config.dim)
                if name == "referents"
                else DenseProbe(decoder.config.dim, num_cell_classes(tokenizers.schema), NUM_CELL_VALUES)
            )

    def modules(self) -> nn.Module:
        """Return the decoder and its probes."""
        return self.model

    def batch_weight(self, batch: KyvoBatch) -> float:
        """Return the weight of the supervised tokens."""
        return float(batch.packed.weights.sum())

    def num_tokens(self, batch: KyvoBatch) -> int:
        """Return the number of tokens that the decoder reads."""
        return batch.packed.ids.numel()

    def loss(self, batch: KyvoBatch) -> tuple[Float[Tensor, ""], dict[str, float | Tensor]]:
        """Return the loss over predicted tokens plus the probes', and their parts."""
        packed = batch.packed
        block = torch.arange(packed.ids.shape[1], device=packed.ids.device).expand_as(packed.ids)
        mask = build_mask(packed.node, packed.ancestors, block)
        wanted = (packed.labels != IGNORED).flatten().nonzero()[:, 0]
        vectors = None
        if batch.by_vectors.any():
            vectors = PlacedVectors(
                batch.given.tokens[batch.by_vectors].flatten(), batch.vectors[batch.by_vectors].flatten(0, 1)
            )
        logits = self.model(packed.ids, positions=packed.positions, mask=mask, output_at=wanted, vectors=vectors)
        labels = packed.labels.flatten()[wanted]
        total, losses = token_loss(
            logits,
            labels,
            packed.weights.flatten()[wanted],
            ordered_span=self.ordered_span,
            sigma=self.config.number_sigma,
        )
        losses = losses.detach()
        metrics: dict[str, float | Tensor] = {"tokens": total.detach()}
        for span in self.tokenizers.vocabulary.spans:
            inside = (labels >= span.start) & (labels < span.stop)
            if inside.any():
                metrics[f"loss_{span.name}"] = losses[inside].mean()
        for name, probe in self.model.probes.items():
            assert self._probed.output is not None, "the decoder has just run"
            states = self._probed.output.flatten(0, 1)
            facts: Cells | Pointers = getattr(batch, name)
            if isinstance(facts, Cells):
                assert isinstance(probe, DenseProbe)
                known = (facts.classes.flatten(0, 1).long(), facts.values.flatten(0, 1))
                asked, seen = probe.loss(states[facts.tokens.flatten()], *known)
            else:
                assert isinstance(probe, PointerProbe)
                asked, seen = probe.loss(states[facts.tokens], states[facts.objects], facts.members)
            # A probe that nothing asks counts 0 but takes part: several processes wait for each other's gradients.
            total = total + self._probe_weights[name] * asked
            if len(facts.tokens):
                metrics |= {f"probe_{name}": asked.detach()}
                metrics |= {f"probe_{name}_{quantity}": value for quantity, value in seen.items()}
        self._probed.output = None
        return total, metrics

    @torch.no_grad()
    def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
        """Return the judge's figures."""
        return {} if self.judge is None else self.judge(self.model.decoder, step, out_dir)

    def fingerprint(self) -> dict[str, Any]:
        """Return what a resumed run must agree with."""
        return {
            "vocabulary": self.tokenizers.vocabulary.digest,
            "decoder": to_json(self.model.decoder.config),
            "loader": to_json(self.config.loader),
        }

    def write_run_files(self, run_dir: Path) -> None:
        """Write configuration, vocabulary and tokenizers, so that the run is all that loading needs."""
        write_tokenizer_files(run_dir, self.tokenizers, self.config)


class _LastOutput:
    """A forward hook that keeps what a layer returned; knows nothing else, since copies of a layer copy its hooks."""

    def __init__(self) -> None:
        self.output: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.output = output


class _Trained(nn.Module):
    """Everything that has parameters to train; calling it runs the decoder."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.probes = nn.ModuleDict()

    def forward(self, ids: Tensor, **arguments: Any) -> Tensor:
        return self.decoder(ids, **arguments)
