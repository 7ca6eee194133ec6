"""The guided head's loss against a sum over keys, and what it drives attention to."""

import math

import pytest
import torch

from trilingua.nn.guidance import guidance_loss


def slow_loss(queries: torch.Tensor, keys: torch.Tensor, allowed: torch.Tensor, wanted: torch.Tensor) -> list[float]:
    """Return the mean divergence and the mean share, query by query and key by key."""
    divergence = share = 0.0
    for query, visible, targets in zip(queries.tolist(), allowed.tolist(), wanted.tolist(), strict=True):
        powers = {
            index: math.exp(sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(len(query)))
            for index, key in enumerate(keys.tolist())
            if visible[index]
        }
        part = 1 / sum(targets)
        for index in (place for place, target in enumerate(targets) if target):
            attention = powers[index] / sum(powers.values())
            divergence += part * math.log(part / attention)
            share += attention
    return [divergence / len(queries), share / len(queries)]


def test_equals_a_sum_over_keys() -> None:
    torch.manual_seed(0)
    queries, keys = torch.randn(5, 4), torch.randn(7, 4)
    wanted = torch.rand(5, 7) < 0.4
    wanted[:, 0] |= ~wanted.any(1)
    allowed = wanted | (torch.rand(5, 7) < 0.5)
    loss, share = guidance_loss(queries, keys, allowed, *wanted.nonzero().T)
    assert [loss.item(), share.item()] == pytest.approx(slow_loss(queries, keys, allowed, wanted), rel=1e-5)
    assert loss > 0
    even, whole = guidance_loss(torch.zeros(5, 4), keys, wanted, *wanted.nonzero().T)
    assert [even.item(), whole.item()] == pytest.approx([0, 1], abs=1e-6)


def test_following_the_loss_moves_attention_there() -> None:
    torch.manual_seed(1)
    queries, keys = torch.randn(6, 8, requires_grad=True), torch.randn(9, 8)
    allowed = torch.ones(6, 9, dtype=torch.bool)
    wanted = torch.zeros_like(allowed)
    wanted[torch.arange(6), torch.arange(6)] = wanted[:3, 8] = True
    before = guidance_loss(queries, keys, allowed, *wanted.nonzero().T)[1]
    optimizer = torch.optim.Adam([queries], lr=0.3)
    for _ in range(100):
        optimizer.zero_grad()
        guidance_loss(queries, keys, allowed, *wanted.nonzero().T)[0].backward()
        optimizer.step()
    assert before < 0.5 < 0.95 < guidance_loss(queries, keys, allowed, *wanted.nonzero().T)[1]


def test_without_queries_it_counts_nothing_and_takes_part() -> None:
    queries = torch.zeros(0, 4, requires_grad=True)
    nothing = torch.zeros(0, 3, dtype=torch.bool)
    loss, share = guidance_loss(queries, torch.randn(3, 4), nothing, *nothing.nonzero().T)
    assert (loss.item(), share.item()) == (0, 0)
    loss.backward()
    assert queries.grad is not None
