"""A linear probe that reads facts about a scene from feature vectors, as an auxiliary training loss.

The renderer knows for free what each cell of a picture shows. Asking features to tell it teaches them to
see long before a loss over tokens does. A probe is used in training alone and never shipped.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.nn.norms import RMSNorm


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


class PointerProbe(nn.Module):
    """Products of one state with several others, which tell which of these it points at.

    Args:
        dim: width of the features.
        width: of the products.
    """

    def __init__(self, dim: int, width: int = 64) -> None:
        super().__init__()
        self.norm = RMSNorm(dim)
        self.pointer = nn.Linear(dim, width)
        self.pointed = nn.Linear(dim, width)

    def loss(
        self,
        pointers: Float[Tensor, "text dim"],
        objects: Float[Tensor, "text object dim"],
        members: Int[Tensor, "text object"],
    ) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the probe's loss and how well it points.

        Args:
            pointers: the state that points, of each text.
            objects: the states of what it may point at.
            members: whether it should; -1 where that is unknown or there is no such object.

        Returns:
            The mean binary cross-entropy over what is known, 0 where nothing is; and the metric `set_accuracy`, the
            share of the texts of which every object is right.
        """
        asking, offered = self.pointer(self.norm(pointers)), self.pointed(self.norm(objects))
        logits = (offered @ asking[..., None])[..., 0].float() * asking.shape[-1] ** -0.5
        known, truth = members >= 0, members == 1
        losses = F.binary_cross_entropy_with_logits(logits, truth.float(), reduction="none") * known
        right = (((logits > 0) == truth) | ~known).all(dim=-1)[known.any(dim=-1)]
        total = losses.sum() / known.sum().clamp_min(1)
        return total, {"set_accuracy": float(right.float().mean()) if len(right) else 0.0}
