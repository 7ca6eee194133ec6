"""What a question says, as a tree: the sets it describes and what it asks of them, and its program.

The same trees describe what an instruction is about. The search builds them, the wording reads them. This module
knows no scene and no words.
"""

from dataclasses import dataclass

from trilingua.scenes.functions import ATTRIBUTES
from trilingua.scenes.programs import Program

Filters = tuple[str | None, str | None, str | None, str | None]
"""One value, or None for any, for each of size, colour, material and shape."""

NO_FILTERS: Filters = (None, None, None, None)


@dataclass(frozen=True, kw_only=True)
class Described:
    """The objects that pass the filters and stand in every named relation to other objects."""

    filters: Filters = NO_FILTERS
    relations: tuple[tuple[str, "Described"], ...] = ()
    """Pairs of a direction and the one object from which it is taken."""
    same: tuple[str, "Described"] | None = None
    """An attribute, and the one other object whose value of it they share."""


@dataclass(frozen=True, kw_only=True)
class Either:
    """The objects of one description or the other that also pass the filters."""

    first: Described
    second: Described
    filters: Filters = NO_FILTERS


@dataclass(frozen=True, kw_only=True)
class Question:
    """A function that gives an answer, and what it is asked of: one set, or two for a comparison."""

    function: str
    """`count`, `exist`, `query_*`, `equal_*`, `less_than` or `greater_than`."""
    subjects: tuple[Described | Either, ...]


def to_program(question: Question) -> Program:
    """Return the question's functional program, its nodes in postfix order with none shared."""
    nodes: Program = []
    function = question.function
    before: tuple[str, ...] = ()
    if function in ("equal_integer", "less_than", "greater_than"):
        before = ("count",)
    elif function.startswith("equal_"):
        before = ("unique", function.replace("equal_", "query_"))
    elif function.startswith("query_"):
        before = ("unique",)
    operands = []
    for subject in question.subjects:
        index = _add_set(nodes, subject)
        for name in before:
            index = _add(nodes, name, index)
        operands.append(index)
    _add(nodes, function, *operands)
    return nodes


def to_reference(*subjects: Described, unique: bool = True) -> Program:
    """Return the program that gives what is described, its nodes in postfix order with none shared.

    Args:
        subjects: one description, or two for the objects of both.
        unique: one description is that of one object, which the program gives; otherwise it gives a set.
    """
    nodes: Program = []
    found = [_add_set(nodes, subject) for subject in subjects]
    if len(found) == 2:
        _add(nodes, "union", *found)
    elif unique:
        _add(nodes, "unique", *found)
    return nodes


def _add(nodes: Program, name: str, *inputs: int, value: str | None = None) -> int:
    nodes.append({"type": name, "inputs": list(inputs), "value_inputs": [] if value is None else [value]})
    return len(nodes) - 1


def _add_filters(nodes: Program, index: int, filters: Filters) -> int:
    for attribute, value in zip(ATTRIBUTES, filters, strict=True):
        if value is not None:
            index = _add(nodes, f"filter_{attribute}", index, value=value)
    return index


def _add_set(nodes: Program, subject: Described | Either) -> int:
    if isinstance(subject, Either):
        index = _add(nodes, "union", _add_set(nodes, subject.first), _add_set(nodes, subject.second))
    elif subject.same is not None:
        attribute, reference = subject.same
        index = _add(nodes, f"same_{attribute}", _add(nodes, "unique", _add_set(nodes, reference)))
    elif subject.relations:
        related = [
            _add(nodes, "relate", _add(nodes, "unique", _add_set(nodes, reference)), value=direction)
            for direction, reference in subject.relations
        ]
        index = related[0] if len(related) == 1 else _add(nodes, "intersect", *related)
    else:
        index = _add(nodes, "scene")
    return _add_filters(nodes, index, subject.filters)
