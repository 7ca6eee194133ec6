"""A whole `trilingua recognize`, as a person types it: its time and the most memory that it holds."""

import sys
from statistics import median

from measure import measure_command
from subject import Subject
from tables import Section


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
        found = [measure_command(command) for _ in range(1 if subject.quick else 3)]
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
