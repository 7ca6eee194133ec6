"""The probes: their losses by hand, and what is unknown."""

import math

import pytest
import torch

from trilingua.nn.probes import DenseProbe

NAN = float("nan")


@pytest.fixture
def probe() -> DenseProbe:
    """Two classes, three classes, two values; features pass through as outputs."""
    probe = DenseProbe(7, (2, 3), 2)
    with torch.no_grad():
        probe.output.weight.copy_(torch.eye(7))
        probe.output.bias.zero_()
    return probe


def test_the_loss_by_hand(probe):
    features = torch.tensor([[[0.0, 1.0, 2.0, 0.0, 0.0, 0.5, -1.0], [3.0, 0.0, 0.0, 0.0, 0.0, 9.0, 9.0]]])
    classes = torch.tensor([[[1, 0], [0, -1]]])
    values = torch.tensor([[[0.0, 1.0], [NAN, 5.0]]])
    loss, metrics = probe.loss(features, classes, values)
    presence = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-3))) / 2
    category = math.log(1 + 2 * math.exp(-2))  # the second cell has none
    error = (0.5 + 2.0 + 4.0) / 3
    assert loss.item() == pytest.approx(presence + category + error, rel=1e-5)
    assert metrics == {"class_accuracy": 1.0, "value_error": pytest.approx(error, rel=1e-5)}


def test_waves_are_asked_beside_their_values():
    probe = DenseProbe(7, (2,), 1, num_frequencies=2)
    with torch.no_grad():
        probe.output.weight.copy_(torch.eye(7))
        probe.output.bias.zero_()
    features = torch.tensor([[9.0, 9.0, 0.5, 0.0, 0.0, 1.0, 1.0], [7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]])
    loss, metrics = probe.loss(features, torch.full((2, 1), -1), torch.tensor([[0.25], [NAN]]))
    waves = [math.sin(0.25), math.sin(0.5), 1 - math.cos(0.25), 1 - math.cos(0.5)]
    assert metrics["value_error"] == pytest.approx(0.25, rel=1e-5)
    assert loss.item() == pytest.approx(0.25 + sum(waves) / 4, rel=1e-5)
    assert torch.equal(probe.values(features), features[:, 2:3])


def test_a_cell_is_right_only_in_all_its_categories(probe):
    features = torch.zeros(3, 7)
    features[:, 1] = 1.0  # says class 1 of the first and class 0 of the second
    classes = torch.tensor([[1, 0], [1, 2], [-1, 2]])
    _, metrics = probe.loss(features, classes, torch.zeros(3, 2))
    assert metrics["class_accuracy"] == 0.5


def test_what_is_known_nowhere_counts_nothing(probe):
    features = torch.randn(2, 4, 7, requires_grad=True)
    classes = torch.stack([torch.zeros(2, 4, dtype=torch.long), torch.full((2, 4), -1)], dim=-1)
    values = torch.full((2, 4, 2), NAN)
    loss, metrics = probe.loss(features, classes, values)
    expected = torch.nn.functional.cross_entropy(features[..., :2].flatten(0, 1), classes[..., 0].flatten())
    torch.testing.assert_close(loss, expected)
    assert metrics == {"class_accuracy": 0.0, "value_error": 0.0}
    loss.backward()
    assert features.grad.isfinite().all()
    assert (features.grad[..., 2:] == 0).all()
