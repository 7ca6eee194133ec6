"""Real processes: several that train one model, and one that is killed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training.launch import start, start_two
from tests.training.toy import ToyStream, ToyTask, toy_config

from trilingua.core.errors import ConfigError
from trilingua.training import processes
from trilingua.training.callbacks import MetricsFile
from trilingua.training.processes import make_accelerator, require_even_shares
from trilingua.training.trainer import Trainer

SCRIPT = str(Path(__file__).with_name("run_toy.py"))


def toy(run_dir: Path, settings: dict[str, Any]) -> list[str]:
    return [SCRIPT, str(run_dir), json.dumps(settings)]


def train_here(run_dir: Path, *, resume: bool = False, **settings: Any) -> None:
    task = ToyTask(dropout=settings.pop("dropout"))
    Trainer(task, ToyStream(), toy_config(**settings), run_dir, [MetricsFile()]).fit(resume=resume)


def metrics(run_dir: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def require_equal_runs(one: Path, two: Path) -> None:
    for name in ("loss", "largest", "gradient_norm", "learning_rate", "evaluation/sum"):
        assert metrics(two, name) == pytest.approx(metrics(one, name), rel=1e-4, abs=1e-5), name
    first, second = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-5)


SETTINGS = {
    "dropout": 0.2,
    "gradient_accumulation": 4,
    "ema_decay": 0.9,
    "eval_every_steps": 10,
    "schedule": "constant",
}


def test_two_processes_make_the_run_of_one_and_one_goes_on_with_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    train_here(one, **SETTINGS)
    done = start_two(toy(two, SETTINGS | {"max_steps": 10}))
    assert sorted(done.stdout.split("\n")) == ["", "finished 10 2 Parameter", "finished 10 2 Parameter"], done.stderr
    train_here(two, resume=True, **SETTINGS)
    require_equal_runs(one, two)


def test_two_processes_that_share_out_the_weights_go_on_with_the_run_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    train_here(one, **SETTINGS)
    train_here(two, **SETTINGS, max_steps=10)
    done = start_two(toy(two, SETTINGS | {"fsdp": True, "resume": True}))
    assert sorted(done.stdout.split("\n")) == ["", "finished 20 2 DTensor", "finished 20 2 DTensor"], done.stderr
    require_equal_runs(one, two)
    state = "state/step_00000020/optimizer.safetensors"
    first, second = load_file(one / state), load_file(two / state)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-5)


def test_a_killed_run_goes_on_bit_for_bit_from_its_last_checkpoint(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    settings = {"dropout": 0.2, "ema_decay": 0.9}
    train_here(whole, **settings)
    assert start(toy(killed, settings | {"signal": "SIGKILL", "at": 13})).returncode == -9
    assert metrics(killed, "loss") == metrics(whole, "loss")[:12]
    train_here(killed, resume=True, **settings)
    assert metrics(killed, "loss") == metrics(whole, "loss")
    files = [path.relative_to(whole) for path in whole.rglob("*.safetensors")]
    assert len(files) == 7
    for name in files:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_processes_that_would_train_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.os, "environ", {"WORLD_SIZE": "2"})
    with pytest.raises(ConfigError) as raised:
        make_accelerator(find_unused_parameters=False)
    assert str(raised.value) == (
        "2 processes were started but 1 joined: they would train apart in one run directory; "
        "start them with `accelerate launch --multi_gpu`, or start one process"
    )


def test_sharding_that_does_not_happen_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.os, "environ", {"ACCELERATE_USE_FSDP": "true"})
    with pytest.warns(UserWarning, match="FSDP was asked for but works between several GPUs only"):
        make_accelerator(find_unused_parameters=False)


def test_batches_that_cannot_be_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = make_accelerator(find_unused_parameters=False)
    require_even_shares(5, accelerator)
    monkeypatch.setattr(type(accelerator), "num_processes", 3)
    require_even_shares(6, accelerator)
    with pytest.raises(ConfigError) as raised:
        require_even_shares(5, accelerator)
    assert str(raised.value) == (
        "gradient_accumulation: 5 batches a step cannot be dealt out to 3 processes; choose a multiple of 3"
    )
