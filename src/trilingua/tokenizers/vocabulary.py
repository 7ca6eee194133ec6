"""The one place where an id offset exists.

A vocabulary is a list of spans, one after the other: text, markers, numbers, image codes (and, later,
shape codes). It knows what each id is; it is saved with every checkpoint and every shard, and its digest
says whether two of them belong together.

Source: Kyvo, appendix A. Differs: the published code writes offsets by hand in 22 files; its markers come
after the numbers, ours before them, so that a backbone's own text span can be followed by any grid.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from trilingua.core.errors import ConfigError, VocabularyError
from trilingua.core.io import digest_json, read_json, write_json
from trilingua.scenes.schema import Schema
from trilingua.tokenizers.numbers import NumberGrid

SpanName = Literal["text", "markers", "numbers", "image"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A half-open range of ids of one kind."""

    name: SpanName
    start: int
    """The first id."""
    size: int
    """Number of ids."""

    @property
    def stop(self) -> int:
        """The first id after the span."""
        return self.start + self.size

    def __contains__(self, token_id: int | float) -> bool:
        return self.start <= token_id < self.stop

    @property
    def ids(self) -> range:
        """All ids of the span."""
        return range(self.start, self.stop)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Which ids exist and what they mean."""

    text_size: int
    """Ids of the text tokenizer, its own special tokens included."""
    text_digest: str
    """Digest of the text tokenizer's file: equal sizes don't make equal tokenizers."""
    markers: tuple[str, ...]
    """Structural tokens, each with its own id; begin and end of a sequence among them."""
    numbers: NumberGrid = field(default_factory=NumberGrid)
    """Which numbers have an id each."""
    num_image_codes: int = 1024
    """Codes of the image tokenizer."""
    begin: str = "[BEGIN]"
    """The marker that opens every sequence."""
    end: str = "[END]"
    """The marker that closes every sequence and stops decoding."""

    def __post_init__(self) -> None:
        if self.text_size < 1 or self.num_image_codes < 0:
            raise ConfigError(
                f"vocabulary: {self.text_size} text ids and {self.num_image_codes} image codes; "
                "expected at least 1 and at least 0"
            )
        repeated = sorted({name for name in self.markers if self.markers.count(name) > 1})
        if repeated:
            raise ConfigError(f"vocabulary: marker {repeated[0]} occurs twice; each needs an id of its own")
        for name in (self.begin, self.end):
            if name not in self.markers:
                raise ConfigError(f"vocabulary: {name} is not among its markers {', '.join(self.markers)}; add it")

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The spans in id order: disjoint, and together every id from 0 on."""
        sizes: dict[SpanName, int] = {
            "text": self.text_size,
            "markers": len(self.markers),
            "numbers": len(self.numbers),
            "image": self.num_image_codes,
        }
        spans, start = [], 0
        for name, size in sizes.items():
            spans.append(Span(name=name, start=start, size=size))
            start += size
        return tuple(spans)

    def span(self, name: SpanName) -> Span:
        """Return the span of that name."""
        return next(span for span in self.spans if span.name == name)

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.spans[-1].stop

    @cached_property
    def _marker_ids(self) -> dict[str, int]:
        return dict(zip(self.markers, self.span("markers").ids, strict=True))

    def marker(self, name: str) -> int:
        """Return the id of a marker such as `[SCENE-START]`."""
        if name not in self._marker_ids:
            raise VocabularyError(f"marker {name!r} is unknown; this vocabulary has {', '.join(self.markers)}")
        return self._marker_ids[name]

    @property
    def begin_id(self) -> int:
        """The id that opens every sequence."""
        return self.marker(self.begin)

    @property
    def end_id(self) -> int:
        """The id that closes every sequence."""
        return self.marker(self.end)

    def number(self, value: float) -> int:
        """Return the id of the number nearest to `value`."""
        return self.span("numbers").start + self.numbers.bin(value)

    def number_value(self, token_id: int | float) -> float | None:
        """Return the number that an id, or a mean between two ids, stands for; None if it is no number."""
        span = self.span("numbers")
        return self.numbers.value(token_id - span.start) if token_id in span else None

    def kind(self, token_id: int) -> SpanName:
        """Return the name of the span that holds an id."""
        for span in self.spans:
            if token_id in span:
                return span.name
        raise VocabularyError(f"id {token_id} is outside this vocabulary of {self.size} ids")

    def describe(self, token_id: int) -> str:
        """Return what an id means, for people: a marker's name, a number, `image:17` or `text:42`."""
        kind = self.kind(token_id)
        offset = token_id - self.span(kind).start
        if kind == "markers":
            return self.markers[offset]
        if kind == "numbers":
            return f"{self.numbers.value(offset):.3f}".rstrip("0").rstrip(".")
        return f"{kind}:{offset}"

    def to_json(self) -> dict[str, Any]:
        """Return all that the vocabulary is made of, and its digest."""
        value: dict[str, Any] = {
            "text_size": self.text_size,
            "text_digest": self.text_digest,
            "markers": list(self.markers),
            # As floats: -3 and -3.0 are one grid, and must have one digest.
            "numbers": {name: float(getattr(self.numbers, name)) for name in ("low", "high", "step")},
            "num_image_codes": self.num_image_codes,
            "begin": self.begin,
            "end": self.end,
        }
        return {**value, "digest": digest_json(value)}

    @cached_property
    def digest(self) -> str:
        """A digest that two vocabularies share exactly if they give the same meaning to every id."""
        return self.to_json()["digest"]

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read a vocabulary that `save` wrote.

        Raises:
            InputError: there is no such file, or it is not JSON.
            VocabularyError: the file lacks a field or its digest does not match its content.
        """
        value = read_json(path)
        try:
            vocabulary = cls(
                text_size=value["text_size"],
                text_digest=value["text_digest"],
                markers=tuple(value["markers"]),
                numbers=NumberGrid(**value["numbers"]),
                num_image_codes=value["num_image_codes"],
                begin=value["begin"],
                end=value["end"],
            )
            is_whole = value["digest"] == vocabulary.digest
        except (KeyError, TypeError, ConfigError) as error:
            raise VocabularyError(
                f"{path}: not a vocabulary ({error!r}); expected the vocabulary.json of a run"
            ) from error
        if not is_whole:
            raise VocabularyError(
                f"{path}: was changed since it was written (its digest does not fit its content); "
                "put back the file that belongs to the run"
            )
        return vocabulary

    def require(self, digest: str, where: str) -> None:
        """Raise `VocabularyError` unless `digest` is this vocabulary's.

        Args:
            digest: of the vocabulary that ids were made with.
            where: the file or folder that holds those ids, for the message.
        """
        if digest != self.digest:
            raise VocabularyError(
                f"{where}: made with vocabulary {digest[:12]}, but this run has {self.digest[:12]}; "
                "tokenize again with this run, or pass the run that made it"
            )


def structural_markers(schema: Schema, *, num_places: int = 0) -> tuple[str, ...]:
    """Return the markers that sequences need.

    They are the segments' borders, one for each object of a scene and each attribute of `schema`, and
    one for each place in a picture that is marked.
    """
    return (
        "[BEGIN]",
        "[END]",
        "[PAD]",
        "[OUTPUT-START]",
        "[SCENE-START]",
        "[SCENE-END]",
        *(f"[OBJECT-{number}]" for number in range(1, schema.max_objects + 1)),
        "[OBJECT-END]",
        *(f"[{attribute.name.upper()}]" for attribute in schema.attributes),
        "[IMAGE-START]",
        "[IMAGE-END]",
        "[TEXT-START]",
        "[TEXT-END]",
        "[PROGRAM-START]",
        "[PROGRAM-END]",
        *(f"[PLACE-{number}]" for number in range(1, num_places + 1)),
    )
