"""The loss over predicted tokens: weighted cross-entropy, with soft targets where ids lie on a line.

Source: Kyvo, section 3.2 (weights). Differs: normalised by the weight of the supervised tokens, where the
published code divides by the padded length; numbers may have soft targets over neighbouring bins.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def token_loss(
    logits: Float[Tensor, "selected vocab"],
    labels: Int[Tensor, " selected"],
    weights: Float[Tensor, " selected"],
    *,
    ordered_span: tuple[int, int] = (0, 0),
    sigma: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, " selected"]]:
    """Return the weighted mean of the tokens' losses, and each token's own.

    Args:
        logits: of the supervised positions.
        labels: the id that should follow each.
        weights: how much each counts, at least 0, not all 0.
        ordered_span: ids [start, stop) that stand for points on a line, in order: the numbers.
        sigma: width of a Gaussian over that line, in ids, that replaces a one-hot target; 0 for none.
    """
    logits = logits.float()
    losses = F.cross_entropy(logits, labels, reduction="none")
    start, stop = ordered_span
    if sigma > 0:
        on_line = ((labels >= start) & (labels < stop)).nonzero()[:, 0]
        log_probabilities = logits[on_line, start:stop] - logits[on_line].logsumexp(dim=-1, keepdim=True)
        distance = torch.arange(start, stop, device=labels.device) - labels[on_line, None]
        target = torch.softmax(-0.5 * (distance / sigma) ** 2, dim=-1)
        losses = losses.index_copy(0, on_line, -(target * log_probabilities).sum(dim=-1))
    return (losses * weights).sum() / weights.sum(), losses
