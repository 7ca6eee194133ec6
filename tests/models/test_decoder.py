"""The decoder against transformers' Llama, against itself without a cache, and against unpacked documents."""

import dataclasses

import pytest
import torch

from trilingua.core.errors import ConfigError
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.nn.masks import build_mask

CONFIG = DecoderConfig(
    num_text=40,
    num_markers=6,
    num_numbers=11,
    num_image_codes=16,
    image_code_dim=8,
    dim=32,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    hidden_dim=48,
    embedding_std=0.5,
)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG)
    decoder.embedding.set_codebook(torch.randn(16, 8))
    for parameter in decoder.parameters():
        if parameter.dim() > 1:  # large enough that attention is far from uniform
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder.eval()


@torch.no_grad()
def test_cached_decoding_equals_uncached(decoder: Decoder) -> None:
    lengths = [9, 4, 6]
    ids = torch.randint(0, CONFIG.vocab_size, (3, 20))
    full = decoder(ids)
    cache = decoder.make_cache(3, 20)
    read = [0, 0, 0]
    for counts in (lengths, [1, 3, 2], [1, 1, 1], [4, 0, 5]):
        new = max(counts)
        chunk = torch.zeros(3, new, dtype=torch.long)
        for row, count in enumerate(counts):
            chunk[row, :count] = ids[row, read[row] : read[row] + count]
        logits = decoder(chunk, cache=cache)
        cache.advance(counts)
        for row, count in enumerate(counts):
            torch.testing.assert_close(
                logits[row, :count], full[row, read[row] : read[row] + count], rtol=1e-4, atol=1e-4
            )
            read[row] += count
    assert cache.lengths == read


@torch.no_grad()
def test_a_shared_prefix_serves_several_continuations(decoder: Decoder) -> None:
    prefix, endings = torch.randint(0, 73, (1, 8)), torch.randint(0, 73, (3, 4))
    cache = decoder.make_cache(1, 12)
    decoder.hidden(prefix, cache=cache)
    cache.advance(8)
    branched = cache.select([0] * 3)
    logits = decoder(endings, cache=branched)
    full = decoder(torch.cat((prefix.expand(3, -1), endings), 1))
    torch.testing.assert_close(logits, full[:, 8:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1, 12])
@torch.no_grad()
def test_packed_trees_equal_separate_documents(decoder: Decoder, scale: int) -> None:
    """Scale 12 makes the row long enough for the chunked attention."""
    trunk, left, right, other, padding = (n * scale for n in (5, 3, 4, 6, 2))
    sizes = [trunk, left, right, other, padding]
    ids = torch.randint(0, CONFIG.vocab_size, (1, sum(sizes)))
    node = torch.repeat_interleave(torch.arange(5), torch.tensor(sizes))[None]
    ancestors = torch.eye(5).bool()
    ancestors[1, 0] = ancestors[2, 0] = True
    starts = [0, trunk, trunk, 0, 0]
    positions = torch.cat([start + torch.arange(size) for start, size in zip(starts, sizes, strict=True)])
    mask = build_mask(node, ancestors[None], torch.arange(sum(sizes))[None])
    packed = decoder(ids, positions=positions[None], mask=mask)[0]
    parts = ids[0].split(sizes)
    outputs = packed.split(sizes)
    for branch in (1, 2):
        alone = decoder(torch.cat((parts[0], parts[branch]))[None])[0]
        torch.testing.assert_close(torch.cat((outputs[0], outputs[branch])), alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(outputs[3], decoder(parts[3][None])[0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_output_at_selects_rows_of_the_full_logits(decoder: Decoder) -> None:
    ids = torch.randint(0, CONFIG.vocab_size, (2, 7))
    full = decoder(ids)
    chosen = torch.rand(2, 7) < 0.5
    torch.testing.assert_close(decoder(ids, output_at=chosen), full[chosen])
    torch.testing.assert_close(decoder(ids, output_at=torch.tensor([0, 9])), full.flatten(0, 1)[[0, 9]])
    torch.testing.assert_close(decoder(ids, table=decoder.embedding.table()), full)
    torch.testing.assert_close(decoder.head(decoder.hidden(ids)), full)


def test_every_parameter_is_trained_and_bf16_stays_close(decoder: Decoder) -> None:
    ids = torch.arange(CONFIG.vocab_size)[None]
    exact = decoder(ids)
    with torch.autocast("cpu", torch.bfloat16):
        logits = decoder(ids)
    assert (logits.float() - exact).abs().mean() < 0.03 * exact.abs().mean()
    logits.float().square().mean().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_head_text_rows_start_from_the_embedding(decoder: Decoder) -> None:
    decoder.init_from_text_embedding()
    assert torch.equal(decoder.head.weight[:40], decoder.embedding.text)
    assert torch.equal(decoder.head.rows[:40], decoder.embedding.text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_text": 0}, "num_text: 0; expected at least 1"),
        ({"num_markers": -1}, "num_markers: -1; expected at least 0"),
        ({"num_kv_heads": 3}, "num_heads: 4; expected a multiple of num_kv_heads 3"),
        ({"head_dim": 7}, "head_dim: 7; expected an even width"),
    ],
)
def test_bad_sizes_are_refused_in_words(change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        dataclasses.replace(CONFIG, **change)


@torch.no_grad()
def test_ends_select_states(decoder: Decoder) -> None:
    ids = torch.randint(0, CONFIG.vocab_size, (3, 300), generator=torch.Generator().manual_seed(1))
    rows = torch.arange(3)
    for length in (1, 7, 300):
        ends = torch.tensor([length - 1, length // 2, 0])
        chunk = ids[:, :length]
        for mask in (None, torch.ones(length, length, dtype=torch.bool).tril().expand(3, 1, -1, -1)):
            expected = decoder.hidden(chunk, mask=mask)[rows, ends]
            found = decoder.hidden(chunk, mask=mask, ends=ends)
            torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-5)
    caches = [decoder.make_cache(3, 40) for _ in range(2)]
    for new, counts in ((9, [9, 4, 7]), (5, [1, 5, 3]), (6, [6, 6, 6])):
        chunk, ends = ids[:, :new], torch.tensor(counts) - 1
        found = decoder.hidden(chunk, cache=caches[0], ends=ends)
        expected = decoder.hidden(chunk, cache=caches[1])[rows, ends]
        torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-5)
        for cache in caches:
            cache.advance(counts)
