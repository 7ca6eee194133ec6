"""Shards to batches: which tasks a scene is trained on, how its tokens are weighed, and rows without waste.

An endless stream that is a pure function of its seed and position: stopped anywhere and resumed, it goes on
with the same batches. Knows no model.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from trilingua.core.config import require_at_least, require_shares
from trilingua.core.errors import ConfigError
from trilingua.core.positions import count_positions
from trilingua.core.random import make_generator
from trilingua.data.facts import FactCollector, Facts, Pointers
from trilingua.data.packing import PackedBatch, TrainingSequence, Tree, merge, pack
from trilingua.data.referents import UNKNOWN
from trilingua.data.shards import Ids, SceneRecord, Shards
from trilingua.tokenizers.sequences import TASKS, SeenCells, Segment, SequenceTokenizer, Task

Look = Literal["read", "see", "blind"]
"""What becomes of a scene's given picture: it is read as its codes, it is seen, or it is left out."""


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """How sequences are drawn and packed."""

    mix: dict[str, float] = field(
        default_factory=lambda: {"recognition": 1.0, "rendering": 0.3, "editing": 1.0, "qa": 3.0}
    )
    """For each task, how many sequences a scene gives on average; a fraction is a chance."""
    blind_share: float = 0.0
    """Share of the scenes whose sequences leave the picture out and begin with the scene. A picture costs 320 tokens
    to read and some 50 to see, and tells an edit or an answer little that the scene does not."""
    blind_mix: dict[str, float] = field(default_factory=lambda: {"rendering": 0.0, "editing": 2.0, "qa": 6.0})
    """As `mix`, for these scenes; tasks that are given nothing but a picture have no place in it."""
    code_share: float = 1.0
    """Share of the scenes whose given picture is read as its codes, as published; the others are seen: the cells
    that may show an object are given as vectors, which know more and take fewer tokens."""
    segment_weights: dict[str, float] = field(default_factory=dict)
    """For each predicted segment, by its name in `TASKS`, how much its tokens count in the loss, more than 0; 1 where
    it is not named."""
    changed_weight: float = 1.0
    """How much an id of an edited scene counts that is not what copying the given scene would write, where another
    counts 1: few ids are changed, and without them an edit is none."""
    edited_image_share: float = 0.25
    """Share of the edits whose picture is predicted too; the others stop after the scene."""
    first_codes: int = 5
    """How many codes of a predicted image weigh more. Source: Kyvo, section 3.2."""
    first_codes_weight: float = 10.0
    """How much each of them weighs, where another token weighs 1. Source: Kyvo, section 3.2."""
    row_length: int = 1024
    """Tokens of one packed row."""
    rows_per_batch: int = 8
    """Rows of one batch."""

    def __post_init__(self) -> None:
        require_at_least(self, first_codes=0, first_codes_weight=0, changed_weight=0, row_length=1, rows_per_batch=1)
        require_shares(self, "edited_image_share", "blind_share", "code_share")

    @property
    def reads_codes(self) -> bool:
        """Whether given pictures are read as codes and never seen; what is trained so is to be used so."""
        return self.code_share == 1


class KyvoBatch(NamedTuple):
    """Packed rows and what is known of their pictures and texts."""

    packed: PackedBatch
    given: Facts
    """Of the given pictures that are read; a cell's token is its code."""
    seen: Facts
    """Of the cells of given pictures that are seen, a row for each cell."""
    vectors: Float[Tensor, "cell seen_dim"]
    """What is seen of these cells."""
    drawn: Facts
    """Of the pictures that are drawn of a scene; a cell's token is the one that its code is predicted to follow."""
    objects: Facts
    """Of the scenes that are given; an object's token is the one that closes it."""
    recognized: Facts
    """Of the scenes that are recognized; an object's tokens are those that its own are predicted to follow."""
    pointers: Pointers
    """Of programs that are written for questions and instructions, of edited scenes, and of recognized ones."""


class SequenceBuilder:
    """Turns a scene's record into the training sequences of any task.

    Args:
        config: what is drawn and how it is weighed.
        sequences: what made the data.

    Raises:
        ConfigError: the mix or the weights name an unknown task, or the mix draws nothing.
    """

    def __init__(self, config: LoaderConfig, sequences: SequenceTokenizer) -> None:
        for field_name in ("mix", "blind_mix"):
            for task, value in getattr(config, field_name).items():
                if task not in TASKS:
                    raise ConfigError(f"{field_name}: no task {task!r}; choose among {', '.join(TASKS)}")
                if value < 0:
                    raise ConfigError(f"{field_name}: {task} {value}; expected 0 or more")
        predicted = list(dict.fromkeys(segment.name for task in TASKS.values() for segment in task.predicted))
        for name, value in config.segment_weights.items():
            if name not in predicted:
                raise ConfigError(f"segment_weights: no task predicts {name!r}; choose among {', '.join(predicted)}")
            if value <= 0:  # a batch of such segments alone would have no mean loss
                raise ConfigError(
                    f"segment_weights: {name} {value}; expected more than 0; "
                    "to leave a task out, set it to 0 in the mix"
                )
        if config.blind_mix.get("recognition"):
            raise ConfigError("blind_mix: recognition is given nothing but a picture; set it to 0")
        if not any(config.mix.values()):
            raise ConfigError("mix: draws no sequence of any task; give one of them more than 0")
        self.config, self.sequences = config, sequences

    def build(
        self,
        task: Task,
        record: SceneRecord,
        pieces: Mapping[str, Sequence[int]],
        *,
        last_segment: str | None = None,
        look: Look = "read",
    ) -> TrainingSequence:
        """Return one sequence of `task`.

        Args:
            task: what is given and predicted.
            record: the scene, for the segments `image` and `scene`.
            pieces: the other segments by name: ids, or an image's codes in raster order.
            last_segment: stop after this predicted segment, without the end of the sequence.
            look: what becomes of the given picture.
        """
        vocabulary = self.sequences.vocabulary
        shown = [segment for segment in task.given if not (look == "blind" and segment.kind == "image")]
        given = ((vocabulary.begin_id,), *(self._piece(segment, record, pieces, look) for segment in shown))
        predicted: list[int] = []
        weights: list[float] = []
        for segment in task.predicted:
            scale = self.config.segment_weights.get(segment.name, 1.0)
            piece = self._piece(segment, record, pieces)
            if not piece:  # a reference that is not known
                continue
            emphasis = [1.0] * len(piece)
            if segment.kind == "image":
                for position in self.sequences.code_positions[: min(self.config.first_codes, len(piece) - 2)]:
                    emphasis[position] = self.config.first_codes_weight
            elif segment.name == "edited_scene":
                for place in self._changes(record.scene, piece):
                    emphasis[place] = self.config.changed_weight
            weights += [scale * weight for weight in emphasis]
            predicted += piece
            if segment.name == last_segment:
                break
        else:
            predicted.append(vocabulary.end_id)
            weights.append(scale)
        return TrainingSequence(given, (self.sequences.output_id,), tuple(predicted), tuple(weights))

    def _changes(self, given: Ids, edited: Ids) -> Iterator[int]:
        """Yield the places in an edited scene where copying the given one would write another id.

        What stands at equal positions corresponds, whatever was removed.
        """
        places = self.sequences.places
        following = dict(zip(count_positions(given, places), given[1:], strict=False))
        for place, position in enumerate(count_positions(edited[:-1], places), start=1):
            if following.get(position) != edited[place]:
                yield place

    def _piece(
        self, segment: Segment, record: SceneRecord, pieces: Mapping[str, Sequence[int]], look: Look = "read"
    ) -> Ids:
        if segment.kind == "image":
            codes = record.image if segment.name == "image" else pieces[segment.name]
            return tuple(self.sequences.segment(segment, SeenCells(record.shown) if look == "see" else codes))
        if segment.name == "scene":
            return record.staged if segment.staged else record.scene
        return tuple(pieces[segment.name])

    def tree(self, record: SceneRecord, generator: np.random.Generator) -> tuple[Tree, list[Ids]]:
        """Draw a scene's sequences by the mix and merge them.

        Returns:
            The tree; and for each of its sequences what the first tokens from its opening on are about, as
            `data.referents` writes it.
        """
        look = self._look(generator)
        mix = self.config.blind_mix if look == "blind" else self.config.mix

        def count(task: str, available: int) -> int:
            wanted = mix.get(task, 0.0)
            return min(available, int(wanted) + (generator.random() < wanted % 1))

        sequences = []
        referents: list[Ids] = []
        for name in ("recognition", "rendering"):
            if count(name, 1):
                sequences.append(self.build(TASKS[name], record, {}, look=look))
                referents.append(())
        order = generator.permutation(len(record.questions))
        for index in order[: count("qa", len(order))]:
            question = record.questions[index]
            pieces = {"question": question.question, "program": question.program, "answer": question.answer}
            sequences.append(self.build(TASKS["qa"], record, pieces, look=look))
            referents.append((UNKNOWN, *question.referents))
        edits = generator.permutation(len(record.edits))
        for index in edits[: count("editing", len(edits))]:
            edit = record.edits[index]
            pieces = {
                "instruction": edit.instruction,
                "reference": edit.reference,
                "edited_scene": edit.edited_scene,
                "edited_image": edit.edited_image,
            }
            drawn = edit.edited_image and generator.random() < self.config.edited_image_share
            stop = None if drawn else "edited_scene"
            sequences.append(self.build(TASKS["editing"], record, pieces, last_segment=stop, look=look))
            referents.append((UNKNOWN, *edit.referents))
        return merge(sequences, self.sequences.places), referents

    def _look(self, generator: np.random.Generator) -> Look:
        """Draw what becomes of a scene's given picture."""
        if self.config.blind_share and generator.random() < self.config.blind_share:
            return "blind"
        if self.config.code_share < 1 and generator.random() >= self.config.code_share:
            return "see"
        return "read"


_MOST_EMPTY = 1000
"""Scenes without a sequence, beyond one epoch, after which a stream is taken to have none at all."""


class PackedStream:
    """Batches of packed trees; every scene once an epoch.

    Args:
        shards: the tokenized data.
        builder: how a scene becomes sequences.
        seed: of the order of scenes and of what is drawn from each.
        num_scenes: use the first so many scenes; None for all.

    Raises:
        ConfigError: there is no scene to draw, or fewer than `num_scenes`.
    """

    def __init__(self, shards: Shards, builder: SequenceBuilder, *, seed: int, num_scenes: int | None = None) -> None:
        self._shards, self._builder, self._seed = shards, builder, seed
        self._num_scenes = len(shards) if num_scenes is None else num_scenes
        if self._num_scenes < 1:
            raise ConfigError(f"shards: hold {len(shards)} scenes, which leaves none to train on; tokenize more")
        if self._num_scenes > len(shards):
            raise ConfigError(f"num_scenes: {num_scenes}; these shards hold {len(shards)}; tokenize more or use fewer")
        self._next_scene = 0
        self._order = (-1, np.zeros(0, np.int64))
        self._pool = ThreadPoolExecutor(1)
        self._ahead: Future[tuple[KyvoBatch, int]] | None = None

    def __iter__(self) -> "PackedStream":
        return self

    def __next__(self) -> KyvoBatch:
        """Return the next batch; the one after it is built meanwhile."""
        ahead = self._ahead or self._pool.submit(self._build, self._next_scene)
        batch, self._next_scene = ahead.result()
        self._ahead = self._pool.submit(self._build, self._next_scene)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the number of scenes that were drawn."""
        return {"next_scene": self._next_scene}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the scenes that were drawn."""
        self._next_scene = int(state["next_scene"])
        self._ahead = None

    def _tree(self, number: int) -> tuple[SceneRecord, Tree, list[Ids]]:
        epoch, place = divmod(number, self._num_scenes)
        if self._order[0] != epoch:
            self._order = (epoch, make_generator(self._seed, "order", epoch).permutation(self._num_scenes))
        record = self._shards[int(self._order[1][place])]
        return record, *self._builder.tree(record, make_generator(self._seed, "sequences", number))

    def _build(self, first: int) -> tuple[KyvoBatch, int]:
        """Take scenes in order, each into the fullest row with room for it, until one fits nowhere.

        So no scene is left out or late.
        """
        config, sequences = self._builder.config, self._builder.sequences
        rows: list[list[Tree]] = [[] for _ in range(config.rows_per_batch)]
        used = [0] * config.rows_per_batch
        known = FactCollector(sequences)
        number = first
        while True:
            record, tree, referents = self._tree(number)
            if len(tree.ids) > config.row_length:
                raise ConfigError(
                    f"row_length: {config.row_length} holds no scene of {len(tree.ids)} tokens; "
                    "raise it or lower the mix"
                )
            fitting = [row for row in range(len(rows)) if used[row] + len(tree.ids) <= config.row_length]
            if not fitting:
                break
            if number - first > self._num_scenes + _MOST_EMPTY and not any(used):
                raise ConfigError("mix: none of its tasks has data in these shards; choose others or tokenize more")
            row = max(fitting, key=lambda index: used[index])
            known.add(record, tree, referents, row * config.row_length + used[row])
            rows[row].append(tree)
            used[row] += len(tree.ids)
            number += 1
        batch = KyvoBatch(
            packed=pack(rows, config.row_length, sequences.vocabulary.begin_id),
            given=known.given(record),
            seen=known.seen(record),
            vectors=known.vectors(record),
            drawn=known.drawn(record),
            objects=known.objects(),
            recognized=known.recognized(),
            pointers=known.pointers(),
        )
        return batch, number
