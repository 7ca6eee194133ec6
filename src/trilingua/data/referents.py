"""Which objects of a given scene are meant: those that each step of a program is about, the one that an edit changes.

A set of objects is an integer whose bit k is set if it holds the object with number k + 1; `UNKNOWN` says nothing.
Knows no tokens.
"""

from collections.abc import Sequence
from typing import Any

from trilingua.scenes.functions import ATTRIBUTES, FUNCTIONS, REFERENCE_TYPES
from trilingua.scenes.programs import node_parts
from trilingua.scenes.scene import Scene, SceneObject

UNKNOWN = -1
"""The set of which nothing is known."""


def program_referents(program: Sequence[Any], outputs: Sequence[Any], order: Sequence[int]) -> tuple[int, ...]:
    """Return the set of objects that each node of a program gives, or takes if it gives no objects; or `UNKNOWN`.

    Args:
        program: in CLEVR's form.
        outputs: what its nodes gave, as `execute_program` returns it.
        order: indices of the scene's objects in the order of their numbers.
    """
    bits = {index: 1 << rank for rank, index in enumerate(order)}
    found: list[int] = []
    for node, output in zip(program, outputs, strict=True):
        name, inputs, _ = node_parts(node)
        signature = FUNCTIONS[name]
        if signature.output in REFERENCE_TYPES:
            found.append(sum(bits[index] for index in (output if isinstance(output, list) else [output])))
        else:
            found.append(found[inputs[0]] if signature.inputs[0] in REFERENCE_TYPES else UNKNOWN)
    return tuple(found)


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
