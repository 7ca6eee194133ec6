"""What a benchmark hands back, and how it is written down; what a training run that is finished says of itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(kw_only=True)
class Section:
    """One benchmark's outcome."""

    title: str
    """What was measured."""
    header: Sequence[str]
    """Names of the columns."""
    rows: list[Sequence[str]] = field(default_factory=list)
    """The table."""
    notes: list[str] = field(default_factory=list)
    """What one must know to read the table, a sentence each."""

    def to_markdown(self) -> str:
        """Return the section as Markdown."""
        lines = [f"## {self.title}", ""]
        lines += [_row(self.header), _row(["---"] + ["---:"] * (len(self.header) - 1))]
        lines += [_row(row) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"


def read_figures(run: Path) -> list[dict[str, float]]:
    """Return the lines that a training run has written about itself, in order; none where it has not begun."""
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def last_figures(run: Path, step: int, names: Sequence[str]) -> dict[str, float] | None:
    """Return figures of a run's evaluation after its last step, or None where training has not come so far."""
    last = [line for line in read_figures(run) if line["step"] == step and f"evaluation/{names[0]}" in line]
    return {name: last[-1][f"evaluation/{name}"] for name in names} if last else None


def reached(ratio: float, target: float) -> str:
    """Return a ratio beside its target, marked where it falls short."""
    return f"{ratio:.2f}x (target {target:g}x{'' if ratio >= target else ', missed'})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
