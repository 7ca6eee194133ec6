"""The loss over tokens against torch's cross-entropy and a slow oracle."""

import math

import pytest
import torch

from trilingua.nn.losses import token_loss

LOGITS = torch.randn(9, 14, generator=torch.Generator().manual_seed(0)) * 2
LABELS = torch.tensor([0, 3, 4, 5, 8, 11, 12, 13, 4])
WEIGHTS = torch.tensor([1.0, 10.0, 1.0, 0.0, 0.5, 2.0, 1.0, 1.0, 3.0])


def soft_loss(logits, label, start, stop, sigma):
    """Cross-entropy with a Gaussian over the line if the label lies on it, else with the label."""
    total = sum(math.exp(value) for value in logits)
    if not start <= label < stop:
        return -math.log(math.exp(logits[label]) / total)
    heights = {index: math.exp(-((index - label) ** 2) / (2 * sigma**2)) for index in range(start, stop)}
    return -sum(
        height / sum(heights.values()) * math.log(math.exp(logits[index]) / total) for index, height in heights.items()
    )


@pytest.mark.parametrize("span", [(0, 0), (4, 12)])
def test_hard_targets_are_torchs_weighted_cross_entropy(span):
    loss, losses = token_loss(LOGITS, LABELS, WEIGHTS, ordered_span=span)
    expected = torch.nn.functional.cross_entropy(LOGITS, LABELS, reduction="none")
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(loss, (expected * WEIGHTS).sum() / WEIGHTS.sum())


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_soft_targets_are_the_oracles(sigma):
    loss, losses = token_loss(LOGITS, LABELS, WEIGHTS, ordered_span=(4, 12), sigma=sigma)
    expected = [
        soft_loss(row, label, 4, 12, sigma) for row, label in zip(LOGITS.tolist(), LABELS.tolist(), strict=True)
    ]
    torch.testing.assert_close(losses, torch.tensor(expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss, (torch.tensor(expected) * WEIGHTS).sum() / WEIGHTS.sum(), rtol=1e-4, atol=1e-5)


def test_a_narrow_line_is_a_hard_target():
    hard, _ = token_loss(LOGITS, LABELS, WEIGHTS)
    soft, _ = token_loss(LOGITS, LABELS, WEIGHTS, ordered_span=(4, 12), sigma=0.05)
    torch.testing.assert_close(soft, hard)


def test_no_number_among_the_labels():
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 12, 13])
    soft, _ = token_loss(LOGITS, labels, WEIGHTS, ordered_span=(4, 12), sigma=1.0)
    torch.testing.assert_close(soft, token_loss(LOGITS, labels, WEIGHTS)[0])


def test_gradients_of_soft_targets_are_predicted_minus_wanted_shares():
    logits = LOGITS[2:3].clone().requires_grad_()
    loss, _ = token_loss(logits, LABELS[2:3], WEIGHTS[2:3], ordered_span=(4, 12), sigma=1.0)
    loss.backward()
    heights = torch.tensor([math.exp(-0.5 * (index - 4) ** 2) if 4 <= index < 12 else 0.0 for index in range(14)])
    torch.testing.assert_close(logits.grad[0], logits.detach()[0].softmax(0) - heights / heights.sum())


def test_half_precision_is_summed_in_float32():
    loss, losses = token_loss(LOGITS.bfloat16(), LABELS, WEIGHTS, ordered_span=(4, 12), sigma=1.0)
    assert (loss.dtype, losses.dtype) == (torch.float32, torch.float32)
    assert loss.item() == pytest.approx(
        token_loss(LOGITS, LABELS, WEIGHTS, ordered_span=(4, 12), sigma=1.0)[0].item(), rel=0.02
    )
