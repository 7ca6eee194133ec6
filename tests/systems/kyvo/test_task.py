"""The decoder's loss on packed rows against sequences read one by one, and what the probe is asked."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.oracles.packing import placed, separate_loss, unpacked
from tests.oracles.probing import (
    cells_of,
    guided_loss,
    objects_of,
    pointers_of,
    probe_loss,
    recognized_of,
    seen_cells_of,
)
from tests.oracles.seeing import what_is_seen

from trilingua.core.config import replace_dotted
from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator
from trilingua.data import loaders
from trilingua.data.loaders import KyvoBatch, PackedStream, SequenceBuilder
from trilingua.data.packing import TrainingSequence
from trilingua.data.shards import SceneRecord, Shards
from trilingua.systems.kyvo.build import Tokenizers, build_decoder
from trilingua.systems.kyvo.config import KyvoConfig, kyvo_tiny
from trilingua.systems.kyvo.task import KyvoTask
from trilingua.tokenizers.sequences import centre_out_order

CONFIG = replace_dotted(
    kyvo_tiny(),
    {"loader.row_length": 700, "loader.rows_per_batch": 2, "loader.segment_weights": {"answer": 4.0, "image": 0.25}},
)


def make_task(tokenizers: Tokenizers, config: KyvoConfig = CONFIG) -> KyvoTask:
    torch.manual_seed(0)
    task = KyvoTask(config, tokenizers, build_decoder(config, tokenizers))
    for parameter in task.modules().parameters():
        if parameter.dim() > 1:  # large enough that attention is far from uniform
            torch.nn.init.normal_(parameter, std=0.1)
    return task


Drawn = tuple[KyvoBatch, list[TrainingSequence], list[SceneRecord]]


@pytest.fixture
def drawn(
    tiny_tokenizers: Tokenizers, tiny_shards: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Drawn:
    """A batch, and the sequences and records that it was packed from; of a share of codes, all unless said."""
    loader = dataclasses.replace(CONFIG.loader, code_share=getattr(request, "param", 1.0))
    trees: list[list[TrainingSequence]] = []
    merge = loaders.merge

    def remember(sequences: list[TrainingSequence], places: dict[int, int]) -> Any:
        trees.append(sequences)
        return merge(sequences, places)

    monkeypatch.setattr(loaders, "merge", remember)
    shards = Shards(tiny_shards, tiny_tokenizers.vocabulary)
    stream = PackedStream(shards, SequenceBuilder(loader, tiny_tokenizers.sequences), seed=4)
    batch = next(stream)
    count = stream.state_dict()["next_scene"]
    assert 1 < count <= len(shards)
    order = make_generator(4, "order", 0).permutation(len(shards))
    records = [shards[int(scene)] for scene in order[:count]]  # one object each, however many sequences it has
    pairs = [(sequence, record) for tree, record in zip(trees[:count], records, strict=True) for sequence in tree]
    return batch, [sequence for sequence, _ in pairs], [record for _, record in pairs]


@pytest.mark.parametrize(
    ("drawn", "sigma", "probe_weight"),
    [(1.0, 1.0, 0.5), (1.0, 0.0, 0.0), (1.0, 2.5, 0.0), (0.5, 1.0, 0.5)],
    indirect=["drawn"],
)
def test_loss_and_gradients_equal_separate_sequences(
    drawn: Drawn, tiny_tokenizers: Tokenizers, sigma: float, probe_weight: float
) -> None:
    batch, sequences, records = drawn
    code_share = 0.5 if len(batch.vectors) else 1.0
    weights = {
        "given": probe_weight,
        "drawn": probe_weight / 2,
        "objects": probe_weight / 3,
        "recognized": probe_weight / 5,
    }
    config = replace_dotted(
        CONFIG,
        {
            "loader.code_share": code_share,
            "number_sigma": sigma,
            "probe_weight": weights["given"],
            "drawn_probe_weight": weights["drawn"],
            "object_probe_weight": weights["objects"],
            "recognized_probe_weight": weights["recognized"],
            "guidance_weight": probe_weight / 4,
        },
    )
    task = make_task(tiny_tokenizers, config)
    decoder, numbers = task.model.decoder, tiny_tokenizers.vocabulary.span("numbers")
    loss, metrics = task.loss(batch)
    places = tiny_tokenizers.sequences.places
    rows = [unpacked(sequence)[0] for sequence in sequences]
    seen = [what_is_seen(row, record, tiny_tokenizers.vocabulary) for row, record in zip(rows, records, strict=True)]
    expected = separate_loss(
        decoder, sequences, span=(numbers.start, numbers.stop), sigma=sigma, places=places, vectors=seen
    )
    torch.testing.assert_close(metrics["tokens"], expected.detach(), rtol=1e-5, atol=1e-5)
    states: dict[tuple[torch.nn.Module, int], torch.Tensor] = {}
    first, second = decoder.layers[0], decoder.layers[1].attention_norm

    def state(row: int, module: torch.nn.Module = first) -> torch.Tensor:
        if (module, row) not in states:
            handle = module.register_forward_hook(lambda *call: states.update({(module, row): call[2][0]}))
            positions = torch.tensor([placed(rows[row], places)])
            decoder(torch.tensor([rows[row]]), positions=positions, vectors=seen[row])
            handle.remove()
        return states[module, row]

    if code_share < 1:
        weights["seen"] = probe_weight
    assert set(task.model.probes) == (set(weights) if probe_weight else set())
    if probe_weight:
        recognized = recognized_of(rows, records, tiny_tokenizers.vocabulary, tiny_tokenizers.sequences.scenes)
        assert len(recognized) == len(batch.recognized.tokens) > 0
        texts = pointers_of(rows, records, tiny_tokenizers.vocabulary)
        assert {bool(targets) for *_, targets in texts} == {True, False}
        pointers = [*texts, *(pointer for *pointer, _ in recognized)]
        assert len(pointers) == len(batch.pointers.tokens)
        missed: list[torch.Tensor] = []
        for row in {row for row, *_ in pointers}:
            mine = [pointer for pointer in pointers if pointer[0] == row]
            missed += guided_loss(
                decoder.layers[1].attention,
                state(row, second),
                placed(rows[row], places),
                decoder.config.rope_theta,
                [place for _, place, _ in mine],
                [targets for *_, targets in mine],
            )
        guidance = torch.stack(missed).mean()
        torch.testing.assert_close(metrics["guidance"], guidance.detach(), rtol=1e-4, atol=1e-5)
        assert 0 < metrics["guidance_share"] < 1
        expected = expected + probe_weight / 4 * guidance
        objects = objects_of(rows, records, tiny_tokenizers.vocabulary, tiny_tokenizers.sequences.scenes)
        written = [(row, place, item) for row, place, _, item in recognized]
        for name, items, layer in (("objects", objects, first), ("recognized", written, decoder.layers[1])):
            assert len(items) == len(getattr(batch, name).tokens) > 0
            asked = probe_loss(
                task.model.probes[name],
                [state(row, layer)[place] for row, place, _ in items],
                [
                    [number, *(c.values.index(getattr(item, c.name)) for c in tiny_tokenizers.schema.categories)]
                    for _, _, (number, item) in items
                ],
                [item.location for _, _, (_, item) in items],
            )
            torch.testing.assert_close(metrics[f"probe_{name}"], asked.detach(), rtol=1e-4, atol=1e-5)
            expected = expected + weights[name] * asked
    for name, probe in [pair for pair in task.model.probes.items() if pair[0] in ("given", "drawn")]:
        order = centre_out_order(len(records[0].image)) if name == "drawn" else None
        facts = "drawn_values" if name == "drawn" else "cell_values"
        cells = cells_of(rows, records, tiny_tokenizers.vocabulary, order)
        assert len(cells) == getattr(batch, name).tokens.numel() > 0
        asked = probe_loss(
            probe,
            [state(row)[place] for row, place, _, _ in cells],
            [record.cell_classes[cell].tolist() for _, _, record, cell in cells],
            [getattr(record, facts)[cell].tolist() for _, _, record, cell in cells],
        )
        torch.testing.assert_close(metrics[f"probe_{name}"], asked.detach(), rtol=1e-4, atol=1e-5)
        expected = expected + weights[name] * asked
    if "seen" in task.model.probes:
        shown = seen_cells_of(rows, records, tiny_tokenizers.vocabulary)
        assert len(shown) == len(batch.seen.tokens) > 0
        asked = probe_loss(
            task.model.probes["seen"],
            [state(row)[place] for row, place, *_ in shown],
            [record.cell_classes[cell].tolist() for *_, record, cell in shown],
            [record.cell_values[cell].tolist() for *_, record, cell in shown],
        )
        torch.testing.assert_close(metrics["probe_seen"], asked.detach(), rtol=1e-4, atol=1e-5)
        expected = expected + probe_weight * asked
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    names, parameters = zip(*task.modules().named_parameters(), strict=True)
    ours, slow = (torch.autograd.grad(value, parameters) for value in (loss, expected))
    for name, mine, peer in zip(names, ours, slow, strict=True):
        torch.testing.assert_close(mine, peer, rtol=2e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_counts_and_metrics_are_those_of_the_sequences(drawn: Drawn, tiny_tokenizers: Tokenizers) -> None:
    batch, sequences, _ = drawn
    task = make_task(tiny_tokenizers)
    weight = sum(weight for sequence in sequences for weight in sequence.weights)
    assert task.batch_weight(batch) == pytest.approx(weight)
    assert task.num_tokens(batch) == 2 * 700
    kinds = {tiny_tokenizers.vocabulary.kind(token) for sequence in sequences for token in sequence.predicted}
    _, metrics = task.loss(batch)
    assert {name for name in metrics if name.startswith("loss_")} == {f"loss_{kind}" for kind in kinds}
    asked = ("given", "drawn", "objects")
    probes = {f"probe_{name}{what}" for name in asked for what in ("", "_class_accuracy", "_value_error")}
    assert set(metrics) >= {"tokens", "guidance", "guidance_share", *probes}
    assert task.evaluate(0, Path()) == {}


def test_the_probes_cells_hold_the_given_pictures_codes(drawn: Drawn, tiny_tokenizers: Tokenizers) -> None:
    batch, _, records = drawn
    codes = batch.packed.ids.flatten()[batch.given.tokens] - tiny_tokenizers.vocabulary.span("image").start
    known = {tuple(record.image.tolist()): record for record in records}
    assert len(known) >= len(codes) > 1
    for row, classes in zip(codes.tolist(), batch.given.classes, strict=True):
        assert torch.equal(classes, torch.from_numpy(known[tuple(row)].cell_classes))


def test_a_run_is_known_by_vocabulary_decoder_and_loader(tiny_tokenizers: Tokenizers) -> None:
    task = make_task(tiny_tokenizers)
    fingerprint = task.fingerprint()
    assert fingerprint["vocabulary"] == tiny_tokenizers.vocabulary.digest
    assert fingerprint["decoder"]["dim"] == 64
    assert fingerprint["loader"]["row_length"] == 700


@pytest.mark.parametrize("layer", [0, 2, 3])
def test_a_probe_of_no_layer_is_refused_in_words(tiny_tokenizers: Tokenizers, layer: int) -> None:
    with pytest.raises(ConfigError) as caught:
        make_task(tiny_tokenizers, replace_dotted(CONFIG, {"probe_layer": layer}))
    assert str(caught.value) == (
        f"probe_layer: {layer}; expected 1 to 1: the decoder has 2 layers, of which one must follow"
    )
    if layer == 2:
        unguided = {"guidance_weight": 0.0, "recognized_probe_weight": 0.0}
        make_task(tiny_tokenizers, replace_dotted(CONFIG, {"probe_layer": layer, **unguided}))


def test_what_a_resumed_run_loses_is_in_the_fingerprint(tiny_tokenizers: Tokenizers) -> None:
    for name in ("number_sigma", "probe_weight", "guidance_weight"):
        assert make_task(tiny_tokenizers).fingerprint() != (
            make_task(tiny_tokenizers, replace_dotted(CONFIG, {name: 0.125})).fingerprint()
        )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("number_sigma", -1.0, "number_sigma: -1.0; expected at least 0"),
        ("probe_weight", -0.5, "probe_weight: -0.5; expected at least 0"),
        ("guidance_weight", -1.0, "guidance_weight: -1.0; expected at least 0"),
        ("held_out", -1, "held_out: -1; expected at least 0"),
    ],
)
def test_impossible_configurations_are_refused_in_words(field: str, value: float, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace_dotted(CONFIG, {field: value})
    assert str(caught.value) == message
