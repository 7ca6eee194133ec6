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


@pytest.mark.parametrize("seq", [65, 200])
def test_equals_dense_attention(seq: int) -> None:
    generator = torch.Generator().manual_seed(seq)
    mask = packed_mask(3, seq, generator)
    inputs = [torch.randn(3, seq, 2, 16, generator=generator).transpose(1, 2).requires_grad_() for _ in range(3)]
    grad = torch.randn(3, 2, seq, 16, generator=generator)
    plan = plan_attention(mask, torch.float32)
    assert plan.ranges is not None
    assert plan.mask is not None
    out, _ = ranged_attention(*inputs, plan.mask, plan.ranges)
    expected = functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    for ours, peer in zip(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        torch.testing.assert_close(ours, peer, rtol=1e-4, atol=1e-5)


def test_ranges_hold_every_allowed_pair_and_skip_the_rest() -> None:
    # Two documents of 100 tokens: the last chunk of each 64 queries starts at its own document.
    node = torch.arange(200).div(100, rounding_mode="floor")[None]
    mask = build_mask(node, torch.eye(2).bool()[None], torch.arange(200)[None])
    ranges = plan_attention(mask, torch.float32).ranges
    assert ranges is not None
    assert ranges.tolist() == [[[0, 64], [0, 128], [100, 192], [100, 200]]]


def test_bfloat16_inputs_are_computed_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = packed_mask(2, 150, generator)
    inputs = [torch.randn(2, 150, 2, 16, generator=generator).transpose(1, 2).bfloat16() for _ in range(3)]
    for tensor in inputs:
        tensor.requires_grad_()
    plan = plan_attention(mask, torch.bfloat16)
    assert plan.ranges is not None
    assert plan.mask is not None
    out, _ = ranged_attention(*inputs, plan.mask, plan.ranges)
    expected = functional.scaled_dot_product_attention(*(tensor.float() for tensor in inputs), attn_mask=mask)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected.bfloat16())
    out.float().square().sum().backward()
    assert all(tensor.grad is not None and tensor.grad.dtype == torch.bfloat16 for tensor in inputs)
