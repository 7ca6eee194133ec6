"""Shapes as an endless resumable stream for their tokenizers: what is read of an object, and places to judge by.

Every visit to an object draws other points and places from those that were measured. Objects are read from disk again
each time, in background threads: that takes milliseconds, and all of them would not fit into memory.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator
from trilingua.data.epochs import EpochStream
from trilingua.data.shapes.files import ShapeFolder
from trilingua.data.shapes.structured_latents import LatentFolder
from trilingua.geometry.posed_views import draw_rays
from trilingua.tokenizers.shapes.protocol import Rays

AnyFolder = ShapeFolder | LatentFolder
"""A folder of shapes, as a class; one of latents knows no places."""

ReadObject = Callable[[Any, int, np.random.Generator | None], Float32[np.ndarray, "*input"]]
"""From a folder, an object's number and a generator (None: the same each time) to what a network reads."""


class ShapeBatch(NamedTuple):
    """Objects as a tokenizer reads them, and places whose distance from the surface is known."""

    inputs: Float[Tensor, "batch *input channel"]
    places: Float[Tensor, "batch point 3"]
    """In [-1, 1]^3; the uniform ones first."""
    distances: Float[Tensor, "batch point"]
    """From the surface, negative inside."""
    rays: Rays | None = None
    """Of the objects' pictures, where the stream draws some."""


class ShapeStream(EpochStream[ShapeBatch]):
    """Batches of random objects of a shape data directory, or of a folder of structured latents.

    Args:
        folder: the directory.
        read: makes an object's input.
        batch_size: objects a batch.
        num_uniform: places of each object that were drawn uniformly.
        num_near: places near its surface.
        seed: of everything random.
        positions: which objects to use; None for all.
        num_rays: rays through pixels of each object's pictures.

    Raises:
        ConfigError: there are fewer objects than one batch takes, or fewer places than are asked for.
    """

    def __init__(
        self,
        folder: AnyFolder,
        read: ReadObject,
        *,
        batch_size: int,
        num_uniform: int,
        num_near: int,
        seed: int,
        positions: Sequence[int] | None = None,
        num_rays: int = 0,
    ) -> None:
        self._folder, self._read, self._num_rays = folder, read, num_rays
        self._counts = (num_uniform, num_near)
        settings = folder.manifest["settings"]
        self._known_uniform = int(settings["num_uniform"])
        for name, count in zip(("num_uniform", "num_near"), self._counts, strict=True):
            if not 0 <= count <= settings[name]:
                raise ConfigError(f"{name}: {count}; {folder.path} holds {settings[name]} such places of each object")
        chosen = list(range(len(folder)) if positions is None else positions)
        super().__init__(chosen, batch_size=batch_size, seed=seed, title="shapes")

    def make(self, positions: Sequence[int], epoch: int) -> ShapeBatch:
        """Return objects with points and places that depend on the seed, the epoch and the object alone."""
        parts = [self._object(index, make_generator(self._seed, "shape", epoch, index)) for index in positions]
        return self._with_rays(_stack(parts), positions, epoch)

    def held_out(self, positions: Sequence[int]) -> ShapeBatch:
        """Return objects with the points that are always read, and all places; without any, rays, always the same."""
        parts = []
        for index in positions:
            distances = self._folder.distances(index)
            parts.append((self._read(self._folder, index, None), distances.points, distances.distances))
        batch = _stack(parts)
        return batch if batch.places.shape[1] else self._with_rays(batch, positions, "held out")

    def _with_rays(self, batch: ShapeBatch, positions: Sequence[int], key: int | str) -> ShapeBatch:
        if not self._num_rays:
            return batch
        assert isinstance(self._folder, ShapeFolder), "latents have no pictures, and what reads them no rays"
        seen = [
            draw_rays(self._folder.views(index), self._num_rays, make_generator(self._seed, "rays", key, index))
            for index in positions
        ]
        return batch._replace(rays=Rays(*(torch.from_numpy(np.stack(part)) for part in zip(*seen, strict=True))))

    def _object(self, index: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = self._folder.distances(index)
        border, (num_uniform, num_near) = self._known_uniform, self._counts
        chosen = np.concatenate(
            [
                generator.permutation(border)[:num_uniform],
                border + generator.permutation(len(known.points) - border)[:num_near],
            ]
        )
        inputs = self._read(self._folder, index, generator)
        return inputs, known.points[chosen], known.distances[chosen]


def _stack(parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> ShapeBatch:
    inputs, places, distances = (torch.from_numpy(np.stack(values)) for values in zip(*parts, strict=True))
    return ShapeBatch(inputs, places, distances)
