"""The keys and values of what was already read, in memory that is allocated once.

Rows may have different lengths. A chunk of new tokens is written behind each row's length and stays
provisional until `advance` says how many of its tokens count; what lies beyond is overwritten later.
Knows nothing of tokens or of when to stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trilingua.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ChunkPlan:
    """Where a chunk of new tokens goes and what it sees; made once a forward pass, shared by all layers."""

    slots: Int[Tensor, "batch new"]
    """Slot of each new token, which is also its position if the caller knows none."""
    start: int | None
    """The first new slot if it is the same in all rows, else None."""
    visible: int
    """Slots that any row sees, old and new."""
    mask: Bool[Tensor, "batch 1 new visible"] | None
    """Which slots each new token sees; None if all do, or if the chunk is plainly causal."""
    is_causal: bool
    """The chunk starts an empty cache, so that plain causal attention among the new tokens is right."""


class KVCache:
    """Preallocated keys and values `[layers][batch, kv_heads, max_len, head_dim]`, with a length per row."""

    def __init__(
        self,
        *,
        num_layers: int,
        batch: int,
        num_kv_heads: int,
        max_len: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Args: max_len: most tokens that a row can hold; the others as in the model."""
        # One slot more than promised: the padding of a chunk that would pass the end lands there.
        shape = (num_layers, 2, batch, num_kv_heads, max_len + 1, head_dim)
        self.memory = torch.zeros(shape, dtype=dtype, device=device)
        self.max_len = max_len
        self.lengths: list[int] = [0] * batch

    @property
    def batch(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    def plan(self, new: int) -> ChunkPlan:
        """Plan the writing of `new` tokens a row: token i of row b goes to slot `lengths[b] + i`.

        Raises:
            ConfigError: no row could hold the chunk.
        """
        shortest, longest = min(self.lengths), max(self.lengths)
        if shortest + new > self.max_len:
            raise ConfigError(
                f"cache: {new} new tokens after {shortest} exceed max_len {self.max_len}; make the cache longer"
            )
        device = self.memory.device
        offsets = torch.arange(new, device=device)
        if shortest == longest:
            slots = (offsets + shortest).expand(self.batch, new)
            visible = shortest + new
            mask = None
            if shortest and new > 1:
                mask = (torch.arange(visible, device=device) <= slots[:1, :, None])[:, None]
                mask = mask.expand(self.batch, 1, new, visible)
            return ChunkPlan(
                slots=slots, start=shortest, visible=visible, mask=mask, is_causal=shortest == 0 and new > 1
            )
        slots = torch.tensor(self.lengths, device=device)[:, None] + offsets
        visible = min(longest + new, self.max_len)
        mask = (torch.arange(visible, device=device) <= slots[:, :, None])[:, None]
        return ChunkPlan(slots=slots.clamp(max=self.max_len), start=None, visible=visible, mask=mask, is_causal=False)

    def write(
        self,
        layer: int,
        keys: Float[Tensor, "batch kv_head new head_dim"],
        values: Float[Tensor, "batch kv_head new head_dim"],
        plan: ChunkPlan,
    ) -> tuple[Float[Tensor, "batch kv_head visible head_dim"], Float[Tensor, "batch kv_head visible head_dim"]]:
        """Write a chunk into one layer and return the keys and values of all visible slots."""
        all_keys, all_values = self.memory[layer].unbind(0)
        if plan.start is not None:
            all_keys[:, :, plan.start : plan.visible] = keys
            all_values[:, :, plan.start : plan.visible] = values
        else:
            rows = torch.arange(self.batch, device=keys.device)[:, None, None]
            heads = torch.arange(keys.shape[1], device=keys.device)[None, :, None]
            where = (rows, heads, plan.slots[:, None, :])
            all_keys.index_put_(where, keys.to(all_keys.dtype))
            all_values.index_put_(where, values.to(all_values.dtype))
        return all_keys[:, :, : plan.visible], all_values[:, :, : plan.visible]

    def advance(self, counts: Sequence[int] | int) -> None:
        """Keep the first `counts[b]` tokens of row b's last chunk; an int stands for all rows."""
        if isinstance(counts, int):
            counts = [counts] * self.batch
        assert len(counts) == self.batch
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]
        if max(self.lengths) > self.max_len:
            raise ConfigError(
                f"cache: a row of {max(self.lengths)} tokens exceeds max_len {self.max_len}; make it longer"
            )

    def select(self, rows: Sequence[int]) -> "KVCache":
        """Return a cache whose row i is a copy of row `rows[i]`; rows may be dropped, reordered or repeated."""
        chosen = object.__new__(KVCache)
        chosen.max_len = self.max_len
        chosen.lengths = [self.lengths[row] for row in rows]
        chosen.memory = self.memory.index_select(2, torch.tensor(rows, device=self.memory.device))
        return chosen
