"""Every benchmark in one run: ratios against peers on this machine, and what this machine is.

    python benchmarks/run.py --out benchmarks/results.md
    python benchmarks/run.py --quick --only recognition

A benchmark is a module with a function `run(subject) -> Section`. Nothing here is a test: times depend on the
machine and on what else it does.
"""

import importlib
import tempfile
from pathlib import Path
from typing import Literal, get_args

import tyro

Name = Literal["recognition", "training", "rendering", "memory", "shapes"]


def main(*, out: Path | None = None, run: Path | None = None, only: Name | None = None, quick: bool = False) -> None:
    """Print the tables, and write them to a file.

    Args:
        out: Markdown file to write; printed only, by default.
        run: run directory to measure; by default the shipped model, or random weights of its size.
        only: one benchmark; all by default.
        quick: few repetitions of small sizes, to see whether it works; the figures mean little.
    """
    # Imported here: a worker process of the data generator imports this module too.
    from measure import describe_machine
    from subject import Subject

    from trilingua.core.io import write_bytes

    machine, peak = describe_machine(quick=quick)
    parts = ["# Benchmarks\n", "Written by `make bench`: everything below was measured in one run.\n"]
    if quick:
        parts.append("A quick run: the figures mean little.\n")
    parts.append("\n".join(machine) + "\n")
    print("\n".join(parts))
    with tempfile.TemporaryDirectory(prefix="trilingua-bench-") as folder:
        subject = Subject(folder=Path(folder), wanted_run=run, quick=quick, peak=peak)
        for name in (only,) if only else get_args(Name):
            section = importlib.import_module(name).run(subject).to_markdown()
            print(section, flush=True)
            parts.append(section)
    if out is not None:
        write_bytes(out, "\n".join(parts).encode())


if __name__ == "__main__":
    tyro.cli(main)
