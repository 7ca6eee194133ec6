"""Every error that Trilingua raises on purpose.

One root, so that a caller can catch all of them; each also inherits the builtin that it is, so that
code which knows nothing of Trilingua still catches it. A message is one line: what was wrong, the
value, what is allowed, what to do next. Our own invariants are `assert`s, never these.
"""


class TrilinguaError(Exception):
    """The root of all deliberate errors."""


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
