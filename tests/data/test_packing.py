"""Packed trees against the same sequences read one by one: tokens, loss and gradients."""

import numpy as np
import pytest
import torch
from tests.oracles.packing import beginnings, placed, random_sequences, separate_loss, unpacked

from trilingua.core.errors import ConfigError
from trilingua.data.packing import IGNORED, PackedBatch, TrainingSequence, merge, pack
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.nn.losses import token_loss
from trilingua.nn.masks import build_mask

VOCAB = 40
CONFIG = DecoderConfig(
    num_text=VOCAB, dim=32, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=16, hidden_dim=48, embedding_std=0.5
)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG)
    for parameter in decoder.parameters():
        if parameter.dim() > 1:  # large enough that attention is far from uniform
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder


def read(decoder: Decoder, batch: PackedBatch) -> torch.Tensor:
    block = torch.arange(batch.ids.shape[1]).expand_as(batch.ids)
    return decoder(batch.ids, positions=batch.positions, mask=build_mask(batch.node, batch.ancestors, block))


def packed_loss(decoder: Decoder, batch: PackedBatch) -> torch.Tensor:
    wanted = batch.labels != IGNORED
    return token_loss(read(decoder, batch)[wanted], batch.labels[wanted], batch.weights[wanted])[0]


@pytest.mark.parametrize("places", [{}, {1: 10, 3: 0}])
@pytest.mark.parametrize("seed", range(20))
def test_each_path_of_a_tree_is_a_sequence(seed: int, places: dict[int, int]) -> None:
    generator = np.random.default_rng(seed)
    sequences = random_sequences(generator, vocab=4, count=int(generator.integers(1, 9)), longest=3)
    tree = merge(sequences, places)
    nodes = [np.flatnonzero(tree.node == node) for node in range(len(tree.parents))]
    leaves = [node for node, tokens in enumerate(nodes) if (tree.labels[tokens] != IGNORED).any()]
    assert len(leaves) == len(sequences)
    for leaf, sequence in zip(leaves, sequences, strict=True):
        path = [leaf]
        while tree.parents[path[0]] >= 0:
            assert tree.parents[path[0]] < path[0]
            path.insert(0, tree.parents[path[0]])
        tokens = np.concatenate([nodes[node] for node in path])
        ids, labels, weights = unpacked(sequence)
        assert tree.ids[tokens].tolist() == ids
        assert tree.labels[tokens].tolist() == labels
        assert tree.weights[tokens].tolist() == weights
        assert tree.positions[tokens].tolist() == placed(ids, places)
    # Each beginning is stored once; what follows [OUTPUT-START] never is shared.
    own = sum(len(sequence.opening) + len(sequence.predicted) - 1 for sequence in sequences)
    assert len(tree.ids) == sum(len(beginning[-1]) for beginning in beginnings(sequences)) + own
    assert [tokens[0] for tokens in nodes] == list(tree.starts)


@pytest.mark.parametrize(("seed", "longest"), [(0, 3), (1, 6), (2, 12), (3, 40), (4, 40)])
def test_loss_and_gradients_equal_separate_sequences(decoder: Decoder, seed: int, longest: int) -> None:
    """Pieces of 40 tokens give rows that are long enough for the chunked attention."""
    generator = np.random.default_rng(seed)
    documents = [random_sequences(generator, vocab=VOCAB, count=4, longest=longest) for _ in range(3)]
    trees = [merge(sequences) for sequences in documents]
    length = max(len(trees[0].ids) + len(trees[1].ids), len(trees[2].ids)) + 5
    assert length > 256 or longest < 40
    loss = packed_loss(decoder, pack([trees[:2], trees[2:]], length, 0))
    expected = separate_loss(decoder, [sequence for document in documents for sequence in document])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    parameters = [parameter for parameter in decoder.parameters() if parameter.numel()]
    ours, slow = (torch.autograd.grad(value, parameters, allow_unused=True) for value in (loss, expected))
    used = [(mine, peer) for mine, peer in zip(ours, slow, strict=True) if peer is not None]
    assert len(used) > 2 * 6
    for mine, peer in used:
        torch.testing.assert_close(mine, peer, rtol=1e-3, atol=2e-5)


@torch.no_grad()
def test_documents_in_one_row_do_not_see_each_other(decoder: Decoder) -> None:
    generator = np.random.default_rng(7)
    first, second = (merge(random_sequences(generator, vocab=VOCAB, count=3, longest=30)) for _ in range(2))
    changed = (np.arange(VOCAB)[::-1].copy())[first.ids]
    length, border = len(first.ids) + len(second.ids) + 3, len(first.ids)
    before = read(decoder, pack([[first, second]], length, 0))[0]
    after = read(decoder, pack([[first._replace(ids=changed), second]], length, 0))[0]
    assert (before[:border] - after[:border]).abs().max() > 0.1
    torch.testing.assert_close(after[border:], before[border:], rtol=0, atol=1e-6)
    swapped = read(decoder, pack([[second, first]], length, 0))[0]
    torch.testing.assert_close(swapped[: len(second.ids)], before[border : border + len(second.ids)], atol=1e-4, rtol=0)


@torch.no_grad()
def test_padding_does_not_matter(decoder: Decoder) -> None:
    generator = np.random.default_rng(8)
    tree, other = (merge(random_sequences(generator, vocab=VOCAB, count=3)) for _ in range(2))
    length = len(tree.ids)
    exact = pack([[tree]], length, 0)
    for batch in (pack([[tree]], length + 50, 9), pack([[tree], [other, other], []], length + 200, 3)):
        torch.testing.assert_close(read(decoder, batch)[0, :length], read(decoder, exact)[0], rtol=0, atol=1e-4)
        assert (batch.labels[0, length:] == IGNORED).all()
        assert not batch.weights[0, length:].any()
    rest = pack([[tree], []], length + 4, 9)
    assert read(decoder, rest).isfinite().all()
    assert rest.ids[1].tolist() == [9] * (length + 4)
    assert rest.positions[0, length:].tolist() == [0, 1, 2, 3]


def test_equal_pieces_are_shared_only_after_equal_pieces() -> None:
    def sequence(*given: tuple[int, ...]) -> TrainingSequence:
        return TrainingSequence(given, (9,), (5,), (1.0,))

    shared = merge([sequence((1, 2), (3,)), sequence((1, 2), (4,)), sequence((1, 2), (3,))])
    assert shared.ids.tolist() == [1, 2, 3, 9, 4, 9, 9]
    assert shared.parents == (-1, 0, 1, 0, 3, 1)
    assert merge([sequence((1,), (3,)), sequence((2,), (3,))]).ids.tolist() == [1, 3, 9, 2, 3, 9]
    nothing = merge([])
    assert (len(nothing.ids), nothing.parents) == (0, ())


def test_too_long_a_row_is_refused_in_words() -> None:
    tree = merge([TrainingSequence(((1, 2, 3),), (9,), (5,), (1.0,))])
    assert pack([[tree, tree]], 8, 0).ids.tolist() == [[1, 2, 3, 9, 1, 2, 3, 9]]
    with pytest.raises(ConfigError) as caught:
        pack([[tree, tree]], 7, 0)
    assert str(caught.value) == "packing: trees of 8 tokens do not fit a row of 7; raise row_length"
