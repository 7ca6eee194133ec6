"""Files: atomic writes, readable errors, digests.

A write either leaves the whole new file or the old state: the bytes go to a temporary file beside
the target, which then takes its name. Every reading error names the file and what was expected.
"""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trilingua.core.errors import InputError, WriteError

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk that is full, or of a person's share of it."""


def kind_of(path: Path) -> Literal["file", "folder", "nothing"]:
    """Return what is at a path; what one may not look at, or a name that the system refuses, is nothing."""
    try:
        if path.is_dir():
            return "folder"
        return "file" if path.exists() else "nothing"
    except OSError:
        return "nothing"


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name `path`, on error it is removed.

    Raises:
        InputError: `path` is a folder, or nothing can be written in its place.
        WriteError: the disk is full or gone.
    """
    path = Path(path)
    if kind_of(path) == "folder":
        raise InputError(f"{path}: is a folder; expected the name of a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    except FileExistsError as error:
        raise InputError(f"{path}: cannot write here ({path.parent} is a file); choose another --out") from error
    except OSError as error:
        kind = WriteError if error.errno in _FULL else InputError
        raise kind(f"{path}: cannot write here ({error.strerror or error}); choose another --out") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise WriteError(
            f"{path}: writing failed ({error.strerror or error}); free some space or choose another --out"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically, making its folder."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write `value` as JSON atomically; NaN and infinities are refused, since JSON has none."""
    try:
        text = json.dumps(value, indent=indent, allow_nan=False)
    except ValueError as error:
        raise InputError(f"{path}: cannot be written as JSON ({error}); every number must be finite") from error
    write_bytes(path, (text + "\n").encode())


def write_image(path: str | Path, image: Image.Image) -> None:
    """Write a picture as PNG atomically, making its folder."""
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def existing_file(path: str | Path) -> Path:
    """Return `path` as a `Path` if it is a file; raise `InputError` in words if not."""
    path = Path(path)
    kind = kind_of(path)
    if kind == "folder":
        raise InputError(f"{path}: is a folder; expected a file")
    if kind == "nothing":
        raise InputError(f"{path}: no such file; check the path")
    return path


def existing_folder(path: str | Path) -> Path:
    """Return `path` as a `Path` if it is a folder; raise `InputError` in words if not."""
    path = Path(path)
    kind = kind_of(path)
    if kind == "nothing":
        raise InputError(f"{path}: no such folder; check the path")
    if kind == "file":
        raise InputError(f"{path}: is a file; expected a folder")
    return path


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, a folder, empty, truncated, or not JSON; one line that says which.
    """
    path = existing_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({type(error).__name__}); expected a JSON file") from error
    if not text.strip():
        raise InputError(f"{path}: is empty; expected JSON")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{path}: is not valid JSON{where}; it may be truncated") from error


def read_image(image: str | Path | Image.Image | np.ndarray) -> Image.Image:
    """Return `image` as an RGB PIL image.

    Args:
        image: a path, a PIL image, or an array (height, width, 3) of uint8 or of floats in [0, 1].

    Raises:
        InputError: not an image, truncated, of no pixels, or with more than 8 bits a channel.
    """
    if isinstance(image, str | Path):
        path = existing_file(image)
        try:
            with Image.open(path) as opened:
                return _as_rgb(opened, str(path))
        except InputError:
            raise
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            problem = "is empty" if path.stat().st_size == 0 else "is not a readable image, or is truncated"
            raise InputError(f"{path}: {problem}; expected a PNG or JPEG picture") from error
    if isinstance(image, Image.Image):
        if 0 in image.size:
            raise InputError(f"image: has no pixels (size {image.size}); expected at least 1 x 1")
        try:
            return _as_rgb(image, "image")
        except InputError:
            raise
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError("image: cannot be decoded, or is truncated; expected a whole picture") from error
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise InputError(f"image: array of shape {array.shape}; expected (height, width, 3)")
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
            raise InputError(f"image: array of {array.dtype} values; expected uint8, or finite floats in [0, 1]")
        if array.min() < -_OVERSHOOT or array.max() > 1 + _OVERSHOOT:
            raise InputError(f"image: floats from {array.min():g} to {array.max():g}; expected [0, 1], or uint8")
        array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(array)


_OVERSHOOT = 0.1
"""By which floats may leave [0, 1], as they do after a picture was sharpened or made larger; they are clipped."""


def _as_rgb(image: Image.Image, where: str) -> Image.Image:
    """Return a picture as a person sees it: turned as its EXIF data say, in RGB."""
    if image.mode == "F" or image.mode.startswith("I"):
        raise InputError(f"{where}: has pixels of mode {image.mode}; expected 8 bits a channel, so save it anew")
    return ImageOps.exif_transpose(image).convert("RGB")


def digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with existing_file(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value's canonical text, in hex: equal values have equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
