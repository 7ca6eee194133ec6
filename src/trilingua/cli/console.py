"""What the verbs share: checks of where results go, before anything is done; progress; messages."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import kind_of


def say(message: str) -> None:
    """Write a message to standard error; results go to standard output."""
    print(message, file=sys.stderr)


def progress(items: Sequence[Any], title: str) -> Iterable[Any]:
    """Return the items, with a progress bar on standard error when that is a terminal."""
    from tqdm import tqdm

    return tqdm(items, desc=title, file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)


def processes(num_workers: int | None, cluster: str | None) -> int:
    """Return how many processes a verb starts: as many as it was told to, or one for each usable core.

    Raises:
        ConfigError: a number is given together with a cluster.
    """
    if cluster is not None and num_workers is not None:
        raise ConfigError("num_workers: a cluster uses all of its cores; leave --num-workers out")
    if num_workers is not None:
        return num_workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folder_to_write(path: Path) -> Path:
    """Return `path` if results can be written into such a folder; it need not exist and is not made.

    Raises:
        InputError: it is a file, or a folder on the way is one or may not be written to.
    """
    if kind_of(path) == "file":
        raise InputError(f"{path}: is a file; choose a folder for --out")
    _require_writable(path, path)
    return path


def file_to_write(path: Path) -> Path:
    """Return `path` if a file of that name can be written; nothing is made.

    Raises:
        InputError: it is a folder, or a folder on the way is a file or may not be written to.
    """
    if kind_of(path) == "folder":
        raise InputError(f"{path}: is a folder; choose another file to write")
    _require_writable(path.parent, path)
    return path


def outputs(inputs: Sequence[Path], out: Path, *endings: str, also_read: Sequence[Path] = ()) -> list[tuple[Path, ...]]:
    """Return the files that each input becomes, `out`/STEM with each of the endings; nothing is made.

    Raises:
        InputError: two inputs would be written to the same file, an input or what is `also_read` would be overwritten,
            `out` cannot be written to, or a folder is in the place of a file.
    """
    folder_to_write(out)
    stems: dict[str, Path] = {}
    for path in inputs:
        if path.stem in stems:
            raise InputError(f"{path}: would overwrite the result of {stems[path.stem]}; rename one, or run twice")
        stems[path.stem] = path
    files = [tuple(out / f"{stem}{ending}" for ending in endings) for stem in stems]
    for path in (path for group in files for path in group):
        kind = kind_of(path)
        if kind == "folder":
            raise InputError(f"{path}: is a folder where a result goes; rename it, or choose another --out")
        if kind == "file" and any(given.exists() and path.samefile(given) for given in (*inputs, *also_read)):
            raise InputError(f"{path}: is what was given, and would be overwritten; choose another --out")
    return files


def _require_writable(folder: Path, target: Path) -> None:
    """Raise if `folder`, or the nearest folder above it that exists, cannot be written to."""
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if kind_of(place) != "folder":
        raise InputError(f"{target}: cannot be written ({place} is a file); choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{target}: cannot be written ({place} may not be written to); choose another --out")
