"""The unified table: spans in order, each kind of row at one scale, frozen parts frozen."""

import pytest
import torch
from torch.nn import functional

from trilingua.core.errors import ConfigError
from trilingua.nn.embeddings import PlacedVectors, UnifiedEmbedding, UnifiedHead, sinusoid_table


def make(number_encoding: str = "learned+sinusoid") -> UnifiedEmbedding:
    torch.manual_seed(0)
    embedding = UnifiedEmbedding(
        num_text=50,
        num_markers=5,
        num_numbers=21,
        num_image_codes=40,
        image_code_dim=8,
        dim=64,
        number_encoding=number_encoding,  # type: ignore[arg-type]
        std=0.05,
    )
    embedding.set_codebook(torch.randn(40, 8) * 3)
    return embedding


def test_sinusoid_equals_the_formula() -> None:
    table = sinusoid_table(4, 6)
    for index in range(4):
        for channel in range(6):
            angle = torch.tensor(index / 10_000 ** (2 * (channel // 2) / 6))
            expected = angle.sin() if channel % 2 == 0 else angle.cos()
            torch.testing.assert_close(table[index, channel], expected)


@pytest.mark.parametrize("number_encoding", ["learned+sinusoid", "learned", "sinusoid"])
def test_every_kind_of_row_starts_at_one_scale(number_encoding: str) -> None:
    spans = make(number_encoding).table().split([50, 5, 21, 40])
    for span in spans:
        assert span.square().mean().sqrt().item() == pytest.approx(0.05, rel=0.15)


def test_forward_reads_the_table_and_spans_stand_in_order() -> None:
    embedding = make()
    ids = torch.randint(0, 116, (3, 11))
    assert torch.equal(embedding(ids), embedding.table()[ids])
    assert torch.equal(embedding(torch.tensor([[2]]))[0, 0], embedding.text[2])
    assert torch.equal(embedding(torch.tensor([[52]]))[0, 0], embedding.markers[2])
    image_row = functional.linear(embedding.codebook[7], embedding.projector)
    torch.testing.assert_close(embedding(torch.tensor([[50 + 5 + 21 + 7]]))[0, 0], image_row)


def test_codebook_and_sinusoid_are_frozen_and_saved() -> None:
    embedding = make()
    assert {name for name, _ in embedding.named_parameters()} == {
        "text",
        "markers",
        "numbers",
        "number_matrix",
        "projector",
    }
    assert {"codebook", "number_sinusoid"} <= set(embedding.state_dict())
    embedding.table().sum().backward()
    assert embedding.projector.grad is not None


def make_head(number_encoding: str) -> UnifiedHead:
    torch.manual_seed(0)
    return UnifiedHead(vocab_size=30, first_number=7, num_numbers=12, dim=16, number_encoding=number_encoding)  # type: ignore[arg-type]


@pytest.mark.parametrize("number_encoding", ["learned+sinusoid", "sinusoid"])
def test_numbers_leave_by_their_row_and_by_sines_and_cosines_through_the_matrix(number_encoding: str) -> None:
    head = make_head(number_encoding)
    assert head.number_matrix is not None
    torch.testing.assert_close(head.weight, head.rows)  # the matrix starts at zero
    torch.nn.init.normal_(head.number_matrix)
    states = torch.randn(5, 16)
    logits = head(states)
    for index in range(30):
        expected = states @ head.rows[index]
        if 7 <= index < 19:
            expected = expected + (states @ head.number_matrix) @ sinusoid_table(12, 16)[index - 7]
        torch.testing.assert_close(logits[:, index], expected)


def test_a_folded_head_gives_the_same_logits() -> None:
    head = make_head("learned+sinusoid")
    assert head.number_matrix is not None
    torch.nn.init.normal_(head.number_matrix)
    states = torch.randn(5, 16)
    expected = head(states)
    head.fold()
    assert set(head.state_dict()) == {"rows"}
    torch.testing.assert_close(head(states), expected)


def test_learned_numbers_have_rows_alone() -> None:
    assert set(make_head("learned").state_dict()) == {"rows"}


def test_errors_name_the_value() -> None:
    with pytest.raises(ConfigError, match=r"codebook: shape \(3, 8\); the decoder was built for \(40, 8\)"):
        make().set_codebook(torch.zeros(3, 8))


@torch.no_grad()
def test_what_is_seen_is_added_and_begins_as_its_code() -> None:
    torch.manual_seed(3)
    embedding = UnifiedEmbedding(
        num_text=3, num_markers=1, num_numbers=2, num_image_codes=20, image_code_dim=4, dim=64, seen_dim=12
    )
    embedding.set_codebook(torch.randn(20, 4))
    codes = torch.randint(0, 20, (500,))
    vectors = embedding.codebook[codes] @ torch.randn(4, 12) + 0.05 * torch.randn(500, 12)
    embedding.align_seen(vectors, codes, ridge=0.0)
    wanted = embedding.table()[6 + codes]
    matrix = torch.linalg.lstsq(vectors, wanted).solution
    torch.testing.assert_close(embedding.seen_projector, matrix.T, rtol=1e-3, atol=1e-5)
    ids = torch.randint(0, 6, (2, 300))
    where = torch.randperm(600)[:500]
    rows = embedding(ids).flatten(0, 1)
    read = embedding(ids, vectors=PlacedVectors(where, vectors)).flatten(0, 1) - rows
    torch.testing.assert_close(read[where], vectors @ matrix, rtol=1e-3, atol=1e-5)
    assert (read[where] - wanted).square().mean() < 0.05 * wanted.square().mean()
    assert (read != 0).any(1).sum() == 500
