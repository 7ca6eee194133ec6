"""An attention head that is told where to look, as an auxiliary training loss.

What a token must look up in what came before it is often known. A head learns to look there from the loss over
the tokens too, but only once the whole path behind it works, which may be never; told, it learns it in a hundred
steps, and the layers behind it then have something to read.

Source: Strubell et al. 2018 (LISA), section 3.2, where a head attends to a word's syntactic parent.
Differs: a token may have several targets, or none and then looks at itself.
"""

from jaxtyping import Bool, Float
from torch import Tensor


def guidance_loss(
    queries: Float[Tensor, "query dim"],
    keys: Float[Tensor, "key dim"],
    allowed: Bool[Tensor, "query key"],
    wanted: Bool[Tensor, "query key"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return how far a head's attention is from what is wanted, and how much of it is there.

    Args:
        queries: of the tokens that are told where to look, as they enter the head's products.
        keys: as `queries`, of all that they might look at.
        allowed: which keys each query sees.
        wanted: which of these it should look at, in equal parts; at least one each.

    Returns:
        The Kullback-Leibler divergence of the attention from equal parts, in nats, and the share of the attention
        that is on wanted keys; both are means over queries, 0 where there are none.
    """
    if not len(queries):
        return (zero := queries.sum() * 0.0), zero.detach()
    scores = (queries @ keys.T).float() * queries.shape[-1] ** -0.5
    weights = scores.masked_fill(~allowed, float("-inf")).log_softmax(-1)
    on_wanted = weights.masked_fill(~wanted, 0.0).sum(-1)
    count = wanted.sum(-1)
    share = weights.detach().exp().masked_fill(~wanted, 0.0).sum(-1)
    return -(on_wanted / count + count.log()).mean(), share.mean()
