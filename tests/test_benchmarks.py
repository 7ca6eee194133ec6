"""Benchmarks are not run here; that they fit the code that they measure is."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_can_be_imported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    assert importlib.import_module(name).__doc__


def test_the_last_figures_of_a_run_are_those_of_its_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    tables = importlib.import_module("tables")
    lines = ['{"step": 5, "evaluation/a": 1.0}', '{"step": 10, "loss": 2.0}', '{"step": 10, "evaluation/a": 3.0}']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert tables.last_figures(tmp_path, 10, ("a",)) == {"a": 3.0}
    assert tables.last_figures(tmp_path, 20, ("a",)) is None
    assert tables.last_figures(tmp_path / "none", 10, ("a",)) is None
    assert "tables" in sys.modules
