"""Pictures as tasks are given them: as codes, or as what the eye sees, with the camera that it finds."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from trilingua.data.clevr.views import VIEW_FIELD, with_camera
from trilingua.scenes.scene import Scene, Vector
from trilingua.tokenizers.images import ImageTokenizer, seen_cells
from trilingua.tokenizers.sequences import SeenCells


class SeenPicture(NamedTuple):
    """A picture as a task is given it."""

    codes: list[int]
    """In raster order."""
    cells: SeenCells | None = None
    """Those that may show an object; None for a model that reads codes."""
    vectors: Float[Tensor, "shown seen_dim"] | None = None
    """What is seen of these."""
    places: Float[np.ndarray, "known 2"] | None = None
    """Where the objects of all cells stand that sighting knows of: x and y in metres."""
    camera: Vector | None = None
    """Where its camera stands, in metres; None where nothing tells."""


def see(
    images: ImageTokenizer, pictures: Iterable[Image.Image], *, read_codes: bool, camera: Vector | None = None
) -> list[SeenPicture]:
    """Return what a tokenizer sees in RGB pictures.

    Args:
        images: the tokenizer, in evaluation mode.
        pictures: at least one.
        read_codes: only read their codes.
        camera: where the camera of all of them stands, in metres, if that is known.
    """
    if read_codes:
        return [SeenPicture(codes) for codes in images.tokenize_pictures(pictures).tolist()]
    seen = images.see_pictures(pictures, camera=camera)
    return [
        SeenPicture(codes, SeenCells(cells), vectors, places[~places[:, 0].isnan()].numpy(), _known(found))
        for codes, (cells, vectors), places, found in zip(
            seen.codes.tolist(), seen_cells(seen), seen.places, seen.cameras.tolist(), strict=True
        )
    ]


def as_written(values: Mapping[str, Any], *, sees: bool) -> dict[str, Any]:
    """Return values as the sequence tokenizer writes them: a picture as its codes, or as what is seen."""
    return {
        name: (value.cells if sees else value.codes) if isinstance(value, SeenPicture) else value
        for name, value in values.items()
    }


def as_seen(edited: Scene, scene: Scene, image: SeenPicture) -> Scene:
    """Return an edited scene with the view of the scene that it was, or else with the camera of its picture."""
    if VIEW_FIELD in scene.extra:
        return edited.replace(extra={**edited.extra, VIEW_FIELD: scene.extra[VIEW_FIELD]})
    return edited if image.camera is None else with_camera(edited, image.camera)


def _known(camera: list[float]) -> Vector | None:
    """Return a camera to the millimetre, or None where it is not a number."""
    x, y, z = (round(value, 3) for value in camera)
    return None if math.isnan(x) else (x, y, z)
