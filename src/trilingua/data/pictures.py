"""Pictures with what their cells show, as an endless resumable stream for the image tokenizer.

Pictures are decoded in background threads and kept in memory as bytes (196 kB each at 256 x 256), as many as fit
into 6 GiB; the cells are recomputed from the scene and its view, which a renderer does in a few milliseconds.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8, Int16, UInt8
from PIL import Image
from torch import Tensor

from trilingua.core.errors import naming
from trilingua.core.random import make_generator
from trilingua.data.augment import AugmentConfig, augment, shift_offsets
from trilingua.data.cells import cell_targets
from trilingua.data.clevr.files import ClevrFolder, cell_objects
from trilingua.data.clevr.views import view_of
from trilingua.data.epochs import EpochStream
from trilingua.data.renderers.views import camera_for_view
from trilingua.scenes.scene import Scene


class PictureBatch(NamedTuple):
    """Pictures and what their cells show."""

    images: UInt8[Tensor, "batch 3 height width"]
    """What is seen."""
    plain: UInt8[Tensor, "batch 3 height width"]
    """What is to be painted: the same without what another camera did to them."""
    classes: Int8[Tensor, "batch cell category"]
    """As in `CellTargets`."""
    values: Float[Tensor, "batch cell value"]
    """As in `CellTargets`."""
    heights: Float[Tensor, "batch cell"]
    """As in `CellTargets`."""
    cameras: Float[Tensor, "batch 3"]
    """Where the camera stands, in metres."""


class PictureStream(EpochStream[PictureBatch]):
    """Batches of random pictures of a data folder, each picture at most once an epoch.

    What an epoch leaves over is no full batch and is passed over; the next epoch has another order.

    Args:
        folder: a data directory whose scenes hold their view.
        index_map: returns the object index of each pixel of a scene's picture.
        prepare: turns a PIL picture into bytes (3, height, width).
        batch_size: pictures a batch.
        grid_size: cells along one side.
        seed: of the order of pictures.
        positions: which scenes of the folder to use; None for all.
        augmentation: how pictures are changed, anew each time that one is drawn.

    Raises:
        ConfigError: there are fewer pictures than one batch takes.
    """

    def __init__(
        self,
        folder: ClevrFolder,
        *,
        index_map: Callable[[Scene], Int16[np.ndarray, "height width"]],
        prepare: Callable[[Image.Image], UInt8[np.ndarray, "3 height width"]],
        batch_size: int,
        grid_size: int,
        seed: int,
        positions: Sequence[int] | None = None,
        augmentation: AugmentConfig | None = None,
    ) -> None:
        self._folder, self._grid_size = folder, grid_size
        self._index_map, self._prepare = index_map, prepare
        self._augmentation = augmentation or AugmentConfig()
        self._kept: dict[int, _Picture] = {}
        chosen = list(range(len(self._folder)) if positions is None else positions)
        super().__init__(chosen, batch_size=batch_size, seed=seed, title="pictures")

    def batch(self, positions: Sequence[int]) -> PictureBatch:
        """Return the pictures at `positions` of the folder as they are."""
        pictures = [self._picture(position) for position in positions]
        return _stacked([(picture.pixels, *picture) for picture in pictures])

    def make(self, positions: Sequence[int], epoch: int) -> PictureBatch:
        """Return the pictures at `positions`, changed anew in each epoch."""
        if not self._augmentation.share:
            return self.batch(positions)
        rows = [
            self._augmented(position, make_generator(self._seed, "augment", epoch, position)) for position in positions
        ]
        return _stacked(rows)

    def _augmented(self, position: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        pixels, classes, values, *others = self._picture(position)
        image, plain, crop = augment(pixels.transpose(1, 2, 0), self._augmentation, generator)
        shifted = shift_offsets(values, crop, self._grid_size)
        return image.transpose(2, 0, 1), plain.transpose(2, 0, 1), classes, shifted, *others

    def _picture(self, position: int) -> "_Picture":
        if position not in self._kept:
            scene = self._folder.scene(position)
            pixels = self._prepare(self._folder.image(scene.image_filename))
            with naming(self._folder.where(position)):
                camera = camera_for_view(view_of(scene))
                cells = cell_objects(self._index_map(scene), grid=self._grid_size)
                targets = cell_targets(scene, cells, camera, self._folder.schema)
            picture = _Picture(pixels, *targets, camera.position.astype(np.float32))
            if len(self._kept) * pixels.nbytes >= _MEMORY:
                return picture
            self._kept[position] = picture
        return self._kept[position]


class _Picture(NamedTuple):
    """A picture as `PictureBatch` has it, without its double."""

    pixels: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    heights: np.ndarray
    camera: np.ndarray


def _stacked(rows: Sequence[Sequence[np.ndarray]]) -> PictureBatch:
    return PictureBatch(*(torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True)))


_MEMORY = 6 * 2**30
"""Bytes of pictures that are kept: random epochs meet each again only when all others were met."""
