"""What is likely to follow while an object is recognized, so that decoding can check it in one step.

Source: Cai et al. 2024 (Medusa: heads on a model's states draft several ids ahead, the model checks them at once).
Differs: the head is the probe that taught these states in training, and it drafts an object, not ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trilingua.models.decoder import Decoder
from trilingua.nn.hooks import LastOutput
from trilingua.nn.probes import DenseProbe
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.tokenizers.scenes import NumberedScene, SceneTokenizer

_WRITTEN_FIRST = 4
"""Ids of an object that are never drafted: its number, a marker, x and y. Places are known to a few centimetres, which
is seldom the very bin; all else follows from the place."""


@dataclass(frozen=True, kw_only=True)
class DraftHead:
    """What tells, from a decoder's states, the object that it is writing or about to write."""

    layer: int
    """Index of the layer whose output is read."""
    probe: DenseProbe
    """An `object_probe` that was trained with the decoder."""


class ObjectDrafter:
    """Drafts the rest of an object that is being written, and that another one follows.

    Args:
        head: tells the object.
        decoder: whose states it reads, whenever it runs; the head is moved to where it computes.
        scenes: writes objects.
    """

    def __init__(self, head: DraftHead, decoder: Decoder, scenes: SceneTokenizer) -> None:
        self._probe, self._scenes = head.probe.to(decoder.head.rows.device).eval(), scenes
        self._states = LastOutput()
        decoder.layers[head.layer].register_forward_hook(self._states)

    @torch.inference_mode()
    def __call__(self, places: Sequence[tuple[int, int]], written: Sequence[Sequence[int]]) -> list[list[int]]:
        """Return for each row what may follow its last id; nothing where no object is open or its place is not written.

        Args:
            places: row and token, in the decoder's last chunk, of the state that chose the last id.
            written: all ids of the row.
        """
        drafts: list[list[int]] = [[] for _ in written]
        begun = {row: self._begun(ids) for row, ids in enumerate(written)}
        begun = {row: ids for row, ids in begun.items() if ids}
        if begun:
            assert self._states.output is not None, "the decoder has just run"
            rows, tokens = zip(*(places[row] for row in begun), strict=True)
            states = self._states.output
            # The last layer may have given no more than the state of each row's last id.
            objects = self._read(states[list(rows), [min(token, states.shape[1] - 1) for token in tokens]])
            for (row, ids), item in zip(begun.items(), objects, strict=True):
                drafts[row] = self._rest(item, ids)
        return drafts

    def _begun(self, ids: Sequence[int]) -> Sequence[int]:
        """Return the ids of the object that is being written, if enough of it is; else none."""
        recent = ids[-self._scenes.object_lengths[1] :]
        begin = next((at for at in reversed(range(len(recent))) if recent[at] in self._scenes.starts), len(recent))
        return recent[begin:] if len(recent) - begin >= _WRITTEN_FIRST else ()

    def _read(self, states: Float[Tensor, "row dim"]) -> list[SceneObject]:
        _, *classes = self._probe.classes(states).T.tolist()
        places = self._probe.values(states).tolist()
        found = []
        for number, place in enumerate(places):
            values = {
                category.name: category.values[known[number]]
                for category, known in zip(self._scenes.schema.categories, classes, strict=True)
            }
            found.append(SceneObject(location=tuple(place), **values))
        return found

    def _rest(self, item: SceneObject, begun: Sequence[int]) -> list[int]:
        """Return the ids of an object behind those that are written, and the opening of the next."""
        number = 1 + self._scenes.starts.index(begun[0])
        ids = self._scenes.tokenize(NumberedScene(Scene(objects=(item,)), (number,)))[1:-1]
        return [*ids[len(begun) :], *self._scenes.starts[number : number + 1]]
