"""Endless batches of a numbered collection, each item at most once an epoch; made ahead in background threads."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator

BatchT = TypeVar("BatchT")


class EpochStream(ABC, Generic[BatchT]):
    """A `training.task.BatchStream`. What an epoch leaves over is no full batch and is passed over.

    Args:
        positions: numbers of the items.
        batch_size: items a batch.
        seed: of their order, which is another one in each epoch.
        title: what the items are called, in messages and for the stream of random numbers.

    Raises:
        ConfigError: there are fewer items than one batch takes.
    """

    def __init__(self, positions: Sequence[int], *, batch_size: int, seed: int, title: str) -> None:
        self._positions, self._batch_size, self._seed, self._title = list(positions), batch_size, seed, title
        if not 1 <= batch_size <= len(self._positions):
            raise ConfigError(f"batch_size: {batch_size}; expected 1 to {len(self._positions)}, the number of {title}")
        self._pool = ThreadPoolExecutor(2)
        self._drawn = 0
        self._ahead: list[Future[BatchT]] = []

    @abstractmethod
    def make(self, positions: Sequence[int], epoch: int) -> BatchT:
        """Return the batch of the items at `positions`; called in a background thread."""

    def __iter__(self) -> "EpochStream[BatchT]":
        return self

    def __next__(self) -> BatchT:
        """Return the next batch; the one after it is prepared meanwhile."""
        while len(self._ahead) < 2:
            self._ahead.append(self._pool.submit(self._numbered, self._drawn + len(self._ahead)))
        batch = self._ahead.pop(0).result()
        self._drawn += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were drawn."""
        return {"drawn": self._drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the batches that were drawn."""
        self._drawn = int(state["drawn"])
        self._ahead = []

    def skip(self) -> None:
        """Pass over one batch."""
        self._drawn += 1
        self._ahead = self._ahead[1:]

    def _numbered(self, number: int) -> BatchT:
        epoch, place = divmod(number, len(self._positions) // self._batch_size)
        order = make_generator(self._seed, self._title, epoch).permutation(len(self._positions))
        chosen = order[place * self._batch_size : (place + 1) * self._batch_size]
        return self.make([self._positions[index] for index in chosen], epoch)
