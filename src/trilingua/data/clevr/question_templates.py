"""The wording of questions: sentence frames, synonyms, and how a description becomes a noun phrase.

Our own words, not those of CLEVR's template files. This module knows no scene and no answer.
"""

import re
from functools import partial
from random import Random

from trilingua.data.clevr.question_structure import Described, Either, Filters, Question

SYNONYMS: dict[str, tuple[str, ...]] = {
    "small": ("small", "tiny", "little"),
    "large": ("large", "big"),
    "rubber": ("rubber", "matte"),
    "metal": ("metal", "metallic", "shiny"),
    "thing": ("thing", "object", "item"),
    "cube": ("cube", "block"),
    "sphere": ("sphere", "ball"),
    "left": ("left of", "to the left of", "on the left side of"),
    "right": ("right of", "to the right of", "on the right side of"),
    "front": ("in front of",),
    "behind": ("behind", "in back of"),
}
"""What may stand for a word; a word that is not here stands for itself."""

_SHARED: dict[str, tuple[str, ...]] = {
    "size": ("the same size as", "as big as", "of the same size as"),
    "color": ("the same color as", "of the same color as"),
    "material": ("the same material as", "made of the same material as"),
    "shape": ("the same shape as", "of the same shape as"),
}

# A field in braces is a form of the question's subject: {plural} and {a} and {the} carry its whole description;
# {nouns} and {noun} leave out the clause that {predicate} then gives. A digit picks the first or second subject.
_COUNT = (
    "How many {plural} are there?",
    "How many {plural} can be seen?",
    "How many {plural} does the picture show?",
    "What is the total number of {plural}?",
)
_COUNT_CLAUSE = (
    "How many {nouns} are {predicate}?",
    "How many {nouns} are there that are {predicate}?",
    "What is the number of {plural}?",
    "In the picture, how many {nouns} are {predicate}?",
)
_EXIST = (
    "Is there {a}?",
    "Are there any {plural}?",
    "Does the picture show {a}?",
    "Can you see any {plural}?",
)
_EXIST_CLAUSE = (
    "Is there {a}?",
    "Are there any {plural}?",
    "Is any {noun} {predicate}?",
    "Are any {nouns} {predicate}?",
)
_QUERY: dict[str, tuple[str, ...]] = {
    "size": ("What size is {the}?", "How big is {the}?", "What is the size of {the}?", "Which size does {the} have?"),
    "color": (
        "What color is {the}?",
        "What is the color of {the}?",
        "Which color does {the} have?",
        "Tell me, what color is {the}?",
    ),
    "material": (
        "What is {the} made of?",
        "What material is {the}?",
        "What is the material of {the}?",
        "Which material does {the} have?",
    ),
    "shape": (
        "What shape is {the}?",
        "What is the shape of {the}?",
        "Which shape does {the} have?",
        "What kind of shape is {the}?",
    ),
}
_EQUAL = (
    "Is {the1} the same ATTRIBUTE as {the2}?",
    "Does {the1} have the same ATTRIBUTE as {the2}?",
    "Do {the1} and {the2} have the same ATTRIBUTE?",
    "Is the ATTRIBUTE of {the1} the same as that of {the2}?",
)
_NUMBERS: dict[str, tuple[str, ...]] = {
    "equal_integer": (
        "Are there as many {plural1} as {plural2}?",
        "Is the number of {plural1} equal to the number of {plural2}?",
        "Does the picture show as many {plural1} as {plural2}?",
    ),
    "less_than": (
        "Are there fewer {plural1} than {plural2}?",
        "Is the number of {plural1} less than the number of {plural2}?",
        "Does the picture show fewer {plural1} than {plural2}?",
    ),
    "greater_than": (
        "Are there more {plural1} than {plural2}?",
        "Is the number of {plural1} greater than the number of {plural2}?",
        "Does the picture show more {plural1} than {plural2}?",
    ),
}


def frames(question: Question) -> tuple[str, ...]:
    """Return the sentence frames that fit the question."""
    kind, _, attribute = question.function.partition("_")
    if question.function in _NUMBERS:
        return _NUMBERS[question.function]
    if kind == "query":
        return _QUERY[attribute]
    if kind == "equal":
        return tuple(frame.replace("ATTRIBUTE", attribute) for frame in _EQUAL)
    subject = question.subjects[0]
    plain = isinstance(subject, Described) and not subject.relations and subject.same is None
    if kind == "count":
        return _COUNT if plain else _COUNT_CLAUSE
    return _EXIST if plain else _EXIST_CLAUSE


def to_text(question: Question, random: Random) -> str:
    """Return the question in words: one of its frames, each word one of its synonyms."""
    return re.sub(r"\{(\w+?)(\d?)\}", partial(_fill, question, random), random.choice(frames(question)))


def _fill(question: Question, random: Random, field: re.Match[str]) -> str:
    return _FORMS[field[1]](question.subjects[int(field[2] or 1) - 1], random)


def _word(name: str, random: Random) -> str:
    return random.choice(SYNONYMS.get(name, (name,)))


def _name(filters: Filters, random: Random, *, plural: bool) -> str:
    *adjectives, shape = filters
    words = [_word(value, random) for value in adjectives if value is not None]
    noun = _word(shape or "thing", random)
    return " ".join([*words, f"{noun}s" if plural else noun])


def _needs_other(subject: Described | Either) -> bool:
    """Whether the object compared with would itself fit the name, so that only "other" keeps it out."""
    if isinstance(subject, Either) or subject.same is None:
        return False
    theirs = subject.same[1].filters
    return not any(one and two and one != two for one, two in zip(subject.filters, theirs, strict=True))


def _noun(subject: Described | Either, random: Random) -> str:
    return ("other " if _needs_other(subject) else "") + _name(subject.filters, random, plural=False)


def _nouns(subject: Described | Either, random: Random) -> str:
    return ("other " if _needs_other(subject) else "") + _name(subject.filters, random, plural=True)


def _predicate(subject: Described | Either, random: Random) -> str:
    if isinstance(subject, Either):
        comma = "," if subject.second.relations else ""
        return f"either {_plural(subject.first, random)}{comma} or {_plural(subject.second, random)}"
    if subject.same is not None:
        attribute, reference = subject.same
        return f"{random.choice(_SHARED[attribute])} {_the(reference, random)}"
    places = [f"{_word(relation, random)} {_the(reference, random)}" for relation, reference in subject.relations]
    return places[0] if len(places) == 1 else f"both {places[0]} and {places[1]}"


def _clause(subject: Described | Either, random: Random, *, plural: bool) -> str:
    """Return the description's clause with a space before it; nothing for one without."""
    if isinstance(subject, Described) and subject.same is not None and random.random() < 0.5:
        attribute, reference = subject.same
        return f" with the same {attribute} as {_the(reference, random)}"
    if isinstance(subject, Described) and not subject.relations and subject.same is None:
        return ""
    short = isinstance(subject, Described) and len(subject.relations) == 1 and random.random() < 0.5
    start = "" if short else "that are " if plural else "that is "
    return f" {start}{_predicate(subject, random)}"


def _the(subject: Described | Either, random: Random) -> str:
    return f"the {_noun(subject, random)}{_clause(subject, random, plural=False)}"


def _plural(subject: Described | Either, random: Random) -> str:
    return _nouns(subject, random) + _clause(subject, random, plural=True)


def _a(subject: Described | Either, random: Random) -> str:
    noun = _noun(subject, random)
    article = "an" if noun[0] in "aeiou" else "a"
    text = f"an{noun}" if noun.startswith("other ") else f"{article} {noun}"
    return text + _clause(subject, random, plural=False)


_FORMS = {"the": _the, "plural": _plural, "a": _a, "noun": _noun, "nouns": _nouns, "predicate": _predicate}
