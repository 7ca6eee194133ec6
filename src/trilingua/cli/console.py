"""What the verbs share: loading a model, reading inputs before anything is written, progress, messages."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trilingua.core.errors import InputError


def say(message: str) -> None:
    """Write a message to standard error; results go to standard output."""
    print(message, file=sys.stderr)


def progress(items: Sequence[Any], title: str) -> Iterable[Any]:
    """Return the items, with a progress bar on standard error when that is a terminal."""
    return tqdm(items, desc=title, file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)


def outputs(inputs: Sequence[Path], out: Path) -> list[Path]:
    """Return `out`/STEM for each input.

    Raises:
        InputError: two inputs would be written to the same file, or `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder for --out")
    stems: dict[str, Path] = {}
    for path in inputs:
        if path.stem in stems:
            raise InputError(f"{path}: would overwrite the result of {stems[path.stem]}; rename one, or run twice")
        stems[path.stem] = path
    return [out / stem for stem in stems]
