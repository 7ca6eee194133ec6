"""Tasks as data, and the one function that lays a task's segments out as a sequence.

A task is an ordered list of segments, each given or predicted. A sequence is

    [BEGIN] given segments [OUTPUT-START] predicted segments [END]

and the loss is on what follows [OUTPUT-START]. No task is known by name outside of the table below.

Source: Kyvo, section 3 and its published data code (`multimodal_dataset.py`).
Differs: editing predicts the edited scene before the edited picture (the paper's own suggestion, appendix
F), so that the picture is drawn from a decided scene; there the picture comes first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from trilingua.scenes.schema import Schema
from trilingua.tokenizers.scenes import SceneTokenizer
from trilingua.tokenizers.text import TextTokenizer
from trilingua.tokenizers.vocabulary import Vocabulary

Kind = Literal["image", "scene", "text", "program"]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One part of a sequence: what it is, and what it is called in the task."""

    kind: Kind
    name: str
    centre_out: bool = False
    """Write an image's codes from the middle outwards instead of in raster order."""


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
        Task(name="rendering", given=(_SCENE,), predicted=(Segment(kind="image", name="image", centre_out=True),)),
        Task(
            name="editing",
            given=(_IMAGE, _SCENE, Segment(kind="text", name="instruction")),
            predicted=(
                Segment(kind="scene", name="edited_scene"),
                Segment(kind="image", name="edited_image", centre_out=True),
            ),
        ),
        Task(name="qa", given=(_IMAGE, _SCENE, _QUESTION), predicted=(Segment(kind="text", name="answer"),)),
        Task(name="program", given=(_IMAGE, _SCENE, _QUESTION), predicted=(Segment(kind="program", name="program"),)),
    )
}
"""Every task of the system by name. Source: Kyvo, Table 1; `program` is ours."""


@cache
def centre_out_order(num_codes: int) -> tuple[int, ...]:
    """Return the raster positions of image codes in the order in which they are written.

    From the middle of the raster sequence, alternating left and right; when one side is used up, the other
    goes on. For 256 codes: 120, 119, 121, 118, 122, ... 0, 240, 241, ... 255.

    Source: Kyvo, section 3.2, and its published code (which the paper's word "spiral" does not describe).
    """
    centre = num_codes // 2 - round(num_codes**0.5) // 2
    order = [centre]
    for step in range(1, num_codes):
        order += [position for position in (centre - step, centre + step) if 0 <= position < num_codes]
    return tuple(order)


class Parsed(NamedTuple):
    """What a model wrote, read back segment by segment."""

    values: dict[str, Any]
    """By segment name: a list of image codes, a `Scene`, or a text."""
    problems: tuple[str, ...]
    object_spans: dict[str, tuple[tuple[int, int], ...]]
    """For each scene, where the tokens of its objects start and stop in the predicted ids."""


class SequenceTokenizer:
    """Lays segments out as ids and reads them back. The only place that knows how a sequence looks."""

    def __init__(self, schema: Schema, vocabulary: Vocabulary, text: TextTokenizer) -> None:
        self.vocabulary = vocabulary
        self.text = text
        self.scenes = SceneTokenizer(schema, vocabulary, text)
        marker = vocabulary.marker
        self.borders: dict[Kind, tuple[int, int]] = {
            "image": (marker("[IMAGE-START]"), marker("[IMAGE-END]")),
            "scene": (marker("[SCENE-START]"), marker("[SCENE-END]")),
            "text": (marker("[TEXT-START]"), marker("[TEXT-END]")),
            "program": (marker("[PROGRAM-START]"), marker("[PROGRAM-END]")),
        }
        self.output_id = marker("[OUTPUT-START]")

    def segment(self, segment: Segment, value: Any) -> list[int]:
        """Return the ids of one segment, borders included.

        Args:
            segment: what it is.
            value: a sequence of image codes in raster order, a `Scene`, or a text.
        """
        if segment.kind == "scene":
            # A predicted edit keeps the order of the given scene, which is canonical already.
            return self.scenes.tokenize(value, sort=segment.name != "edited_scene")
        start, end = self.borders[segment.kind]
        if segment.kind == "image":
            first = self.vocabulary.span("image").start
            order = centre_out_order(len(value)) if segment.centre_out else range(len(value))
            return [start, *(first + int(value[position]) for position in order), end]
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

    def parse(self, task: Task, ids: Sequence[int]) -> Parsed:
        """Read what a model wrote after a prompt of `task`. Never raises on what it finds."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        object_spans: dict[str, tuple[tuple[int, int], ...]] = {}
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
            inner = list(ids[begin : stop + 1])
            if segment.kind == "scene":
                parsed = self.scenes.detokenize(inner)
                values[segment.name] = parsed.scene
                object_spans[segment.name] = tuple((begin + a, begin + b) for a, b in parsed.spans)
                problems += [f"{segment.name}: {line}" for line in parsed.problems]
            elif segment.kind == "image":
                values[segment.name] = self._codes(segment, inner, problems)
            else:
                text = self.vocabulary.span("text")
                values[segment.name] = self.text.detokenize([i - text.start for i in inner if i in text]).strip()
            position = min(stop + 1, len(ids))
        return Parsed(values, tuple(problems), object_spans)

    def _codes(self, segment: Segment, ids: Sequence[int], problems: list[str]) -> list[int] | None:
        """Return the image's codes in raster order, or None if they are no square picture."""
        span = self.vocabulary.span("image")
        codes = [token - span.start for token in ids if token in span]
        side = round(len(codes) ** 0.5)
        if not codes or side * side != len(codes):
            problems.append(f"{segment.name}: {len(codes)} image codes make no square picture")
            return None
        if not segment.centre_out:
            return codes
        raster = [0] * len(codes)
        for code, position in zip(codes, centre_out_order(len(codes)), strict=True):
            raster[position] = code
        return raster
