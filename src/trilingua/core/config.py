"""Configurations: trees of frozen dataclasses, to and from JSON, with errors that name the dotted field.

A configuration holds simple values only (bool, int, float, str, None, `Literal`, `Path`, tuples, dicts with
text keys, other configurations). Knows no particular configuration. An unknown field, a missing one or a
value of the wrong type is a `ConfigError` of one line, never ignored.
"""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from trilingua.core.errors import ConfigError

ConfigT = TypeVar("ConfigT")

_TAG = "type"
"""Key that says which dataclass a value is, where a field allows several."""


def to_json(config: Any) -> dict[str, Any]:
    """Return the configuration as JSON values that `from_json` reads back to an equal configuration.

    Numbers are written as the field's declared type (1 in a float field becomes 1.0), so that equal
    configurations give equal JSON.
    """
    hints = _hints(type(config))
    return {field.name: _write(getattr(config, field.name), hints[field.name]) for field in dataclasses.fields(config)}


def from_json(cls: type[ConfigT], value: Any, where: str = "") -> ConfigT:
    """Return the configuration of class `cls` that the JSON `value` describes.

    Args:
        cls: a configuration dataclass.
        value: what `to_json` returned; fields that have a default may be left out.
        where: dotted path of `value` in a larger tree, for messages.

    Raises:
        ConfigError: an unknown or missing field, or a value that its field does not allow; names the
            dotted path and what is allowed.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{where or cls.__name__}: {_show(value)} is not an object; expected the fields of {cls.__name__}"
        )
    prefix = f"{where}." if where else ""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            raise ConfigError(f"{prefix}{name}: no such field in {cls.__name__}; {_nearest(str(name), fields)}")
    hints = _hints(cls)
    arguments = {}
    for name, field in fields.items():
        if name in value:
            arguments[name] = _read(value[name], hints[name], f"{prefix}{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{prefix}{name}: is missing; expected {_allowed(hints[name])}")
    return _construct(cls, arguments, where)


def replace_dotted(config: ConfigT, changes: Mapping[str, Any]) -> ConfigT:
    """Return a copy with some fields changed, each addressed by its dotted path.

    Args:
        config: a configuration; stays as it is.
        changes: dotted path to value, e.g. `{"trainer.max_steps": "100"}`. Text for a field that is not text
            is read as JSON (`true`, `1e-3`, `[0.9, 0.95]`, `null`).

    Raises:
        ConfigError: no such field, or a value that it does not allow.
    """
    for path, value in changes.items():
        config = _replace_at(config, path.split("."), value, "")
    return config


def differences(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted path, old value, new value) of every leaf at which two JSON values differ; None where absent."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
    elif type(old) is not type(new) or old != new:
        yield where, old, new


def require_at_least(config: Any, **least: int) -> None:
    """Raise `ConfigError` for the first field that is below its least value, or no number."""
    for name, value in least.items():
        if not getattr(config, name) >= value:
            raise ConfigError(f"{name}: {getattr(config, name)}; expected at least {value}")


def require_shares(config: Any, *names: str) -> None:
    """Raise `ConfigError` for the first field that does not lie in [0, 1]."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ConfigError(f"{name}: {getattr(config, name)}; expected 0 to 1")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the nearest known name, or nothing when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _nearest(name: str, fields: Mapping[str, Any]) -> str:
    return f"its fields are {', '.join(fields)}{did_you_mean(name, fields)}"


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _construct(cls: type[ConfigT], arguments: dict[str, Any], where: str) -> ConfigT:
    try:
        return cls(**arguments)
    except ConfigError as error:  # a check of the class itself: say where in the tree it stands
        raise ConfigError(f"{where}.{error}" if where else str(error)) from error


def _replace_at(config: Any, path: list[str], value: Any, where: str) -> Any:
    name, rest = path[0], path[1:]
    here = f"{where}.{name}" if where else name
    fields = {field.name: field for field in dataclasses.fields(config) if field.init}
    if name not in fields:
        raise ConfigError(f"{here}: no such field in {type(config).__name__}; {_nearest(name, fields)}")
    current = getattr(config, name)
    if rest:
        if not dataclasses.is_dataclass(current):
            raise ConfigError(f"{here}.{'.'.join(rest)}: {here} is {_show(current)} and has no fields")
        new = _replace_at(current, rest, value, here)
    else:
        hint = _hints(type(config))[name]
        new = _read(_from_text(value, hint), hint, here)
    arguments = {key: getattr(config, key) for key in fields} | {name: new}
    return _construct(type(config), arguments, where)


def _from_text(value: Any, hint: Any) -> Any:
    if not isinstance(value, str):
        return value
    choices = _choices(hint)
    if str in choices or any(value == literal for choice in choices for literal in _literals(choice)):
        return value
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(value, value))
    except json.JSONDecodeError:
        return value


def _choices(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)


def _literals(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _write(value: Any, hint: Any) -> Any:
    choices = _choices(hint)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tag = {_TAG: type(value).__name__} if sum(map(dataclasses.is_dataclass, choices)) > 1 else {}
        return tag | to_json(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and float in choices and int not in choices:
        return float(value)
    if isinstance(value, tuple | list):
        items = next((typing.get_args(choice) for choice in choices if typing.get_origin(choice) in (tuple, list)), ())
        hints = [items[0]] * len(value) if len(items) == 1 or (len(items) == 2 and items[1] is ...) else list(items)
        return [_write(item, item_hint) for item, item_hint in zip(value, hints, strict=True)]
    if isinstance(value, Mapping):
        item_hint = next((typing.get_args(choice)[1] for choice in choices if typing.get_origin(choice) is dict), Any)
        return {key: _write(item, item_hint) for key, item in value.items()}
    return value


def _read(value: Any, hint: Any, where: str) -> Any:
    choices = _choices(hint)
    classes = [choice for choice in choices if dataclasses.is_dataclass(choice)]
    if classes and isinstance(value, Mapping):
        return _read_dataclass(value, typing.cast(list[type], classes), where)
    for choice in choices:
        accepted, result = _read_one(value, choice, where)
        if accepted:
            return result
    raise ConfigError(f"{where}: {_show(value)} is not allowed; expected {_allowed(hint)}")


def _read_dataclass(value: Mapping[str, Any], classes: list[type], where: str) -> Any:
    if len(classes) == 1:
        return from_json(classes[0], value, where)
    named = {cls.__name__: cls for cls in classes}
    tag = value.get(_TAG)
    if tag not in named:
        raise ConfigError(f"{where}.{_TAG}: {_show(tag)} is not allowed; expected one of {', '.join(named)}")
    return from_json(named[tag], {key: item for key, item in value.items() if key != _TAG}, where)


def _read_one(value: Any, hint: Any, where: str) -> tuple[bool, Any]:
    """Return whether `hint` allows `value`, and the value as that type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True, value
    if dataclasses.is_dataclass(hint):
        return isinstance(value, typing.cast(type, hint)), value
    if hint is None or hint is types.NoneType:
        return value is None, None
    if origin is Literal:
        return any(value == literal and type(value) is type(literal) for literal in arguments), value
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return fits, float(value) if fits else value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if hint is Path:
        return isinstance(value, str | Path), Path(value) if isinstance(value, str) else value
    if origin in (tuple, list) and isinstance(value, list | tuple):
        variadic = origin is list or (len(arguments) == 2 and arguments[1] is ...)
        hints = [arguments[0]] * len(value) if variadic else list(arguments)
        if len(hints) != len(value):
            return False, value
        return True, origin(
            _read(item, each, f"{where}.{i}") for i, (item, each) in enumerate(zip(value, hints, strict=True))
        )
    if origin is dict and isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value), {
            key: _read(item, arguments[1], f"{where}.{key}") for key, item in value.items()
        }
    return isinstance(hint, type) and hint in (bool, str) and isinstance(value, hint), value


def _allowed(hint: Any) -> str:
    """Say in words what a field of this type takes."""
    words = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false", Path: "a path"}
    parts = []
    for choice in _choices(hint):
        origin, arguments = typing.get_origin(choice), typing.get_args(choice)
        if origin is Literal:
            parts.append("one of " + ", ".join(json.dumps(literal) for literal in arguments))
        elif choice is types.NoneType:
            parts.append("null")
        elif dataclasses.is_dataclass(choice):
            parts.append(f"an object with the fields of {typing.cast(type, choice).__name__}")
        elif origin in (tuple, list):
            variadic = origin is list or (len(arguments) == 2 and arguments[1] is ...)
            parts.append("a list" + ("" if variadic else f" of {len(arguments)}") + f", each {_allowed(arguments[0])}")
        elif origin is dict:
            parts.append(f"an object, each value {_allowed(arguments[1])}")
        else:
            parts.append(words.get(choice, str(choice)))
    return " or ".join(parts)


def _show(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
