"""What a CLEVR data directory is to hold, and where each of its files lies.

Records (questions, instructions) are gathered in parts of `CHUNK` scenes, so that work on them can be resumed,
and joined into one file, one record a line. Knows paths and bytes; nothing of how their content comes about.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trilingua.core.errors import ConfigError
from trilingua.core.io import atomic_path, write_bytes
from trilingua.data.clevr.placement import check_object_counts
from trilingua.data.directory import check_count, check_split

KINDS = ("questions", "instructions")
"""The kinds of records."""

PREFIX = "CLEVR"
CHUNK = 100
"""How many scenes' questions or instructions are one unit of resumable work."""

_LEAST_COUNTS = {"num_scenes": 1, "width": 1, "height": 1, "questions_per_scene": 0, "instructions_per_scene": 0}


@dataclass(frozen=True, kw_only=True)
class ClevrConfig:
    """What a CLEVR data directory holds; it is written into the directory and checked when work is resumed."""

    num_scenes: int
    """Number of scenes, each with one picture; at least 1. It may grow when work is resumed."""
    seed: int = 0
    """Seed of everything random."""
    split: str = "new"
    """Name of the split: letters, digits, '-' and '_'; splits of one seed hold different scenes."""
    renderer: str = "builtin"
    """Which renderer draws: `builtin` or `blender`."""
    min_objects: int = 3
    """Least number of objects in a scene, from 1. Source: CLEVR generator."""
    max_objects: int = 10
    """Largest number of objects in a scene, to 10. Source: CLEVR generator."""
    questions_per_scene: int = 10
    """Questions for each scene; 0 makes none. It may be raised from 0 when work is resumed."""
    instructions_per_scene: int = 5
    """Instructions for each scene, each with its target picture; 0 makes none. It may be raised from 0 later."""
    pictured_share: float = 1.0
    """Share of the instructions whose target is drawn, in [0, 1]; the others teach the edited scene alone."""
    width: int = 320
    """Width of the pictures in pixels."""
    height: int = 240
    """Height of the pictures in pixels."""

    def __post_init__(self) -> None:
        for name, least in _LEAST_COUNTS.items():
            check_count(name, getattr(self, name), least)
        check_split(self.split)
        check_object_counts(self.min_objects, self.max_objects)
        if not 0 <= self.pictured_share <= 1:
            raise ConfigError(f"pictured_share: {self.pictured_share} is not allowed; expected a value in [0, 1]")

    @property
    def name(self) -> str:
        """What every file of the split begins with."""
        return f"{PREFIX}_{self.split}"


@dataclass(frozen=True, kw_only=True)
class ClevrLayout:
    """Where the files of one split lie."""

    out: Path
    config: ClevrConfig

    def stem(self, index: int) -> str:
        """Return what the file names of scene `index` begin with."""
        return f"{self.config.name}_{index:06d}"

    def scene_path(self, index: int) -> Path:
        """Return where scene `index` lies."""
        return self.out / "scenes" / f"{self.stem(index)}.json"

    def image_path(self, filename: str) -> Path:
        """Return where the picture called `filename` lies."""
        return self.out / "images" / filename

    def has_scene(self, index: int) -> bool:
        """Return whether scene `index` and its picture are there."""
        return self.scene_path(index).exists() and self.image_path(f"{self.stem(index)}.png").exists()

    def chunk(self, start: int) -> range:
        """Return the indices of the scenes whose records are gathered with those of scene `start`."""
        return range(start, min(start + CHUNK, self.config.num_scenes))

    def chunk_starts(self) -> range:
        """Return the first index of every chunk."""
        return range(0, self.config.num_scenes, CHUNK)

    def part_path(self, kind: str, start: int) -> Path:
        """Return where one chunk's records are kept until all are there; the name says all that they depend on."""
        per_scene = getattr(self.config, f"{kind}_per_scene")
        name = f"{self.config.name}_{kind}_{start:06d}_{self.chunk(start).stop:06d}_{per_scene}.jsonl"
        return self.out / "parts" / name

    def records_path(self, kind: str) -> Path:
        """Return where all records of a kind lie in the end."""
        return self.out / f"{self.config.name}_{kind}.json"

    def write_part(self, kind: str, start: int, records: list[dict[str, Any]]) -> None:
        """Write one chunk's records."""
        lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
        write_bytes(self.part_path(kind, start), lines.encode())

    def join_parts(self, kind: str) -> None:
        """Join all parts of a kind into one JSON file, with no more than one part in memory."""
        info = {"split": self.config.split, "version": version("trilingua")}
        with atomic_path(self.records_path(kind)) as temporary, temporary.open("wb") as stream:
            stream.write(f'{{"info": {json.dumps(info)}, "{kind}": ['.encode())
            separator = b"\n"
            for start in self.chunk_starts():
                for line in self.part_path(kind, start).read_bytes().splitlines():
                    stream.write(separator + line)
                    separator = b",\n"
            stream.write(b"\n]}\n")

    def record_lines(self, kind: str) -> Iterator[str]:
        """Yield the JSON of each record that `join_parts` wrote."""
        with self.records_path(kind).open(encoding="utf-8") as stream:
            next(stream)
            for line in stream:
                record = line.rstrip().removesuffix(",")
                if record not in ("", "]}"):
                    yield record
