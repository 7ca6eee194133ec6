"""Training: packed prefix trees against a plain Llama on the same sequences one by one, padded on the right."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import peers
import torch
from measure import time_in_turns
from subject import SEED, Subject
from tables import Section, reached
from torch import nn
from torch.nn import functional

from trilingua.data.loaders import LoaderConfig, PackedStream, SequenceBuilder
from trilingua.data.packing import IGNORED, PackedBatch
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.nn.masks import build_mask
from trilingua.systems.kyvo.build import build_decoder, load_tokenizers
from trilingua.systems.kyvo.config import kyvo_clevr
from trilingua.systems.kyvo.task import KyvoTask
from trilingua.training.optimizers import build_optimizers


class PlainSequence(NamedTuple):
    """One sequence as a plain trainer has it."""

    ids: list[int]
    labels: list[int]
    """The id itself where it is to be predicted, else `IGNORED`."""


def separate(packed: PackedBatch) -> list[PlainSequence]:
    """Return the sequences that a packed batch holds, each whole: its path from the root, then what it predicts."""
    sequences = []
    for row in range(len(packed.ids)):
        labels = packed.labels[row]
        for leaf in packed.node[row][labels != IGNORED].unique().tolist():
            places = packed.ancestors[row, leaf][packed.node[row]].nonzero()[:, 0]
            # In the order of the row, in which what is given comes before what is predicted of it.
            own = labels[places].masked_fill(packed.node[row][places] != leaf, IGNORED)
            # A label is the id that follows: the last one is in no input.
            ids = [*packed.ids[row][places].tolist(), int(own[-1])]
            sequences.append(PlainSequence(ids, [IGNORED, *own.tolist()]))
    return sequences


def batches_of(sequences: Sequence[PlainSequence], most_tokens: int) -> list[list[PlainSequence]]:
    """Return the sequences in batches of at most `most_tokens` tokens, padding included; their order stays."""
    batches: list[list[PlainSequence]] = []
    longest = 0
    for sequence in sequences:
        longest = max(longest, len(sequence.ids))
        if not batches or longest * (len(batches[-1]) + 1) > most_tokens:
            batches.append([])
            longest = len(sequence.ids)
        batches[-1].append(sequence)
    return batches


def model_flops(config: DecoderConfig, *, tokens: int, read_out: int, pairs: int) -> float:
    """Return the operations of a forward and a backward pass.

    Args:
        config: sizes.
        tokens: tokens that pass the layers, without padding.
        read_out: tokens that pass the head.
        pairs: pairs of a query and a key that it may see.
    """
    heads = config.num_heads * config.head_dim
    shared = config.num_kv_heads * config.head_dim
    layer = config.dim * (2 * heads + 2 * shared) + 3 * config.dim * config.hidden_dim
    matrices = tokens * config.num_layers * layer + read_out * config.dim * config.vocab_size
    return 6.0 * matrices + 12.0 * config.num_layers * heads * pairs


class _Ours:
    """Our step: a batch of packed trees from the stream, the whole loss, probe included."""

    def __init__(self, subject: Subject, loader: LoaderConfig) -> None:
        config = dataclasses.replace(kyvo_clevr(), loader=loader)
        if subject.quick:
            config = dataclasses.replace(config, loader=dataclasses.replace(loader, rows_per_batch=1))
        tokenizers = load_tokenizers(subject.run)
        torch.manual_seed(SEED)
        self.decoder: Decoder = build_decoder(config, tokenizers)
        self.task = KyvoTask(config, tokenizers, self.decoder)
        shards, builder = subject.shards(tokenizers), SequenceBuilder(config.loader, tokenizers.sequences)
        self.open_stream: Callable[[], PackedStream] = lambda: PackedStream(shards, builder, seed=SEED)
        self.tokens_per_batch = config.loader.row_length * config.loader.rows_per_batch
        self.stream = self.open_stream()
        self.update = _Update(self.task.model)

    def step(self) -> None:
        batch = next(self.stream)
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = self.task.loss(batch)
        loss.backward()
        self.update()


class _Peer:
    """A plain trainer's step: the same sequences, padded, its gradients summed over batches as large as ours."""

    def __init__(self, model: Any, steps: Sequence[list[list[PlainSequence]]], pad_id: int) -> None:
        self.model, self.steps, self.pad_id, self.next = model, steps, pad_id, 0
        self.update = _Update(model)

    def step(self) -> None:
        batches = self.steps[self.next]
        self.next += 1
        total = sum(_num_labels(batch) for batch in batches)
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16):
                loss = self.loss(batch)
            (loss * (_num_labels(batch) / total)).backward()
        self.update()

    def loss(self, batch: Sequence[PlainSequence]) -> torch.Tensor:
        longest = max(len(sequence.ids) for sequence in batch)

        def padded(rows: Sequence[list[int]], value: int) -> torch.Tensor:
            return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

        loss: torch.Tensor = self.model(
            input_ids=padded([sequence.ids for sequence in batch], self.pad_id),
            attention_mask=padded([[1] * len(sequence.ids) for sequence in batch], 0),
            labels=padded([sequence.labels for sequence in batch], IGNORED),
            use_cache=False,
        ).loss
        return loss


class _Update:
    """Clipping and AdamW, the same for both."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.optimizers = build_optimizers(
            module, kind="adamw", learning_rate=1e-4, weight_decay=0.01, betas=(0.9, 0.95)
        )

    def __call__(self) -> None:
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def run(subject: Subject) -> Section:
    """Time steps of ours and of a padded peer on the same sequences, of two mixes of tasks."""
    preset = kyvo_clevr().loader
    sizes = {"row_length": preset.row_length, "rows_per_batch": preset.rows_per_batch}
    section = Section(
        title="Training: steps over the same sequences",
        header=("", "sequences/s", "useful tokens/s", "tokens read/s", "share of bf16 peak", "ours against it"),
    )
    for name, loader in {
        "Mix of all tasks": LoaderConfig(**sizes),
        "Mix of the preset": preset,
    }.items():
        _race(subject, loader, name, section)
    section.notes += [
        "Mix of all tasks: every scene with its picture, and recognized, questioned three times, edited once, one in "
        "three drawn (the loader's defaults). Mix of the preset: half of the scenes come without their pictures, with "
        "eight questions and three edits; most of the others are only recognized.",
        "Preset kyvo-clevr's decoder from scratch, bfloat16 autocast, gradients clipped, AdamW for both.",
        "Useful tokens: those of the separate sequences, which is what they are without sharing their beginnings. "
        "Ours computes the probes' and the number tokens' losses too.",
    ]
    return section


def _race(subject: Subject, loader: LoaderConfig, title: str, section: Section) -> None:
    """Add the rows of one mix."""
    ours = _Ours(subject, loader)
    repeats = 1 if subject.quick else 6
    warm_up = not subject.quick
    stream = ours.open_stream()
    packed = [next(stream).packed for _ in range(repeats + warm_up)]
    steps = [separate(batch) for batch in packed]
    orders = {
        "padded, as they come": steps,
        "padded, sorted by length": [sorted(step, key=lambda sequence: len(sequence.ids)) for step in steps],
    }
    plain = {name: [batches_of(step, ours.tokens_per_batch) for step in order] for name, order in orders.items()}
    pad_id = ours.task.tokenizers.vocabulary.marker("[PAD]")
    contenders = {name: _Peer(peers.same_llama(ours.decoder), batches, pad_id) for name, batches in plain.items()}
    first_losses = _first_losses(ours, next(iter(contenders.values())), packed[0], steps[0][:8])
    seconds = time_in_turns(
        {"packed trees": ours.step, **{name: peer.step for name, peer in contenders.items()}},
        repeats=repeats,
        warm_up=warm_up,
    )
    config = ours.decoder.config
    count = sum(map(len, steps)) / len(steps)
    useful = sum(len(sequence.ids) for step in steps for sequence in step) / len(steps)

    def add(name: str, read: float, flops: float) -> None:
        took = seconds[name]
        ratio = took / seconds["packed trees"]
        section.rows.append(
            (
                f"{title}: ours, {name}" if name == "packed trees" else f"{title}: `transformers`, {name}",
                f"{count / took:.1f}",
                f"{useful / took:,.0f}",
                f"{read / took:,.0f}",
                f"{flops / took / subject.peak:.0%}",
                "" if name == "packed trees" else reached(ratio, 1.5),
            )
        )

    add("packed trees", ours.tokens_per_batch, sum(_packed_flops(config, batch) for batch in packed) / len(packed))
    lengths = [len(sequence.ids) for step in steps for sequence in step]
    flops = sum(model_flops(config, tokens=n, read_out=n, pairs=n * (n + 1) // 2) for n in lengths) / len(steps)
    for name, batches in plain.items():
        add(name, sum(len(b) * max(len(s.ids) for s in b) for step in batches for b in step) / len(steps), flops)
    section.notes.append(
        f"{title}: a step trains the same {count:.0f} sequences, ours in one batch of {ours.tokens_per_batch:,} "
        "tokens, the peer's gradients summed over batches of at most as many, padding included. Both start alike: mean "
        f"cross-entropy of the same sequences {first_losses[0]:.4f} and {first_losses[1]:.4f}."
    )


def _packed_flops(config: DecoderConfig, packed: PackedBatch) -> float:
    """Return the operations of a batch; its padding, which is the last node of each row, counts nothing."""
    mask = _mask(packed)[:, 0]
    real = packed.node != packed.ancestors.shape[1] - 1
    return model_flops(
        config,
        tokens=int(real.sum()),
        read_out=int((packed.labels != IGNORED).sum()),
        pairs=int(mask[real].sum()),
    )


@torch.no_grad()
def _first_losses(ours: _Ours, peer: _Peer, packed: PackedBatch, some: Sequence[PlainSequence]) -> tuple[float, float]:
    """Return both models' mean cross-entropy over the first sequences, in float32, before any step."""
    wanted = packed.labels != IGNORED
    logits = ours.decoder(packed.ids, positions=packed.positions, mask=_mask(packed), output_at=wanted)
    # The leaves of a row are in order, and so are the labels of a leaf.
    ours_first = functional.cross_entropy(logits[: _num_labels(some)], packed.labels[wanted][: _num_labels(some)])
    return float(ours_first), float(peer.loss(some))


def _mask(packed: PackedBatch) -> torch.Tensor:
    return build_mask(packed.node, packed.ancestors, torch.arange(packed.ids.shape[1]).expand_as(packed.ids))


def _num_labels(batch: Sequence[PlainSequence]) -> int:
    return sum(label != IGNORED for sequence in batch for label in sequence.labels)
