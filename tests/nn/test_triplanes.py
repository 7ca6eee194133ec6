"""Planes are read by linear interpolation between sample centres, and painted without gaps."""

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator

from trilingua.nn.triplanes import PLANES, TriplanePainter, TriplaneReader, sample_triplanes


def test_planes_are_read_as_a_peer_interpolates_them():
    planes = torch.randn(2, 3, 4, 6, 6, dtype=torch.float64)
    points = torch.rand(2, 20, 3, dtype=torch.float64) * 1.6 - 0.8  # between the outermost centres
    found = sample_triplanes(planes, points)
    centres = (np.arange(6) + 0.5) / 6 * 2 - 1
    for item in range(2):
        parts = []
        for plane, (first, second) in enumerate(PLANES):
            values = planes[item, plane].permute(1, 2, 0).numpy()
            at = points[item][:, [second, first]].numpy()  # rows run along the second axis
            parts.append(RegularGridInterpolator((centres, centres), values)(at))
        np.testing.assert_allclose(found[item].numpy(), np.concatenate(parts, axis=1))


def test_a_token_paints_its_own_patch_and_a_border_around_it():
    painter = TriplanePainter(8, side=3, patch_size=4, channels=2)
    tokens = torch.randn(1, 27, 8)
    before = painter(tokens)
    assert before.shape == (1, 3, 2, 12, 12)
    tokens[:, 9 + 4] += 1  # the middle token of plane 1
    changed = (painter(tokens) != before).any(dim=2)[0]
    assert not changed[0].any()
    assert not changed[2].any()
    assert changed[1, 3:9, 3:9].all()
    changed[1, 3:9, 3:9] = False
    assert not changed.any()


def test_the_reader_sees_coarser_copies():
    reader = TriplaneReader(channels=2, num_mips=3, hidden_dim=8, out_dim=5)
    planes, points = torch.randn(2, 3, 2, 8, 8), torch.rand(2, 7, 3) * 2 - 1
    assert reader(planes, points).shape == (2, 7, 5)
    constant = torch.ones(2, 3, 2, 8, 8)
    found = reader(constant, points)
    torch.testing.assert_close(found, reader.layers(torch.ones(2, 7, 18)))
