"""Sequences that share a beginning, packed into rows without reading it twice.

A picture has one scene, ten questions and some edits, and all of their sequences begin with the picture.
Laid out one by one they would repeat its 256 codes each time. Here they are merged into a tree whose nodes
are pieces of a sequence; a token sees the pieces on its path to the root and nothing else, at the positions
that it would have in a row of its own. So the loss and the gradients are those of separate sequences, for
a third of the tokens. Knows ids only.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64
from torch import Tensor

from trilingua.core.errors import ConfigError
from trilingua.core.positions import count_positions

IGNORED = -100
"""Label of a position that is not supervised."""


class TrainingSequence(NamedTuple):
    """One sequence: pieces that are given, then the ids to predict."""

    given: tuple[tuple[int, ...], ...]
    """Pieces of ids; sequences share a piece where they share it and all before it."""
    opening: tuple[int, ...]
    """Ids right before the prediction, not predicted themselves, at least one: the output marker."""
    predicted: tuple[int, ...]
    """Ids to predict, at least one."""
    weights: tuple[float, ...]
    """How much each predicted id counts in the loss."""


class Tree(NamedTuple):
    """Sequences merged by their given pieces, as one run of tokens. Nodes are listed parents first."""

    ids: Int64[np.ndarray, " seq"]
    positions: Int64[np.ndarray, " seq"]
    """Where each token stands in the row of its own sequence."""
    node: Int64[np.ndarray, " seq"]
    """Which node each token belongs to."""
    parents: tuple[int, ...]
    """Each node's parent; -1 for a root."""
    labels: Int64[np.ndarray, " seq"]
    """The id that should follow each token, or `IGNORED`."""
    weights: Float32[np.ndarray, " seq"]
    starts: tuple[int, ...]
    """Where each node's tokens start."""
    leaves: tuple[int, ...]
    """The node of each sequence's opening and prediction, in the order of the sequences."""


def merge(sequences: Iterable[TrainingSequence], places: Mapping[int, int] = MappingProxyType({})) -> Tree:
    """Merge sequences into the tree of their given pieces; equal beginnings are stored once.

    Args:
        sequences: what is merged.
        places: ids that have a position of their own, as `count_positions` takes them.
    """
    ids: list[int] = []
    positions: list[int] = []
    node: list[int] = []
    labels: list[int] = []
    weights: list[float] = []
    parents: list[int] = []
    starts: list[int] = []
    leaves: list[int] = []
    lasts: list[int] = []
    known: dict[tuple[int, tuple[int, ...]], int] = {}

    def add(parent: int, piece: Sequence[int]) -> int:
        placed = count_positions(piece, places, last=lasts[parent] if parent >= 0 else -1)
        parents.append(parent)
        starts.append(len(ids))
        lasts.append(placed[-1])
        ids.extend(piece)
        positions.extend(placed)
        node.extend([len(parents) - 1] * len(piece))
        labels.extend([IGNORED] * len(piece))
        weights.extend([0.0] * len(piece))
        return len(parents) - 1

    for sequence in sequences:
        assert sequence.opening, "the first predicted id is the label of the opening's last"
        assert len(sequence.predicted) == len(sequence.weights) > 0, "each predicted id has a weight"
        parent = -1
        for piece in sequence.given:
            if (parent, piece) not in known:
                known[parent, piece] = add(parent, piece)
            parent = known[parent, piece]
        # The last predicted id is only a label: nothing follows it.
        leaf = add(parent, (*sequence.opening, *sequence.predicted[:-1]))
        leaves.append(leaf)
        first = starts[leaf] + len(sequence.opening) - 1
        labels[first : first + len(sequence.predicted)] = sequence.predicted
        weights[first : first + len(sequence.predicted)] = sequence.weights
    as_int = [np.asarray(values, dtype=np.int64) for values in (ids, positions, node, labels)]
    return Tree(
        as_int[0],
        as_int[1],
        as_int[2],
        tuple(parents),
        as_int[3],
        np.asarray(weights, np.float32),
        tuple(starts),
        tuple(leaves),
    )


class PackedBatch(NamedTuple):
    """Rows of trees, ready for the decoder."""

    ids: Int[Tensor, "batch seq"]
    positions: Int[Tensor, "batch seq"]
    """Where each token stands in the row of its own sequence."""
    node: Int[Tensor, "batch seq"]
    """Which node of its row each token belongs to."""
    ancestors: Bool[Tensor, "batch node node"]
    """`ancestors[b, q, k]`: node k is node q or lies on its path to the root, as `build_mask` takes it."""
    labels: Int[Tensor, "batch seq"]
    """The id that should follow each position, or `IGNORED`."""
    weights: Float[Tensor, "batch seq"]


def pack(rows: Sequence[Sequence[Tree]], row_length: int, pad_id: int) -> PackedBatch:
    """Lay trees side by side in rows of `row_length` tokens; padding is a document of its own.

    Args:
        rows: the trees of each row; a row may be empty.
        row_length: tokens of every row.
        pad_id: any valid id.

    Raises:
        ConfigError: a row's trees are longer than `row_length`.
    """
    num_nodes = 1 + max(sum(len(tree.parents) for tree in row) for row in rows)
    shape = (len(rows), row_length)
    ids, positions = np.full(shape, pad_id, np.int64), np.zeros(shape, np.int64)
    node, labels = np.full(shape, num_nodes - 1, np.int64), np.full(shape, IGNORED, np.int64)
    weights = np.zeros(shape, np.float32)
    ancestors = np.broadcast_to(np.eye(num_nodes, dtype=bool), (len(rows), num_nodes, num_nodes)).copy()
    for index, row in enumerate(rows):
        start = first_node = 0
        for tree in row:
            stop = start + len(tree.ids)
            if stop > row_length:
                raise ConfigError(f"packing: trees of {stop} tokens do not fit a row of {row_length}; raise row_length")
            ids[index, start:stop] = tree.ids
            positions[index, start:stop] = tree.positions
            node[index, start:stop] = tree.node + first_node
            labels[index, start:stop] = tree.labels
            weights[index, start:stop] = tree.weights
            for child, parent in enumerate(tree.parents):
                if parent >= 0:
                    ancestors[index, first_node + child] |= ancestors[index, first_node + parent]
            start, first_node = stop, first_node + len(tree.parents)
        positions[index, start:] = np.arange(row_length - start)
    arrays = (ids, positions, node, ancestors, labels, weights)
    return PackedBatch(*(torch.from_numpy(array) for array in arrays))
