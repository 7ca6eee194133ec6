"""What each task may write, as grammars over ids: every output is valid whatever the weights.

A scene has the schema's attributes in their order and at most its number of objects; an image has exactly
its number of codes; an answer is one of the closed set of answers; a program is well-typed.
"""

from collections.abc import Iterable, Sequence

from trilingua.inference.grammar import Grammar, GrammarTables, choice, literal, repeat, sequence, token_set
from trilingua.scenes.functions import PROGRAM_WORDS
from trilingua.scenes.program_text import FINDINGS_END
from trilingua.scenes.schema import Category, Schema
from trilingua.tokenizers.sequences import Segment, SequenceTokenizer, Task


def task_grammar(task: Task, sequences: SequenceTokenizer, *, last_segment: str | None = None) -> GrammarTables:
    """Return the grammar of what `task` predicts, end included.

    Args:
        task: whose predicted segments.
        sequences: how they are written.
        last_segment: end after this segment; the end is then its last id.
    """
    parts: list[Grammar] = []
    for segment in task.predicted:
        start, end = sequences.borders[segment.kind]
        inner = _inner(segment, sequences)
        if segment.name == last_segment:
            return sequence(*parts, literal(start), inner).compile(sequences.vocabulary.size, stop_id=end)
        parts += [literal(start), inner, literal(end)]
    return sequence(*parts).compile(sequences.vocabulary.size, stop_id=sequences.vocabulary.end_id)


def answer_words(schema: Schema) -> tuple[str, ...]:
    """Return every answer that a question about a scene of `schema` can have."""
    numbers = [str(number) for number in range(schema.max_objects + 1)]
    values = [value for category in schema.categories for value in category.values]
    return ("yes", "no", *numbers, *values)


def _inner(segment: Segment, sequences: SequenceTokenizer) -> Grammar:
    """Return what may stand between a segment's borders."""
    if segment.kind == "image":
        codes, length = token_set(sequences.vocabulary.span("image").ids), sequences.codes_per_image
        if not sequences.place_ids:
            return repeat(codes, length, length)
        parts: list[Grammar] = []
        for place, first in zip(sequences.place_ids, range(0, length, sequences.codes_per_place), strict=True):
            count = min(sequences.codes_per_place, length - first)
            parts += [literal(place), repeat(codes, count, count)]
        return sequence(*parts)
    if segment.kind == "scene":
        objects = sequence()
        for number in range(sequences.scenes.schema.max_objects, 0, -1):
            item = _object(sequences, number)
            if segment.numbered:  # another scene's numbers, of which each may be gone
                objects = sequence(repeat(item, 0, 1), objects)
            else:
                objects = repeat(sequence(item, objects), 0, 1)
        return objects
    if segment.kind == "text":
        return choice(*(literal(*_text(sequences, word)) for word in answer_words(sequences.scenes.schema)))
    return _program(sequences, answers=segment.kind == "program")


def _text(sequences: SequenceTokenizer, text: str) -> list[int]:
    first = sequences.vocabulary.span("text").start
    return [first + token for token in sequences.text.tokenize(text)]


def _object(sequences: SequenceTokenizer, number: int) -> Grammar:
    vocabulary, scenes = sequences.vocabulary, sequences.scenes
    numbers = token_set(vocabulary.span("numbers").ids)
    parts = [literal(scenes.starts[number - 1])]
    for attribute in scenes.schema.attributes:
        parts.append(literal(vocabulary.marker(f"[{attribute.name.upper()}]")))
        if isinstance(attribute, Category):
            parts.append(choice(*(literal(*ids) for ids in scenes.value_ids[attribute.name].values())))
        else:
            parts.append(repeat(numbers, attribute.count, attribute.count))
    return sequence(*parts, literal(scenes.end))


def _program(sequences: SequenceTokenizer, *, answers: bool) -> Grammar:
    """Return "a well-typed program in postfix order, with its findings" as a regular language.

    CLEVR's programs need no deeper stack than two sets, so that types alone decide which word may follow.

    Args:
        sequences: how text is written.
        answers: the program answers a question; otherwise it gives objects.
    """

    def words(names: Iterable[str]) -> Grammar:
        wanted = set(names)
        chosen = [text for text, word in PROGRAM_WORDS.items() if word.function.name in wanted]
        return choice(*(literal(*_text(sequences, f" {text}")) for text in chosen))

    def chain(first: Sequence[int]) -> Grammar:
        return sequence(literal(*first), steps)

    categories = sequences.scenes.schema.categories
    numbers = range(1, sequences.scenes.schema.max_objects + 1)
    findings = sequence(
        *(repeat(literal(*_text(sequences, str(number))), 0, 1) for number in numbers),
        literal(*_text(sequences, FINDINGS_END)),
    )

    def found(*values: object) -> Grammar:
        return choice(*(literal(*_text(sequences, f" {value}")) for value in values))

    # As many as CLEVR's questions have: each attribute is filtered once, and there are three hops. Without a bound a
    # model could go on for ever.
    filters = words(f"filter_{category.name}" for category in categories)
    filtered = repeat(sequence(repeat(filters, 1, 4), findings), 0, 1)
    sharing = (sequence(words([f"same_{category.name}"]), found(*category.values)) for category in categories)
    related = sequence(words(["unique"]), choice(words(["relate"]), *sharing), findings, filtered)
    steps = sequence(repeat(filters, 0, 4), findings, repeat(related, 0, 3))
    opening, later = (chain(_text(sequences, text)) for text in ("scene", " scene"))

    def any_set(first: Grammar) -> Grammar:
        return choice(first, sequence(first, later, words(["union", "intersect"]), findings, filtered))

    if not answers:
        return sequence(any_set(opening), repeat(words(["unique"]), 0, 1))
    count = sequence(words(["count"]), found(0, *numbers))
    asked = {
        f"query_{category.name}": sequence(
            words(["unique"]), words([f"query_{category.name}"]), found(*category.values)
        )
        for category in categories
    }
    compared = [sequence(ask, later, ask, words([query.replace("query_", "equal_")])) for query, ask in asked.items()]
    return sequence(
        any_set(opening),
        choice(
            count,
            words(["exist"]),
            *asked.values(),
            sequence(count, any_set(later), count, words(["equal_integer", "less_than", "greater_than"])),
            *compared,
        ),
    )
