"""Which objects of a given scene a text is about: those that a question asks of, the one that an edit changes.

A set of objects is an integer whose bit k is set if it holds the object with number k + 1; `UNKNOWN` says nothing.
Knows no tokens.
"""

from collections.abc import Sequence
from typing import Any

from trilingua.scenes.functions import ATTRIBUTES
from trilingua.scenes.programs import execute_program, node_parts
from trilingua.scenes.scene import Scene, SceneObject

NUM_REFERENTS = 2
"""How many sets of objects are kept of a text."""

UNKNOWN = -1
"""The set of which nothing is known."""

Referents = tuple[int, ...]
"""`NUM_REFERENTS` sets."""

UNKNOWN_REFERENTS: Referents = (UNKNOWN,) * NUM_REFERENTS
"""Those of a text of which nothing is known."""

_ASKING = ("unique", "count", "exist")


def question_referents(program: Sequence[Any], scene: Scene, order: Sequence[int]) -> Referents:
    """Return the sets of objects that a program counts, finds empty or not, or takes for a single object.

    Those nearest to the answer come first. Of "what colour is the cube left of the ball" these are the cube and the
    ball, of "are there more cubes than balls" all cubes and all balls. Nothing is known of a program that has no
    answer.

    Args:
        program: the question's, in CLEVR's form.
        scene: what it is asked of.
        order: indices of the scene's objects in the order of their numbers.
    """
    result = execute_program(program, scene)
    if result.problem is not None:
        return UNKNOWN_REFERENTS
    number = {index: rank for rank, index in enumerate(order)}
    found: list[int] = []
    nodes = [len(program) - 1]
    for node in nodes:
        name, inputs, _ = node_parts(program[node])
        if name in _ASKING:
            members = result.outputs[inputs[0]]
            assert isinstance(members, list), "these functions take sets"
            found.append(sum(1 << number[index] for index in members))
        nodes += inputs
    return _first(found)


def edit_referents(source: Scene, target: Scene, order: Sequence[int]) -> Referents:
    """Return the object of the source that is not in the target as it was; nothing is known of an insertion.

    Args:
        source: the scene before the edit.
        target: the scene after it; other objects keep their values exactly.
        order: indices of the source's objects in the order of their numbers.
    """
    kept = {_facts(item) for item in target.objects}
    changed = sum(1 << rank for rank, index in enumerate(order) if _facts(source.objects[index]) not in kept)
    return _first([changed] if changed else [])


def _facts(item: SceneObject) -> tuple[Any, ...]:
    return item.location, *(getattr(item, name) for name in ATTRIBUTES)


def _first(found: list[int]) -> Referents:
    return (*found, *UNKNOWN_REFERENTS)[:NUM_REFERENTS]
