"""Answer a question about a scene by running its functional program.

A program is a list of nodes `{"type", "inputs", "value_inputs"}`; the inputs are indices of earlier
nodes and the last node gives the answer. Programs may come from a model, so an ill-formed one gives
a result with a reason, never an exception. This module knows no wording and no text form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from trilingua.scenes.functions import ANSWER_TYPES, ASKING_FUNCTIONS, FUNCTIONS, FunctionSignature
from trilingua.scenes.relations import RELATIONS, compute_relationships
from trilingua.scenes.scene import Scene, Vector

T = TypeVar("T")

ProgramNode = dict[str, Any]
Program = list[ProgramNode]
Value = list[int] | int | bool | str
"""What a node gives: indices of objects, one index or a number, yes or no, an attribute's value."""

REFERENCE_DIRECTIONS: dict[str, Vector] = {
    "left": (-0.6563, -0.7545, 0.0),
    "right": (0.6563, 0.7545, 0.0),
    "front": (0.7545, -0.6563, 0.0),
    "behind": (-0.7545, 0.6563, 0.0),
}
"""The directions of CLEVR's camera before its jitter: for a scene that names none, such as a predicted one."""


@dataclass(frozen=True, kw_only=True)
class ProgramResult:
    """What running a program gave."""

    answer: str | None = None
    """`yes` or `no`, a number in digits, or an attribute's value; None where there is a problem."""
    problem: str | None = None
    """One line that says why there is no answer; None where there is one."""
    outputs: tuple[Value, ...] = ()
    """What each node gave, as far as the program ran."""


def relationships_of(scene: Scene) -> dict[str, Sequence[Sequence[int]]]:
    """Return `relationships[d][i]` for left, right, front and behind, whatever the scene knows.

    Those the scene holds are taken as they are; the rest is computed from its directions, or from
    `REFERENCE_DIRECTIONS` where it names none.
    """
    missing = {
        name: scene.directions.get(name, REFERENCE_DIRECTIONS[name])
        for name in RELATIONS
        if len(scene.relationships.get(name, ())) != len(scene.objects) or not scene.objects
    }
    computed = compute_relationships(scene.objects, missing) if missing else {}
    return {name: computed[name] if name in computed else scene.relationships[name] for name in RELATIONS}


def node_parts(node: Any) -> tuple[Any, Any, Any]:
    """Return a node's function name, inputs and value inputs, unchecked.

    Reads the keys of our files (`type`), of CLEVR's released files (`function`) and of CLEVR's engine
    (`side_inputs`).
    """
    if not isinstance(node, Mapping):
        return None, (), ()
    values = node.get("value_inputs", node.get("side_inputs"))
    return node.get("type", node.get("function")), node.get("inputs", []), [] if values is None else values


def check_program(program: Any, *, gives: Sequence[str] = ANSWER_TYPES) -> str | None:
    """Return None if the program is well-formed and well-typed, else one line that says what is wrong.

    A program that passes can still fail on a scene, where `unique` meets a set of not one object.

    Args:
        program: should be a list of nodes.
        gives: the types that its last node may give.
    """
    if not isinstance(program, Sequence) or isinstance(program, str) or not program:
        return "program: expected a list of at least one node"
    types: list[str] = []
    for index, node in enumerate(program):
        name, inputs, values = node_parts(node)
        where = f"program[{index}]"
        if not isinstance(name, str) or name not in FUNCTIONS:
            return f"{where}: {name!r} is no function; allowed are {', '.join(FUNCTIONS)}"
        signature = FUNCTIONS[name]
        problem = _check_inputs(signature, inputs, types) or _check_values(signature, values)
        if problem:
            return f"{where}: {name} {problem}"
        types.append(signature.output)
    if types[-1] not in gives:
        return f"program: ends with {types[-1]!r}; end with one of {', '.join(gives)}"
    return None


def execute_program(program: Any, scene: Scene, *, gives: Sequence[str] = ANSWER_TYPES) -> ProgramResult:
    """Run a program on a scene.

    Equals CLEVR's question engine wherever that gives an answer. Never raises on a program, whatever
    it holds: `problem` then says which node is wrong and why.

    Args:
        program: a list of nodes, in our keys or in CLEVR's.
        scene: given or predicted; relations come from `relationships_of`.
        gives: as in `check_program`; objects that are given have no `answer` and are the last of the `outputs`.
    """
    problem = check_program(program, gives=gives)
    if problem:
        return ProgramResult(problem=problem)
    relationships: Mapping[str, Sequence[Sequence[int]]] | None = None
    outputs: list[Value] = []
    for index, node in enumerate(program):
        name, inputs, values = node_parts(node)
        arguments: list[Any] = [outputs[item] for item in inputs]
        if name == "unique" and len(arguments[0]) != 1:
            return ProgramResult(
                problem=f"program[{index}]: unique expects exactly one object, got {len(arguments[0])}",
                outputs=tuple(outputs),
            )
        if name == "relate":
            relationships = relationships or relationships_of(scene)
            outputs.append(sorted(relationships[values[0]][arguments[0]]))
        else:
            outputs.append(_apply(name, arguments, values, scene))
    asked = FUNCTIONS[node_parts(program[-1])[0]].output in ANSWER_TYPES
    answer = _answer(outputs[-1]) if asked else None
    return ProgramResult(answer=answer, outputs=tuple(outputs))


def find_asked(program: Sequence[Any], outputs: Sequence[T]) -> list[T]:
    """Return the sets of objects that a program counts, looks for something in, or takes for one object, in its order.

    Args:
        program: one that can be run.
        outputs: what its nodes give, in any form.
    """
    nodes = map(node_parts, program)
    return [outputs[inputs[0]] for name, inputs, _ in nodes if name in ASKING_FUNCTIONS]


def _check_inputs(signature: FunctionSignature, inputs: Any, types: list[str]) -> str | None:
    if not isinstance(inputs, Sequence) or isinstance(inputs, str) or len(inputs) != len(signature.inputs):
        return f"takes {len(signature.inputs)} inputs, got {inputs!r}"
    for item, expected in zip(inputs, signature.inputs, strict=True):
        if type(item) is not int or not 0 <= item < len(types):
            return f"has the input {item!r}; allowed are indices of earlier nodes"
        if types[item] != expected:
            return f"expects {expected!r}, but node {item} gives {types[item]!r}"
    return None


def _check_values(signature: FunctionSignature, values: Any) -> str | None:
    expected = 1 if signature.values else 0
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != expected:
        return f"takes {expected} value inputs, got {values!r}"
    if expected and values[0] not in signature.values:
        return f"has the value {values[0]!r}; allowed are {', '.join(signature.values)}"
    return None


def _apply(name: str, arguments: list[Any], values: Sequence[str], scene: Scene) -> Value:
    objects = scene.objects
    if name == "scene":
        return list(range(len(objects)))
    if name == "unique":
        return arguments[0][0]
    if name == "count":
        return len(arguments[0])
    if name == "exist":
        return bool(arguments[0])
    if name == "union":
        return sorted({*arguments[0], *arguments[1]})
    if name == "intersect":
        return sorted({*arguments[0]} & {*arguments[1]})
    if name == "less_than":
        return arguments[0] < arguments[1]
    if name == "greater_than":
        return arguments[0] > arguments[1]
    kind, attribute = name.split("_")
    if kind == "filter":
        return [item for item in arguments[0] if getattr(objects[item], attribute) == values[0]]
    if kind == "query":
        return getattr(objects[arguments[0]], attribute)
    if kind == "equal":
        return arguments[0] == arguments[1]
    assert kind == "same", name
    value = getattr(objects[arguments[0]], attribute)
    return [item for item, other in enumerate(objects) if item != arguments[0] and getattr(other, attribute) == value]


def _answer(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
