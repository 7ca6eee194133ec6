"""Furniture libraries of Sweet Home 3D: real textured objects with names, sizes, creators and licences.

A library (`.sh3f`) is a zip of OBJ files, their materials and pictures, and `PluginFurnitureCatalog.properties`.
Models stand y up in any unit; the catalogue tells how to turn them and how wide, deep and high they are in cm.
Source: Sweet Home 3D, `DefaultFurnitureCatalog` (the catalogue's keys).
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import trimesh

from trilingua.core.errors import InputError
from trilingua.core.io import digest_file, existing_file
from trilingua.data.shapes.sources import Shape
from trilingua.geometry.mesh_files import Z_UP_FROM_Y_UP, parse_mesh
from trilingua.geometry.meshes import Mesh

CATALOGUE = "PluginFurnitureCatalog.properties"

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}


@dataclass(frozen=True)
class FurnitureLibrary:
    """One `.sh3f` file; its models in the order of the catalogue."""

    path: Path
    title: str
    licence: str
    entries: tuple[dict[str, str], ...]
    """What the catalogue says of each model, by key."""

    @classmethod
    def open(cls, path: str | Path) -> "FurnitureLibrary":
        """Read the catalogue of a library.

        Raises:
            InputError: no such file, no zip, or a zip without a catalogue of models.
        """
        path = existing_file(path)
        try:
            with zipfile.ZipFile(path) as archive:
                values = parse_properties(archive.read(CATALOGUE))
        except (*_UNREADABLE, KeyError) as error:
            raise InputError(
                f"{path}: is no furniture library, or is truncated; expected a zip with {CATALOGUE}"
            ) from (error)
        numbers = sorted(int(key[6:]) for key in values if re.fullmatch(r"model#\d+", key))
        if not numbers:
            raise InputError(f"{path}: {CATALOGUE} names no models; expected keys such as model#1")
        entries = []
        for number in numbers:
            ending = f"#{number}"
            entries.append({key.removesuffix(ending): value for key, value in values.items() if key.endswith(ending)})
        licence = " ".join(values.get("license", "unknown").split())
        return cls(path, values.get("name", path.stem), licence, tuple(entries))

    def __len__(self) -> int:
        return len(self.entries)

    def name(self, index: int) -> str:
        """Return the file's name and the model's identifier, which is unique in it."""
        entry = self.entries[index]
        return f"{self.path.name}:{entry.get('id', entry['model'])}"

    def load(self, index: int) -> Shape:
        """Return one model, turned and sized as the catalogue says, z up, in metres, standing on z = 0.

        Raises:
            InputError: the model is missing, cannot be read, or its size is no number.
        """
        entry = self.entries[index]
        where = f"{self.path}: {entry['model']}"
        mesh = self._read(entry["model"], where)
        mesh = _sized(_turned(mesh, entry, where), entry, where)
        return Shape(
            mesh=mesh,
            name=self.name(index),
            caption=entry.get("name", PurePosixPath(entry["model"]).stem),
            family=entry.get("category", "unknown"),
            creator=entry.get("creator", "unknown"),
            licence=self.licence,
            facts={
                "library": self.title,
                "model": entry["model"],
                "tags": [tag.strip() for tag in entry.get("tags", "").split(",") if tag.strip()],
                "size_metres": [_number(entry, key, where) / 100 for key in ("width", "depth", "height")],
            },
        )

    def digest(self) -> str:
        """Return the digest of the library's file."""
        return digest_file(self.path)

    def _read(self, model: str, where: str) -> Mesh:
        name = model.lstrip("/")
        folder = PurePosixPath(name).parent
        prefix = "" if folder == PurePosixPath() else f"{folder}/"
        try:
            with zipfile.ZipFile(self.path) as archive:
                content = archive.read(name)
                beside = {
                    entry.removeprefix(prefix): archive.read(entry)
                    for entry in archive.namelist()
                    if entry.startswith(prefix) and not entry.endswith("/") and entry != name
                }
        except KeyError:
            raise InputError(f"{where}: is not in the library; it may be truncated") from None
        except _UNREADABLE as error:
            raise InputError(f"{where}: cannot be unpacked ({error}); the library may be truncated") from error
        ending = PurePosixPath(name).suffix.lower()
        if ending != ".obj":
            raise InputError(f"{where}: is of a kind that cannot be read; expected .obj")
        return parse_mesh(content, ending, where=where, resolver=trimesh.resolvers.ZipResolver(beside))


def parse_properties(content: bytes) -> dict[str, str]:
    """Return the keys and values of a Java properties file.

    Comments, continued lines and escapes are read as `java.util.Properties` reads them; keys here hold no
    separators. Bytes are UTF-8 where they can be, else Latin-1, which older Java demanded.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    values = {}
    for line in re.sub(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t\f]*", r"\1", text).splitlines():
        found = re.match(r"[ \t\f]*([^#!=:\s][^=:\s]*)[ \t\f]*[=:]?[ \t\f]*(.*)", line)
        if found:
            values[_unescaped(found[1])] = _unescaped(found[2]).strip()
    return values


def _unescaped(text: str) -> str:
    def letter(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _LETTERS.get(code, code)

    return _ESCAPE.sub(letter, text)


def _turned(mesh: Mesh, entry: dict[str, str], where: str) -> Mesh:
    """Return the mesh turned as the catalogue says, still y up."""
    words = entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()
    try:
        rotation = np.array([float(word) for word in words]).reshape(3, 3)
    except ValueError:
        raise InputError(f"{where}: modelRotation {' '.join(words)!r} is not nine numbers; repair the catalogue") from (
            None
        )
    return mesh.replace(vertices=mesh.vertices @ rotation.T)


def _sized(mesh: Mesh, entry: dict[str, str], where: str) -> Mesh:
    """Return the mesh z up, as wide (x), deep (y) and high (z) as the catalogue says, in metres."""
    vertices = mesh.vertices @ Z_UP_FROM_Y_UP.T
    low, high = mesh.replace(vertices=vertices).bounds
    size = np.array([_number(entry, key, where) / 100 for key in ("width", "depth", "height")])
    flat = high - low < 1e-9 * (high - low).max()
    factor = np.where(flat, 1.0, size / np.where(flat, 1.0, high - low))
    base = (low + high) / 2 * (1, 1, 0) + low * (0, 0, 1)
    return mesh.replace(vertices=(vertices - base) * factor)


def _number(entry: dict[str, Any], key: str, where: str) -> float:
    try:
        value = float(entry.get(key, ""))
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise InputError(f"{where}: {key} {entry.get(key)!r} is no size; expected centimetres above 0")
    return value
