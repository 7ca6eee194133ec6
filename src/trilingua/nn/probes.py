"""A linear probe that reads facts about a scene from feature vectors, as an auxiliary training loss.

The renderer knows for free what each cell of a picture shows. Asking features to tell it teaches them to
see long before a loss over tokens does. A probe is used in training; one of them drafts in decoding too.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.nn.sets import fourier_features


class DenseProbe(nn.Module):
    """One linear layer to the logits of several categories, to several real values and to waves over these.

    A value that features know as one number alone must be unfolded by whoever is to write it as one of many numbers.
    Asked for its sines and cosines too, features know it as numbers are embedded and written.

    Args:
        dim: width of the features.
        num_classes: number of classes of each category.
        num_values: how many real values are predicted.
        num_frequencies: of the waves over each value: 1, 2, 4, ...; 0 for none.
    """

    def __init__(self, dim: int, num_classes: Sequence[int], num_values: int, *, num_frequencies: int = 0) -> None:
        super().__init__()
        self.num_classes, self.num_values, self.num_frequencies = tuple(num_classes), num_values, num_frequencies
        self.output = nn.Linear(dim, sum(num_classes) + num_values * (1 + 2 * num_frequencies))
        # A probe that begins with opinions would first bend features that are good already to them.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def classes(self, features: Float[Tensor, "*cells dim"]) -> Int[Tensor, "*cells category"]:
        """Return the likeliest class of each category."""
        last = sum(self.num_classes)
        logits = nn.functional.linear(features, self.output.weight[:last], self.output.bias[:last])
        return torch.stack([category.argmax(-1) for category in logits.split(self.num_classes, -1)], -1)

    def values(self, features: Float[Tensor, "*cells dim"]) -> Float[Tensor, "*cells value"]:
        """Return the values that features tell."""
        first = sum(self.num_classes)
        told = slice(first, first + self.num_values)
        return nn.functional.linear(features, self.output.weight[told], self.output.bias[told]).float()

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
            The sum of each category's mean cross-entropy, of the values' mean absolute error and of their waves',
            each over what is known; and the metrics `class_accuracy` (of all categories at once, where every one is
            known) and `value_error` (mean, absolute). What is known nowhere counts 0.
        """
        truths = fourier_features(values, self.num_frequencies)
        *logits, predicted = self.output(features).float().split([*self.num_classes, truths.shape[-1]], dim=-1)
        total = features.new_zeros((), dtype=torch.float32)
        right = torch.ones_like(classes[..., 0], dtype=torch.bool)
        for index, category in enumerate(logits):
            truth = classes[..., index]
            # Summed and divided by hand: the mean over no cells at all would be NaN, and here it is 0.
            summed = F.cross_entropy(category.flatten(0, -2), truth.flatten().long(), ignore_index=-1, reduction="sum")
            total = total + summed / (truth >= 0).sum().clamp_min(1)
            right &= category.argmax(dim=-1) == truth
        errors = [
            (said - true)[~true.isnan()].abs().sum() / (~true.isnan()).sum().clamp_min(1)
            for said, true in zip(
                predicted.tensor_split((self.num_values,), -1), truths.tensor_split((self.num_values,), -1), strict=True
            )
        ]
        complete = (classes >= 0).all(dim=-1)
        metrics = {
            "class_accuracy": float(right[complete].float().mean()) if complete.any() else 0.0,
            "value_error": float(errors[0].detach()),
        }
        return total + errors[0] + errors[1], metrics
