"""Shading against least squares picture by picture, principal components, and lamps that are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trilingua.nn.shading import ShadingReader

GRID = 4
SIZE = 32


def lit(seed: int, count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ground that fades along both axes, each as a number says, with a dark square in front; and the numbers."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, 2, generator=generator) + torch.tensor([3.0, -1.0])
    down, across = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    fading = (values - values.new_tensor([3.5, -0.5]))[:, :, None, None] * torch.stack([down, across])
    images = 0.5 * (0.1 * fading.sum(dim=1, keepdim=True)).exp().expand(-1, 3, -1, -1).clone()
    for image, (row, column) in zip(images, torch.randint(0, SIZE - 8, (count, 2), generator=generator), strict=True):
        image[:, row : row + 8, column : column + 8] = torch.rand(3, 8, 8, generator=generator) * 0.2
    return images, values


def begun(num_modes: int = 3) -> ShadingReader:
    torch.manual_seed(0)
    reader = ShadingReader(GRID, num_modes, 2)
    images, values = lit(1)
    reader.begin(reader.light(images), values)
    return reader


def test_it_begins_with_the_principal_components_of_the_ground():
    images, values = lit(1)
    reader = begun()
    steps = np.log(F.avg_pool2d(images, SIZE // GRID).numpy()) / 0.02
    assert reader.brightness.item() == pytest.approx(steps.mean(), rel=1e-5)
    usual = np.median(np.sort(steps, axis=0)[: len(steps) - 1], axis=0)  # the lower one of the two in the middle
    np.testing.assert_allclose(reader.usual.detach(), usual - steps.mean(), atol=1e-3)
    deviation = steps - usual
    deviation -= np.sort(deviation.reshape(len(steps), 3, -1), axis=-1)[..., GRID**2 // 2 - 1, None, None]
    deviation[np.abs(deviation) > 6] = 0
    largest = np.linalg.svd(deviation.reshape(len(steps), -1))[2][:3].T * np.sqrt(3 * GRID**2)
    signs = np.sign((largest * reader.modes.detach().numpy()).sum(axis=0))
    np.testing.assert_allclose(reader.modes.detach(), largest * signs, atol=2e-2)
    np.testing.assert_allclose(reader.typical, values.numpy().mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(reader.spread, values.numpy().std(axis=0, ddof=1), rtol=1e-6)


@torch.no_grad()
def test_amounts_are_those_of_least_squares_where_cells_count():
    """Against a solver of whole systems, a picture at a time; what a cell shows that does not count is nothing."""
    reader = begun()
    deviation = torch.randn(5, 3, GRID, GRID)
    share = torch.rand(5, 1, GRID, GRID)
    share[:, :, 1] = 0
    found = reader._amounts(deviation, share)
    for own, weights, amounts in zip(deviation, share, found, strict=True):
        root = (weights.expand(3, -1, -1).flatten() / GRID**2).sqrt()
        exposure = torch.eye(3).repeat_interleave(GRID**2, dim=0)
        ridge = torch.diag(torch.tensor([0.003] * 3 + [1e-4] * 3) ** 0.5)
        rows = torch.cat([torch.cat([reader.modes, exposure], dim=1) * root[:, None], ridge])
        wanted = torch.cat([own.flatten() * root, torch.zeros(6)])
        solved = torch.linalg.lstsq(rows, wanted[:, None]).solution[:3, 0]
        torch.testing.assert_close(amounts, solved, rtol=1e-3, atol=1e-4)
    changed = deviation.clone()
    changed[:, :, 1] += 9
    torch.testing.assert_close(reader._amounts(changed, share), found)


def test_it_learns_what_shading_tells_whatever_stands_in_front():
    reader = begun()
    optimizer = torch.optim.Adam(reader.parameters(), 3e-3)
    for step in range(300):
        images, values = lit(2 + step)
        error = (reader(images) - values).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    images, values = lit(0)
    with torch.no_grad():
        # Numbers spread by .29: a square and half a gray level of noise are no hindrance.
        assert (reader(images) - values).abs().mean() < 0.02
        assert (reader((images * 255).round() / 255) - values).abs().mean() < 0.03


@torch.no_grad()
def test_exposure_and_white_balance_tell_nothing():
    """A lamp that is brighter, or a lens that is, and a film that likes one colour better."""
    reader = begun()
    light, share = reader.light(lit(3)[0]), torch.rand(64, 1, GRID, GRID)
    plain, changed = (
        reader._amounts(reader._steps(light * factor) - reader.usual, share)
        for factor in (1.0, torch.tensor([0.8, 0.9, 1.1])[:, None, None])
    )
    assert (plain - changed).abs().max() < 0.05 * plain.std()


@torch.no_grad()
def test_single_precision_is_kept_where_half_is_asked_for():
    reader, (images, _) = begun(), lit(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(reader(images), reader(images.float()))
        assert reader(images).dtype == torch.float32
    assert torch.equal(reader(images), begun()(images))


def test_it_says_whether_it_has_begun():
    assert not ShadingReader(GRID, 3, 2).has_begun
    assert begun().has_begun
