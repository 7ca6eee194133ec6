"""Grouped-query self-attention, and a CPU path that skips the parts of a packed row's mask that are empty.

Knows masks as given; who may see whom is decided in `masks.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from trilingua.nn.caches import ChunkPlan, KVCache
from trilingua.nn.masks import additive_mask
from trilingua.nn.rope import rotate

_CHUNK = 128
"""Queries that share their keys on the CPU path."""


class Chunk(NamedTuple):
    """Queries of one row and the keys that any of them sees."""

    row: int
    queries: slice
    keys: tuple[slice, ...]
    """The `seen` keys, run by run."""
    hidden: Float[Tensor, "query seen"]
    """What is added to the scores: nothing, or minus infinity where the query does not see the key."""


@dataclass(frozen=True, kw_only=True)
class AttentionPlan:
    """A mask in the form that the kernels like; made once a forward pass, shared by all layers."""

    mask: Tensor | None
    """`[batch 1 query key]`, boolean or additive; None if nothing is hidden or if plain causal."""
    is_causal: bool
    """Plain causal attention, without a mask."""
    chunks: tuple[Chunk, ...]
    """All queries, row by row; none: attend densely."""


def plan_attention(
    mask: Bool[Tensor, "batch 1 seq key"] | None, dtype: torch.dtype, *, is_causal: bool = False
) -> AttentionPlan:
    """Return the plan of `mask`; on CPU, long rows are attended chunk by chunk over the keys that each can see."""
    if mask is None:
        return AttentionPlan(mask=None, is_causal=is_causal, chunks=())
    if mask.device.type != "cpu":
        return AttentionPlan(mask=mask, is_causal=False, chunks=())
    if mask.shape[2] <= _CHUNK:
        return AttentionPlan(mask=additive_mask(mask, dtype), is_causal=False, chunks=())
    return AttentionPlan(mask=mask, is_causal=False, chunks=tuple(_chunks(mask, dtype)))


def plan_ends(plan: AttentionPlan, ends: Int[Tensor, " batch"], keys: int) -> AttentionPlan:
    """Return the plan of one query a row, the one at `ends`, over `keys` keys."""
    mask = plan.mask
    if mask is not None:
        mask = mask.expand(len(ends), -1, -1, -1)[torch.arange(len(ends), device=ends.device), :, ends][:, :, None]
    elif plan.is_causal:
        mask = (torch.arange(keys, device=ends.device) <= ends[:, None])[:, None, None]
    return AttentionPlan(mask=mask, is_causal=False, chunks=())


def _chunks(mask: Bool[Tensor, "batch 1 seq key"], dtype: torch.dtype) -> Iterator[Chunk]:
    for row, allowed in enumerate(mask[:, 0]):
        for start in range(0, len(allowed), _CHUNK):
            queries = slice(start, min(start + _CHUNK, len(allowed)))
            seen = allowed[queries].any(0)
            edges = torch.diff(functional.pad(seen.to(torch.int8), (1, 1))).nonzero()[:, 0].tolist()
            keys = tuple(map(slice, edges[::2], edges[1::2]))
            yield Chunk(row, queries, keys, additive_mask(allowed[queries][:, seen], dtype))


def chunked_attention(
    query: Float[Tensor, "batch head seq dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key dim"],
    chunks: tuple[Chunk, ...],
) -> Float[Tensor, "batch head seq dim"]:
    """Return masked attention, computed for each chunk of queries over the keys that it sees alone.

    In a packed tree these are the beginning and a branch or two, side by side nowhere else. Written out as matrix
    products in the inputs' type: in bfloat16 these are twice as fast as the CPU's fused kernel, which computes in
    float32.

    Args:
        query: queries.
        key: one for each query head.
        value: as `key`.
        chunks: hold every query once, and what is hidden in the inputs' type.
    """
    out: Tensor = _ChunkedAttention.apply(query, key, value, chunks)
    return out


class _ChunkedAttention(torch.autograd.Function):
    """Keeps each chunk's probabilities for the backward pass, and adds up gradients of keys in place."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, chunks: tuple[Chunk, ...]
    ) -> Tensor:
        query, key, value = query * query.shape[-1] ** -0.5, key.contiguous(), value.contiguous()
        # Laid out token by token, so that joining the heads behind it is no copy.
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        probabilities = []
        for row, queries, keys, hidden in chunks:
            scores = torch.baddbmm(hidden[None], query[row, :, queries], _pick(key[row], keys).transpose(1, 2))
            probabilities.append(scores.softmax(-1))
            out[row, :, queries] = probabilities[-1] @ _pick(value[row], keys)
        ctx.save_for_backward(query, key, value, *probabilities)
        ctx.chunks = chunks
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, *probabilities = ctx.saved_tensors
        grad = grad.contiguous()
        grad_query, grad_key, grad_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for (row, queries, keys, _), seen in zip(ctx.chunks, probabilities, strict=True):
            wanted = grad[row, :, queries]
            _add(grad_value[row], keys, seen.transpose(1, 2) @ wanted)
            by_seen = wanted @ _pick(value[row], keys).transpose(1, 2)
            by_score = torch._softmax_backward_data(by_seen, seen, -1, seen.dtype)
            grad_query[row, :, queries] = by_score @ _pick(key[row], keys)
            _add(grad_key[row], keys, by_score.transpose(1, 2) @ query[row, :, queries])
        return grad_query * query.shape[-1] ** -0.5, grad_key, grad_value, None


def _pick(tokens: Float[Tensor, "head key dim"], runs: tuple[slice, ...]) -> Float[Tensor, "head seen dim"]:
    return tokens[:, runs[0]] if len(runs) == 1 else torch.cat([tokens[:, run] for run in runs], 1)


def _add(sums: Float[Tensor, "head key dim"], runs: tuple[slice, ...], terms: Float[Tensor, "head seen dim"]) -> None:
    """Add terms where `_pick` has taken them from."""
    first = 0
    for run in runs:
        last = first + run.stop - run.start
        sums[:, run] += terms[:, first:last]
        first = last


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
        if plan.chunks:
            groups = self.num_heads // self.num_kv_heads
            if groups > 1:
                keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
            out = chunked_attention(queries, keys, values, plan.chunks)
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
