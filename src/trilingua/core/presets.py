"""Named configurations: a preset is a zero-argument function that returns a whole configuration.

Holds the register only. Knows no system: each system registers its own, so a preset is known once the
module that defines it has been imported.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from trilingua.core.config import did_you_mean
from trilingua.core.errors import ConfigError

MakeT = TypeVar("MakeT", bound=Callable[[], Any])

_PRESETS: dict[str, Callable[[], Any]] = {}


def preset(name: str) -> Callable[[MakeT], MakeT]:
    """Register the decorated function as the preset `name` (`system-size`, e.g. `kyvo-tiny`).

    The first line of its docstring says what the preset costs and what it reaches.
    """

    def register(make: MakeT) -> MakeT:
        known = _PRESETS.get(name)
        assert known is None or known.__qualname__ == make.__qualname__, f"preset {name} is defined twice"
        assert make.__doc__, f"preset {name} must say in its docstring what it costs and reaches"
        _PRESETS[name] = make
        return make

    return register


def preset_names() -> list[str]:
    """Return the names of all registered presets, sorted."""
    return sorted(_PRESETS)


def get_preset(name: str) -> Any:
    """Return the configuration of the preset `name`.

    Raises:
        ConfigError: no such preset; lists the names.
    """
    return _lookup(name)()


def describe_preset(name: str) -> str:
    """Return the first line of a preset's docstring: what it costs and what it reaches."""
    return (inspect.getdoc(_lookup(name)) or "").splitlines()[0]


def _lookup(name: str) -> Callable[[], Any]:
    if name not in _PRESETS:
        known = ", ".join(preset_names()) or "none is registered"
        raise ConfigError(f"preset {name!r}: no such preset; choose one of {known}{did_you_mean(name, _PRESETS)}")
    return _PRESETS[name]
