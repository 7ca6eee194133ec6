"""Patches: cutting against slow loops, attention against the library's own."""

import pytest
import torch

from trilingua.nn.patches import PatchBlock, PatchTransformer, PatchWindows, images_to_patches


def test_patches_are_cut_in_raster_order():
    images = torch.randn(2, 3, 6, 4)
    patches = images_to_patches(images, 2)
    assert patches.shape == (2, 6, 12)
    for index in range(6):
        row, column = divmod(index, 2)
        for y in range(2):
            for x in range(2):
                pixel = images[:, :, 2 * row + y, 2 * column + x]
                assert torch.equal(patches[:, index, 6 * y + 3 * x : 6 * y + 3 * x + 3], pixel)


@torch.no_grad()
def test_attention_is_the_librarys():
    torch.manual_seed(0)
    block = PatchBlock(dim=128, num_heads=2, hidden_dim=32)
    torch.nn.init.normal_(block.out.weight, std=0.1)
    x = torch.randn(2, 5, 128)
    q, k, v = block.qkv(block.attention_norm(x)).unflatten(-1, (3, 2, 64)).permute(2, 0, 3, 1, 4)
    mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    # The feed-forward layer ends in zeros at first, so that its bias is all that it adds.
    torch.testing.assert_close(block(x), x + block.out(mixed) + block.down.bias, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_patch_sees_every_other_and_knows_its_place():
    torch.manual_seed(0)
    transformer = PatchTransformer(in_dim=6, num_patches=4, dim=64, num_layers=1)
    torch.nn.init.normal_(transformer.blocks[0].out.weight, std=0.2)
    x = torch.randn(1, 4, 6)
    made = transformer(x)
    changed = x.clone()
    changed[:, 3] += 1
    assert ((transformer(changed) - made).abs().amax(-1) > 1e-4).all()
    same = transformer(x[:, :1].expand(1, 4, 6))
    assert (same[:, 0] - same[:, 1]).abs().max() > 1e-3


@torch.no_grad()
def test_what_is_known_beside_a_patch_is_added_to_what_enters():
    torch.manual_seed(0)
    transformer = PatchTransformer(in_dim=6, num_patches=4, dim=64, num_layers=1)
    x, beside = torch.randn(2, 4, 6), torch.randn(2, 4, 64)
    expected = transformer.norm(transformer.blocks[0](transformer.input(x) + transformer.position + beside))
    assert torch.equal(transformer(x, beside), expected)


@torch.no_grad()
@pytest.mark.parametrize("patch_size", [8, 16])
def test_windows_are_those_that_a_loop_cuts_out(patch_size: int) -> None:
    """Twice as wide as they are apart, they reach over the patch's edges; outside of the picture there is nothing."""
    torch.manual_seed(0)
    windows, stride = PatchWindows(patch_size, 5, 7), patch_size // 4
    weight, bias = windows.window.weight.flatten(1), windows.window.bias
    images = torch.randn(2, 3, 2 * patch_size, 3 * patch_size)
    assert not windows(images).any()
    torch.nn.init.normal_(windows.patch.weight)
    torch.nn.init.normal_(windows.patch.bias)
    canvas = torch.nn.functional.pad(images, [stride // 2] * 4)
    said = []
    for row in range(0, 2 * patch_size, patch_size):
        for column in range(0, 3 * patch_size, patch_size):
            found = []
            for y in range(row, row + patch_size, stride):
                for x in range(column, column + patch_size, stride):
                    window = canvas[:, :, y : y + 2 * stride, x : x + 2 * stride].flatten(1)
                    found.append((window @ weight.T + bias).clamp(min=0) ** 2)
            said.append(windows.patch(torch.cat(found, 1)))
    torch.testing.assert_close(windows(images), torch.stack(said, 1), rtol=1e-4, atol=1e-4)
