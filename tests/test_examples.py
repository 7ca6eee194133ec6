"""Every example runs as a person would run it, on a model that was trained in seconds."""

import ast
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
USES_MODEL = {"03_recognize.py", "04_tokens.py"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(
    path: Path,
    tmp_path: Path,
    tiny_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    arguments = [str(out)] if "[OUT_DIR]" in path.read_text() else []
    monkeypatch.setattr(sys, "argv", [str(path), *arguments, *([str(tiny_run)] if path.name in USES_MODEL else [])])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    assert sorted(tmp_path.iterdir()) == ([out] if arguments else []), (
        "an example writes where it is told, and only there"
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_says_what_one_learns(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 80
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert "You learn" in docstring
    assert f"python examples/{path.name}" in docstring


def test_they_are_numbered_without_a_gap() -> None:
    assert [path.name[:3] for path in EXAMPLES] == [f"{number:02d}_" for number in range(1, len(EXAMPLES) + 1)]
