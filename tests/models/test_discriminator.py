"""The discriminator's losses against plain formulas, and the weight at which two losses pull equally hard."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trilingua.models.discriminator import PatchDiscriminator, adaptive_weight


@pytest.fixture
def discriminator() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(dim=4)


def pictures(seed: int, *, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 32, 24, generator=torch.Generator().manual_seed(seed))


def test_every_region_has_a_score(discriminator: PatchDiscriminator) -> None:
    assert discriminator(pictures(0)).shape == (2, 1, 4, 3)


def test_losses_are_their_formulas(discriminator: PatchDiscriminator) -> None:
    painted, rendered = pictures(0), 3 * pictures(1)
    low, high = (discriminator(images).detach().double().numpy() for images in (painted, rendered))
    hinge = (np.maximum(0, 1 - high).mean() + np.maximum(0, 1 + low).mean()) / 2
    assert float(discriminator.loss(painted, rendered).detach()) == pytest.approx(hinge, rel=1e-5)
    assert float(discriminator.painter_loss(painted).detach()) == pytest.approx(-low.mean(), rel=1e-5)


def test_each_loss_reaches_its_own_side_alone(discriminator: PatchDiscriminator) -> None:
    painted = pictures(0).requires_grad_()
    parameters = list(discriminator.parameters())
    discriminator.loss(painted, pictures(1)).backward()
    assert painted.grad is None
    assert all(parameter.grad is not None for parameter in parameters)
    discriminator.zero_grad()
    discriminator.painter_loss(painted).backward()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in parameters)
    assert painted.grad is not None
    (plain,) = torch.autograd.grad(-discriminator(painted).mean(), painted)
    torch.testing.assert_close(painted.grad, plain)


def test_scores_are_not_rounded_under_autocast(discriminator: PatchDiscriminator) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert discriminator.loss(pictures(0), pictures(1)).dtype == torch.float32


def test_it_learns_to_tell_dark_pictures_from_light_ones(discriminator: PatchDiscriminator) -> None:
    painted, rendered = 0.4 * pictures(0), 1 - 0.4 * pictures(1)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = discriminator.loss(painted, rendered)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 < 0.8 < losses[0]
    assert discriminator.painter_loss(painted) > discriminator.painter_loss(rendered)


def test_the_adaptive_weight_is_the_ratio_of_gradients_written_out() -> None:
    torch.manual_seed(0)
    features, truth, verdict = torch.randn(6, 5), torch.randn(6, 3), torch.randn(6, 3)
    last = torch.randn(3, 5, requires_grad=True)
    painted = features @ last.T
    reconstruction, adversarial = (painted - truth).square().mean(), -(painted * verdict).mean()
    weight = adaptive_weight(reconstruction, adversarial, last)
    pull = 2 * (painted - truth).detach().T @ features / truth.numel()
    push = verdict.T @ features / truth.numel()
    torch.testing.assert_close(weight, pull.norm() / (push.norm() + 1e-4))
    assert not weight.requires_grad
    (reconstruction + weight * adversarial).backward()  # both graphs are still whole
    torch.testing.assert_close(last.grad, pull - weight * push)


def test_the_adaptive_weight_has_a_bound() -> None:
    last = torch.ones(3, requires_grad=True)
    assert adaptive_weight(100 * last.sum(), 0 * last.sum(), last) == 1e4
