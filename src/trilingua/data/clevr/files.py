"""A CLEVR data directory read back: scenes, pictures, questions, instructions.

Reads what `trilingua data clevr` writes and what CLEVR's own tools lay out: pictures in `images/` or
`images/SPLIT/`, scenes as single files in `scenes/` or together in a `*_scenes.json`, questions in the folder
or in `questions/`. Every record is checked, and an error names the file and the field. Knows no tokens.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int8, Integer
from PIL import Image

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import existing_folder, read_image
from trilingua.data.clevr.instructions import INSTRUCTION_TYPES
from trilingua.data.clevr.records import Record, RecordFile
from trilingua.scenes.scene import Scene
from trilingua.scenes.schema import CLEVR, Schema


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about one picture."""

    image_filename: str
    image_index: int
    question: str
    answer: str | None = None
    """None in CLEVR's own test split, which keeps its answers to itself."""
    program: list[dict[str, Any]] | None = None
    """The functional program that answers it, in CLEVR's form."""
    question_family_index: int | None = None


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction with the scene and picture before and after it."""

    image_filename: str
    target_image_filename: str | None
    """None where the target was not drawn."""
    type: str
    """One of `INSTRUCTION_TYPES`."""
    instruction: str
    source_scene: Scene
    target_scene: Scene
    reference: list[dict[str, Any]] | None = None
    """The program that gives the objects that the text names; None in data of others."""


class ClevrFolder:
    """A CLEVR data directory, opened: its scenes in the order of their pictures' numbers.

    Scenes are read when asked for, so that opening a large folder is quick.

    Args:
        folder: the data directory.
        split: which split to read where the folder holds several; None takes the only one.
        schema: what the scenes' attributes may be.

    Raises:
        InputError: there is no such folder, it holds no scenes, or it holds several splits and none was named.
    """

    def __init__(self, folder: str | Path, *, split: str | None = None, schema: Schema = CLEVR) -> None:
        self.folder = existing_folder(folder)
        self.schema = schema
        self._combined: list[Any] | None = None
        self._scene_paths = self._find_scenes(split)
        if self._combined is None:
            self.name = re.sub(r"_\d+$", "", self._scene_paths[0].stem)
        else:
            self.name = self._scene_paths[0].stem.removesuffix("_scenes")

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self._scene_paths if self._combined is None else self._combined)

    def scene(self, position: int) -> Scene:
        """Return the scene at `position`, from 0 to `len(self) - 1`, in the order of the pictures' numbers."""
        if not 0 <= position < len(self):
            raise InputError(f"{self.folder}: no scene {position}; it holds {len(self)}")
        if self._combined is None:
            return Scene.load(self._scene_paths[position], schema=self.schema)
        return Scene.from_json(self._combined[position], schema=self.schema, where=self.where(position))

    def scenes(self, limit: int | None = None) -> Iterator[Scene]:
        """Yield the first `limit` scenes, or all of them."""
        for position in range(len(self) if limit is None else min(limit, len(self))):
            yield self.scene(position)

    def scene_path(self, position: int) -> Path:
        """Return the file that holds the scene at `position`."""
        return self._scene_paths[position if self._combined is None else 0]

    def where(self, position: int) -> str:
        """Return what a message calls the scene at `position`: its file, and its place in a file of many."""
        return f"{self.scene_path(position)}" + ("" if self._combined is None else f": scenes[{position}]")

    def image_path(self, filename: str | None) -> Path:
        """Return where the picture called `filename` lies.

        Raises:
            InputError: the name is missing, is no plain file name, or the folder has no such picture.
        """
        if not isinstance(filename, str) or not filename or Path(filename).name != filename:
            raise InputError(f"{self.folder}: image_filename {filename!r} is not a plain file name")
        images = self.folder / "images"
        if (images / filename).is_file():
            return images / filename
        for path in sorted(images.glob(f"*/{filename}")):  # As CLEVR's own folders lie: images/SPLIT/NAME.png.
            if path.is_file():
                return path
        raise InputError(f"{images / filename}: no such picture, though a scene or record names it")

    def image(self, filename: str | None) -> Image.Image:
        """Return the picture called `filename` in RGB."""
        return read_image(self.image_path(filename))

    def questions(self) -> Iterator[Question]:
        """Yield all questions, in the file's order; none where the folder has no file of questions."""
        return (_question(value, where) for where, value in self._record_files["questions"] or ())

    def questions_of(self, scene: Scene) -> list[Question]:
        """Return the questions about the picture of a scene, in the file's order."""
        return [_question(value, where) for where, value in self._records_of(scene, "questions")]

    def instructions(self) -> Iterator[Instruction]:
        """Yield all instructions, in the file's order; none where the folder has no file of instructions."""
        records = self._record_files["instructions"] or ()
        return (_instruction(value, self.schema, where) for where, value in records)

    def instructions_of(self, scene: Scene) -> list[Instruction]:
        """Return the instructions that begin with the picture of a scene, in the file's order."""
        return [_instruction(value, self.schema, where) for where, value in self._records_of(scene, "instructions")]

    def _records_of(self, scene: Scene, kind: str) -> list[Record]:
        file = self._record_files[kind]
        return [] if file is None or scene.image_filename is None else file.of(scene.image_filename)

    def _find_scenes(self, split: str | None) -> list[Path]:
        middle = "*" if split is None else f"*_{split}"
        pattern = re.compile(r"[^.].*_\d+\.json")  # a hidden file is one that was being written
        single = [path for path in (self.folder / "scenes").glob(f"{middle}_*.json") if pattern.fullmatch(path.name)]
        names = {re.sub(r"_\d+$", "", path.stem) for path in single}
        if not single:
            single = [*self.folder.glob(f"{middle}_scenes.json"), *self.folder.glob(f"scenes/{middle}_scenes.json")]
            names = {path.stem for path in single}
        if not single:
            wanted = "" if split is None else f" of split {split!r}"
            raise InputError(
                f"{self.folder}: holds no scenes{wanted}; expected files such as scenes/CLEVR_new_000000.json"
            )
        if len(names) > 1:
            raise InputError(
                f"{self.folder}: holds several splits ({', '.join(sorted(names))}); name one (--split), or put it "
                "into a folder of its own"
            )
        if single[0].stem.endswith("_scenes"):
            self._combined = [value for _, value in RecordFile(single[0], "scenes")]
        return sorted(
            single, key=lambda path: (int(path.stem.rpartition("_")[2]) if self._combined is None else 0, path)
        )

    @cached_property
    def _record_files(self) -> dict[str, RecordFile | None]:
        return {kind: self._record_file(kind) for kind in ("questions", "instructions")}

    def _record_file(self, kind: str) -> RecordFile | None:
        for path in (self.folder / f"{self.name}_{kind}.json", self.folder / kind / f"{self.name}_{kind}.json"):
            if path.exists():
                return RecordFile(path, kind)
        return None


def cell_objects(
    object_index: Integer[np.ndarray, "height width"], *, grid: int = 16, min_share: float = 0.25
) -> Int8[np.ndarray, "grid grid"]:
    """Return, for each cell of a grid over the picture, the object that covers most of it.

    A cell's value is the index of the object with the most pixels in it (the lower index of two equals), or -1
    where no object covers at least `min_share` of the cell.

    Args:
        object_index: index of the object that each pixel shows, -1 for the ground.
        grid: cells along each side; both sides of the picture must be multiples of it.
        min_share: least share of a cell's pixels that counts, in (0, 1].

    Raises:
        ConfigError: the picture's sides are no multiples of `grid`.
    """
    height, width = object_index.shape
    if grid < 1 or height % grid or width % grid:
        raise ConfigError(f"grid: {grid} does not divide a picture of {width} x {height}; choose a divisor of both")
    cells = (
        object_index.reshape(grid, height // grid, grid, width // grid).transpose(0, 2, 1, 3).reshape(grid, grid, -1)
    )
    num_objects = int(object_index.max()) + 1
    if num_objects <= 0:
        return np.full((grid, grid), -1, dtype=np.int8)
    counts = np.stack([(cells == index).sum(-1) for index in range(num_objects)], axis=-1)
    best = counts.argmax(-1)
    share = np.take_along_axis(counts, best[..., None], axis=-1)[..., 0] / cells.shape[-1]
    return np.where(share >= min_share, best, -1).astype(np.int8)


def _field(value: Any, name: str, kind: type, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, got {type(value).__name__}")
    if not isinstance(value.get(name), kind) or isinstance(value[name], bool):
        found = "is missing" if name not in value else f"is {value[name]!r}"
        raise InputError(f"{where}.{name}: {found}; expected {_KIND_WORDS[kind]}")
    return value[name]


def _optional(value: Any, name: str, kind: type, where: str) -> Any:
    return None if value.get(name) is None else _field(value, name, kind, where)


_KIND_WORDS = {str: "a text", int: "a whole number", list: "a list"}


def _question(value: Any, where: str) -> Question:
    return Question(
        image_filename=_field(value, "image_filename", str, where),
        image_index=_field(value, "image_index", int, where),
        question=_field(value, "question", str, where),
        answer=_optional(value, "answer", str, where),
        program=_optional(value, "program", list, where),
        question_family_index=_optional(value, "question_family_index", int, where),
    )


def _instruction(value: Any, schema: Schema, where: str) -> Instruction:
    kind = _field(value, "type", str, where)
    if kind not in INSTRUCTION_TYPES:
        raise InputError(f"{where}.type: {kind!r} is unknown; expected one of {', '.join(INSTRUCTION_TYPES)}")
    return Instruction(
        image_filename=_field(value, "image_filename", str, where),
        target_image_filename=_optional(value, "target_image_filename", str, where),
        type=kind,
        instruction=_field(value, "instruction", str, where),
        source_scene=Scene.from_json(value.get("source_scene"), schema=schema, where=f"{where}.source_scene"),
        target_scene=Scene.from_json(value.get("target_scene"), schema=schema, where=f"{where}.target_scene"),
        reference=_optional(value, "reference", list, where),
    )
