"""How much of a shape's inside comes back, from more and more scales of its code."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from trilingua.geometry.fields import Field, insideness
from trilingua.metrics.geometry import cross_scale_iou, near_surface_accuracy


def compare_insides(
    prefixes: Sequence[Field],
    places: Float[Tensor, "point 3"],
    distances: Float32[np.ndarray, " point"],
    *,
    num_uniform: int,
) -> dict[str, Any]:
    """Return `cross_scale_iou` at the uniform places and `near_accuracy` of the last field at all.

    What there are no places to judge by is left out.

    Args:
        prefixes: what more and more scales decode to.
        places: in the fields' frame, on their device; the uniform ones first.
        distances: of each from the true surface, negative inside.
        num_uniform: how many places are uniform.
    """
    inside = [(insideness(field, places) > 0).cpu().numpy() for field in prefixes]
    truth = distances < 0
    figures: dict[str, Any] = {}
    if num_uniform:
        figures |= cross_scale_iou([prefix[:num_uniform] for prefix in inside], truth[:num_uniform])
    if (near := near_surface_accuracy(inside[-1], truth, distances)) is not None:
        figures["near_accuracy"] = near
    return figures
