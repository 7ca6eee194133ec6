"""Grouped-query self-attention, and a CPU path that skips the parts of a packed row's mask that are empty.

Knows masks as given; who may see whom is decided in `masks.py`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from trilingua.nn.caches import ChunkPlan, KVCache
from trilingua.nn.masks import additive_mask
from trilingua.nn.rope import rotate

_CHUNK = 64
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
    if mask.shape[2] > _CHUNK:
        return AttentionPlan(mask=additive_mask(mask, torch.float32), is_causal=False, ranges=_key_ranges(mask))
    return AttentionPlan(mask=additive_mask(mask, dtype), is_causal=False, ranges=None)


def _key_ranges(mask: Bool[Tensor, "batch 1 seq key"]) -> Int[Tensor, "batch chunk 2"]:
    keys = mask.shape[3]
    seen = torch.stack([chunk.any(1) for chunk in mask[:, 0].split(_CHUNK, 1)], 1).to(torch.int8)
    first = seen.argmax(-1)
    end = keys - seen.flip(-1).argmax(-1)
    return torch.stack((first, end), -1)


@torch.library.custom_op("trilingua::ranged_attention", mutates_args=())
def ranged_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, ranges: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of each chunk of queries over its own key range: equals masked attention, and skips what is hidden.

    Computes in float32 whatever the inputs' type: on such small products the CPU's bfloat16 kernels are slower.

    Args:
        query: `[batch head seq head_dim]`.
        key: as `query`.
        value: as `query`.
        mask: additive, `[batch 1 seq seq]`, float32.
        ranges: as `AttentionPlan.ranges`; every allowed pair must lie inside.

    Returns:
        The output, shaped, laid out and typed like `query`, and the log of the softmax's denominators.
    """
    batch, heads, seq, dim = query.shape
    dtype, query, key, value = query.dtype, query.float(), key.float(), value.float()
    out = query.new_empty(batch, seq, heads, dim).transpose(1, 2)
    log_sums = query.new_empty(batch, seq, heads, dtype=torch.float32).transpose(1, 2)
    for row, row_ranges in enumerate(ranges.tolist()):
        for chunk, (low, high) in enumerate(row_ranges):
            q = slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)
            part, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query[row : row + 1, :, q],
                key[row : row + 1, :, low:high],
                value[row : row + 1, :, low:high],
                attn_mask=mask[row : row + 1, :, q, low:high],
            )
            out[row, :, q] = part[0]
            log_sums[row, :, q] = log_sum[0]
    return out.to(dtype), log_sums


@ranged_attention.register_fake
def _(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, ranges: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    batch, heads, seq, dim = query.shape
    out = query.new_empty(batch, seq, heads, dim).transpose(1, 2)
    return out, query.new_empty(batch, seq, heads, dtype=torch.float32).transpose(1, 2)


@torch.library.custom_op("trilingua::ranged_attention_backward", mutates_args=())
def _ranged_attention_backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sums: torch.Tensor,
    mask: torch.Tensor,
    ranges: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    dtype, grad, out = query.dtype, grad.float(), out.float()
    query, key, value = query.float(), key.float(), value.float()
    grad_query = torch.empty_like(query)
    grad_key, grad_value = torch.zeros_like(key), torch.zeros_like(value)
    for row, row_ranges in enumerate(ranges.tolist()):
        one = slice(row, row + 1)
        for chunk, (low, high) in enumerate(row_ranges):
            q = slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)
            parts = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                grad[one, :, q],
                query[one, :, q],
                key[one, :, low:high],
                value[one, :, low:high],
                out[one, :, q],
                log_sums[one, :, q],
                0.0,
                False,
                attn_mask=mask[one, :, q, low:high],
            )
            grad_query[one, :, q] = parts[0]
            grad_key[one, :, low:high] += parts[1]
            grad_value[one, :, low:high] += parts[2]
    return grad_query.to(dtype), grad_key.to(dtype), grad_value.to(dtype)


@_ranged_attention_backward.register_fake
def _(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sums: torch.Tensor,
    mask: torch.Tensor,
    ranges: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]  # the context's type is private to torch
    query, key, value, mask, ranges = inputs
    ctx.save_for_backward(query, key, value, *output, mask, ranges)


def _backward(ctx, grad, _):  # type: ignore[no-untyped-def]
    return *_ranged_attention_backward(grad, *ctx.saved_tensors), None, None


ranged_attention.register_autograd(_backward, setup_context=_save)


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
    ) -> Float[Tensor, "batch seq dim"]:
        """Return the attention's output, to be added to its input.

        Args:
            x: normalised inputs.
            rotation: from `RotaryEmbedding`.
            plan: who sees whom.
            cache: the cache, this layer's index in it, and where the chunk goes.
        """
        batch, seq, _ = x.shape
        heads = self.qkv(x).view(batch, seq, -1, self.head_dim)
        rotated, values = heads.split((self.num_heads + self.num_kv_heads, self.num_kv_heads), 2)
        queries, keys = rotate(rotated, *rotation).transpose(1, 2).split((self.num_heads, self.num_kv_heads), 1)
        values = values.transpose(1, 2)
        if cache is not None:
            memory, layer, chunk = cache
            keys, values = memory.write(layer, keys, values, chunk)
        if plan.ranges is not None:
            assert plan.mask is not None
            groups = self.num_heads // self.num_kv_heads
            if groups > 1:
                keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
            out, _ = ranged_attention(queries, keys, values, plan.mask, plan.ranges)
        else:
            out = functional.scaled_dot_product_attention(
                queries,
                keys,
                values,
                attn_mask=plan.mask,
                is_causal=plan.is_causal,
                enable_gqa=self.num_heads != self.num_kv_heads,
            )
        return self.output(out.transpose(1, 2).reshape(batch, seq, -1))
