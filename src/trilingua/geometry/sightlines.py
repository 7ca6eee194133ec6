"""Lines of sight on tensors: where what a camera sees at some place of its picture stands, if its height is known.

Frames as in `cameras.py`; the camera looks at the world's origin and keeps the horizon level, so that where it stands
says all.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_FLATTEST = -0.2
"""Metres that a line of sight falls at least on each metre of depth: what lies at the horizon is taken to be near."""


def meet_heights(
    cameras: Float[Tensor, "*#batch 3"], slopes: Float[Tensor, "*#batch 2"], heights: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch 2"]:
    """Return x and y in metres of where lines of sight reach heights.

    Args:
        cameras: where each camera stands, in metres; not above the origin.
        slopes: of each line: metres to the right and up on each metre of depth, which is the distance from the
            picture's middle over the focal length.
        heights: in metres, below the camera.
    """
    backward = F.normalize(cameras, dim=-1)
    right = F.normalize(
        torch.stack([-backward[..., 1], backward[..., 0], torch.zeros_like(backward[..., 0])], -1), dim=-1
    )
    up = torch.linalg.cross(backward, right)
    lines = slopes[..., :1] * right + slopes[..., 1:] * up - backward
    depths = (heights - cameras[..., 2]) / lines[..., 2].clamp(max=_FLATTEST)
    return cameras[..., :2] + depths[..., None] * lines[..., :2]
