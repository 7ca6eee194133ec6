import errno
import itertools
import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training.toy import ToyModel, ToyStream, ToyTask, toy_config

from trilingua.core.errors import CheckpointError, ConfigError, DivergenceError, InputError, WriteError
from trilingua.core.random import make_generator
from trilingua.training.callbacks import Callback, MetricsFile
from trilingua.training.checkpoints import find_checkpoint, load_weights
from trilingua.training.optimizers import learning_rate_at
from trilingua.training.trainer import Trainer, TrainerConfig, TrainingResult


def train(
    run_dir: Path, task: ToyTask | None = None, *, resume: bool = False, callbacks: Any = None, **settings: Any
) -> TrainingResult:
    told = [MetricsFile(), *(callbacks or [])]
    return Trainer(task or ToyTask(), ToyStream(), toy_config(**settings), run_dir, told).fit(resume=resume)


def metrics(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def state_files(run_dir: Path, step: int) -> dict[str, bytes]:
    folder = run_dir / "state" / f"step_{step:08d}"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


class CrashError(Exception):
    """Stands for a kill: nothing is saved after it."""


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.at = step

    def on_step(self, step: int) -> None:
        if step == self.at:
            raise CrashError


class SignalAt(CrashAt):
    def __init__(self, number: int, step: int) -> None:
        super().__init__(step)
        self.number = number

    def on_step(self, step: int) -> None:
        if step == self.at:
            os.kill(os.getpid(), self.number)


def obvious_loop(config: TrainerConfig) -> tuple[ToyModel, list[float]]:
    """Train as plainly as can be: one backward pass of the whole weighted loss of a step, torch's own AdamW."""
    task, stream = ToyTask(dropout=0.2), ToyStream()
    model = task.model
    matrices = [model.embedding.weight, model.hidden.weight, model.head.weight]
    others = [model.hidden.bias, model.head.bias]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=config.betas, fused=False, foreach=False)
    losses = []
    for step in range(config.max_steps):
        batches = [next(stream) for _ in range(config.gradient_accumulation)]
        total = sum(len(batch["ids"]) for batch in batches)
        loss = torch.zeros(())
        for index, batch in enumerate(batches):
            torch.manual_seed(int(make_generator(config.seed, "step", step, index).integers(2**63)))
            loss = loss + task.loss(batch)[0] * len(batch["ids"]) / total
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))  # type: ignore[arg-type]
        for gradient in gradients:
            gradient.mul_(min(1.0, config.gradient_clip / float(norm)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(
                step, schedule=config.schedule, peak=config.learning_rate, min_ratio=config.min_learning_rate_ratio,
                warmup_steps=config.warmup_steps, max_steps=config.max_steps, decay_steps=0,
            )  # fmt: skip
        optimizer.step()
        losses.append(loss.item())
    return model, losses


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_trainer_equals_the_obvious_loop(tmp_path: Path, accumulation: int) -> None:
    settings = {"gradient_accumulation": accumulation, "gradient_clip": 0.5}
    model, losses = obvious_loop(toy_config(**settings))
    task = ToyTask(dropout=0.2)
    result = train(tmp_path, task, **settings)
    assert (result.step, result.reason) == (20, "finished")
    assert [line["loss"] for line in metrics(tmp_path)] == pytest.approx(losses, rel=1e-5)
    for name, value in task.model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-6)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "muon", "ema_decay": 0.9},
        {"precision": "bf16", "gradient_accumulation": 2},
        {"schedule": "wsd"},
    ],
    ids=["adamw", "muon-average", "bf16-accumulation", "wsd"],
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    # Evaluating and logging at other steps must not matter either.
    train(whole, ToyTask(dropout=0.2), eval_every_steps=4, **settings)
    with pytest.raises(CrashError):
        train(torn, ToyTask(dropout=0.2), callbacks=[CrashAt(13)], log_every_steps=7, **settings)
    assert [path.name for path in sorted((torn / "state").iterdir())] == ["step_00000005", "step_00000010"]
    result = train(torn, ToyTask(dropout=0.2), resume=True, **settings)
    assert (result.step, result.reason) == (20, "finished")
    assert state_files(torn, 20) == state_files(whole, 20)
    assert (torn / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert set(state_files(whole, 20)) >= {"model.safetensors", "optimizer.safetensors"}


def test_the_noise_matters_so_that_the_equality_above_says_something(tmp_path: Path) -> None:
    train(tmp_path / "a", ToyTask(dropout=0.2))
    train(tmp_path / "b", ToyTask(dropout=0.2), seed=1)
    assert state_files(tmp_path / "a", 20) != state_files(tmp_path / "b", 20)


def test_metrics_of_lost_steps_are_written_once(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        train(tmp_path, callbacks=[CrashAt(13)])
    assert metrics(tmp_path)[-1]["step"] == 12
    train(tmp_path, resume=True)
    assert [line["step"] for line in metrics(tmp_path)] == list(range(1, 21))
    seconds = [line["seconds"] for line in metrics(tmp_path)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(seconds))


def test_a_line_of_metrics_is_the_weighted_mean_since_the_last(tmp_path: Path) -> None:
    train(tmp_path / "each", gradient_accumulation=2)
    train(tmp_path / "five", gradient_accumulation=2, log_every_steps=5)
    each, five = metrics(tmp_path / "each"), metrics(tmp_path / "five")
    assert [line["step"] for line in five] == [5, 10, 15, 20]
    weights = [sum(4 + i % 3 for i in (2 * step, 2 * step + 1)) for step in range(5)]
    loss = sum(w * line["loss"] for w, line in zip(weights, each[:5], strict=True)) / sum(weights)
    assert five[0]["loss"] == pytest.approx(loss)
    assert five[0]["one"] == pytest.approx(1.0)
    assert five[0]["gradient_norm"] == pytest.approx(sum(line["gradient_norm"] for line in each[:5]) / 5)
    tokens_per_step = five[0]["tokens_per_second"] / five[0]["steps_per_second"]
    assert tokens_per_step == pytest.approx(sum(weights) / 5)


def test_evaluation_sees_the_average_and_changes_nothing(tmp_path: Path) -> None:
    told: list[tuple[int, Path, bool]] = []

    class Note(Callback):
        def on_evaluate(self, step: int, metrics: Any, folder: Path) -> None:
            told.append((step, folder, folder.exists()))

    task = ToyTask()
    train(tmp_path, task, eval_every_steps=4, ema_decay=0.9, max_steps=10, callbacks=[Note()])
    evaluated = [line["evaluation/steps"] for line in metrics(tmp_path) if "evaluation/steps" in line]
    assert evaluated == [4.0, 8.0, 10.0]
    published = load_file(tmp_path / "model.safetensors")
    raw = load_file(tmp_path / "state" / "step_00000010" / "model.safetensors")
    assert torch.equal(task.seen_in_evaluation[-1]["hidden.weight"], published["hidden.weight"])
    assert torch.equal(task.model.hidden.weight, raw["hidden.weight"])
    assert not torch.equal(published["hidden.weight"], raw["hidden.weight"])
    pictures = [str(path.relative_to(tmp_path)) for path in (tmp_path / "evaluation").rglob("*")]
    assert sorted(pictures) == ["evaluation/step_00000004", "evaluation/step_00000004/picture.txt"]
    folders = [tmp_path / "evaluation" / f"step_{step:08d}" for step in (4, 8, 10)]
    assert told == list(zip((4, 8, 10), folders, (True, False, False), strict=True))
    assert task.model.training


def test_the_published_weights_load_into_a_fresh_model(tmp_path: Path) -> None:
    task = ToyTask()
    train(tmp_path, task)
    fresh = ToyModel(0.0)
    load_weights(fresh, tmp_path / "model.safetensors")
    ids = torch.arange(5)
    assert torch.equal(fresh(ids), task.model(ids))
    assert (tmp_path / "config.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops_and_the_run_goes_on_as_if_nothing_had_been(tmp_path: Path, number: int) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(whole, ToyTask(dropout=0.2))
    result = train(stopped, ToyTask(dropout=0.2), callbacks=[SignalAt(number, 7)])
    assert (result.step, result.reason) == (7, "interrupted")
    assert (stopped / "state" / "step_00000007").exists()
    train(stopped, ToyTask(dropout=0.2), resume=True)
    assert state_files(stopped, 20) == state_files(whole, 20)


def test_a_spent_budget_saves_and_stops(tmp_path: Path) -> None:
    result = train(tmp_path, max_seconds=1e-9, save_every_steps=0)
    assert (result.step, result.reason) == (1, "out of time")
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1


def test_saving_by_time(tmp_path: Path) -> None:
    saved: list[int] = []

    class Note(Callback):
        def on_save(self, step: int, folder: Path) -> None:
            saved.append(step)

    train(tmp_path / "always", save_every_steps=0, save_every_seconds=1e-9, max_steps=3, callbacks=[Note()])
    assert saved == [1, 2, 3]
    saved.clear()
    train(tmp_path / "end", save_every_steps=0, max_steps=3, callbacks=[Note()])
    assert saved == [3]


def test_a_finished_run_may_be_made_longer(tmp_path: Path) -> None:
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    train(whole, schedule="constant")
    train(longer, schedule="constant", max_steps=10)
    assert train(longer, schedule="constant", max_steps=10, resume=True).step == 10
    assert train(longer, schedule="constant", max_steps=20, resume=True).step == 20
    assert state_files(longer, 20) == state_files(whole, 20)


def test_a_torn_checkpoint_is_passed_over_on_resuming(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        train(tmp_path, callbacks=[CrashAt(13)])
    weights = tmp_path / "state" / "step_00000010" / "optimizer.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"step_00000010: optimizer\.safetensors is not as it was written"):
        assert train(tmp_path, resume=True).step == 20


def test_what_cannot_be_resumed_is_refused_in_words(tmp_path: Path) -> None:
    advice = "resume with the saved settings, or start another run directory"
    with pytest.raises(CheckpointError, match="no such run directory, so there is nothing to resume"):
        train(tmp_path / "run", resume=True)
    run_dir = tmp_path / "run"
    train(run_dir, max_steps=5)
    folder = run_dir / "state" / "step_00000005"
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError) as raised:
        train(run_dir)
    assert str(raised.value) == (
        f"{run_dir}: already holds a run; go on with --resume, or choose another run directory"
    )
    with pytest.raises(CheckpointError) as raised:
        train(run_dir, ToyTask(vocabulary="b"), resume=True)
    assert str(raised.value) == f'{folder}: vocabulary was "a" when it was saved and is "b" now; {advice}'
    with pytest.raises(CheckpointError) as raised:
        train(run_dir, learning_rate=0.5, resume=True)
    assert str(raised.value) == f"{folder}: trainer.learning_rate was 0.01 when it was saved and is 0.5 now; {advice}"
    assert before == {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    slim = tmp_path / "slim"
    slim.mkdir()
    shutil.copy(run_dir / "model.safetensors", slim)
    with pytest.raises(CheckpointError, match="already holds a run"):
        train(slim)
    assert [path.name for path in slim.iterdir()] == ["model.safetensors"]
    train(run_dir, resume=True, max_steps=6, log_every_steps=2, save_every_steps=0, keep_last=1)


def test_what_came_after_saving_is_made_up_for(tmp_path: Path) -> None:
    """Whatever stops a run between a checkpoint and what follows it, going on gives what was to be there."""

    class Broken(ToyTask):
        def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
            if step == 20:
                raise CrashError
            return super().evaluate(step, out_dir)

    settings: dict[str, Any] = {"eval_every_steps": 10, "ema_decay": 0.5}
    train(tmp_path / "whole", **settings)
    with pytest.raises(CrashError):
        train(tmp_path / "run", Broken(), **settings)
    (tmp_path / "run" / "model.safetensors").unlink()
    train(tmp_path / "run", resume=True, **settings)
    written = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("run", "whole")]
    assert written[0] == written[1]

    def judged(run: str) -> list[dict[str, Any]]:
        return [line for line in metrics(tmp_path / run) if "evaluation/sum" in line]

    assert [line["step"] for line in judged("run")] == [10, 20]
    assert judged("run") == judged("whole")
    train(tmp_path / "run", resume=True, **settings)
    assert len(judged("run")) == 2


def test_a_checkpoint_is_there_before_an_evaluation(tmp_path: Path) -> None:
    found: list[bool] = []

    class Look(ToyTask):
        def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
            found.append((tmp_path / "state" / f"step_{step:08d}" / "manifest.json").exists())
            return {}

    train(tmp_path, Look(), eval_every_steps=3, save_every_steps=0)
    assert found == [True] * 7


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_loss_is_computed_in_the_precision_that_was_asked_for(tmp_path: Path, precision: str) -> None:
    asked: set[bool] = set()

    class Note(ToyTask):
        def loss(self, batch: Any) -> Any:
            asked.add(torch.is_autocast_enabled("cpu"))
            return super().loss(batch)

    train(tmp_path, Note(), precision=precision, max_steps=2)
    assert asked == {precision == "bf16"}


def test_a_disk_that_takes_no_more_is_said(tmp_path: Path) -> None:
    class Full(Callback):
        def on_log(self, step: int, metrics: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WriteError) as raised:
        train(tmp_path, callbacks=[Full()])
    assert str(raised.value) == (
        f"{tmp_path}: cannot be written (No space left on device); free some space and go on with --resume"
    )


def test_a_loss_that_is_no_number_stops_and_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError) as raised:
        train(tmp_path, ToyTask(poison_at=8), log_every_steps=100)
    assert str(raised.value) == (
        "loss is nan at step 10; start another run with a lower learning_rate (now 0.01) or a longer warm-up"
    )
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    assert all(torch.isfinite(value).all() for value in found.tensors("model").values())


def test_a_stream_that_ends_is_an_error_in_words(tmp_path: Path) -> None:
    trainer = Trainer(ToyTask(), ToyStream(length=4), toy_config(), tmp_path, [])
    with pytest.raises(InputError) as raised:
        trainer.fit()
    assert str(raised.value) == "the stream of batches ended in step 4; expected an endless one"


def test_a_callback_hears_of_the_end_even_after_an_error(tmp_path: Path) -> None:
    heard: list[tuple[int, str]] = []

    class Note(Callback):
        def on_end(self, step: int, reason: str) -> None:
            heard.append((step, reason))

    with pytest.raises(CrashError):
        train(tmp_path / "a", callbacks=[CrashAt(3), Note()])
    train(tmp_path / "b", callbacks=[Note()])
    assert heard == [(3, "failed"), (20, "finished")]


def test_a_run_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError) as raised:
        train(tmp_path / "file" / "run")
    assert str(raised.value) == f"{tmp_path}/file/run: cannot be made (Not a directory); choose another --out"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_steps": 0}, "max_steps: 0; expected at least 1"),
        ({"keep_last": 0}, "keep_last: 0; expected at least 1"),
        ({"learning_rate": -1.0}, "learning_rate: -1.0; expected at least 0"),
        ({"learning_rate": math.nan}, "learning_rate: nan; expected at least 0"),
        ({"decay_ratio": 1.5}, "decay_ratio: 1.5; expected 0 to 1"),
        ({"ema_decay": 1.0}, "ema_decay, betas: 1.0, (0.9, 0.95): expected values in [0, 1)"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        toy_config(**settings)
    assert str(raised.value) == message
