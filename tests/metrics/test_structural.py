"""The structural similarity with gradients against scikit-image's."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from trilingua.metrics.structural import WINDOW, compute_ssim


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.3])
def test_it_equals_scikit_image(noise: float) -> None:
    generator = np.random.default_rng(0)
    truth = generator.random((3, 24, 30)) * np.array([0.4, 0.9, 1.0])[:, None, None]
    made = (truth + noise * generator.normal(size=truth.shape)).clip(0, 1)
    expected = [
        structural_similarity(theirs, ours, win_size=WINDOW, data_range=np.ptp(theirs))
        for theirs, ours in zip(truth, made, strict=True)
    ]
    found = compute_ssim(torch.from_numpy(made), torch.from_numpy(truth), stride=1)
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-6)


def test_gradients_lead_to_the_truth() -> None:
    torch.manual_seed(0)
    truth = torch.rand(2, 20, 20)
    made = torch.rand(2, 20, 20, requires_grad=True)
    optimizer = torch.optim.Adam([made], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = 1 - compute_ssim(made, truth, stride=2)
        loss.backward()
        optimizer.step()
    assert loss < 0.01


def test_a_picture_of_one_value_has_a_similarity() -> None:
    flat = torch.full((1, 16, 16), 0.5)
    assert float(compute_ssim(flat, flat)) == pytest.approx(1.0)
    assert torch.isfinite(compute_ssim(torch.rand(1, 16, 16), flat))
