"""Tasks as data, and the one function that lays a task's segments out as a sequence.

A task is an ordered list of segments, each given or predicted. A sequence is

    [BEGIN] given segments [OUTPUT-START] predicted segments [END]

and the loss is on what follows [OUTPUT-START]. No task is known by name outside of the table below.

Source: Kyvo, section 3 and its published data code (`multimodal_dataset.py`).
Differs: editing predicts the edited scene before the edited picture (the paper's own suggestion, appendix
F), so that the picture is drawn from a decided scene; there the picture comes first. Answering predicts the
question's program before the answer, and editing the program of the objects that the instruction names before the
edited scene, both with what their steps give, so that what takes several steps is thought through step by step; there
neither is. A marker stands before every few codes of a picture and says where they are: rotary positions tell how far
two tokens are from each other, and leave a small causal model in the dark about which row and column a code belongs
to. A given picture may be seen instead of read: it is written as the places of the cells that may show an object, each
of which is given what is seen there, a seventh of the tokens in CLEVR. Segments of one kind share their positions
(`SequenceTokenizer.places`); there every token stands one after the last.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from trilingua.core.errors import VocabularyError
from trilingua.scenes.schema import Schema
from trilingua.tokenizers.scenes import SceneTokenizer
from trilingua.tokenizers.text import TextTokenizer
from trilingua.tokenizers.vocabulary import SpanName, Vocabulary

Kind = Literal["image", "scene", "text", "program", "reference"]
"""A program answers, a reference gives the objects that a text is about; both are written with their findings."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One part of a sequence: what it is, and what it is called in the task."""

    kind: Kind
    name: str
    centre_out: bool = False
    """Write an image's codes from the middle outwards instead of in raster order."""
    numbered: bool = False
    """The objects keep the numbers of a given scene's, so that some may be left out; the value is a `NumberedScene`."""
    staged: bool = False
    """The value is a scene as it is drawn (`data.clevr.staging`): its objects where the reference camera sees them."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is given and what is predicted, in order."""

    name: str
    given: tuple[Segment, ...]
    predicted: tuple[Segment, ...]


_IMAGE = Segment(kind="image", name="image")
_SCENE = Segment(kind="scene", name="scene")
_QUESTION = Segment(kind="text", name="question")

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(name="recognition", given=(_IMAGE,), predicted=(_SCENE,)),
        Task(
            name="rendering",
            given=(Segment(kind="scene", name="scene", staged=True),),
            predicted=(Segment(kind="image", name="image", centre_out=True),),
        ),
        Task(
            name="editing",
            given=(_IMAGE, _SCENE, Segment(kind="text", name="instruction")),
            predicted=(
                Segment(kind="reference", name="reference"),
                # The numbers of the given scene: few tokens change.
                Segment(kind="scene", name="edited_scene", numbered=True),
                Segment(kind="image", name="edited_image", centre_out=True),
            ),
        ),
        Task(
            name="qa",
            given=(_IMAGE, _SCENE, _QUESTION),
            predicted=(Segment(kind="program", name="program"), Segment(kind="text", name="answer")),
        ),
    )
}
"""Every task of the system by name. Source: Kyvo, Table 1."""

SEGMENTS: Mapping[str, Segment] = {
    segment.name: segment for task in TASKS.values() for segment in (*task.given, *task.predicted)
}
"""Every kind of segment by name."""


_TEXT_ROOM = 128
"""Positions of a text; a longer one runs into those of programs, which does no harm."""


@cache
def centre_out_order(num_codes: int) -> tuple[int, ...]:
    """Return the raster positions of image codes in the order in which they are written.

    From the middle of the raster sequence, alternating left and right; when one side is used up, the other
    goes on. For 256 codes: 120, 119, 121, 118, 122, ... 0, 240, 241, ... 255.

    Args:
        num_codes: any number, not only squares.

    Source: Kyvo, section 3.2, and its published code (which the paper's word "spiral" does not describe).
    """
    centre = num_codes // 2 - math.isqrt(num_codes) // 2
    order = [centre][:num_codes]
    for step in range(1, num_codes):
        order += [position for position in (centre - step, centre + step) if 0 <= position < num_codes]
    return tuple(order)


def count_places(codes_per_image: int, codes_per_place: int) -> int:
    """Return how many markers of places stand in a picture, one before every `codes_per_place` codes; 0: none."""
    return -(-codes_per_image // codes_per_place) if codes_per_place else 0


class SeenCells(tuple[int, ...]):
    """The cells of a picture that is seen, by their number in raster order: a marker of its place stands for each."""


class Parsed(NamedTuple):
    """What a model wrote, read back segment by segment."""

    values: dict[str, Any]
    """By segment name: image codes in raster order (None if their number is wrong), a `Scene`, or a text."""
    problems: tuple[str, ...]
    """One line for each thing that a valid prediction would not have; empty for a valid one."""
    object_spans: dict[str, tuple[tuple[int, int], ...]]
    """For each scene, where the tokens of its objects start and stop in the predicted ids."""
    object_numbers: dict[str, tuple[int, ...]]
    """For each scene, the numbers that its objects open with, as in a `NumberedScene`."""
    code_places: dict[str, tuple[int, ...]]
    """For each image, where its codes, in raster order, stand in the predicted ids; none if their number is wrong."""


class SequenceTokenizer:
    """Lays segments out as ids and reads them back. The only place that knows how a sequence looks.

    Args:
        schema: whose scenes are written.
        vocabulary: has the schema's markers (`structural_markers`).
        text: its ids are the vocabulary's text span.
        codes_per_image: how many codes a picture has.
        codes_per_place: a marker of the place stands before every so many codes of a picture; 0: none.
    """

    def __init__(
        self,
        schema: Schema,
        vocabulary: Vocabulary,
        text: TextTokenizer,
        *,
        codes_per_image: int = 256,
        codes_per_place: int = 0,
    ) -> None:
        self.vocabulary = vocabulary
        self.codes_per_image, self.codes_per_place = codes_per_image, codes_per_place
        num_places = count_places(codes_per_image, codes_per_place)
        self.place_ids = tuple(vocabulary.marker(f"[PLACE-{number}]") for number in range(1, num_places + 1))
        self._known_places = frozenset(self.place_ids)
        self.code_positions = tuple(
            1 + index + (1 + index // codes_per_place if codes_per_place else 0) for index in range(codes_per_image)
        )
        """Where the codes of a picture stand in its segment."""
        self.text = text
        self.scenes = SceneTokenizer(schema, vocabulary, text)
        marker = vocabulary.marker
        self.borders: dict[Kind, tuple[int, int]] = {
            "image": (marker("[IMAGE-START]"), marker("[IMAGE-END]")),
            "scene": (marker("[SCENE-START]"), marker("[SCENE-END]")),
            "text": (marker("[TEXT-START]"), marker("[TEXT-END]")),
            "program": (marker("[PROGRAM-START]"), marker("[PROGRAM-END]")),
            "reference": (marker("[PROGRAM-START]"), marker("[PROGRAM-END]")),
        }
        self.output_id = marker("[OUTPUT-START]")
        self.places = self._places(schema)
        """Position of each id that opens a segment or an object, marks a place or closes a picture, as
        `count_positions` takes them: every kind of segment has a room of its own, and every object in a scene's, so
        that a scene and its edited twin stand at the same positions, object by object. The rooms are as wide as need
        be, in an order by which recognition counts from 0 without a gap."""

    def segment(self, segment: Segment, value: Any) -> list[int]:
        """Return the ids of one segment, borders included.

        Args:
            segment: what it is.
            value: a sequence of image codes in raster order, the `SeenCells` of a picture that is seen, a `Scene`,
                a `NumberedScene`, or a text.

        Raises:
            VocabularyError: an image code that the vocabulary does not have.
        """
        if segment.kind == "scene":
            return self.scenes.tokenize(value)
        start, end = self.borders[segment.kind]
        if segment.kind == "image":
            if isinstance(value, SeenCells):
                return [start, *(self.place_ids[cell // self.codes_per_place] for cell in value), end]
            span = self.vocabulary.span("image")
            codes = np.asarray(value, dtype=np.int64)
            if codes.size and not (codes.min() >= 0 and codes.max() < span.size):
                raise VocabularyError(
                    f"{segment.name}: holds codes from {codes.min()} to {codes.max()}, this vocabulary has 0 to "
                    f"{span.size - 1}; tokenize the picture with this run's image tokenizer"
                )
            if segment.centre_out:
                codes = codes[list(centre_out_order(len(codes)))]
            return [start, *self._with_places((codes + span.start).tolist()), end]
        first = self.vocabulary.span("text").start
        return [start, *(first + token for token in self.text.tokenize(value)), end]

    def prompt(self, task: Task, values: Mapping[str, Any]) -> list[int]:
        """Return the ids that a task starts from: everything up to and including [OUTPUT-START]."""
        ids = [self.vocabulary.begin_id]
        for segment in task.given:
            ids += self.segment(segment, values[segment.name])
        return [*ids, self.output_id]

    def prediction(self, task: Task, values: Mapping[str, Any]) -> list[int]:
        """Return the ids that should follow the prompt, [END] included."""
        ids: list[int] = []
        for segment in task.predicted:
            ids += self.segment(segment, values[segment.name])
        return [*ids, self.vocabulary.end_id]

    def parse(self, task: Task, ids: Sequence[int], means: Sequence[int | float] | None = None) -> Parsed:
        """Read what a model wrote after a prompt of `task`, with or without [END]. Never raises on what it finds.

        Args:
            task: what should be there.
            ids: what is there.
            means: as `SceneTokenizer.detokenize` takes them.
        """
        means = ids if means is None else means
        values: dict[str, Any] = {}
        problems: list[str] = []
        object_spans: dict[str, tuple[tuple[int, int], ...]] = {}
        object_numbers: dict[str, tuple[int, ...]] = {}
        code_places: dict[str, tuple[int, ...]] = {}
        position = 0
        for segment in task.predicted:
            start, end = self.borders[segment.kind]
            begin = next((i for i in range(position, len(ids)) if ids[i] == start), len(ids))
            stop = next((i for i in range(begin, len(ids)) if ids[i] == end), len(ids))
            if begin == len(ids):
                problems.append(f"{segment.name}: is missing")
            elif begin > position:
                problems.append(f"{segment.name}: {begin - position} stray tokens before it")
            if begin < stop == len(ids):
                problems.append(f"{segment.name}: is cut off")
            inner = list(ids[begin + 1 : stop])
            if segment.kind == "scene":
                parsed = self.scenes.detokenize(list(ids[begin : stop + 1]), means[begin : stop + 1])
                values[segment.name] = parsed.scene
                object_spans[segment.name] = tuple((begin + a, begin + b) for a, b in parsed.spans)
                object_numbers[segment.name] = parsed.numbers
                problems += [f"{segment.name}: {line}" for line in parsed.problems]
            elif segment.kind == "image":
                codes = self._codes(segment, inner, problems)
                values[segment.name] = None if codes is None else [code for _, code in codes]
                code_places[segment.name] = tuple(begin + 1 + place for place, _ in codes or ())
            else:
                text = self._offsets("text", segment, inner, problems)
                values[segment.name] = self.text.detokenize(text).strip()
            position = min(stop + 1, len(ids))
        num_stray = len(ids) - position - (position < len(ids) and ids[-1] == self.vocabulary.end_id)
        if num_stray:
            problems.append(f"{num_stray} stray tokens at the end")
        return Parsed(values, tuple(problems), object_spans, object_numbers, code_places)

    def _places(self, schema: Schema) -> dict[int, int]:
        image = 1  # [BEGIN] before it
        image_end = image + len(self._with_places([0] * self.codes_per_image)) + 1
        scene = image_end + 1 + 1  # [OUTPUT-START] before it
        text = scene + self.scenes.longest
        program = text + _TEXT_ROOM
        rooms: dict[Kind, int] = {
            "image": image,
            "scene": scene,
            "text": text,
            "program": program,
            "reference": program,
        }
        return {
            **{self.borders[kind][0]: position for kind, position in rooms.items()},
            # What is seen of a place stands where codes would have its marker.
            **{place: image + 1 + k * (self.codes_per_place + 1) for k, place in enumerate(self.place_ids)},
            self.borders["image"][1]: image_end,
            **self.scenes.places(scene + 1),
        }

    def _with_places(self, codes: list[int]) -> list[int]:
        """Return an image's ids with the marker of the place before every `codes_per_place` of them."""
        ids: list[int] = []
        for index, code in enumerate(codes):
            if self.codes_per_place and index % self.codes_per_place == 0:
                ids += self.place_ids[index // self.codes_per_place :][:1]
            ids.append(code)
        return ids

    def _codes(self, segment: Segment, ids: Sequence[int], problems: list[str]) -> list[tuple[int, int]] | None:
        """Return the image's codes in raster order, each behind its place in `ids`.

        None if they are not as many as a picture has.
        """
        written = [index for index in ids if index not in self._known_places]
        if list(ids) != self._with_places(written):
            problems.append(f"{segment.name}: its places are not marked as they should be")
        span = self.vocabulary.span("image")
        places = [place for place, index in enumerate(ids) if index in span]
        codes = list(zip(places, self._offsets("image", segment, written, problems), strict=True))
        if len(codes) != self.codes_per_image:
            problems.append(f"{segment.name}: has {len(codes)} image codes, a picture has {self.codes_per_image}")
            return None
        if not segment.centre_out:
            return codes
        raster = codes.copy()
        for code, position in zip(codes, centre_out_order(len(codes)), strict=True):
            raster[position] = code
        return raster

    def _offsets(self, span_name: SpanName, segment: Segment, ids: Sequence[int], problems: list[str]) -> list[int]:
        """Return the ids of one span as offsets into it; any other id is a problem."""
        span = self.vocabulary.span(span_name)
        offsets = [token - span.start for token in ids if token in span]
        if len(offsets) < len(ids):
            problems.append(f"{segment.name}: {len(ids) - len(offsets)} stray tokens inside it")
        return offsets
