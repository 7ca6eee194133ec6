"""Who may attend to whom: the one mask builder for packed trees of segments written block by block.

A row packs any number of documents. A document is a tree of segments: a token sees the segments on
the path from its own up to the root, never a sibling and never another document, so one prompt can
carry several continuations. Inside that, a token sees blocks up to its own: blocks of one token give
the causal mask, blocks of one scale give the scale mask. Knows no task, no modality.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def build_mask(
    node: Int[Tensor, "batch seq"],
    ancestors: Bool[Tensor, "batch node node"],
    block: Int[Tensor, "batch seq"],
) -> Bool[Tensor, "batch 1 seq seq"]:
    """Return True where query (third axis) may attend to key (fourth axis).

    `allowed[q, k] = ancestors[node[q], node[k]] and block[k] <= block[q]`. Padding is a document of
    its own, so that every row of the mask allows something.

    Args:
        node: index of the segment that each token belongs to.
        ancestors: `ancestors[b, q, k]` is True iff segment k is segment q or an ancestor of it.
        block: index of each token's block; for blocks of one token, the token's place in the row.
    """
    seq = node.shape[1]
    nodes = ancestors.shape[1]
    by_query = ancestors.gather(1, node[:, :, None].expand(-1, -1, nodes))
    allowed = by_query.gather(2, node[:, None, :].expand(-1, seq, -1))
    return allowed.logical_and_(block[:, None, :] <= block[:, :, None])[:, None]


def additive_mask(allowed: Bool[Tensor, "*rows"], dtype: torch.dtype) -> Float[Tensor, "*rows"]:
    """Return 0 where allowed and minus infinity elsewhere, which is what the attention kernels add to the scores."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, float("-inf"))
