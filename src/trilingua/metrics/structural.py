"""The structural similarity of gray pictures, as a function with gradients.

Source: Wang et al. 2004, section III.B. Differs from `metrics.image`, which reports figures: square windows, all
in tensors, the true picture's data range, and only every `stride`-th window, so that training can afford it.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

WINDOW = 7
"""Height and width of a window in pixels."""


def compute_ssim(
    made: Float[Tensor, "batch height width"], truth: Float[Tensor, "batch height width"], *, stride: int = 2
) -> Float[Tensor, ""]:
    """Return the mean structural similarity, at most 1, of gray pictures with values in [0, 1].

    Args:
        made: the pictures that are judged.
        truth: what they should be.
        stride: pixels from one window to the next.
    """

    def mean(values: Float[Tensor, "batch height width"]) -> Float[Tensor, "batch rows columns"]:
        return F.avg_pool2d(values[:, None], WINDOW, stride)[:, 0]

    mean_made, mean_truth = mean(made), mean(truth)
    sample = WINDOW**2 / (WINDOW**2 - 1)  # unbiased, as in the figures
    variance_made = sample * (mean(made.square()) - mean_made.square())
    variance_truth = sample * (mean(truth.square()) - mean_truth.square())
    covariance = sample * (mean(made * truth) - mean_made * mean_truth)
    span = (truth.amax(dim=(1, 2)) - truth.amin(dim=(1, 2))).clamp_min(1e-2)[:, None, None]
    for_mean, for_variance = (0.01 * span) ** 2, (0.03 * span) ** 2
    luminance = (2 * mean_made * mean_truth + for_mean) / (mean_made.square() + mean_truth.square() + for_mean)
    structure = (2 * covariance + for_variance) / (variance_made + variance_truth + for_variance)
    return (luminance * structure).mean()
