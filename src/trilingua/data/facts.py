"""What is known of a batch's tokens beside the ids that follow them, for the losses that ask a model's states.

Cells of pictures show objects, a token that closes an object stands for all of it, and a step of a program is about
some of the objects. Collected tree by tree as these are laid into rows; knows no model.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int8, Int64
from torch import Tensor

from trilingua.data.cells import NUM_OBJECT_VALUES, ObjectTargets, num_object_classes, object_targets
from trilingua.data.packing import Tree
from trilingua.data.referents import UNKNOWN
from trilingua.data.shards import Ids, SceneRecord
from trilingua.tokenizers.sequences import SequenceTokenizer, centre_out_order


class Facts(NamedTuple):
    """What is known of some tokens of a batch: of the cells of pictures, or of objects."""

    tokens: Int[Tensor, "*asked"]
    """Indices among the flattened tokens of the batch."""
    classes: Int8[Tensor, "*asked category"]
    """As in `CellTargets` or `ObjectTargets`."""
    values: Float[Tensor, "*asked value"]
    """As in `CellTargets` or `ObjectTargets`."""


class Pointers(NamedTuple):
    """Tokens of a batch that are about something that came before them, and where to look for it."""

    tokens: Int[Tensor, " pointer"]
    """Index among the flattened tokens of the batch."""
    owners: Int[Tensor, " target"]
    """Which pointer each target belongs to; a pointer may have many, and has itself where there is nothing to see."""
    targets: Int[Tensor, " target"]
    """Index among the flattened tokens of the batch."""


_Pointer = tuple[int, Int64[np.ndarray, "..."]]
"""A token, and those that it is told to look at."""

_KnownObjects = tuple[Int64[np.ndarray, "..."], ObjectTargets]
"""Tokens that stand for objects, and what these are."""


class FactCollector:
    """The facts of one batch.

    Args:
        sequences: what made the data.
    """

    def __init__(self, sequences: SequenceTokenizer) -> None:
        self._sequences = sequences
        self._code_of_cell = np.array(sequences.code_positions)
        self._given: list[tuple[int, SceneRecord]] = []
        self._seen: list[tuple[int, SceneRecord]] = []
        self._drawn: list[tuple[int, SceneRecord]] = []
        self._objects: list[_KnownObjects] = []
        self._recognized: list[_KnownObjects] = []
        self._pointers: list[_Pointer] = []

    def add(self, record: SceneRecord, tree: Tree, referents: Sequence[Ids], start: int) -> None:
        """Take up the facts of one scene's tree.

        Args:
            record: the scene.
            tree: its sequences.
            referents: for each of them, what its first tokens from the opening on are about, as `data.referents`
                writes it.
            start: where the tree stands among the flattened tokens of the batch.
        """
        image, scene = (self._sequences.borders[kind][0] for kind in ("image", "scene"))
        output = self._sequences.output_id
        codes = self._sequences.vocabulary.span("image")
        closings, known = self._objects_of(record.scene)
        picture = np.zeros(0, np.int64)
        for place, parent in zip(tree.starts, tree.parents, strict=True):
            opening = tree.ids[place]
            if opening == image and parent == 0:
                is_read = int(tree.ids[place + 2]) in codes
                (self._given if is_read else self._seen).append((start + place, record))
                picture = np.full(len(self._code_of_cell), -1)
                if is_read:
                    picture[:] = start + place + self._code_of_cell
                else:
                    picture[list(record.shown)] = start + place + 1 + np.arange(len(record.shown))
            elif opening == scene:  # more than once in a tree: with and without a picture, and as it is drawn
                is_staged = tuple(tree.ids[place : place + len(record.staged)].tolist()) == record.staged
                at, objects = self._objects_of(record.staged) if is_staged else (closings, known)
                self._objects.append((start + place + at, objects))
            elif opening == output and tree.ids[place + 1] == image:
                self._drawn.append((start + place, record))
            elif opening == output and tree.ids[tree.starts[parent]] == image:
                for number, tokens, cells in _shown_objects(start + place, closings, known, picture, record):
                    self._pointers += [(token, cells) for token in tokens]
                    self._recognized.append((tokens, ObjectTargets(*(facts[number : number + 1] for facts in known))))
        self._pointers += _to_objects(tree, referents, start, closings)

    def _objects_of(self, scene: Ids) -> _KnownObjects:
        """Return where a scene's ids close objects, and what these are."""
        tokenizer = self._sequences.scenes
        closings = np.flatnonzero(np.array(scene) == tokenizer.end)
        return closings, object_targets(tokenizer.detokenize(scene).scene, tokenizer.schema)

    def given(self, like: SceneRecord) -> Facts:
        """Return what the cells of given pictures show that are read as codes; a cell's token is its code.

        Args:
            like: any record, which gives facts of no picture their shape.
        """
        return _cells(self._given, "cell_values", self._sequences.code_positions, like)

    def seen(self, like: SceneRecord) -> Facts:
        """Return what the cells of pictures show that are seen, a row for each cell; `like` as in `given`."""
        starts = [start + 1 + np.arange(len(record.shown)) for start, record in self._seen]
        # Behind no cells of one record, which give those of no picture their shape.
        rows = [(like, []), *((record, list(record.shown)) for _, record in self._seen)]
        return Facts(
            torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *starts])),
            torch.from_numpy(np.concatenate([record.cell_classes[shown] for record, shown in rows])),
            torch.from_numpy(np.concatenate([record.cell_values[shown] for record, shown in rows]).astype(np.float32)),
        )

    def vectors(self, like: SceneRecord) -> Float[Tensor, "cell seen_dim"]:
        """Return what is seen of these cells; `like` as in `given`."""
        found = np.concatenate([like.vectors[:0], *(record.vectors for _, record in self._seen)])
        return torch.from_numpy(found.astype(np.float32))

    def drawn(self, like: SceneRecord) -> Facts:
        """Return what the cells of pictures show that are drawn of a staged scene, asked of the token before each code.

        Args:
            like: as in `given`.
        """
        positions = self._sequences.code_positions
        # From the opening, one token before the segment, to the token before each cell's code.
        after = [positions[written] for written in np.argsort(centre_out_order(len(positions)))]
        return _cells(self._drawn, "drawn_values", after, like)

    def objects(self) -> Facts:
        """Return what the objects of given scenes are; an object's token is the one that closes it."""
        return self._of_objects(self._objects)

    def recognized(self) -> Facts:
        """Return what the objects of scenes that are recognized are; each has the tokens before its own."""
        return self._of_objects(self._recognized)

    def _of_objects(self, found: Sequence[_KnownObjects]) -> Facts:
        schema = self._sequences.scenes.schema
        tokens = [tokens for tokens, _ in found]
        classes = [np.broadcast_to(known.classes, (len(at), known.classes.shape[1])) for at, known in found]
        values = [np.broadcast_to(known.values, (len(at), known.values.shape[1])) for at, known in found]
        return Facts(
            torch.from_numpy(np.concatenate([*tokens, np.zeros(0, np.int64)])),
            torch.from_numpy(np.concatenate([*classes, np.zeros((0, len(num_object_classes(schema))), np.int8)])),
            torch.from_numpy(np.concatenate([*values, np.zeros((0, NUM_OBJECT_VALUES), np.float32)])),
        )

    def pointers(self) -> Pointers:
        """Return where tokens are told to look: at objects of the given scene, or at cells of the given picture."""
        targets = [targets for _, targets in self._pointers]
        owners = np.repeat(np.arange(len(targets)), [len(each) for each in targets])
        return Pointers(
            torch.tensor([token for token, _ in self._pointers], dtype=torch.int64),
            torch.from_numpy(owners),
            torch.from_numpy(np.concatenate([*targets, np.zeros(0, np.int64)])),
        )


def _to_objects(
    tree: Tree, referents: Sequence[Ids], start: int, closings: Int64[np.ndarray, " object"]
) -> Iterator[_Pointer]:
    """Yield the pointers of a tree's texts to the tokens that close what they mean.

    Args:
        tree: it stands at `start`.
        referents: as `FactCollector.add` takes them.
        start: among the tokens of the batch.
        closings: where objects are closed in the tree's scene.
    """
    for leaf, sets in zip(tree.leaves, referents, strict=True):
        known = [(start + tree.starts[leaf] + k, members) for k, members in enumerate(sets) if members != UNKNOWN]
        if known:
            # The text comes right after the scene.
            scene = start + tree.starts[tree.parents[tree.parents[leaf]]]
            for token, members in known:
                meant = members >> np.arange(len(closings)) & 1
                yield token, scene + closings[meant == 1] if members else np.array([token])


def _shown_objects(
    first: int,
    closings: Int64[np.ndarray, " object"],
    known: ObjectTargets,
    picture: Int64[np.ndarray, " cell"],
    record: SceneRecord,
) -> Iterator[tuple[int, Int64[np.ndarray, " token"], Int64[np.ndarray, " cell"]]]:
    """Yield each object of a recognized scene that a cell shows: its number, the tokens before its own, its cells'.

    Args:
        first: the token that the scene's first one follows.
        closings: where objects are closed in the scene.
        known: what these objects are.
        picture: the token of each of the picture's cells, -1 where it has none.
        record: what the cells show.
    """
    if not len(closings):
        return
    shown = np.flatnonzero(record.cell_classes[:, 0] == 1)
    places = record.cell_values[shown, 2:].astype(np.float32)
    # Cells know exactly where their object stands, the scene to the next number.
    owners = np.linalg.norm(places[:, None] - known.values[None, :, :2], axis=-1).argmin(axis=1)
    begin = 1  # behind the scene's opening
    for number, closing in enumerate(closings):
        cells = picture[shown[owners == number]]
        cells = cells[cells >= 0]
        if len(cells):
            yield number, first + np.arange(begin, closing + 1), cells
        begin = closing + 1


def _cells(
    pictures: Sequence[tuple[int, SceneRecord]],
    values_name: Literal["cell_values", "drawn_values"],
    offsets: Sequence[int],
    like: SceneRecord,
) -> Facts:
    """Return what is known of the cells of pictures that start at these tokens."""
    starts = torch.tensor([start for start, _ in pictures], dtype=torch.int64)
    # Stacked behind one record that is cut off again, which gives those of no picture their shape.
    records = [like, *(record for _, record in pictures)]
    classes = np.stack([record.cell_classes for record in records])[1:]
    values = np.stack([getattr(record, values_name) for record in records])[1:].astype(np.float32)
    return Facts(starts[:, None] + torch.tensor(offsets), torch.from_numpy(classes), torch.from_numpy(values))
