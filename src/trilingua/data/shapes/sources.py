"""Where shapes come from: a numbered list of meshes with what is known about each.

Three kinds of sources have this form: the procedural families, the libraries of Sweet Home 3D, and files in folders.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from trilingua.core.errors import InputError
from trilingua.core.io import digest_file
from trilingua.geometry.mesh_files import ENDINGS, read_mesh
from trilingua.geometry.meshes import Mesh


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One object: its mesh in the source's own units, and what is said of it."""

    mesh: Mesh
    """z up; of metres where the source knows its size."""
    name: str
    """What the object is called in its source; unique there."""
    caption: str
    family: str
    """What kind of thing it is: a procedural family, or a category of a library."""
    creator: str
    licence: str
    facts: dict[str, Any] = field(default_factory=dict)
    """More that the source knows, as JSON values."""


@runtime_checkable
class Source(Protocol):
    """A numbered list of shapes; picklable, so that every process can have it."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Return the unique name of shape `index` without reading it."""
        ...

    def load(self, index: int) -> Shape:
        """Return shape `index`.

        Raises:
            InputError: it cannot be used; one line says why.
        """
        ...

    def digest(self) -> str:
        """Return what changes when the shapes change."""
        ...


@dataclass(frozen=True)
class MeshFiles:
    """The GLB, OBJ and PLY files of a folder and the folders below it, in the order of their names."""

    root: Path
    paths: tuple[Path, ...]

    @classmethod
    def find(cls, path: Path) -> "MeshFiles":
        """Return the mesh files under a folder, or the one file.

        Raises:
            InputError: a folder without meshes.
        """
        if path.is_file():
            return cls(path.parent, (path,))
        found = tuple(sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file()))
        if not found:
            raise InputError(f"{path}: holds no meshes; expected files that end in {', '.join(ENDINGS)}")
        return cls(path, found)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return the file's name within the folder."""
        return self.paths[index].relative_to(self.root).as_posix()

    def load(self, index: int) -> Shape:
        """Return the mesh of one file; its name in words is the caption, since nothing else is known."""
        path = self.paths[index]
        words = path.stem.replace("_", " ").replace("-", " ").strip()
        return Shape(
            mesh=read_mesh(path),
            name=self.name(index),
            caption=words,
            family=path.parent.name if path.parent != self.root else "unknown",
            creator="unknown",
            licence="unknown",
        )

    def digest(self) -> str:
        """Return a digest of all names and contents."""
        lines = "".join(f"{self.name(index)}\n{digest_file(path)}\n" for index, path in enumerate(self.paths))
        return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class Sources:
    """Several sources, one after the other."""

    parts: tuple[Source, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def _find(self, index: int) -> tuple[Source, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)

    def name(self, index: int) -> str:
        """Return the shape's name in its source."""
        part, within = self._find(index)
        return part.name(within)

    def load(self, index: int) -> Shape:
        """Return the shape from its source."""
        part, within = self._find(index)
        return part.load(within)

    def digest(self) -> str:
        """Return a digest of all parts."""
        return hashlib.sha256("".join(part.digest() for part in self.parts).encode()).hexdigest()


def open_sources(paths: Sequence[Path]) -> Sources:
    """Return what lies at some paths: `.sh3f` libraries, mesh files, and folders of either.

    Raises:
        InputError: nothing there, or nothing that can be read.
    """
    from trilingua.data.shapes.sweethome import FurnitureLibrary

    parts: list[Source] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; check the path")
        libraries = [path] if path.suffix.lower() == ".sh3f" and path.is_file() else []
        if path.is_dir():
            libraries = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".sh3f" and file.is_file())
        parts.extend(FurnitureLibrary.open(library) for library in libraries)
        if path.is_file() and not libraries and path.suffix.lower() not in ENDINGS:
            raise InputError(f"{path}: is no library of shapes; expected .sh3f, {', '.join(ENDINGS)} or a folder")
        if not libraries or (path.is_dir() and any(file.suffix.lower() in ENDINGS for file in path.rglob("*"))):
            parts.append(MeshFiles.find(path))
    return Sources(tuple(parts))
