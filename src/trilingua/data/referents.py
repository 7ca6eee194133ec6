"""Which objects of a given scene are meant: those that each step of a program gives, the one that an edit changes.

A set of objects is an integer whose bit k is set if it holds the object with number k + 1; `UNKNOWN` says nothing.
Knows no tokens.
"""

from collections.abc import Sequence
from typing import Any

from trilingua.scenes.functions import ATTRIBUTES, FUNCTIONS, OBJECT, OBJECT_SET, PROGRAM_TYPES
from trilingua.scenes.programs import execute_program, node_parts
from trilingua.scenes.scene import Scene, SceneObject

UNKNOWN = -1
"""The set of which nothing is known."""


def program_referents(program: Sequence[Any], scene: Scene, order: Sequence[int]) -> tuple[int, ...]:
    """Return the set of objects that each node of a program gives; `UNKNOWN` where it gives something else.

    Args:
        program: in CLEVR's form; one that cannot be run is known as far as it ran.
        scene: what it runs on.
        order: indices of the scene's objects in the order of their numbers.
    """
    outputs: list[Any] = [None] * len(program)
    ran = execute_program(program, scene, gives=PROGRAM_TYPES).outputs
    outputs[: len(ran)] = ran
    bits = {index: 1 << rank for rank, index in enumerate(order)}

    def gives(node: Any, output: Any) -> int:
        if output is None:
            return UNKNOWN
        kind = FUNCTIONS[node_parts(node)[0]].output
        members = output if kind == OBJECT_SET else [output] if kind == OBJECT else None
        return UNKNOWN if members is None else sum(bits[index] for index in members)

    return tuple(gives(node, output) for node, output in zip(program, outputs, strict=True))


def to_numbers(referents: int) -> tuple[int, ...]:
    """Return the numbers of a set's objects, ascending."""
    return tuple(number for number in range(1, referents.bit_length() + 1) if referents >> (number - 1) & 1)


def edit_referents(source: Scene, target: Scene, order: Sequence[int]) -> int:
    """Return the object of the source that is not in the target as it was; `UNKNOWN` where all are.

    Args:
        source: the scene before the edit.
        target: the scene after it; other objects keep their values exactly.
        order: indices of the source's objects in the order of their numbers.
    """
    kept = {_facts(item) for item in target.objects}
    changed = sum(1 << rank for rank, index in enumerate(order) if _facts(source.objects[index]) not in kept)
    return changed or UNKNOWN


def _facts(item: SceneObject) -> tuple[Any, ...]:
    return item.location, *(getattr(item, name) for name in ATTRIBUTES)
