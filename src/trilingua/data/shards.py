"""Tokenized data on disk: a scene's picture, text and edits as ids, never pixels.

A shard is one safetensors file. Lists of different lengths lie end to end in one array with an array of
offsets. Its header names the vocabulary and the image tokenizer; a shard of others is refused in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Int8, UInt16
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from trilingua.core.errors import InputError, VocabularyError
from trilingua.core.io import atomic_path, existing_folder, read_json
from trilingua.tokenizers.vocabulary import Vocabulary

Ids = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class QuestionRecord:
    """A question, its answer and the program that finds it, as segments of ids."""

    question: Ids
    program: Ids
    """With its findings."""
    referents: Ids = ()
    """For each id of the program, the objects that it is about: behind a step those that it gives, and inside findings
    those that are still to be named; for the first of the answer those that are counted or asked about last. `UNKNOWN`
    inside of a step, and where it gives no objects. Empty where nothing is known."""
    answer: Ids


@dataclass(frozen=True, kw_only=True)
class EditRecord:
    """An instruction and what it leads to."""

    instruction: Ids
    reference: Ids
    """The program that gives the objects that the instruction names; with its findings; empty where it is not known."""
    edited_scene: Ids
    referents: Ids = ()
    """For each id of the reference, as in a question, for its last the object that is changed; then for each id of the
    edited scene: where an object opens, the object if it is the one that is changed, or none."""
    edited_image: Ids = ()
    """Codes in raster order; empty where the target was not drawn."""


@dataclass(frozen=True, kw_only=True)
class SceneRecord:
    """All that is known of one scene."""

    image: UInt16[np.ndarray, " code"]
    """Codes in raster order."""
    shown: Ids
    """The cells that may show an object, by their number in raster order."""
    vectors: Float16[np.ndarray, "shown seen_dim"]
    """What is seen of these, as in `SeenImages`."""
    scene: Ids
    """The segment's ids, borders included, as are those of questions and edits."""
    staged: Ids
    """The same of the scene as it is drawn (`clevr.staging`)."""
    cell_classes: Int8[np.ndarray, "cell category"]
    """As in `CellTargets`."""
    cell_values: Float16[np.ndarray, "cell value"]
    """As in `CellTargets`, rounded."""
    drawn_values: Float16[np.ndarray, "cell value"]
    """The same of the picture before it was changed and of the staged scene."""
    questions: tuple[QuestionRecord, ...] = field(default=())
    edits: tuple[EditRecord, ...] = field(default=())


_OF_QUESTIONS = ("question", "program", "referents", "answer")
_OF_EDITS = ("instruction", "reference", "referents", "edited_scene", "edited_image")
_LISTS = (
    "scene",
    "staged",
    "shown",
    *(f"question.{name}" for name in _OF_QUESTIONS),
    *(f"edit.{name}" for name in _OF_EDITS),
)
_ARRAYS = frozenset(
    {"image", "vectors", "cell_classes", "cell_values", "drawn_values", "num_questions", "num_edits"}
    | {f"{name}.{part}" for name in _LISTS for part in ("ids", "offsets")}
)
"""What a shard holds."""


def write_shard(
    path: str | Path, records: Sequence[SceneRecord], vocabulary: Vocabulary, *, image_tokenizer: str = ""
) -> None:
    """Write records as one shard, atomically.

    Args:
        path: the file, `*.safetensors`.
        records: at least one; all pictures have the same number of codes.
        vocabulary: what the ids were made with.
        image_tokenizer: digest of what the codes and vectors were made with.
    """
    assert records, "a shard holds at least one scene"
    questions = [question for record in records for question in record.questions]
    edits = [edit for record in records for edit in record.edits]
    arrays = {
        "image": np.stack([record.image for record in records]),
        "vectors": np.concatenate([record.vectors for record in records]),
        "cell_classes": np.stack([record.cell_classes for record in records]),
        "cell_values": np.stack([record.cell_values for record in records]),
        "drawn_values": np.stack([record.drawn_values for record in records]),
        "num_questions": np.array([len(record.questions) for record in records], np.int32),
        "num_edits": np.array([len(record.edits) for record in records], np.int32),
    }
    lists = {
        "scene": [record.scene for record in records],
        "staged": [record.staged for record in records],
        "shown": [record.shown for record in records],
        **{f"question.{name}": [getattr(item, name) for item in questions] for name in _OF_QUESTIONS},
        **{f"edit.{name}": [getattr(item, name) for item in edits] for name in _OF_EDITS},
    }
    for name, values in lists.items():
        arrays[f"{name}.ids"] = np.concatenate(
            [*(np.array(value, np.int32) for value in values), np.zeros(0, np.int32)]
        )
        arrays[f"{name}.offsets"] = np.cumsum([0, *map(len, values)]).astype(np.int64)
    # What is written is memory as it lies, and a stack of transposed arrays lies otherwise than it reads.
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_path(path) as temporary:
        made_with = {"vocabulary": vocabulary.digest, "image_tokenizer": image_tokenizer}
        save_file(arrays, temporary, metadata={**made_with, "kind": "trilingua-shard"})


def holds_scenes(path: Path, count: int) -> bool:
    """Return whether a file is a shard of exactly `count` scenes; reads no more than its header."""
    try:
        with safe_open(path, framework="np") as opened:
            return "image" in opened.keys() and opened.get_slice("image").get_shape()[0] == count  # noqa: SIM118
    except (SafetensorError, OSError):
        return False


class Shards:
    """All shards of a folder, as arrays that stay on disk; records are made when asked for.

    Args:
        folder: holds `*.safetensors` of `write_shard`, taken in the order of their names.
        vocabulary: what their ids must have been made with.
        image_tokenizer: digest of what their codes and vectors must have been made with; None for any.

    Raises:
        InputError: the folder holds no shards, one that cannot be read, or not all that it was begun with.
        VocabularyError: a shard was made with another vocabulary or another image tokenizer.
    """

    def __init__(self, folder: str | Path, vocabulary: Vocabulary, *, image_tokenizer: str | None = None) -> None:
        # A hidden file is one that was being written when its process was killed.
        paths = sorted(path for path in existing_folder(folder).glob("*.safetensors") if path.name[0] != ".")
        if not paths:
            raise InputError(f"{folder}: holds no shards; make them with `trilingua tokenize DATA --out {folder}`")
        self._shards = [_read(path, vocabulary, image_tokenizer) for path in paths]
        self._starts = np.cumsum([0, *(len(shard["image"]) for shard in self._shards)])
        settings = Path(folder) / "settings.json"
        wanted = read_json(settings).get("num_scenes") if settings.exists() else None
        if wanted not in (None, len(self)):
            raise InputError(
                f"{folder}: holds {len(self)} of {wanted} scenes; finish it with the same `trilingua tokenize`"
            )

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> SceneRecord:
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        which = int(np.searchsorted(self._starts, index, side="right")) - 1
        shard, row = self._shards[which], index - int(self._starts[which])

        def ids(name: str, item: int) -> Ids:
            start, stop = shard[f"{name}.offsets"][item : item + 2]
            return tuple(shard[f"{name}.ids"][start:stop].tolist())

        first_question, first_edit = shard["first_question"][row], shard["first_edit"][row]
        return SceneRecord(
            image=shard["image"][row],
            shown=ids("shown", row),
            vectors=shard["vectors"][slice(*shard["shown.offsets"][row : row + 2])],
            scene=ids("scene", row),
            staged=ids("staged", row),
            cell_classes=shard["cell_classes"][row],
            cell_values=shard["cell_values"][row],
            drawn_values=shard["drawn_values"][row],
            questions=tuple(
                QuestionRecord(**{name: ids(f"question.{name}", i) for name in _OF_QUESTIONS})
                for i in range(first_question, first_question + shard["num_questions"][row])
            ),
            edits=tuple(
                EditRecord(**{name: ids(f"edit.{name}", i) for name in _OF_EDITS})
                for i in range(first_edit, first_edit + shard["num_edits"][row])
            ),
        )


def _read(path: Path, vocabulary: Vocabulary, image_tokenizer: str | None) -> dict[str, np.ndarray]:
    try:
        # Through torch, since its tensors are the file's pages, read when they are touched; numpy's would be copies.
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            if metadata.get("kind") != "trilingua-shard":
                raise InputError(f"{path}: is no shard of tokenized scenes; remove it or name another folder")
            names = set(opened.keys())
            if "vocabulary" not in metadata or not names >= _ARRAYS:
                lacking = ", ".join(sorted(_ARRAYS - names)) or "the name of its vocabulary"
                raise InputError(f"{path}: lacks {lacking}; it is of another version; tokenize again")
            vocabulary.require(metadata["vocabulary"], str(path))
            made_with = metadata.get("image_tokenizer", "")
            if image_tokenizer not in (None, made_with):
                raise VocabularyError(
                    f"{path}: made with image tokenizer {made_with[:12]}, but this run has {image_tokenizer[:12]}; "
                    "tokenize again with this run, or pass the run that made it"
                )
            arrays = {name: opened.get_tensor(name).numpy() for name in _ARRAYS}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error}); tokenize again") from error
    for name in ("question", "edit"):
        counts = arrays[f"num_{name}s"]
        arrays[f"first_{name}"] = np.cumsum(counts) - counts
    return arrays
