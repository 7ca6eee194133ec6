"""Convolutions over volumes of features: residual blocks, and ways to coarser grids and back to finer ones.

The first and the last layer may take and paint whole blocks of cells at once, which is a linear layer over patches. On
the finest grid of 64 x 64 x 64 a convolution would cost 64 times what it costs on one of 16 x 16 x 16. Knows no shapes.

Source: Ronneberger et al. 2015 (U-Net), without its connections across; He et al. 2016 (residual blocks);
Dosovitskiy et al. 2021 (patches).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class VolumeBlock(nn.Module):
    """Twice norm, SiLU and a convolution of 3 x 3 x 3 cells, added to the input; at first the block changes nothing.

    The norm is over the channels of each cell. One over the whole volume would tell every cell how much is empty.

    Args:
        dim: channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first_norm = nn.LayerNorm(dim)
        self.first = nn.Conv3d(dim, dim, 3, padding=1)
        self.second_norm = nn.LayerNorm(dim)
        self.second = nn.Conv3d(dim, dim, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "batch channel x y z"]) -> Float[Tensor, "batch channel x y z"]:
        """Return the block's output, of the input's shape."""
        made = self.first(F.silu(_by_cell(self.first_norm, x)))
        return x + self.second(F.silu(_by_cell(self.second_norm, made)))


class VolumeEncoder(nn.Module):
    """Patches to the first width, then blocks at each width and half of the cells along each axis between them.

    Args:
        channels: of the input.
        widths: channels of each level, the finest first.
        num_blocks: at each level.
        patch_size: cells along each axis that the first layer takes together.
    """

    def __init__(self, channels: int, widths: Sequence[int], *, num_blocks: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.embed = nn.Linear(channels * patch_size**3, widths[0])
        self.levels = nn.ModuleList(_blocks(width, num_blocks) for width in widths)
        self.down = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))

    def forward(self, volume: Float[Tensor, "batch x y z channel"]) -> Float[Tensor, "batch dim cx cy cz"]:
        """Return the features on the coarsest grid."""
        x = self.levels[0](self.embed(volume_to_patches(volume, self.patch_size)).movedim(-1, 1))
        for down, blocks in zip(self.down, list(self.levels)[1:], strict=True):
            x = blocks(down(x))
        return x


class VolumeDecoder(nn.Module):
    """The encoder's mirror: from the coarsest grid to the finest, without looking across at the encoder.

    Args:
        channels: of the output.
        widths: channels of each level, the finest first.
        num_blocks: at each level.
        patch_size: cells along each axis that the last layer paints together.
    """

    def __init__(self, channels: int, widths: Sequence[int], *, num_blocks: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.levels = nn.ModuleList(_blocks(width, num_blocks) for width in reversed(widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(coarse, fine, 2, stride=2) for fine, coarse in reversed(list(pairwise(widths)))
        )
        self.norm = nn.LayerNorm(widths[0])
        self.head = nn.Linear(widths[0], channels * patch_size**3)

    def forward(self, x: Float[Tensor, "batch dim cx cy cz"]) -> Float[Tensor, "batch x y z channel"]:
        """Return the output on the finest grid."""
        x = self.levels[0](x)
        for up, blocks in zip(self.up, list(self.levels)[1:], strict=True):
            x = blocks(up(x))
        return patches_to_volume(self.head(F.silu(self.norm(x.movedim(1, -1)))), self.patch_size)


def volume_to_patches(
    volume: Float[Tensor, "batch x y z channel"], patch_size: int
) -> Float[Tensor, "batch cx cy cz patch"]:
    """Cut a volume into blocks of cells, each flattened as (x, y, z, channel).

    Args:
        volume: its sides are multiples of `patch_size`.
        patch_size: cells along each axis of a block.
    """
    cut = volume.unflatten(3, (-1, patch_size)).unflatten(2, (-1, patch_size)).unflatten(1, (-1, patch_size))
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)


def patches_to_volume(
    patches: Float[Tensor, "batch cx cy cz patch"], patch_size: int
) -> Float[Tensor, "batch x y z channel"]:
    """Put blocks of cells together: the inverse of `volume_to_patches`."""
    cut = patches.unflatten(4, (patch_size, patch_size, patch_size, -1))
    return cut.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)


def _blocks(dim: int, number: int) -> nn.Sequential:
    return nn.Sequential(*(VolumeBlock(dim) for _ in range(number)))


def _by_cell(norm: nn.Module, x: Float[Tensor, "batch channel x y z"]) -> Float[Tensor, "batch channel x y z"]:
    normed: Tensor = norm(x.movedim(1, -1)).movedim(-1, 1)
    return normed
