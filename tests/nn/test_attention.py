"""The chunked CPU attention against dense masked attention, forward and backward."""

import pytest
import torch
from torch.nn import functional

from trilingua.nn.attention import plan_attention, ranged_attention
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
    plan = plan_attention(mask, torch.float32)
    assert plan.ranges is not None
    assert plan.mask is not None
    out = ranged_attention(*inputs, plan.mask, plan.ranges)
    expected = functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    for ours, peer in zip(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        torch.testing.assert_close(ours, peer, rtol=1e-4, atol=1e-5)


def test_ranges_hold_every_allowed_pair_and_skip_the_rest() -> None:
    # Two documents of 200 tokens: the last chunks of 128 queries each start at their own document.
    node = torch.arange(400).div(200, rounding_mode="floor")[None]
    mask = build_mask(node, torch.eye(2).bool()[None], torch.arange(400)[None])
    ranges = plan_attention(mask, torch.float32).ranges
    assert ranges is not None
    assert ranges.tolist() == [[[0, 128], [0, 256], [200, 384], [200, 400]]]


def test_bfloat16_stays_near_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = packed_mask(2, 150, generator)
    exact = [torch.randn(2, 150, 2, 16, generator=generator).transpose(1, 2) for _ in range(3)]
    inputs = [tensor.bfloat16().requires_grad_() for tensor in exact]
    plan = plan_attention(mask, torch.bfloat16)
    assert plan.ranges is not None
    assert plan.mask is not None
    out = ranged_attention(*inputs, plan.mask, plan.ranges)
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
