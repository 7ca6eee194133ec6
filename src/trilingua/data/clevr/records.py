"""The records of one JSON file (questions or instructions), found by the picture that they are about.

Our own files hold a record a line and may be larger than memory, so one pass over the lines finds which lie where,
and a record is parsed when it is asked for. Any other file is read whole. Knows nothing of what a record says.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from trilingua.core.errors import InputError
from trilingua.core.io import read_json

_FILENAME = re.compile(rb'\{"image_filename": "([^"\\]*)"')


class Record(NamedTuple):
    """One record, and where it stands, as errors name it."""

    where: str
    value: Any


class RecordFile:
    """A JSON file `{"KIND": [record, ...]}`, opened; nothing is read before a record is asked for.

    Args:
        path: the file.
        kind: name of the list.

    Raises:
        InputError: when records are asked for and the file is no such JSON.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind

    def __iter__(self) -> Iterator[Record]:
        """Yield every record in the file's order."""
        if self._lines is None:
            yield from map(self._whole_record, range(len(self._whole)))
        else:
            yield from self._read(sorted(place for places in self._lines.values() for place in places))

    def of(self, image_filename: str) -> list[Record]:
        """Return the records about a picture, in the file's order."""
        if self._lines is None:
            return [self._whole_record(number) for number in self._numbers.get(image_filename, [])]
        return list(self._read(self._lines.get(image_filename, [])))

    @cached_property
    def _lines(self) -> dict[str, list[tuple[int, int]]] | None:
        """Number and first byte of each record by its picture; None if the file is not a record a line."""
        places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        with self.path.open("rb") as stream:
            offset = len(opening := stream.readline())
            if not opening.endswith(f'"{self.kind}": [\n'.encode()):
                return None
            for number, line in enumerate(stream):
                found = _FILENAME.match(line)
                if found is None:
                    # Whatever the end is, if it is not that of a whole file, the parser will say so.
                    return places if line == b"]}\n" else None
                places[found[1].decode()].append((number, offset))
                offset += len(line)
        return None

    def _read(self, places: list[tuple[int, int]]) -> Iterator[Record]:
        with self.path.open("rb") as stream:
            for number, offset in places:
                stream.seek(offset)
                where = self._where(number)
                try:
                    yield Record(where, json.loads(stream.readline().rstrip(b",\n")))
                except ValueError as error:
                    raise InputError(f"{where}: is no JSON ({error}); make the file again") from error

    @cached_property
    def _whole(self) -> list[Any]:
        value = read_json(self.path)
        if not isinstance(value, dict) or not isinstance(value.get(self.kind), list):
            raise InputError(f"{self.path}: expected a JSON object with a list named {self.kind!r}")
        return value[self.kind]

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, value in enumerate(self._whole):
            name = value.get("image_filename") if isinstance(value, dict) else None
            if not isinstance(name, str):
                raise InputError(f"{self._where(number)}.image_filename: is {name!r}; expected a text")
            numbers[name].append(number)
        return numbers

    def _whole_record(self, number: int) -> Record:
        return Record(self._where(number), self._whole[number])

    def _where(self, number: int) -> str:
        return f"{self.path}: {self.kind}[{number}]"
