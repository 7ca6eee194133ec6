"""Volumes are read as a peer interpolates them; the corners of a point and their weights say the same."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from trilingua.geometry.volumes import corners_around, sample_volume


@pytest.mark.parametrize(("outside", "mode"), [("border", "nearest"), ("zeros", "grid-constant")])
def test_points_are_read_as_a_peer_reads_them(outside, mode):
    volume = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    points = torch.rand(2, 40, 3, dtype=torch.float64) * 2.4 - 1.2
    found = sample_volume(volume, points, outside=outside)
    for item in range(2):
        places = ((points[item] + 1) / 2 * torch.tensor([4, 5, 6]) - 0.5).T.numpy()
        for channel in range(3):
            wanted = map_coordinates(volume[item, channel].numpy(), places, order=1, mode=mode)
            np.testing.assert_allclose(found[item, :, channel].numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("resolution", [1, 2, 5])
def test_corners_interpolate_as_the_whole_is_read(resolution):
    volume = torch.randn(2, 3, *(resolution,) * 3, dtype=torch.float64)
    points = torch.cat([torch.rand(2, 30, 3, dtype=torch.float64) * 2 - 1, torch.tensor([[[1.0, -1, 1]]] * 2)], dim=1)
    corners = corners_around(points, resolution)
    held = torch.stack([volume[item].flatten(1)[:, corners.cells[item]] for item in range(2)])
    found = (held * corners.weights[:, None]).sum(dim=-1).transpose(1, 2)
    torch.testing.assert_close(found, sample_volume(volume, points))
    torch.testing.assert_close(corners.weights.sum(dim=-1), torch.ones(2, 31, dtype=torch.float64))


def test_a_point_lies_between_the_middles_of_its_corners():
    points = torch.rand(1, 50, 3, dtype=torch.float64) * 1.6 - 0.8  # between the outermost middles
    corners = corners_around(points, 8)
    torch.testing.assert_close((corners.weights[..., None] * corners.middles).sum(dim=2), points, rtol=0, atol=1e-6)
    numbers = (((corners.middles + 1) / 2 * 8).floor().long() * torch.tensor([64, 8, 1])).sum(dim=-1)
    assert torch.equal(numbers, corners.cells)
