"""Volumes are cut and put together without loss; blocks begin as the identity; levels have the sides they should."""

import pytest
import torch

from trilingua.nn.volumes import VolumeBlock, VolumeDecoder, VolumeEncoder, patches_to_volume, volume_to_patches


def test_patches_are_blocks_of_cells_and_are_put_together_again():
    volume = torch.randn(2, 6, 6, 6, 3)
    patches = volume_to_patches(volume, 2)
    assert patches.shape == (2, 3, 3, 3, 24)
    assert torch.equal(patches[1, 2, 0, 1], volume[1, 4:6, 0:2, 2:4].flatten())
    assert torch.equal(patches_to_volume(patches, 2), volume)
    assert torch.equal(volume_to_patches(volume, 1), volume)


def test_a_linear_layer_over_patches_is_a_convolution_of_that_stride():
    encoder = VolumeEncoder(3, [5], num_blocks=0, patch_size=2)
    weight = encoder.embed.weight.view(5, 2, 2, 2, 3).movedim(-1, 1)
    volume = torch.randn(2, 4, 4, 4, 3)
    wanted = torch.nn.functional.conv3d(volume.movedim(-1, 1), weight, encoder.embed.bias, stride=2)
    torch.testing.assert_close(encoder(volume), wanted, rtol=1e-4, atol=1e-5)


def test_a_block_begins_as_the_identity_and_a_cell_hears_of_others_by_convolutions_alone():
    block = VolumeBlock(8)
    x = torch.randn(1, 8, 7, 7, 7)
    assert torch.equal(block(x), x)
    torch.nn.init.normal_(block.second.weight)
    before = block(x)
    x[..., 6, 6, 6] = torch.randn(1, 8)
    changed = (block(x) != before).any(dim=1)[0]
    assert changed[4:, 4:, 4:].all()  # two convolutions reach two cells far
    changed[4:, 4:, 4:] = False
    assert not changed.any()


@pytest.mark.parametrize(("widths", "patch_size"), [((4, 6), 2), ((4,), 4), ((2, 4, 8), 1)])
def test_levels_halve_the_grid_and_the_decoder_leads_back(widths, patch_size):
    volume = torch.randn(2, 8, 8, 8, 3)
    features = VolumeEncoder(3, widths, num_blocks=1, patch_size=patch_size)(volume)
    side = 8 // patch_size // 2 ** (len(widths) - 1)
    assert features.shape == (2, widths[-1], side, side, side)
    assert VolumeDecoder(5, widths, num_blocks=1, patch_size=patch_size)(features).shape == (2, 8, 8, 8, 5)
