"""Three planes of features that a point of space is projected onto, and what paints them from tokens.

Plane 0 spans x and y, plane 1 x and z, plane 2 y and z, each over [-1, 1]^2. Knows no shapes.

Source: Chan et al. 2022 (EG3D), section 3.2; Hu et al. 2023 (Tri-MipRF), section 3.2, for the coarser copies.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.nn.places import DistanceFade

PLANES = ((0, 1), (0, 2), (1, 2))
"""The two axes of space that each plane spans; the first runs along its columns."""


class PlanePlaces(nn.Module):
    """Where the tokens of a triplane stand, and how their attention fades from there; has no weights.

    Args:
        side: tokens along each side of a plane; they are in raster order, plane after plane.
    """

    places: Float[Tensor, "token 3"]
    axes: Float[Tensor, "token 3"]
    """1 for the axes that a token's plane spans; along the others it stretches through all of space."""

    def __init__(self, side: int) -> None:
        super().__init__()
        middles = (torch.arange(side) + 0.5) / side * 2 - 1
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        places, axes = torch.zeros(3, side * side, 3), torch.zeros(3, side * side, 3)
        for plane, (across, down) in enumerate(PLANES):
            places[plane, :, across], places[plane, :, down] = columns.flatten(), rows.flatten()
            axes[plane, :, [across, down]] = 1
        self.register_buffer("places", places.flatten(0, 1), persistent=False)
        self.register_buffer("axes", axes.flatten(0, 1), persistent=False)

    def among(self, fade: DistanceFade) -> Float[Tensor, "head token token"]:
        """Return what is added to the scores of the tokens' attention to each other."""
        return fade(self.places, self.places, self.axes, self.axes)

    def towards(
        self, others: Float[Tensor, "*#batch other 3"], fade: DistanceFade
    ) -> Float[Tensor, "*batch head token other"]:
        """Return what is added to the scores of the tokens' attention to others, which stand at points of space."""
        return fade(self.places, others, self.axes)


class TriplanePainter(nn.Module):
    """Tokens to planes: each token paints a patch that overlaps its neighbours, which leaves no seams.

    A linear layer and additions, where convolutions would be slow on a CPU.

    Args:
        dim: width of a token.
        side: tokens along each side of a plane.
        patch_size: samples along each side of a token's own patch.
        channels: of a plane.
    """

    def __init__(self, dim: int, *, side: int, patch_size: int, channels: int) -> None:
        super().__init__()
        self.side, self.patch_size, self.channels = side, patch_size, channels
        self.overlap = patch_size // 4
        self.paint = nn.Linear(dim, channels * (patch_size + 2 * self.overlap) ** 2)

    def forward(self, tokens: Float[Tensor, "batch token dim"]) -> Float[Tensor, "batch 3 channel side side"]:
        """Return planes of `side * patch_size` samples along each side.

        Args:
            tokens: of plane 0, 1 and 2, each in raster order.
        """
        patches = self.paint(tokens).float().unflatten(1, (3, self.side**2)).flatten(0, 1).transpose(1, 2)
        planes = F.fold(
            patches,
            output_size=(self.side * self.patch_size,) * 2,
            kernel_size=self.patch_size + 2 * self.overlap,
            stride=self.patch_size,
            padding=self.overlap,
        )
        return planes.unflatten(0, (-1, 3))


class TriplaneReader(nn.Module):
    """The features of a point, from all planes at several resolutions, to numbers.

    Args:
        channels: of a plane.
        num_mips: resolutions: the planes' own, half of it, a quarter ...
        hidden_dim: width of the two hidden layers.
        out_dim: numbers that each point is given.
    """

    def __init__(self, *, channels: int, num_mips: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        self.num_mips = num_mips
        self.layers = nn.Sequential(
            nn.Linear(3 * num_mips * channels, hidden_dim),
            nn.SiLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.SiLU(),
            nn.Linear(hidden_dim, out_dim),
        )

    def forward(
        self, planes: Float[Tensor, "batch 3 channel side side"], points: Float[Tensor, "batch point 3"]
    ) -> Float[Tensor, "batch point out"]:
        """Return the numbers at each point of [-1, 1]^3."""
        features = []
        for mip in range(self.num_mips):
            coarse = F.avg_pool2d(planes.flatten(0, 1), 2**mip).unflatten(0, (-1, 3)) if mip else planes
            features.append(sample_triplanes(coarse, points))
        return self.layers(torch.cat(features, dim=-1)).float()


def sample_triplanes(
    planes: Float[Tensor, "batch 3 channel side side"], points: Float[Tensor, "batch point 3"]
) -> Float[Tensor, "batch point feature"]:
    """Return the features of each point: those of the three planes, interpolated linearly, one after the other."""
    places = torch.stack([points[..., list(axes)] for axes in PLANES], dim=1)
    found = F.grid_sample(
        planes.flatten(0, 1), places.flatten(0, 1)[:, :, None], padding_mode="border", align_corners=False
    )
    return found[..., 0].unflatten(0, (-1, 3)).permute(0, 3, 1, 2).flatten(2)
