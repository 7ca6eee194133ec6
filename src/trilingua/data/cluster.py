"""Units of work done by the machines of a Ray cluster, with a progress bar.

Ray Data starts the processes, hands out the work, and gives the units of a machine that was lost to others. As in
`parallel`, results do not come back: work leaves files, so every machine must see the folder at the same path.
"""

import logging
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

from trilingua.core import errors
from trilingua.core.errors import ConfigError, DependencyError, WorkerError
from trilingua.data.parallel import Run, chunk_size, follow, workers

_PATIENCE_SECONDS = 10


def workers_at(
    cluster: str | None, num_workers: int, start: Callable[..., None], arguments: tuple[Any, ...]
) -> AbstractContextManager[Run]:
    """Return `cluster_workers` where a cluster is named, else `workers`."""
    if cluster is None:
        return workers(num_workers, start, arguments)
    return cluster_workers(cluster, start, arguments)


@contextmanager
def cluster_workers(address: str, start: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[Run]:
    """Yield what runs work on all cores of a cluster, in processes that are each set up by `start(*arguments)`.

    After an error it runs no more work, and the processes that were busy are given back.

    Args:
        address: `HOST:PORT` of the cluster's head, or "auto" for the cluster that this machine belongs to.
        start: a function of a module, so that it can be named to another machine.
        arguments: its arguments; picklable.

    Raises:
        DependencyError: Ray is not installed.
        ConfigError: there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise DependencyError(
            "cluster: needs Ray, which is not installed; run `pip install 'trilingua[distributed]'`"
        ) from error
    try:
        if address != "auto":
            _connect(address)  # Ray itself would try for minutes
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cluster: {address!r} cannot be reached; start one with `ray start --head`, join it from each machine "
            "with `ray start --address HOST:PORT`, and give that address"
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False  # ours counts units, and is the only one
    logging.getLogger("ray.data").setLevel(logging.ERROR)

    def run_on_cluster(work: Callable[[int], None], items: list[int], *, title: str, total: int) -> None:
        if not items:
            return
        cores = int(ray.cluster_resources().get("CPU", 1))
        blocks = math.ceil(len(items) / chunk_size(len(items), cores))
        units = ray.data.from_items([{"unit": item} for item in items], override_num_blocks=blocks)
        processes = ray.data.ActorPoolStrategy(size=min(cores, blocks))
        done = units.map(_Unit, fn_constructor_args=(start, arguments, work), compute=processes)
        try:
            # Closed before Ray is: rows left open after an error have threads that would call it, and crash with it.
            with closing(iter(done.iter_rows())) as rows:
                follow(map(_raise_error, rows), items, title, total)
        except ray.exceptions.RayError as error:
            raise WorkerError(f"cluster: {error}; give the same command to go on") from error

    try:
        yield run_on_cluster
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Raise `OSError` or `ValueError` unless somebody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS).close()


class _Unit:
    """One process of the cluster. An error goes back as a row: Ray would wrap it, and lose what it was."""

    def __init__(self, start: Callable[..., None], arguments: tuple[Any, ...], work: Callable[[int], None]) -> None:
        start(*arguments)
        self.work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        try:
            self.work(int(row["unit"]))
        except Exception as error:
            return {"error": type(error).__name__, "message": str(error)}
        return {"error": "", "message": ""}


def _raise_error(row: dict[str, str]) -> None:
    """Raise what a unit of work raised: an error of ours as it was, any other as a process's failure."""
    kind, message = row["error"], row["message"]
    if kind:
        own = getattr(errors, kind, None)
        if isinstance(own, type) and issubclass(own, errors.TrilinguaError):
            raise own(message)
        raise WorkerError(f"cluster: {kind}: {message}; give the same command to go on")
