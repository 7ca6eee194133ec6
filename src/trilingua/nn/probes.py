"""A linear probe that reads facts about a scene from feature vectors, as an auxiliary training loss.

The renderer knows for free what each cell of a picture shows. Asking features to tell it teaches them to
see long before a loss over tokens does. A probe is used in training alone and never shipped.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class DenseProbe(nn.Module):
    """One linear layer to the logits of several categories and to several real values.

    Args:
        dim: width of the features.
        num_classes: number of classes of each category.
        num_values: how many real values are predicted.
    """

    def __init__(self, dim: int, num_classes: Sequence[int], num_values: int) -> None:
        super().__init__()
        self.num_classes = tuple(num_classes)
        self.output = nn.Linear(dim, sum(num_classes) + num_values)

    def loss(
        self,
        features: Float[Tensor, "*cells dim"],
        classes: Int[Tensor, "*cells category"],
        values: Float[Tensor, "*cells value"],
    ) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the probe's loss and how well it reads.

        Args:
            features: what is probed.
            classes: the true class of each category; -1 where there is none.
            values: the true values; NaN where there are none.

        Returns:
            The sum of each category's mean cross-entropy and of the values' mean absolute error, each over
            what is known; and the metrics `class_accuracy` (of all categories at once, where every one is
            known) and `value_error` (mean, absolute). What is known nowhere counts 0.
        """
        *logits, predicted = self.output(features).float().split([*self.num_classes, values.shape[-1]], dim=-1)
        total = features.new_zeros((), dtype=torch.float32)
        right = torch.ones_like(classes[..., 0], dtype=torch.bool)
        for index, category in enumerate(logits):
            truth = classes[..., index]
            # Summed and divided by hand: the mean over no cells at all would be NaN, and here it is 0.
            summed = F.cross_entropy(category.flatten(0, -2), truth.flatten().long(), ignore_index=-1, reduction="sum")
            total = total + summed / (truth >= 0).sum().clamp_min(1)
            right &= category.argmax(dim=-1) == truth
        known = ~values.isnan()
        error = (predicted[known] - values[known]).abs().mean() if known.any() else total.new_zeros(())
        complete = (classes >= 0).all(dim=-1)
        metrics = {
            "class_accuracy": float(right[complete].float().mean()) if complete.any() else 0.0,
            "value_error": float(error.detach()),
        }
        return total + error, metrics
