"""Grouped-query self-attention, and a CPU path that skips the parts of a packed row's mask that are empty.

Knows masks as given; who may see whom is decided in `masks.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from trilingua.nn.caches import ChunkPlan, KVCache
from trilingua.nn.masks import additive_mask
from trilingua.nn.rope import rotate

_CHUNK = 128
"""Queries that share one key range on the CPU path."""


@dataclass(frozen=True, kw_only=True)
class AttentionPlan:
    """A mask in the form that the kernels like; made once a forward pass, shared by all layers."""

    mask: Tensor | None
    """`[batch 1 query key]`, boolean or additive; None if nothing is hidden or if plain causal."""
    is_causal: bool
    """Plain causal attention, without a mask."""
    ranges: Int[Tensor, "batch chunk 2"] | None
    """For each chunk of queries the first key that any of them sees, and the end; None: attend densely."""


def plan_attention(
    mask: Bool[Tensor, "batch 1 seq key"] | None, dtype: torch.dtype, *, is_causal: bool = False
) -> AttentionPlan:
    """Return the plan of `mask`; on CPU, long rows are attended chunk by chunk over the keys that each can see."""
    if mask is None:
        return AttentionPlan(mask=None, is_causal=is_causal, ranges=None)
    if mask.device.type != "cpu":
        return AttentionPlan(mask=mask, is_causal=False, ranges=None)
    ranges = _key_ranges(mask) if mask.shape[2] > _CHUNK else None
    return AttentionPlan(mask=additive_mask(mask, dtype), is_causal=False, ranges=ranges)


def plan_ends(plan: AttentionPlan, ends: Int[Tensor, " batch"], keys: int) -> AttentionPlan:
    """Return the plan of one query a row, the one at `ends`, over `keys` keys."""
    mask = plan.mask
    if mask is not None:
        mask = mask.expand(len(ends), -1, -1, -1)[torch.arange(len(ends), device=ends.device), :, ends][:, :, None]
    elif plan.is_causal:
        mask = (torch.arange(keys, device=ends.device) <= ends[:, None])[:, None, None]
    return AttentionPlan(mask=mask, is_causal=False, ranges=None)


def _key_ranges(mask: Bool[Tensor, "batch 1 seq key"]) -> Int[Tensor, "batch chunk 2"]:
    keys = mask.shape[3]
    seen = torch.stack([chunk.any(1) for chunk in mask[:, 0].split(_CHUNK, 1)], 1).to(torch.int8)
    first = seen.argmax(-1)
    end = keys - seen.flip(-1).argmax(-1)
    return torch.stack((first, end), -1)


def ranged_attention(
    query: Float[Tensor, "batch head seq dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key dim"],
    mask: Float[Tensor, "batch 1 seq key"],
    ranges: Int[Tensor, "batch chunk 2"],
) -> Float[Tensor, "batch head seq dim"]:
    """Return masked attention, computed for each chunk of queries over its own key range alone.

    Written out as matrix products in the inputs' type: in bfloat16 these are twice as fast as the CPU's fused
    kernel, which computes in float32.

    Args:
        query: queries.
        key: one for each query head.
        value: as `key`.
        mask: what is added to the scores; of the inputs' type.
        ranges: as `AttentionPlan.ranges`; every allowed pair must lie inside.
    """
    out: Tensor = _RangedAttention.apply(query, key, value, mask, ranges)
    return out


class _RangedAttention(torch.autograd.Function):
    """Keeps each chunk's probabilities for the backward pass, and adds up gradients of keys in place."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, ranges: Tensor
    ) -> Tensor:
        query, key, value = query * query.shape[-1] ** -0.5, key.contiguous(), value.contiguous()
        # Laid out token by token, so that joining the heads behind it is no copy.
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        probabilities = []
        for row, q, k in _chunks(ranges, query.shape[2]):
            hidden = mask[row, :, q, k].expand(query.shape[1], -1, -1)
            scores = torch.baddbmm(hidden, query[row, :, q], key[row, :, k].transpose(1, 2))
            probabilities.append(torch.softmax(scores, -1))
            out[row, :, q] = probabilities[-1] @ value[row, :, k]
        ctx.save_for_backward(query, key, value, ranges, *probabilities)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, ranges, *probabilities = ctx.saved_tensors
        grad = grad.contiguous()
        grad_query, grad_key, grad_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for (row, q, k), seen in zip(_chunks(ranges, query.shape[2]), probabilities, strict=True):
            grad_value[row, :, k] += seen.transpose(1, 2) @ grad[row, :, q]
            by_score = torch._softmax_backward_data(
                grad[row, :, q] @ value[row, :, k].transpose(1, 2), seen, -1, seen.dtype
            )
            grad_query[row, :, q] = by_score @ key[row, :, k]
            grad_key[row, :, k] += by_score.transpose(1, 2) @ query[row, :, q]
        return grad_query * query.shape[-1] ** -0.5, grad_key, grad_value, None, None


def _chunks(ranges: Tensor, seq: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield the row, queries and keys of each chunk."""
    for row, row_ranges in enumerate(ranges.tolist()):
        for chunk, (low, high) in enumerate(row_ranges):
            yield row, slice(chunk * _CHUNK, min((chunk + 1) * _CHUNK, seq)), slice(low, high)


class Attention(nn.Module):
    """Self-attention with `num_heads` query heads that share `num_kv_heads` key and value heads, and rotary positions.

    Queries, keys and values come from one matrix product, their rows in that order.
    """

    def __init__(self, *, dim: int, num_heads: int, num_kv_heads: int, head_dim: int) -> None:
        """Args: num_heads: a multiple of num_kv_heads; head_dim: channels of a head, even."""
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = num_heads, num_kv_heads, head_dim
        self.qkv = nn.Linear(dim, (num_heads + 2 * num_kv_heads) * head_dim, bias=False)
        self.output = nn.Linear(num_heads * head_dim, dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "batch seq dim"],
        rotation: tuple[Tensor, Tensor],
        plan: AttentionPlan,
        cache: tuple[KVCache, int, ChunkPlan] | None = None,
        ends: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch query dim"]:
        """Return the attention's output, to be added to its input.

        Args:
            x: normalised inputs.
            rotation: from `RotaryEmbedding`.
            plan: who sees whom.
            cache: the cache, this layer's index in it, and where the chunk goes.
            ends: the one place in each row whose output is wanted; None for all.
        """
        batch, seq, _ = x.shape
        heads = self.qkv(x).view(batch, seq, -1, self.head_dim)
        rotated, values = heads.split((self.num_heads + self.num_kv_heads, self.num_kv_heads), 2)
        queries, keys = rotate(rotated, *rotation).transpose(1, 2).split((self.num_heads, self.num_kv_heads), 1)
        values = values.transpose(1, 2)
        if cache is not None:
            memory, layer, chunk = cache
            keys, values = memory.write(layer, keys, values, chunk)
        if ends is not None:
            queries = queries[torch.arange(batch, device=ends.device), :, ends][:, :, None]
            plan = plan_ends(plan, ends, keys.shape[2])
        if plan.ranges is not None:
            assert plan.mask is not None
            groups = self.num_heads // self.num_kv_heads
            if groups > 1:
                keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
            out = ranged_attention(queries, keys, values, plan.mask, plan.ranges)
        else:
            out = functional.scaled_dot_product_attention(
                queries,
                keys,
                values,
                attn_mask=plan.mask,
                is_causal=plan.is_causal,
                enable_gqa=self.num_heads != self.num_kv_heads,
            )
        return self.output(out.transpose(1, 2).reshape(batch, queries.shape[2], -1))
