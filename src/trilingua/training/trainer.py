"""The training loop: a task, a stream of batches and a configuration in, a run directory out.

Built on `accelerate`: started by `accelerate launch` it runs in several processes (DDP, FSDP2) on the same
global batches, so that the number of processes changes the speed and not the course of a run; but a codebook follows
what its own process sees, so tokenizers are trained in one. Knows no data set and no system.
"""

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from trilingua.core.config import require_at_least, require_shares, to_json
from trilingua.core.errors import CheckpointError, ConfigError, DivergenceError, InputError, WriteError
from trilingua.core.random import make_generator
from trilingua.training.averaging import WeightAverage
from trilingua.training.callbacks import Callback, MetricsFile, Progress, TensorBoard
from trilingua.training.checkpoints import (
    checkpoint_folder,
    copy_tensors,
    find_checkpoint,
    module_tensors,
    place_like,
    publish_weights,
    require_checkpoint,
    require_same,
    save_checkpoint,
    whole_tensor,
)
from trilingua.training.interruption import stop_on_signals
from trilingua.training.optimizers import (
    Schedule,
    build_optimizers,
    learning_rate_at,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)
from trilingua.training.processes import (
    any_process,
    gather_from,
    make_accelerator,
    require_even_shares,
    sum_over_processes,
)
from trilingua.training.task import BatchStream, TrainTask
from trilingua.training.window import MetricsWindow

StopReason = Literal["finished", "interrupted", "out of time"]


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How to train: length, optimizer, precision, and when to log, evaluate and save."""

    max_steps: int
    """Optimizer steps of the whole run; a resumed run may raise it."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    min_learning_rate_ratio: float = 0.1
    """Learning rate at `max_steps`, as a share of the peak; in [0, 1]."""
    warmup_steps: int = 100
    """Steps of linear rise; a run shorter than that is all rise."""
    schedule: Schedule = "cosine"
    """After the warm-up: "cosine" falls, "constant" stays, "wsd" stays and then falls over the last `decay_ratio`."""
    decay_ratio: float = 0.2
    """Share of `max_steps` over which "wsd" falls; in [0, 1]."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """"muon" updates hidden matrices with Muon and everything else with AdamW."""
    weight_decay: float = 0.1
    """Decoupled, on matrices and convolutions."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay rates of the first and second moment; in [0, 1)."""
    gradient_clip: float = 1.0
    """Largest norm of the whole gradient; 0 for no limit."""
    gradient_accumulation: int = 1
    """Batches of one optimizer step, over all processes together: a multiple of the number of processes."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """"bf16": autocast; weights and optimizer state stay fp32."""
    compile: bool = False
    """Compile the module with `torch.compile`."""
    ema_decay: float = 0.0
    """Decay of the average of weights that is evaluated and published; 0 for none."""
    find_unused_parameters: bool = False
    """Several processes only: set it if some trained parameters take no part in the loss of some batches."""
    log_every_steps: int = 20
    """Steps between two lines of metrics."""
    eval_every_steps: int = 1000
    """Steps between two evaluations; 0 for none at all, not even at the end."""
    save_every_steps: int = 1000
    """Steps between two checkpoints; 0 to save by time alone and at the end."""
    save_every_seconds: float = 600.0
    """Seconds after which a checkpoint is due whatever the step; 0 to save by steps alone and at the end."""
    keep_last: int = 2
    """Checkpoints kept on disk; at least 1."""
    max_seconds: float = 0.0
    """Wall-clock budget of one call of `fit`, after which it saves and stops; 0 for none."""
    num_threads: int = 0
    """CPU threads of torch in each process; 0 leaves them as they are."""
    seed: int = 0
    """Seed of the noise in training; bits are equal only at equal `num_threads`."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require_at_least(self, max_steps=1, gradient_accumulation=1, log_every_steps=1, keep_last=1, warmup_steps=0)
        require_at_least(self, eval_every_steps=0, save_every_steps=0, save_every_seconds=0, max_seconds=0)
        require_at_least(self, num_threads=0, weight_decay=0, gradient_clip=0, learning_rate=0)
        require_shares(self, "min_learning_rate_ratio", "decay_ratio")
        if not (0 <= self.ema_decay < 1 and all(0 <= beta < 1 for beta in self.betas)):
            raise ConfigError(f"ema_decay, betas: {self.ema_decay}, {self.betas}: expected values in [0, 1)")


_MAY_CHANGE = frozenset(
    {"max_steps", "log_every_steps", "eval_every_steps", "save_every_steps", "save_every_seconds", "keep_last"}
    | {"max_seconds", "num_threads", "compile", "find_unused_parameters"}
)
"""Fields that a resumed run may set anew: they change no update, or say how long to go on."""


_EVALUATED = "evaluated"
"""Lies beside a checkpoint whose evaluation was made; one that was cut short is made when the run goes on."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a call of `fit` ended."""

    step: int
    """Optimizer steps made in the whole run."""
    reason: StopReason
    metrics: dict[str, float]
    """The last logged line."""


class _Loss(nn.Module):
    """The task's loss as a module's forward pass, which is what DDP and FSDP hook into."""

    def __init__(self, task: TrainTask, precision: str) -> None:
        super().__init__()
        self.trained = task.modules()
        self._loss = task.loss
        self._bf16 = precision == "bf16"

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, float | Tensor]]:
        device = next(self.trained.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._bf16):
            loss, metrics = self._loss(batch)
        return loss.float(), dict(metrics)


class Trainer:
    """Trains a task in a run directory; may be killed at any moment and resumed.

    Args:
        task: owns the model.
        stream: the batches; its position is saved with every checkpoint.
        config: how to train.
        run_dir: where checkpoints, weights and metrics go.
        callbacks: told of progress; None for metrics file, TensorBoard and progress.

    Raises:
        ConfigError: `gradient_accumulation` cannot be dealt out to the processes.
    """

    def __init__(
        self,
        task: TrainTask,
        stream: BatchStream,
        config: TrainerConfig,
        run_dir: str | Path,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.task, self.stream, self.config, self.run_dir = task, stream, config, Path(run_dir)
        self._callbacks = [MetricsFile(), TensorBoard(), Progress()] if callbacks is None else list(callbacks)
        if config.num_threads:
            torch.set_num_threads(config.num_threads)
        self._accelerator = make_accelerator(find_unused_parameters=config.find_unused_parameters)
        self._world, self._rank = self._accelerator.num_processes, self._accelerator.process_index
        require_even_shares(config.gradient_accumulation, self._accelerator)
        self._module = task.modules()
        optimizers = build_optimizers(
            self._module,
            kind=config.optimizer,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=config.betas,
        )
        self._loss, *self._wrapped = self._accelerator.prepare(_Loss(task, config.precision), *optimizers)
        self._optimizers: list[torch.optim.Optimizer] = [wrapped.optimizer for wrapped in self._wrapped]
        self._parameters = [parameter for parameter in self._module.parameters() if parameter.requires_grad]
        self._is_sharded = any(hasattr(parameter, "device_mesh") for parameter in self._parameters)
        self._average = WeightAverage(self._module, config.ema_decay) if config.ema_decay else None
        self._window = MetricsWindow()
        self.step = 0
        self._seconds_before = 0.0
        self._last_line: dict[str, float] = {}
        if config.compile:
            self._module.compile()

    @property
    def device(self) -> torch.device:
        """The device that this process trains on."""
        return self._accelerator.device

    def fit(self, *, resume: bool = False) -> TrainingResult:
        """Train to `max_steps`, saving on the way, and return how it ended.

        SIGINT and SIGTERM finish the step, save, and return with the reason "interrupted".

        Args:
            resume: go on from the newest whole checkpoint of the run directory.

        Raises:
            CheckpointError: nothing to resume, a checkpoint of other settings, or a run directory that is
                already in use.
            WriteError: the disk is full.
            DivergenceError: the loss is no longer a finite number; nothing of it was saved.
        """
        if resume:
            self._restore()
        elif find_checkpoint(self.run_dir) or (self.run_dir / "model.safetensors").exists():
            raise CheckpointError(
                f"{self.run_dir}: already holds a run; go on with --resume, or choose another run directory"
            )
        elif self._accelerator.is_main_process:
            self._make_run_dir()
        self._accelerator.wait_for_everyone()
        self._started = self._saved_at = self._window.start = time.monotonic()
        reason: str = "failed"
        self._tell(lambda callback: callback.on_start(self.run_dir, self.step, self.config.max_steps))
        try:
            with stop_on_signals() as request:
                reason = self._loop(lambda: request.requested)
        finally:
            self._tell(lambda callback: callback.on_end(self.step, reason))
        return TrainingResult(step=self.step, reason=reason, metrics=self._last_line)

    def _loop(self, stop_requested: Callable[[], bool]) -> StopReason:
        config = self.config
        saved_step = self.step
        reason: StopReason | None = "finished" if self.step >= config.max_steps else None
        self._module.train()
        if (
            self.step
            and self._evaluation_due()
            and not (checkpoint_folder(self.run_dir, self.step) / _EVALUATED).exists()
        ):
            self._evaluate()
        while reason is None:
            self._make_step()
            self._tell(lambda callback: callback.on_step(self.step))
            last = self.step >= config.max_steps
            stop, out_of_time, save_due = self._agree(
                stop_requested(),
                bool(config.max_seconds) and time.monotonic() - self._started >= config.max_seconds,
                bool(config.save_every_seconds) and time.monotonic() - self._saved_at >= config.save_every_seconds,
            )
            reason = "finished" if last else "interrupted" if stop else "out of time" if out_of_time else None
            if self.step % config.log_every_steps == 0 or reason:
                self._log()
            save_due = save_due or bool(config.save_every_steps and self.step % config.save_every_steps == 0)
            evaluation_due = self._evaluation_due()
            # Before an evaluation too: one that fails must not take the training with it.
            if (save_due or reason or evaluation_due) and saved_step < self.step:
                self._save()
                saved_step = self.step
            if evaluation_due:
                self._evaluate()
        return reason

    def _make_step(self) -> None:
        """Make one optimizer step on the next `gradient_accumulation` batches of the stream."""
        config = self.config
        batches = list(self._take_batches())
        weights = [float(self.task.batch_weight(batch)) for _, batch in batches]
        total = sum_over_processes(sum(weights), self._accelerator)
        on_cpu = self.device.type == "cpu"
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        for (index, batch), weight in zip(batches, weights, strict=True):
            # A function of (seed, step, batch) alone: no interruption, evaluation or process can change the noise.
            seed = int(make_generator(config.seed, "step", self.step, index).integers(2**63))
            (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(seed)  # the former costs a tenth
            with self._gradients_stay_here(index < config.gradient_accumulation - self._world):
                loss, metrics = self._loss(send_to_device(batch, self.device, non_blocking=True))
                # DDP and FSDP average over processes, hence the factor: the sum of weighted losses is what counts.
                self._accelerator.backward(loss * (weight * self._world / total))
            self._window.add({"loss": loss, **metrics}, weight, self.task.num_tokens(batch))
        norm = self._accelerator.clip_grad_norm_(self._parameters, config.gradient_clip or math.inf)
        rate = self._learning_rate()
        set_learning_rate(self._optimizers, rate)
        for optimizer in self._optimizers:
            optimizer.step()
        if self._average:
            self._average.update(self.step)
        self._window.end_step(norm.full_tensor() if hasattr(norm, "full_tensor") else norm, rate)
        self.step += 1

    def _gradients_stay_here(self, active: bool) -> contextlib.AbstractContextManager[None]:
        """Return a context in which gradients are not summed over processes: another batch of the step follows."""
        return self._accelerator.no_sync(self._loss) if active else contextlib.nullcontext()

    def _take_batches(self) -> Iterator[tuple[int, Any]]:
        """Yield this process's batches of a step, each with its index in the step."""
        skip = getattr(self.stream, "skip", None)
        for index in range(self.config.gradient_accumulation):
            mine = index % self._world == self._rank
            try:
                if not mine and skip:
                    skip()
                    continue
                batch = next(self.stream)
            except StopIteration as error:
                raise InputError(f"the stream of batches ended in step {self.step}; expected an endless one") from error
            if mine:
                yield index, batch

    def _learning_rate(self) -> float:
        config = self.config
        return learning_rate_at(
            self.step,
            schedule=config.schedule,
            peak=config.learning_rate,
            min_ratio=config.min_learning_rate_ratio,
            warmup_steps=config.warmup_steps,
            max_steps=config.max_steps,
            decay_steps=round(config.decay_ratio * config.max_steps),
        )

    def _agree(self, stop: bool, out_of_time: bool, save_due: bool) -> list[bool]:
        """Return what all processes do: stop if any was asked to, and the first one's clock counts."""
        if self._world > 1 and self.device.type != "cpu" and self.step % 8:
            return [False, False, False]  # reading the answer stalls the device, so not every step
        first = self._rank == 0
        return any_process([stop, out_of_time and first, save_due and first], self._accelerator)

    def _log(self) -> None:
        means, tokens, steps, seconds = self._window.close(self._gather)
        line = means | {"seconds": self._seconds(), "steps_per_second": steps / seconds}
        if tokens:
            line["tokens_per_second"] = tokens / seconds
        self._require_finite(line)
        self._last_line = line
        self._tell(lambda callback: callback.on_log(self.step, line))

    def _gather(self, values: list[Any]) -> list[Any]:
        return gather_from(values, self._accelerator)

    def _require_finite(self, line: dict[str, float]) -> None:
        for name in ("loss", "gradient_norm"):
            if not math.isfinite(line[name]):
                raise DivergenceError(
                    f"{name} is {line[name]} at step {self.step}; start another run with a lower "
                    f"learning_rate (now {self.config.learning_rate:g}) or a longer warm-up"
                )

    def _evaluation_due(self) -> bool:
        every = self.config.eval_every_steps
        return bool(every) and (self.step % every == 0 or self.step >= self.config.max_steps)

    def _evaluate(self) -> None:
        """Evaluate with the published weights; sharded models need all processes, others only the first."""
        began = time.monotonic()
        if self._accelerator.is_main_process:
            folder = self.run_dir / "evaluation" / f"step_{self.step:08d}"
            folder.mkdir(parents=True, exist_ok=True)
            metrics = self._evaluate_into(folder)
            if not any(folder.iterdir()):
                folder.rmdir()
            self._tell(lambda callback: callback.on_evaluate(self.step, metrics, folder))
            (checkpoint_folder(self.run_dir, self.step) / _EVALUATED).touch()
        elif self._is_sharded:
            with tempfile.TemporaryDirectory() as unused:
                self._evaluate_into(Path(unused))
        self._accelerator.wait_for_everyone()
        self._window.start += time.monotonic() - began

    def _evaluate_into(self, folder: Path) -> dict[str, float]:
        published = self._average.applied() if self._average else contextlib.nullcontext()
        bf16 = self.config.precision == "bf16"
        self._module.eval()
        with published, torch.no_grad(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
            if self._is_sharded:  # the task calls its module, not the whole loss, which would gather these weights
                self._loss.unshard()
            metrics = {name: float(value) for name, value in self.task.evaluate(self.step, folder).items()}
            if self._is_sharded:
                self._loss.reshard()
        self._module.train()
        return metrics

    def _save(self) -> None:
        began = time.monotonic()
        if self._window.steps:
            means, *_ = self._window.peek(self._gather)
            self._require_finite(means)
        tensors = {
            "model": {name: whole_tensor(value) for name, value in module_tensors(self._module).items()},
            "optimizer": optimizer_tensors(self._module, self._optimizers, whole_tensor),
        }
        if self._average:
            tensors["average"] = {name: whole_tensor(value) for name, value in self._average.tensors.items()}
        if self._accelerator.is_main_process:
            state = {
                "step": self.step,
                "seconds": self._seconds(),
                "stream": self.stream.state_dict(),
                "must_agree": self._must_agree(),
            }
            folder = save_checkpoint(
                self.run_dir, step=self.step, tensors=tensors, state=state, keep_last=self.config.keep_last
            )
            publish_weights(
                self.run_dir, folder, tensors["model"] | tensors.get("average", {}), linked=not self._average
            )
            self._tell(lambda callback: callback.on_save(self.step, folder))
        self._accelerator.wait_for_everyone()
        self._saved_at = time.monotonic()
        self._window.start += self._saved_at - began

    def _restore(self) -> None:
        checkpoint = require_checkpoint(self.run_dir)
        require_same(checkpoint, checkpoint.state["must_agree"], self._must_agree())
        where = str(checkpoint.folder)
        model, average = checkpoint.tensors("model"), checkpoint.tensors("average")
        copy_tensors(module_tensors(self._module), model, where)
        load_optimizer_tensors(self._module, self._optimizers, checkpoint.tensors("optimizer"), place_like)
        if self._average:
            copy_tensors(self._average.tensors, average, where)
        self.stream.load_state_dict(checkpoint.state["stream"])
        self.step = checkpoint.step
        if self._accelerator.is_main_process:  # the run may have stopped between saving and this
            publish_weights(self.run_dir, checkpoint.folder, model | average, linked=not self._average)
        self._seconds_before = float(checkpoint.state["seconds"])

    def _must_agree(self) -> dict[str, Any]:
        settings = {name: value for name, value in to_json(self.config).items() if name not in _MAY_CHANGE}
        return {**self.task.fingerprint(), "trainer": settings}

    def _make_run_dir(self) -> None:
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.run_dir}: cannot be made ({error.strerror}); choose another --out") from error
        self.task.write_run_files(self.run_dir)

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _tell(self, what: Callable[[Callback], None]) -> None:
        if self._accelerator.is_main_process:
            try:
                for callback in self._callbacks:
                    what(callback)
            except WriteError:
                raise
            except OSError as error:
                raise WriteError(
                    f"{self.run_dir}: cannot be written ({error.strerror}); free some space and go on with --resume"
                ) from error
