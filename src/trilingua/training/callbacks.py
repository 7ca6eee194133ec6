"""What happens beside the training: metrics on disk, TensorBoard, progress.

Callbacks see numbers and paths, never the model or a batch; only the first process calls them.
"""

import io
import json
import logging
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from tqdm import tqdm

from trilingua.core.io import read_image, write_bytes

_LOGGER = logging.getLogger("trilingua.training")


@runtime_checkable
class Callback(Protocol):
    """Told what the trainer does. Inherit from it and write only the methods that are needed."""

    def on_start(self, run_dir: Path, step: int, max_steps: int) -> None:
        """Training starts or goes on after `step` steps."""
        return

    def on_step(self, step: int) -> None:
        """Take note of a step that was made; called every step, so keep it cheap."""
        return

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Means over the steps since the last call, with `loss`, `learning_rate`, `seconds`."""
        return

    def on_evaluate(self, step: int, metrics: Mapping[str, float], folder: Path) -> None:
        """Numbers on held-out data; `folder` holds what was drawn for them, and is missing if nothing was."""
        return

    def on_save(self, step: int, folder: Path) -> None:
        """Take note of a checkpoint that is whole on disk."""
        return

    def on_end(self, step: int, reason: str) -> None:
        """Training is over: "finished", "interrupted" or "out of time"; also called after an error ("failed")."""
        return


class MetricsFile(Callback):
    """Writes `RUN/metrics.jsonl`: one JSON object a line, with `step` and what was measured.

    On resuming, lines of steps that the checkpoint does not know are removed: no step is there twice.
    """

    def on_start(self, run_dir: Path, step: int, max_steps: int) -> None:
        """Open the file, at the step that the run goes on from."""
        self._path = run_dir / "metrics.jsonl"
        kept = [line for line in self._lines() if _step_of(line) <= step]
        write_bytes(self._path, "".join(f"{line}\n" for line in kept).encode())

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a line."""
        self._append({"step": step, **metrics})

    def on_evaluate(self, step: int, metrics: Mapping[str, float], folder: Path) -> None:
        """Add a line whose names start with `evaluation/`."""
        self._append({"step": step, **{f"evaluation/{name}": value for name, value in metrics.items()}})

    def _lines(self) -> list[str]:
        return self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []

    def _append(self, values: dict[str, Any]) -> None:
        finite = {key: value if math.isfinite(value) else None for key, value in values.items()}  # JSON has no NaN
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(finite) + "\n")


class TensorBoard(Callback):
    """Writes TensorBoard event files to `RUN/tensorboard`; steps that were lost with a crash are hidden."""

    _writer: Any = None

    def on_start(self, run_dir: Path, step: int, max_steps: int) -> None:
        """Open a new event file."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write scalars named `train/...`."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    def on_evaluate(self, step: int, metrics: Mapping[str, float], folder: Path) -> None:
        """Write scalars and pictures named `evaluation/...`, a picture as its PNG file is called."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"evaluation/{name}", value, step)
        for path in sorted(folder.glob("*.png")):
            pixels = np.asarray(read_image(path))
            self._writer.add_image(f"evaluation/{path.stem}", pixels, step, dataformats="HWC")

    def on_end(self, step: int, reason: str) -> None:
        """Flush and close."""
        if self._writer is not None:
            self._writer.close()


class Progress(Callback):
    """A bar with tokens per second and time left on a terminal; elsewhere log records of `trilingua.training`."""

    _bar: Any = None

    def __init__(self, stream: io.TextIOBase | None = None) -> None:
        self._stream = stream

    def on_start(self, run_dir: Path, step: int, max_steps: int) -> None:
        """Show the bar if the stream is a terminal."""
        stream = self._stream or sys.stderr
        if stream.isatty():
            self._bar = tqdm(total=max_steps, initial=step, file=stream, unit="step", dynamic_ncols=True, desc="train")

    def on_step(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show the loss and the speed."""
        shown = {"loss": f"{metrics['loss']:.4g}"}
        if "tokens_per_second" in metrics:
            shown["tokens/s"] = f"{metrics['tokens_per_second']:,.0f}"
        if self._bar is not None:
            self._bar.set_postfix(shown)
        else:
            _LOGGER.info("step %d: %s", step, ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))

    def on_evaluate(self, step: int, metrics: Mapping[str, float], folder: Path) -> None:
        """Show the numbers above the bar."""
        text = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        if self._bar is not None:
            self._bar.write(f"step {step}, evaluation: {text}", file=self._stream or sys.stderr)
        else:
            _LOGGER.info("step %d, evaluation: %s", step, text)

    def on_save(self, step: int, folder: Path) -> None:
        """Note it in the log."""
        _LOGGER.info("step %d: saved %s", step, folder)

    def on_end(self, step: int, reason: str) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _step_of(line: str) -> float:
    """Return the step of a line of metrics; one that is torn comes after all others."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
