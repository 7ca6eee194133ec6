"""What every data directory has in common: settings that it was begun with, digests of what it held when finished.

`settings.json` is written first and forbids going on with other settings; `manifest.json` is written last and
holds the digest of every file, so that what is lost or changed can be found and made again. Knows no data set.
"""

import re
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import digest_file, read_json, write_json


def check_count(name: str, value: int, least: int) -> None:
    """Raise `ConfigError` unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}: {value!r} is not allowed; give a whole number of at least {least}")


def check_split(split: str) -> None:
    """Raise `ConfigError` unless the name of a split can be a part of file names."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", split):
        raise ConfigError(f"split: {split!r} is not allowed; use letters, digits, '-' and '_'")


def adopt_settings(
    out: Path, settings: dict[str, Any], *, command: str, may_become: Callable[[str, Any, Any], bool]
) -> None:
    """Record the settings in the folder, or compare them with those it was begun with.

    Args:
        out: the data directory.
        settings: JSON values by name; the package's version is added.
        command: what begins such a folder, for the message.
        may_become: whether the setting of a name may change from the old to the new value.

    Raises:
        InputError: the folder was begun with other settings, or holds other things.
    """
    path = out / "settings.json"
    settings = {"version": version("trilingua"), **settings}
    if path.exists():
        begun = read_json(path)
        for name, value in settings.items():
            old = begun.get(name) if isinstance(begun, dict) else None
            if old != value and not may_become(name, old, value):
                raise InputError(
                    f"{out}: was begun with {name} {old!r}, not {value!r}; keep it or choose another --out"
                )
        if begun == settings:
            return
    elif out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty and was not begun by `{command}`; choose another --out")
    write_json(path, settings)


def finished_before(out: Path, settings: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the manifest of an equal run that finished here, and its files that are gone or changed since.

    Changed files are removed, so that they are made again.
    """
    path = out / "manifest.json"
    manifest = read_json(path) if path.exists() else None
    if not isinstance(manifest, dict) or manifest.get("settings") != settings:
        return None, []
    broken = []
    for name, digest in tqdm(manifest.get("files", {}).items(), desc="checking", unit="file", disable=None):
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/"):
            raise InputError(f"{path}: files: {name!r} lies outside the folder; choose another --out")
        file = out.joinpath(*parts)
        if not file.is_file() or digest_file(file) != digest:
            file.unlink(missing_ok=True)
            broken.append(name)
    return manifest, broken


def digest_files(out: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return the digest of each file by its name within the data directory, in the given order."""
    return {
        path.relative_to(out).as_posix(): digest_file(path)
        for path in tqdm(list(paths), desc="digests", unit="file", disable=None)
    }
