"""Units of work, one number each, done in this process or in several, with a progress bar.

Knows nothing of the work: what a process needs is set up once by the caller's `start`. Results do not come
back; work leaves files.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm

from trilingua.core.errors import WorkerError

_LARGEST_CHUNK = 8


class Run(Protocol):
    """Does `work` for each of `items`."""

    def __call__(self, work: Callable[[int], None], items: list[int], *, title: str, total: int) -> None:
        """Return when all is done.

        Args:
            work: a function of a module, so that it can be named to another process.
            items: what to do.
            title: what the progress bar says.
            total: number of units including those done before, where the bar begins.

        Raises:
            WorkerError: a process died. What `work` raises is raised here too.
        """
        ...


@contextmanager
def workers(num_workers: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[Run]:
    """Yield what runs work in `num_workers` processes, each set up by `start(*arguments)`; 1 is this process.

    Processes are spawned, so they import the main module anew, and use one thread each. An interrupt from the
    keyboard ends them after their current chunk.
    """
    if num_workers == 1:
        start(*arguments)

        def run_here(work: Callable[[int], None], items: list[int], *, title: str, total: int) -> None:
            follow(map(work, items), items, title, total)

        yield run_here
        return
    with _one_thread_each():
        pool = ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_process,
            initargs=(start, arguments),
        )

        def run_in_pool(work: Callable[[int], None], items: list[int], *, title: str, total: int) -> None:
            try:
                follow(pool.map(work, items, chunksize=chunk_size(len(items), num_workers)), items, title, total)
            except BrokenProcessPool as error:
                raise WorkerError(
                    f"num_workers: one of {num_workers} processes died, perhaps for want of memory; "
                    "give the same command with fewer to go on"
                ) from error

        try:
            yield run_in_pool
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # An interrupt from the keyboard reaches every process; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start(*arguments)


def chunk_size(num_items: int, num_workers: int) -> int:
    """Return how many units are handed to a process at once: few hand-overs, and no process idle at the end."""
    return max(1, min(_LARGEST_CHUNK, num_items // (4 * num_workers)))


def follow(results: Iterable[None], items: list[int], title: str, total: int) -> None:
    """Wait for all results, one for each item, behind a progress bar; arguments as `Run`."""
    # `disable=None` shows the bar only where standard error is a terminal.
    for _ in tqdm(results, desc=title, initial=total - len(items), total=total, disable=None, smoothing=0.05):
        pass


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Make processes started inside use one thread each: the units of work are what runs in parallel."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
