"""Training of the decoder: the loss of a packed batch, and how the model does on held-out scenes.

Source: Kyvo, section 3.2. Differs: one model for all tasks; probes on the states of given pictures and scenes and of
pictures and scenes that are about to be written; one attention head is told where to look.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trilingua.core.config import to_json
from trilingua.core.errors import ConfigError
from trilingua.data.facts import Facts
from trilingua.data.loaders import KyvoBatch
from trilingua.data.packing import IGNORED
from trilingua.models.decoder import Decoder, DecoderLayer
from trilingua.nn.embeddings import PlacedVectors
from trilingua.nn.guidance import guidance_loss
from trilingua.nn.hooks import LastOutput
from trilingua.nn.losses import token_loss
from trilingua.nn.masks import build_mask
from trilingua.nn.probes import DenseProbe
from trilingua.nn.rope import rotate
from trilingua.systems.kyvo.build import Tokenizers, write_tokenizer_files
from trilingua.systems.kyvo.config import LOSS_WEIGHTS, KyvoConfig
from trilingua.systems.kyvo.probes import RECOGNIZED, cell_probe, object_probe
from trilingua.training.task import Metrics, TrainTask

Evaluate = Callable[[Decoder, Path], dict[str, float]]
"""Judges a decoder; may write files into the folder."""


class KyvoTask(TrainTask):
    """Trains a decoder on packed trees of sequences.

    Args:
        config: the run's configuration.
        tokenizers: what made the data.
        decoder: the model.
        judge: evaluates the decoder on held-out scenes; None to skip evaluation.

    Raises:
        ConfigError: the probes or the guidance need a layer that the decoder does not have.
    """

    def __init__(
        self, config: KyvoConfig, tokenizers: Tokenizers, decoder: Decoder, *, judge: Evaluate | None = None
    ) -> None:
        self.config, self.tokenizers, self.judge = config, tokenizers, judge
        self.model = _Trained(decoder)
        numbers = tokenizers.vocabulary.span("numbers")
        self.ordered_span = (numbers.start, numbers.stop)
        probes = {
            "given": (config.probe_weight, cell_probe),
            "seen": (0.0 if config.loader.reads_codes else config.probe_weight, cell_probe),
            "drawn": (config.drawn_probe_weight, cell_probe),
            "objects": (config.object_probe_weight, object_probe),
            RECOGNIZED: (config.recognized_probe_weight, object_probe),
        }
        self._probe_weights = {name: weight for name, (weight, _) in probes.items() if weight}
        for name in self._probe_weights:
            self.model.probes[name] = probes[name][1](decoder.config.dim, tokenizers.schema)
        needs_next = bool(config.guidance_weight or config.recognized_probe_weight)
        last = len(decoder.layers) - needs_next
        if (self._probe_weights or needs_next) and not 1 <= config.probe_layer <= last:
            following = ", of which one must follow" if needs_next else ""
            raise ConfigError(
                f"probe_layer: {config.probe_layer}; expected 1 to {last}: the decoder has {len(decoder.layers)} "
                f"layers{following}"
            )
        self._states, self._later_states, self._guided = LastOutput(), LastOutput(), LastOutput()
        if self._probe_weights:
            decoder.layers[config.probe_layer - 1].register_forward_hook(self._states)
        if config.recognized_probe_weight:
            self._next_layer().register_forward_hook(self._later_states)
        if config.guidance_weight:
            self._next_layer().attention.qkv.register_forward_hook(self._guided)

    def modules(self) -> nn.Module:
        """Return the decoder and its probes."""
        return self.model

    def batch_weight(self, batch: KyvoBatch) -> float:
        """Return the weight of the supervised tokens."""
        return float(batch.packed.weights.sum())

    def num_tokens(self, batch: KyvoBatch) -> int:
        """Return the number of tokens that the decoder reads."""
        return batch.packed.ids.numel()

    def loss(self, batch: KyvoBatch) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the loss over predicted tokens plus the probes' and the guidance, and their parts."""
        packed = batch.packed
        block = torch.arange(packed.ids.shape[1], device=packed.ids.device).expand_as(packed.ids)
        mask = build_mask(packed.node, packed.ancestors, block)
        total, metrics = self._token_loss(batch, mask)
        for name, probe in self.model.probes.items():
            assert isinstance(probe, DenseProbe)
            facts: Facts = getattr(batch, name)
            asked, read = self._ask(probe, facts, self._later_states if name == RECOGNIZED else self._states)
            # A probe that nothing asks counts 0 but takes part: several processes wait for each other's gradients.
            total = total + self._probe_weights[name] * asked
            if len(facts.tokens):
                metrics |= {f"probe_{name}": asked.detach()}
                metrics |= {f"probe_{name}_{quantity}": value for quantity, value in read.items()}
        if self.config.guidance_weight:
            missed, found = self._guidance(batch, mask)
            total = total + self.config.guidance_weight * missed
            if len(batch.pointers.tokens):
                metrics |= {"guidance": missed.detach(), "guidance_share": found}
        self._states.output = self._later_states.output = self._guided.output = None
        return total, metrics

    def _token_loss(
        self, batch: KyvoBatch, mask: Bool[Tensor, "batch 1 seq seq"]
    ) -> tuple[Float[Tensor, ""], dict[str, float | Tensor]]:
        """Run the decoder; return the loss over predicted tokens, and the mean loss of each kind of them."""
        packed = batch.packed
        wanted = (packed.labels != IGNORED).flatten().nonzero()[:, 0]
        vectors = None
        if not self.config.loader.reads_codes:
            # None of them, where no picture is seen: several processes wait for the gradients of what reads them.
            vectors = PlacedVectors(batch.seen.tokens, batch.vectors)
        logits = self.model(packed.ids, positions=packed.positions, mask=mask, output_at=wanted, vectors=vectors)
        labels = packed.labels.flatten()[wanted]
        total, losses = token_loss(
            logits,
            labels,
            packed.weights.flatten()[wanted],
            ordered_span=self.ordered_span,
            sigma=self.config.number_sigma,
        )
        metrics: dict[str, float | Tensor] = {"tokens": total.detach()}
        for span in self.tokenizers.vocabulary.spans:
            inside = (labels >= span.start) & (labels < span.stop)
            if inside.any():
                metrics[f"loss_{span.name}"] = losses.detach()[inside].mean()
        return total, metrics

    def _ask(self, probe: DenseProbe, facts: Facts, states: LastOutput) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss of a probe on the states of the tokens that facts are known of, and how well it reads."""
        assert states.output is not None, "the decoder has just run"
        asked = states.output.flatten(0, 1)[facts.tokens.flatten()]
        return probe.loss(asked, facts.classes.flatten(0, -2).long(), facts.values.flatten(0, -2))

    def _guidance(
        self, batch: KyvoBatch, mask: Bool[Tensor, "batch 1 seq seq"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the loss of the guided head over all pointers, and the share of its attention that is in place."""
        assert self._guided.output is not None, "the decoder has just run"
        (num_rows, length), attention = batch.packed.ids.shape, self._next_layer().attention
        heads = self._guided.output.view(num_rows, length, -1, attention.head_dim)
        first = heads[:, :, [0, attention.num_heads]]  # the first query, and the key that it meets
        rotation = self.model.decoder.rotary(batch.packed.positions, first.dtype)
        queries, keys = rotate(first, *rotation).unbind(2)
        tokens, owners, targets = batch.pointers
        parts = []
        for row in range(num_rows):
            here = tokens // length == row
            places, own, within = tokens[here] % length, here[owners], here.cumsum(0) - 1
            found = guidance_loss(
                queries[row, places], keys[row], mask[row, 0, places], within[owners[own]], targets[own] % length
            )
            parts.append(torch.stack(found) * (len(places) / max(len(tokens), 1)))
        missed, share = torch.stack(parts).sum(0)
        return missed, share.detach()

    def _next_layer(self) -> DecoderLayer:
        """Return the layer that reads what most probes taught: its head is guided, its output asked once more."""
        layer = self.model.decoder.layers[self.config.probe_layer]
        assert isinstance(layer, DecoderLayer)
        return layer

    @torch.no_grad()
    def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
        """Return the judge's figures."""
        return {} if self.judge is None else self.judge(self.model.decoder, out_dir)

    def fingerprint(self) -> dict[str, Any]:
        """Return what a resumed run must agree with."""
        return {
            "vocabulary": self.tokenizers.vocabulary.digest,
            "decoder": to_json(self.model.decoder.config),
            "loader": to_json(self.config.loader),
            "held_out": self.config.held_out,
            "losses": {name: getattr(self.config, name) for name in (*LOSS_WEIGHTS, "number_sigma", "probe_layer")},
        }

    def write_run_files(self, run_dir: Path) -> None:
        """Write configuration, vocabulary and tokenizers, so that the run is all that loading needs."""
        write_tokenizer_files(run_dir, self.tokenizers, self.config)


class _Trained(nn.Module):
    """Everything that has parameters to train; calling it runs the decoder."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.probes = nn.ModuleDict()

    def forward(self, ids: Tensor, **arguments: Any) -> Tensor:
        return self.decoder(ids, **arguments)
