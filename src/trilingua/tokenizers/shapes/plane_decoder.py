"""Latents on three small planes to three large ones, from which any place is told its logit and its colour.

Source: Chen et al. 2025 (SAR3D), section 4.1; Lan et al. 2024 (LN3Diff), section 3.1, for attention by turns within
each plane and across all three.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.nn.patches import HEAD_DIM, PatchBlock
from trilingua.nn.places import DistanceFade
from trilingua.nn.triplanes import PlanePlaces, TriplanePainter, TriplaneReader


class PlaneDecoder(nn.Module):
    """A transformer over the planes' cells, each of which paints a patch; points read the planes at several sizes.

    Args:
        code_dim: width of a latent.
        dim: width of the transformer.
        num_layers: blocks; the first, third ... attend within each plane, the others across all.
        side: latents along each side of a plane.
        patch_size: samples along each side of what a latent paints.
        channels: of a plane.
        num_mips: resolutions that are read, each half of the one before.
        hidden_dim: width of the layers that read a point's features.
        placed: whether attention fades with the distance between cells.

    Differs: SAR3D's latents modulate a stream that begins as positions, here they are the stream; its planes come from
    a convolutional upsampler, and points read them at one size.
    """

    def __init__(
        self,
        code_dim: int,
        dim: int,
        *,
        num_layers: int,
        side: int,
        patch_size: int,
        channels: int,
        num_mips: int,
        hidden_dim: int,
        placed: bool,
    ) -> None:
        super().__init__()
        self.placed = placed
        if placed:
            self.planes = PlanePlaces(side)
            self.fade = DistanceFade(dim // HEAD_DIM)
        self.unproject = nn.Linear(code_dim, dim)
        self.position = nn.Parameter(torch.randn(3 * side * side, dim) * 0.02)
        self.blocks = nn.ModuleList(PatchBlock(dim, dim // HEAD_DIM, 4 * dim) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        self.painter = TriplanePainter(dim, side=side, patch_size=patch_size, channels=channels)
        self.reader = TriplaneReader(channels=channels, num_mips=num_mips, hidden_dim=hidden_dim, out_dim=4)

    def forward(
        self, latents: Float[Tensor, "batch 3 rows columns code_dim"]
    ) -> Float[Tensor, "batch 3 channel side side"]:
        """Return the planes of each object."""
        x = self.unproject(latents.flatten(1, 3)) + self.position
        across = within = None
        if self.placed:
            across = self.planes.among(self.fade)
            cells = len(self.planes.places) // 3
            within = across[:, :cells, :cells]  # the same on each plane
        for index, block in enumerate(self.blocks):
            if index % 2:
                x = block(x, across)
            else:
                x = block(x.unflatten(1, (3, -1)).flatten(0, 1), within).unflatten(0, (-1, 3)).flatten(1, 2)
        return self.painter(self.norm(x))

    def read(
        self, planes: Float[Tensor, "batch 3 channel side side"], points: Float[Tensor, "batch point 3"]
    ) -> tuple[Float[Tensor, "batch point"], Float[Tensor, "batch point 3"]]:
        """Return the logit of being inside and sRGB in [0, 1] of each object's points."""
        found = self.reader(planes, points)
        return found[..., 0], found[..., 1:].sigmoid()

    def logits(
        self, planes: Float[Tensor, "batch 3 channel side side"], points: Float[Tensor, "batch point 3"]
    ) -> Float[Tensor, "batch point"]:
        """Return the logit of being inside of each object's points."""
        return self.read(planes, points)[0]

    def colors(
        self, planes: Float[Tensor, "batch 3 channel side side"], points: Float[Tensor, "batch point 3"]
    ) -> Float[Tensor, "batch point 3"]:
        """Return the colour of each object's points, as pictures show it: with the light in it."""
        return self.read(planes, points)[1]
