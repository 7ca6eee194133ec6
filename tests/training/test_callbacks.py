import io
import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trilingua.training.callbacks import Callback, MetricsFile, Progress, TensorBoard


def lines(run_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_lines_and_resuming_removes_what_was_lost(tmp_path: Path) -> None:
    metrics = MetricsFile()
    metrics.on_start(tmp_path, 0, 10)
    for step in (1, 2, 3):
        metrics.on_log(step, {"loss": float(step)})
    metrics.on_evaluate(2, {"accuracy": 0.5}, tmp_path / "nothing")
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "lo')  # a line that a kill has torn
    resumed = MetricsFile()
    resumed.on_start(tmp_path, 2, 10)
    resumed.on_log(3, {"loss": math.nan})
    assert lines(tmp_path) == [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 2.0},
        {"step": 2, "evaluation/accuracy": 0.5},
        {"step": 3, "loss": None},
    ]
    MetricsFile().on_start(tmp_path, 0, 10)
    assert lines(tmp_path) == []


def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "evaluation" / "step_00000002"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "drawn.png")
    (folder / "notes.txt").write_text("no picture")
    board = TensorBoard()
    board.on_start(tmp_path, 0, 10)
    board.on_log(1, {"loss": 0.5})
    board.on_log(2, {"loss": 0.25})
    board.on_evaluate(2, {"accuracy": 0.75}, folder)
    board.on_evaluate(3, {"accuracy": 1.0}, tmp_path / "evaluation" / "step_00000003")
    board.on_end(2, "finished")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 0.5), (2, 0.25)]
    assert [(event.step, event.value) for event in events.Scalars("evaluation/accuracy")] == [(2, 0.75), (3, 1.0)]
    assert events.Tags()["images"] == ["evaluation/drawn"]
    (event,) = events.Images("evaluation/drawn")
    assert (event.step, event.width, event.height) == (2, 6, 4)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(event.encoded_image_string))), pixels)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def go_through(callback: Callback, run_dir: Path) -> None:
    callback.on_start(run_dir, 4, 10)
    callback.on_step(5)
    callback.on_log(5, {"loss": 0.12345, "tokens_per_second": 4321.0})
    callback.on_evaluate(5, {"accuracy": 0.5}, run_dir / "nothing")
    callback.on_save(5, run_dir)
    callback.on_end(5, "interrupted")


def test_progress_is_a_bar_on_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal()
    go_through(Progress(terminal), tmp_path)
    shown = terminal.getvalue()
    assert "5/10" in shown
    assert "loss=0.1235" in shown or "loss=0.1234" in shown
    assert "tokens/s=4,321" in shown
    assert "step 5, evaluation: accuracy 0.5" in shown


def test_progress_is_log_records_elsewhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    with caplog.at_level(logging.INFO, "trilingua.training"):
        go_through(Progress(stream), tmp_path)
    assert stream.getvalue() == ""
    assert [record.getMessage() for record in caplog.records] == [
        "step 5: loss 0.1235, tokens_per_second 4321",
        "step 5, evaluation: accuracy 0.5",
        f"step 5: saved {tmp_path}",
    ]
