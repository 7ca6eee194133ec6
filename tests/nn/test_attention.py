"""The chunked CPU attention against dense masked attention, forward and backward."""

import pytest
import torch
from torch.nn import functional

from trilingua.nn.attention import chunked_attention, plan_attention
from trilingua.nn.masks import build_mask


def packed_mask(batch: int, seq: int, generator: torch.Generator) -> torch.Tensor:
    """Random trees: node n hangs under an earlier node or starts a document."""
    nodes = 6
    ancestors = torch.eye(nodes).bool().repeat(batch, 1, 1)
    for row in ancestors:
        for node in range(1, nodes):
            parent = int(torch.randint(-1, node, (), generator=generator))
            if parent >= 0:
                row[node] |= row[parent]
    node = torch.randint(0, nodes, (batch, seq), generator=generator).sort(1).values
    return build_mask(node, ancestors, torch.arange(seq).expand(batch, seq))


@pytest.mark.parametrize("seq", [130, 300])
def test_equals_dense_attention(seq: int) -> None:
    generator = torch.Generator().manual_seed(seq)
    mask = packed_mask(3, seq, generator)
    inputs = [torch.randn(3, seq, 2, 16, generator=generator).transpose(1, 2).requires_grad_() for _ in range(3)]
    grad = torch.randn(3, 2, seq, 16, generator=generator)
    out = chunked_attention(*inputs, plan_attention(mask, torch.float32).chunks)
    expected = functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    for ours, peer in zip(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        torch.testing.assert_close(ours, peer, rtol=1e-4, atol=1e-5)


def test_a_chunk_holds_the_keys_that_it_sees_and_no_others() -> None:
    # A beginning of 100 tokens with two branches of 100 each, then another document of 100.
    node = torch.arange(400).div(100, rounding_mode="floor")[None]
    ancestors = torch.eye(4).bool()
    ancestors[1:3, 0] = True
    mask = build_mask(node, ancestors[None], torch.arange(400)[None])
    chunks = plan_attention(mask, torch.float32).chunks
    assert [(chunk.queries.start, chunk.queries.stop) for chunk in chunks] == [
        (0, 128),
        (128, 256),
        (256, 384),
        (384, 400),
    ]
    assert [[(run.start, run.stop) for run in chunk.keys] for chunk in chunks] == [
        [(0, 128)],
        [(0, 256)],
        [(0, 100), (200, 384)],
        [(300, 400)],
    ]
    for chunk in chunks:
        seen = torch.cat([torch.arange(run.start, run.stop) for run in chunk.keys])
        assert torch.equal(chunk.hidden == 0, mask[0, 0, chunk.queries][:, seen])
        assert mask[0, 0, chunk.queries].sum() == (chunk.hidden == 0).sum()


def test_bfloat16_stays_near_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = packed_mask(2, 150, generator)
    exact = [torch.randn(2, 150, 2, 16, generator=generator).transpose(1, 2) for _ in range(3)]
    inputs = [tensor.bfloat16().requires_grad_() for tensor in exact]
    out = chunked_attention(*inputs, plan_attention(mask, torch.bfloat16).chunks)
    reference = [tensor.detach().float().requires_grad_() for tensor in inputs]
    expected = functional.scaled_dot_product_attention(*reference, attn_mask=mask)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=0.02, atol=0.02)
    out.float().square().sum().backward()
    expected.square().sum().backward()
    for ours, peer in zip(inputs, reference, strict=True):
        assert ours.grad is not None
        assert ours.grad.dtype == torch.bfloat16
        assert (ours.grad.float() - peer.grad).norm() < 0.02 * peer.grad.norm()
