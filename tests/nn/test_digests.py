"""Weights that differ anywhere have another digest; copies have the same."""

import copy

import torch
from torch import nn

from trilingua.nn.digests import digest_weights


def test_a_digest_follows_every_weight_and_buffer():
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    digest = digest_weights(module)
    assert digest_weights(copy.deepcopy(module)) == digest
    for tensor in module.state_dict().values():
        before = tensor.clone()
        tensor.add_(1)
        assert digest_weights(module) != digest
        tensor.copy_(before)
    assert digest_weights(module) == digest
    assert digest_weights(nn.Sequential(nn.Linear(3, 2), nn.Identity(), nn.BatchNorm1d(2))) != digest
    assert len(digest) == len(torch.zeros(64))


def test_children_may_be_left_out():
    module = nn.ModuleDict({"reads": nn.Linear(3, 2), "paints": nn.Linear(2, 3), "paints_not": nn.Linear(2, 3)})
    digest = digest_weights(module, without=("paints",))
    for name, changes in (("reads", True), ("paints", False), ("paints_not", True)):
        other = copy.deepcopy(module)
        nn.init.ones_(other[name].weight)
        assert (digest_weights(other, without=("paints",)) != digest) == changes
