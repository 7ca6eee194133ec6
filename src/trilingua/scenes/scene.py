"""A structured 3D scene: a list of objects with attributes and places, and its CLEVR-format JSON.

`Scene` is immutable. Reading checks every field against the schema and names the file and field that
is wrong; writing gives back exactly what was read. This module knows no pixels and no tokens.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trilingua.core.errors import InputError
from trilingua.core.io import read_json, write_json
from trilingua.scenes.schema import CLEVR, Numbers, Schema

Vector = tuple[float, float, float]


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
    """Turn about the vertical axis, in [0, 360)."""
    pixel_coords: Vector | None = None
    """Centre in the picture: column and row in pixels from the top left, and depth in metres."""
    score: float | None = None
    """Probability that the model gave to the object's tokens, in [0, 1]; None for a given object."""


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
        known = {"objects", *_OPTIONAL_FIELDS}
        directions = value.get("directions") or {}
        if not isinstance(directions, dict):
            raise InputError(f"{where}: directions: expected an object of 3-vectors")
        return cls(
            objects=objects,
            directions={
                name: _vector(vector, f"{where}: directions.{name}", 1.001) for name, vector in directions.items()
            },
            relationships=_relationships(value.get("relationships") or {}, len(objects), f"{where}: relationships"),
            image_filename=value.get("image_filename"),
            image_index=value.get("image_index"),
            split=value.get("split"),
            extra={name: item for name, item in value.items() if name not in known},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the scene as a CLEVR-format JSON value; fields that are not known are left out."""
        value: dict[str, Any] = {}
        for name in ("image_filename", "image_index", "split"):
            if getattr(self, name) is not None:
                value[name] = getattr(self, name)
        value["objects"] = [_object_to_json(item) for item in self.objects]
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


_OPTIONAL_FIELDS = ("directions", "relationships", "image_filename", "image_index", "split")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: {value!r} is not a finite number")
    return float(value)


def _vector(value: Any, where: str, limit: float) -> Vector:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise InputError(f"{where}: expected three numbers, got {value!r}")
    x, y, z = (_number(item, f"{where}[{axis}]") for axis, item in enumerate(value))
    for axis, item in enumerate((x, y, z)):
        if abs(item) > limit:
            raise InputError(f"{where}[{axis}]: {item} is out of range; allowed is {-limit} to {limit}")
    return x, y, z


def _relationships(value: Any, num_objects: int, where: str) -> dict[str, list[list[int]]]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object of lists")
    for name, lists in value.items():
        if not isinstance(lists, list) or len(lists) != num_objects:
            raise InputError(f"{where}.{name}: expected one list for each of the {num_objects} objects")
        for index, related in enumerate(lists):
            if not isinstance(related, list) or not all(
                type(item) is int and 0 <= item < num_objects for item in related
            ):
                raise InputError(f"{where}.{name}[{index}]: expected indices from 0 to {num_objects - 1}, got {related!r}")
    return value


def _object_from_json(value: Any, schema: Schema, where: str) -> SceneObject:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, got {type(value).__name__}")
    fields: dict[str, Any] = {}
    for attribute in schema.attributes:
        key = attribute.json_name if isinstance(attribute, Numbers) else attribute.name
        if key not in value:
            raise InputError(f"{where}.{key}: is missing")
        if isinstance(attribute, Numbers):
            fields[attribute.name] = _vector(value[key], f"{where}.{key}", attribute.high)
        elif value[key] not in attribute.values:
            raise InputError(f"{where}.{key}: {value[key]!r} is unknown; allowed are {', '.join(attribute.values)}")
        else:
            fields[attribute.name] = value[key]
    if value.get("rotation") is not None:
        fields["rotation_degrees"] = _number(value["rotation"], f"{where}.rotation")
    if value.get("pixel_coords") is not None:
        fields["pixel_coords"] = _vector(value["pixel_coords"], f"{where}.pixel_coords", 1e6)
    if value.get("score") is not None:
        fields["score"] = _number(value["score"], f"{where}.score")
    return SceneObject(**fields)


def _object_to_json(item: SceneObject) -> dict[str, Any]:
    value: dict[str, Any] = {"shape": item.shape, "size": item.size, "color": item.color, "material": item.material}
    value["3d_coords"] = list(item.location)
    if item.rotation_degrees is not None:
        value["rotation"] = item.rotation_degrees
    if item.pixel_coords is not None:
        value["pixel_coords"] = list(item.pixel_coords)
    if item.score is not None:
        value["score"] = item.score
    return value
