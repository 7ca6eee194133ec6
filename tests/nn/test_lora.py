"""Adapters: nothing at the start, one plain matrix at the end, and nothing else that moves."""

import pytest
import torch
from torch import nn

from trilingua.core.errors import ConfigError
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.nn.lora import LoRALinear, add_adapters, merge_adapters

CONFIG = DecoderConfig(num_text=30, dim=32, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=16, hidden_dim=48)


def make_decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(CONFIG)


@torch.no_grad()
def shake(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and name.endswith(("down", "up")):
            parameter.normal_(std=0.3)


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1.0), (4, 8.0), (3, 0.5)])
@torch.no_grad()
def test_equals_the_formula(rank: int, alpha: float) -> None:
    torch.manual_seed(rank)
    layer = LoRALinear(nn.Linear(7, 5, bias=False), rank=rank, alpha=alpha)
    shake(layer)
    x = torch.randn(2, 3, 7)
    expected = torch.empty(2, 3, 5)
    for row in range(2):
        for place in range(3):
            low = [float(layer.down[r] @ x[row, place]) for r in range(rank)]
            for out in range(5):
                added = sum(float(layer.up[out, r]) * low[r] for r in range(rank))
                expected[row, place, out] = float(layer.base.weight[out] @ x[row, place]) + alpha / rank * added
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.merged()(x), expected)


@torch.no_grad()
def test_starts_equal_to_the_base_and_merges_into_it() -> None:
    ids = torch.randint(0, 30, (2, 9), generator=torch.Generator().manual_seed(1))
    decoder = make_decoder()
    names = list(decoder.state_dict())
    plain = decoder(ids)
    add_adapters(decoder.layers, rank=4)
    assert torch.equal(decoder(ids), plain)
    shake(decoder.layers)
    adapted = decoder(ids)
    assert (adapted - plain).abs().max() > 0.01
    merge_adapters(decoder.layers)
    torch.testing.assert_close(decoder(ids), adapted, rtol=1e-4, atol=1e-5)
    assert list(decoder.state_dict()) == names
    assert not any(isinstance(part, LoRALinear) for part in decoder.modules())


def test_adapters_alone_train() -> None:
    decoder = make_decoder()
    num_linear = sum(isinstance(part, nn.Linear) for part in decoder.layers.modules())
    add_adapters(decoder.layers, rank=4)
    trained = [name for name, parameter in decoder.layers.named_parameters() if parameter.requires_grad]
    assert trained == [
        f"{layer}.{matrix}.{factor}"
        for layer in range(2)
        for matrix in ("attention.qkv", "attention.output", "mlp.gate_up", "mlp.down")
        for factor in ("down", "up")
    ]
    assert len(trained) == 2 * num_linear
    assert decoder.layers[1].attention.qkv.scale == 2.0
    before = {name: parameter.detach().clone() for name, parameter in decoder.layers.named_parameters()}
    optimizer = torch.optim.SGD([p for p in decoder.layers.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):  # in the first step only `up` moves: where it is 0, `down` has no gradient
        optimizer.zero_grad()
        decoder(torch.arange(30)[None]).square().sum().backward()
        optimizer.step()
    moved = {name for name, parameter in decoder.layers.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == set(trained)


def test_a_rank_of_nothing_is_refused_in_words() -> None:
    with pytest.raises(ConfigError) as caught:
        add_adapters(make_decoder().layers, rank=0)
    assert str(caught.value) == 'lora rank: 0; expected at least 1; to train all of the backbone use recipe "full"'
