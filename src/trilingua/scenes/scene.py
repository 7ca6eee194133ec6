"""A structured 3D scene: a list of objects with attributes and places, and its CLEVR-format JSON.

`Scene` is immutable. Reading checks every field against the schema and names the file and field that
is wrong; writing gives back exactly what was read. This module knows no pixels and no tokens.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from trilingua.core.errors import InputError
from trilingua.core.io import read_json, write_json
from trilingua.scenes.schema import CLEVR, Numbers, Schema

Vector = tuple[float, float, float]
Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One object: its categories and its place."""

    shape: str
    size: str
    color: str
    material: str
    location: Vector
    """Centre in metres: x and y in [-3, 3] on the ground, z up."""
    rotation_degrees: float | None = None
    """Turn about the vertical axis, in [0, 360) as CLEVR writes it; read from -360 to 360."""
    pixel_coords: Vector | None = None
    """Centre in the picture: column and row in pixels from the top left, and depth in metres."""
    score: float | None = None
    """Probability of the object's tokens, in [0, 1], where a number counts as right within 0.25 m; None if given."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Other fields of the object in the JSON file, kept so that what is read is written back."""

    def to_json(self) -> dict[str, Any]:
        """Return the object as a CLEVR-format JSON value; fields that are not known are left out."""
        value: dict[str, Any] = {
            "shape": self.shape,
            "size": self.size,
            "color": self.color,
            "material": self.material,
            "3d_coords": list(self.location),
        }
        if self.rotation_degrees is not None:
            value["rotation"] = self.rotation_degrees
        if self.pixel_coords is not None:
            column, row, depth = self.pixel_coords
            # CLEVR writes whole pixels as integers; its readers may use them as indices.
            value["pixel_coords"] = [_whole(column), _whole(row), depth]
        if self.score is not None:
            value["score"] = self.score
        return {**value, **self.extra}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An ordered list of objects, with what the data set knows about the whole picture."""

    objects: tuple[SceneObject, ...]
    directions: Mapping[str, Vector] = field(default_factory=dict)
    """Unit vectors of left, right, front, behind, above and below, in world axes."""
    relationships: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    """`relationships[d][i]`: indices of the objects that lie in direction d of object i."""
    image_filename: str | None = None
    image_index: int | None = None
    split: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other top-level fields of the JSON file, kept so that what is read is written back."""

    def replace(self, **changes: Any) -> "Scene":
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_json(cls, value: Any, *, schema: Schema = CLEVR, where: str = "scene") -> "Scene":
        """Check a CLEVR-format JSON value and return it as a scene.

        Args:
            value: the parsed JSON: an object with the field `objects`.
            schema: which values each attribute may take.
            where: what error messages call the value, normally the file's path.

        Raises:
            InputError: a field is missing, of the wrong type or out of range; one line that names it.
        """
        if not isinstance(value, dict) or not isinstance(value.get("objects"), list):
            raise InputError(f"{where}: expected a JSON object with a list named 'objects'")
        objects = tuple(
            _object_from_json(item, schema, f"{where}: objects[{index}]") for index, item in enumerate(value["objects"])
        )
        directions = _mapping(value.get("directions"), f"{where}: directions")
        return cls(
            objects=objects,
            directions={
                name: _vector(vector, f"{where}: directions.{name}", -_UNIT_LIMIT, _UNIT_LIMIT)
                for name, vector in directions.items()
            },
            relationships=_relationships(value.get("relationships"), len(objects), f"{where}: relationships"),
            image_filename=_typed(value.get("image_filename"), str, f"{where}: image_filename", "a string"),
            image_index=_typed(value.get("image_index"), int, f"{where}: image_index", "a whole number"),
            split=_typed(value.get("split"), str, f"{where}: split", "a string"),
            extra=_extra(value, _SCENE_FIELDS, f"{where}: "),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the scene as a CLEVR-format JSON value; fields that are not known are left out."""
        value: dict[str, Any] = {}
        for name in ("image_filename", "image_index", "split"):
            if getattr(self, name) is not None:
                value[name] = getattr(self, name)
        value["objects"] = [item.to_json() for item in self.objects]
        if self.directions:
            value["directions"] = {name: list(vector) for name, vector in self.directions.items()}
        if self.relationships:
            value["relationships"] = {
                name: [list(related) for related in lists] for name, lists in self.relationships.items()
            }
        return {**value, **self.extra}

    @classmethod
    def load(cls, path: str | Path, *, schema: Schema = CLEVR) -> "Scene":
        """Read a scene from a CLEVR-format JSON file or from a `.glb` that `save` wrote."""
        if Path(path).suffix.lower() == ".glb":
            from trilingua.scenes.gltf import load_glb

            return load_glb(path, schema=schema)
        return cls.from_json(read_json(path), schema=schema, where=str(path))

    def save(self, path: str | Path) -> None:
        """Write the scene to `path`: CLEVR-format JSON for `.json`, a textured 3D file for `.glb`."""
        suffix = Path(path).suffix.lower()
        if suffix == ".glb":
            from trilingua.scenes.gltf import save_glb

            save_glb(self, path)
        elif suffix == ".json":
            write_json(path, self.to_json())
        else:
            raise InputError(f"{path}: cannot save a scene as {suffix or 'a file without suffix'!r}; use .json or .glb")


_SCENE_FIELDS = frozenset(("objects", "directions", "relationships", "image_filename", "image_index", "split"))
_OBJECT_FIELDS = frozenset(("rotation", "pixel_coords", "score"))
_UNIT_LIMIT = 1.001  # Greatest component of a unit vector, with room for rounding in single precision.
_PIXEL_LIMIT = 1e6


def _number(value: Any, where: str, low: float, high: float) -> float:
    # Compared as read before it becomes a float: JSON integers may be too large for one.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise InputError(f"{where}: {_brief(value)} is not a finite number; allowed is {low:g} to {high:g}")
    if not low <= value <= high:
        raise InputError(f"{where}: {_brief(value)} is out of range; allowed is {low:g} to {high:g}")
    return float(value)


def _vector(value: Any, where: str, low: float, high: float) -> Vector:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise InputError(f"{where}: expected three numbers, got {_brief(value)}")
    x, y, z = (_number(item, f"{where}[{axis}]", low, high) for axis, item in enumerate(value))
    return x, y, z


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a JSON object, got {_brief(value)}")
    return value


def _typed(value: Any, kind: type[Kind], where: str, expected: str) -> Kind | None:
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where}: expected {expected}, got {_brief(value)}")
    return value


def _relationships(value: Any, num_objects: int, where: str) -> dict[str, list[list[int]]]:
    relationships = {}
    for name, lists in _mapping(value, where).items():
        if not isinstance(lists, list) or len(lists) != num_objects:
            raise InputError(f"{where}.{name}: expected {num_objects} lists, one for each object, got {_brief(lists)}")
        for index, related in enumerate(lists):
            allowed = set(range(num_objects)) - {index}
            if (
                not isinstance(related, list)
                or not all(type(item) is int and item in allowed for item in related)
                or len(set(related)) != len(related)
            ):
                raise InputError(
                    f"{where}.{name}[{index}]: expected indices of other objects, each from 0 to {num_objects - 1} "
                    f"and once, got {_brief(related)}"
                )
        relationships[name] = [list(related) for related in lists]
    return relationships


def _extra(value: dict[str, Any], known: frozenset[str], prefix: str) -> dict[str, Any]:
    extra = {name: item for name, item in value.items() if name not in known}
    for name, item in extra.items():
        try:
            json.dumps(item, allow_nan=False)
        except (ValueError, TypeError) as error:
            raise InputError(f"{prefix}{name}: holds a value that JSON cannot: {_brief(item)}; remove it") from error
    return extra


def _object_from_json(value: Any, schema: Schema, where: str) -> SceneObject:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a JSON object, got {_brief(value)}")
    fields: dict[str, Any] = {}
    known = set(_OBJECT_FIELDS)
    for attribute in schema.attributes:
        key = attribute.json_name if isinstance(attribute, Numbers) else attribute.name
        known.add(key)
        if key not in value:
            raise InputError(f"{where}.{key}: is missing; every object needs it")
        if isinstance(attribute, Numbers):
            fields[attribute.name] = _vector(value[key], f"{where}.{key}", attribute.low, attribute.high)
        elif value[key] not in attribute.values:
            raise InputError(
                f"{where}.{key}: {_brief(value[key])} is unknown; allowed are {', '.join(attribute.values)}"
            )
        else:
            fields[attribute.name] = value[key]
    if value.get("rotation") is not None:
        fields["rotation_degrees"] = _number(value["rotation"], f"{where}.rotation", -360.0, 360.0)
    if value.get("pixel_coords") is not None:
        fields["pixel_coords"] = _vector(value["pixel_coords"], f"{where}.pixel_coords", -_PIXEL_LIMIT, _PIXEL_LIMIT)
    if value.get("score") is not None:
        fields["score"] = _number(value["score"], f"{where}.score", 0.0, 1.0)
    return SceneObject(**fields, extra=_extra(value, frozenset(known), f"{where}."))


def _whole(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _brief(value: Any) -> str:
    """Return the value for a message of one line: long ones cut, containers named."""
    if isinstance(value, dict):
        return "a JSON object"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        return "a number of more than 20 digits"  # Python refuses to print integers of more than 4300
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
