"""What a person passes: one value or a list of them, pictures in any form, texts; checked before work begins."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trilingua.core.errors import InputError
from trilingua.core.io import read_image
from trilingua.scenes.scene import Vector

Picture = str | Path | Image.Image | np.ndarray
"""What counts as a picture: a path, a PIL image, or an array (height, width, 3)."""


def read_picture(picture: Any) -> Image.Image:
    """Return an RGB picture.

    Raises:
        InputError: it is no picture, or its file cannot be read.
    """
    if not isinstance(picture, Picture):
        raise InputError(f"image: expected a path, a PIL image or an array, got {type(picture).__name__}")
    return read_image(picture)


def read_camera(camera: Any) -> Vector:
    """Return where a camera stands, in metres.

    Raises:
        InputError: it is not three finite numbers, or no camera that stands there sees the ground with a level horizon.
    """
    try:
        x, y, z = map(float, camera)
    except (TypeError, ValueError):
        raise InputError(f"camera: {camera!r}; expected three numbers: x, y and z in metres") from None
    if not (z > 0 and (x or y) and all(map(math.isfinite, (x, y, z)))):
        raise InputError(f"camera: ({x:g}, {y:g}, {z:g}); expected a place above the ground and beside the origin")
    return x, y, z


def as_list(values: Any) -> tuple[list[Any], bool]:
    """Return the values as a list, and whether there was only one that was no list.

    Raises:
        InputError: the list is empty.
    """
    if isinstance(values, list | tuple):
        if not values:
            raise InputError("expected at least one value, got an empty list")
        return list(values), False
    return [values], True


def check_lengths(*lists: Sequence[Any]) -> None:
    """Raise unless there is one value for each picture.

    Raises:
        InputError: the lists differ in length.
    """
    lengths = [len(values) for values in lists]
    if len(set(lengths)) != 1:
        raise InputError(
            f"lists of different lengths ({', '.join(map(str, lengths))}); give one value for each picture"
        )


def read_texts(values: Any, one: bool, name: str) -> list[str]:
    """Return the text of each picture, checked.

    Args:
        values: a text for one picture, or a list of them.
        one: whether there is one picture that is no list.
        name: what an error calls them.

    Raises:
        InputError: there is no list for a list of pictures, or `check_text` says so.
    """
    if not one and not isinstance(values, list | tuple):
        raise InputError(f"{name}: expected a list, one text for each picture, got {type(values).__name__}")
    texts = [values] if one else list(values)
    for text in texts:
        check_text(text, name)
    return texts


def check_text(text: Any, name: str) -> None:
    """Raise unless there is something to read.

    Raises:
        InputError: it is no text, or empty.
    """
    if not isinstance(text, str):
        raise InputError(f"{name}: expected a text, got {type(text).__name__}; write one sentence")
    if not text.strip():
        raise InputError(f"{name}: is empty; write one sentence")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # what a terminal gives for bytes that are no UTF-8
        raise InputError(f"{name}: holds characters that are no Unicode text; write it in UTF-8") from error
