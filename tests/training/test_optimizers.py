import math

import pytest
import torch
from tests.training.toy import ToyModel
from torch import Tensor, nn

from trilingua.core.errors import CheckpointError
from trilingua.training.checkpoints import place_like, whole_tensor
from trilingua.training.optimizers import (
    build_optimizers,
    is_hidden_matrix,
    learning_rate_at,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)


def rates(schedule: str, max_steps: int = 100, warmup_steps: int = 10) -> list[float]:
    settings = {"peak": 2.0, "min_ratio": 0.1, "warmup_steps": warmup_steps, "max_steps": max_steps, "decay_steps": 20}
    return [learning_rate_at(step, schedule=schedule, **settings) for step in range(max_steps + 1)]


@pytest.mark.parametrize("schedule", ["cosine", "constant", "wsd"])
def test_warm_up_is_linear_and_never_zero(schedule: str) -> None:
    assert rates(schedule)[:10] == pytest.approx([0.2 * k for k in range(1, 11)])


def test_cosine_is_the_half_wave() -> None:
    got = rates("cosine")
    for step in range(10, 101):
        wave = (1 + math.cos(math.pi * (step - 10) / 90)) / 2
        assert got[step] == pytest.approx(0.2 + 1.8 * wave)
    assert got[100] == pytest.approx(0.2)


def test_wsd_stays_then_falls_linearly_and_a_longer_run_agrees_until_then() -> None:
    got = rates("wsd")
    assert got[10:81] == [2.0] * 71
    assert got[90] == pytest.approx(1.1)
    assert got[100] == pytest.approx(0.2)
    assert rates("wsd", max_steps=200)[:81] == got[:81]
    assert rates("constant")[10:] == [2.0] * 91


def test_no_warm_up_and_a_warm_up_longer_than_the_run() -> None:
    assert rates("cosine", warmup_steps=0)[0] == 2.0
    assert rates("cosine", max_steps=5, warmup_steps=10) == pytest.approx([0.2 * k for k in range(1, 7)])


def grouped(optimizers: list[torch.optim.Optimizer], module: nn.Module) -> dict[str, tuple[str, float]]:
    names = {id(p): name for name, p in module.named_parameters()}
    return {
        names[id(p)]: (type(optimizer).__name__, group["weight_decay"])
        for optimizer in optimizers
        for group in optimizer.param_groups
        for p in group["params"]
    }


def build(module: nn.Module, kind: str = "adamw") -> list[torch.optim.Optimizer]:
    return build_optimizers(module, kind=kind, learning_rate=0.01, weight_decay=0.3, betas=(0.9, 0.95))


def test_each_parameter_has_one_optimizer_and_the_right_decay() -> None:
    model = ToyModel(0.0)
    spared = {"hidden.bias": ("AdamW", 0.0), "head.bias": ("AdamW", 0.0)}
    decayed = {f"{name}.weight": ("AdamW", 0.3) for name in ("embedding", "hidden", "head")}
    assert grouped(build(model), model) == spared | decayed
    muon = {**decayed, "hidden.weight": ("Muon", 0.3)}
    assert grouped(build(model, "muon"), model) == spared | muon
    model.hidden.weight.requires_grad_(False)
    del muon["hidden.weight"]
    assert grouped(build(model, "muon"), model) == spared | muon


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("layers.0.attention.query.weight", True), ("lm_head.weight", False), ("head.weight", False),
     ("embed_tokens.weight", False), ("image_embedding.weight", False), ("ahead.weight", True), ("heads.weight", True)],
)  # fmt: skip
def test_embeddings_and_heads_are_known_by_name(name: str, hidden: bool) -> None:
    assert is_hidden_matrix(name, torch.zeros(2, 2)) is hidden
    assert not is_hidden_matrix(name, torch.zeros(2))
    assert not is_hidden_matrix(name, torch.zeros(2, 2, 3, 3))


def step(model: nn.Module, optimizers: list[torch.optim.Optimizer], ids: Tensor) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    model(ids).square().mean().backward()
    set_learning_rate(optimizers, 0.05)
    for optimizer in optimizers:
        optimizer.step()


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_goes_through_named_tensors_to_equal_updates(kind: str) -> None:
    torch.manual_seed(0)
    ids = torch.arange(5)
    model, other = ToyModel(0.0), ToyModel(0.0)
    optimizers, others = build(model, kind), build(other, kind)
    for _ in range(3):
        step(model, optimizers, ids)
    other.load_state_dict(model.state_dict())
    saved = optimizer_tensors(model, optimizers, whole_tensor)
    assert "embedding.weight/exp_avg" in saved
    assert ("hidden.weight/momentum_buffer" in saved) == (kind == "muon")
    load_optimizer_tensors(other, others, saved, place_like)
    saved["embedding.weight/exp_avg"].zero_()  # what was loaded must not hang on to what was given
    fresh = ToyModel(0.0)
    fresh.load_state_dict(model.state_dict())
    step(fresh, build(fresh, kind), ids)
    load_optimizer_tensors(model, optimizers, optimizer_tensors(other, others, whole_tensor), place_like)
    step(model, optimizers, ids)
    step(other, others, ids)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert not torch.equal(model.hidden.weight, fresh.hidden.weight)  # the state does matter


def test_state_of_an_unknown_parameter_is_refused() -> None:
    model = ToyModel(0.0)
    with pytest.raises(CheckpointError) as raised:
        load_optimizer_tensors(model, build(model), {"tail.weight/exp_avg": torch.zeros(2)}, place_like)
    expected = (
        "optimizer state of tail.weight: no such trained parameter in this model; "
        "resume with the configuration that the run was started with"
    )
    assert str(raised.value) == expected
