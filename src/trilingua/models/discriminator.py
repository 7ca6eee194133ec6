"""A patch discriminator: tells of each region of a picture whether we or the renderer painted it.

Source: Isola et al. 2017 (PatchGAN); Esser et al. 2021 (VQGAN), section 3.1 (adaptive weight).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call


class PatchDiscriminator(nn.Module):
    """Three strided convolutions and a score for each region; small, since a CPU convolves slowly."""

    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        widths = (3, dim, 2 * dim, 4 * dim)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.GroupNorm(1, after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * dim, 1, 3, padding=1))

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 row column"]:
        """Return a score for each region: high for what looks rendered."""
        return self.layers(images * 2 - 1).float()

    def loss(
        self, painted: Float[Tensor, "batch 3 height width"], rendered: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, ""]:
        """Return the hinge loss of telling `rendered` from `painted`; no gradient reaches the painter."""
        return 0.5 * (F.relu(1 - self(rendered)).mean() + F.relu(1 + self(painted.detach())).mean())

    def painter_loss(self, painted: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, ""]:
        """Return the mean score of `painted`, negated; no gradient reaches the discriminator."""
        frozen = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return -functional_call(self, frozen, (painted,)).mean()


def adaptive_weight(
    reconstruction: Float[Tensor, ""], adversarial: Float[Tensor, ""], last_layer: Float[Tensor, "..."]
) -> Float[Tensor, ""]:
    """Return the weight at which both losses pull equally hard on the painter's last layer, at most 1e4."""
    (pull,) = torch.autograd.grad(reconstruction, last_layer, retain_graph=True)
    (push,) = torch.autograd.grad(adversarial, last_layer, retain_graph=True)
    return (pull.norm() / (push.norm() + 1e-4)).clamp(max=1e4).detach()
