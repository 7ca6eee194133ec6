"""An attention head that is told where to look, as an auxiliary training loss.

What a token must look up in what came before it is often known. A head learns to look there from the loss over
the tokens too, but only once the whole path behind it works, which may be never; told, it learns it in a hundred
steps, and the layers behind it then have something to read.

Source: Strubell et al. 2018 (LISA), section 3.2, where a head attends to a word's syntactic parent.
Differs: a token may have several targets, or none and then looks at itself.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def guidance_loss(
    queries: Float[Tensor, "query dim"],
    keys: Float[Tensor, "key dim"],
    allowed: Bool[Tensor, "query key"],
    owners: Int[Tensor, " target"],
    targets: Int[Tensor, " target"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return how far a head's attention is from what is wanted, and how much of it is there.

    Args:
        queries: of the tokens that are told where to look, as they enter the head's products.
        keys: as `queries`, of all that they might look at.
        allowed: which keys each query sees.
        owners: index of the query that each target belongs to; every query has one at least.
        targets: index of a key that its owner sees and should look at, each no more than once, in equal parts.

    Returns:
        The Kullback-Leibler divergence of the attention from equal parts, in nats, and the share of the attention
        that is on targets; both are means over queries, 0 where there are none.
    """
    if not len(queries):
        return (zero := queries.sum() * 0.0), zero.detach()
    scores = (queries @ keys.T).float() * queries.shape[-1] ** -0.5
    whole = scores.masked_fill(~allowed, float("-inf")).logsumexp(-1)
    found = scores[owners, targets] - whole[owners]
    count = torch.bincount(owners, minlength=len(queries))
    divergence = -(found / count[owners]).sum() - count.log().sum()
    return divergence / len(queries), found.detach().exp().sum() / len(queries)
