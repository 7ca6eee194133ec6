"""Every error that Trilingua raises on purpose.

One root, so that a caller can catch all of them; each also inherits the builtin that it is, so that
code which knows nothing of Trilingua still catches it. A message is one line: what was wrong, the
value, what is allowed, what to do next. Our own invariants are `assert`s, never these.

An error says whose it is: most are about what a person gave, the others about what failed on the way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class TrilinguaError(Exception):
    """The root of all deliberate errors."""

    exit_code: ClassVar[int] = 2
    """Status with which the command line ends: 2 where a person gave what cannot be used, 1 where the work failed."""


class ConfigError(TrilinguaError, ValueError):
    """A setting that is out of range, unknown or contradicts another."""


class InputError(TrilinguaError, ValueError):
    """A file or value from a person that cannot be used: names the file and the field."""


class VocabularyError(TrilinguaError, ValueError):
    """Ids of one vocabulary met a part that was made with another."""


class CheckpointError(TrilinguaError, RuntimeError):
    """A run directory that is missing, torn or of another configuration."""


class DependencyError(TrilinguaError, ImportError):
    """An optional package is needed: names the extra that installs it."""


class DivergenceError(TrilinguaError, FloatingPointError):
    """Training met a loss or gradient that is not a finite number."""

    exit_code = 1


class WriteError(TrilinguaError, OSError):
    """A file could not be written though its place was good: the disk is full or gone."""

    exit_code = 1


class WorkerError(TrilinguaError, RuntimeError):
    """A process that did a part of the work died or could not do it."""

    exit_code = 1


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Name the file or field in an `InputError` raised inside, by what knows only what it was given."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
