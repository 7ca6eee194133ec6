"""A whole `trilingua recognize`, as a person types it: its time and the most memory that it holds."""

import json
import subprocess
import sys
from statistics import median

from subject import Subject
from tables import Section

_MEASURE = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({"status": status, "seconds": time.perf_counter() - start, "memory": usage.ru_maxrss * unit}))
"""
"""Runs in a small process of its own: a child's peak counts its parent's memory at the moment of the fork."""


def run(subject: Subject) -> Section:
    """Measure the command with one picture and with eight."""
    section = Section(
        title="The command `trilingua recognize`", header=("", "seconds", "resident memory at its peak, MB", "target")
    )
    for count in (1, 8):
        pictures = [str(path) for path in subject.pictures[:count]]
        out = subject.folder / f"recognized_{count}"
        command = [sys.executable, "-c", "from trilingua.cli.main import main; main()", "recognize", *pictures]
        command += ["--out", str(out), "--checkpoint", str(subject.run)]
        found = [_measure(command) for _ in range(1 if subject.quick else 3)]
        memory = max(item["memory"] for item in found) / 1e6
        section.rows.append(
            (
                f"{count} picture{'s' * (count > 1)}",
                f"{median(item['seconds'] for item in found):.1f}",
                f"{memory:.0f}",
                f"at most 1000 MB{'' if memory <= 1000 else ', missed'}",
            )
        )
    weights = sum(path.stat().st_size for path in subject.run.glob("*.safetensors")) / 1e6
    section.notes = [
        "The whole process, from the start of Python to written files, imports and loading included.",
        f"The run's weights are {weights:.1f} MB on disk.",
    ]
    return section


def _measure(command: list[str]) -> dict[str, float]:
    finished = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURE, *command], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    if found["status"]:
        raise RuntimeError(f"{' '.join(command[3:5])}: failed: {finished.stderr.strip()}")
    return found
