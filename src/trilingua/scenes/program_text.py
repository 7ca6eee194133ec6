"""Programs as short text: one word a node, in postfix order, so that a language model can write them.

`scene filter_color:red unique relate:left filter_shape:cube count` reads: each word takes its inputs
from a stack and puts its result there. No brackets, no indices, one text per tree. Parsing gives a
result with a reason, never an exception: the text may be a model's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trilingua.core.errors import InputError
from trilingua.scenes.functions import (
    ANSWER_TYPES,
    ATTRIBUTES,
    BOOLEAN,
    FUNCTIONS,
    INTEGER,
    OBJECT,
    OBJECT_SET,
    PROGRAM_TYPES,
    PROGRAM_WORDS,
)
from trilingua.scenes.programs import Program, check_program, node_parts
from trilingua.scenes.schema import CLEVR

Finding = tuple[int, ...] | int | str
"""What a step of a program gives: numbers of objects, a count, or an attribute's value."""

_SHOWN_VALUES: Mapping[str, Sequence[str]] = {
    "count": [str(number) for number in range(CLEVR.max_objects + 1)],
    **{f"{kind}_{name}": CLEVR.values(name) for kind in ("query", "same") for name in ATTRIBUTES},
}
"""The words that may stand behind a function as what it found."""

FINDINGS_END = "."
"""Stands behind the last number of findings."""

MAX_FOUND_NUMBER = 10
"""The highest number in findings, which stand without anything between them."""

MAX_PROGRAM_WORDS = 256
"""Longer programs are refused: CLEVR's longest has fewer than 30 words, and shared nodes are written twice."""


@dataclass(frozen=True, kw_only=True)
class ParsedProgram:
    """What reading a program's text gave."""

    program: Program | None = None
    """The nodes in the order of the words; None where there is a problem."""
    problem: str | None = None
    """One line that says which word is wrong and why; None where there is a program."""


def program_to_text(program: Any, *, gives: Sequence[str] = ANSWER_TYPES) -> str:
    """Return the program's text: its words in postfix order, with one space between them.

    `program_from_text` reads back a program that gives the same answer on every scene, and the very
    same nodes if they stood in postfix order with none shared, as ours do.

    Args:
        program: a list of nodes.
        gives: the types that it may give.

    Raises:
        InputError: the program is ill-formed or ill-typed, or its text would be too long.
    """
    problem = check_program(program, gives=gives)
    if problem:
        raise InputError(problem)
    # Words of each node with all that it needs; sharing can double them at each step, hence the limit.
    texts: list[list[str]] = []
    for node in program:
        name, inputs, values = node_parts(node)
        if 1 + sum(len(texts[item]) for item in inputs) > MAX_PROGRAM_WORDS:
            raise InputError(f"program: its text has more than {MAX_PROGRAM_WORDS} words; give a shorter program")
        words = [word for item in inputs for word in texts[item]]
        texts.append([*words, f"{name}:{values[0]}" if values else name])
    return " ".join(texts[-1])


def program_from_text(text: str, *, gives: Sequence[str] = ANSWER_TYPES) -> ParsedProgram:
    """Read a program from its text; any white space separates words.

    Never raises on a string: `problem` names the first word that cannot stand where it stands.

    Args:
        text: a program's.
        gives: the types that it may give.
    """
    words = text.split()
    if not words:
        return ParsedProgram(problem="program: has no words; expected at least 'scene exist'")
    if len(words) > MAX_PROGRAM_WORDS:
        return ParsedProgram(problem=f"program: has {len(words)} words; allowed are at most {MAX_PROGRAM_WORDS}")
    program: Program = []
    stack: list[int] = []
    types: list[str] = []
    for index, text_word in enumerate(words):
        where = f"program, word {index + 1}: {text_word!r}"
        word = PROGRAM_WORDS.get(text_word)
        if word is None:
            return ParsedProgram(problem=f"{where} is no word of the catalogue")
        taken = stack[len(stack) - word.arity :] if len(stack) >= word.arity else []
        found = tuple(types[item] for item in taken)
        if found != word.function.inputs:
            have = " ".join(types[item] for item in stack) or "nothing"
            return ParsedProgram(problem=f"{where} expects {' '.join(word.function.inputs)} before it, found {have}")
        stack[len(stack) - word.arity :] = [index]
        types.append(word.function.output)
        value_inputs = [] if word.value is None else [word.value]
        program.append({"type": word.function.name, "inputs": taken, "value_inputs": value_inputs})
    if len(stack) != 1 or types[-1] not in gives:
        left = " ".join(types[item] for item in stack)
        return ParsedProgram(problem=f"program: ends with {left}; expected exactly one of {', '.join(gives)}")
    return ParsedProgram(program=program)


def find_shown(program: Sequence[Any]) -> list[int]:
    """Return the nodes whose outputs are written, in the order of the words: what is thought through step by step.

    A set of objects is, where a step more than filtering gave it or something else than a filter takes it; so is a
    number, and an attribute's value. What finds others of one value is there twice: for the value, and for them.

    Args:
        program: nodes in the order of its words, none shared.
    """
    names = [node_parts(node)[0] for node in program]
    shown = []
    for index, (name, following) in enumerate(zip(names, [*names[1:], ""], strict=True)):
        output = FUNCTIONS[name].output
        if output == OBJECT_SET:
            plain = name == "scene" or name.startswith("filter_")
            if plain and following.startswith("filter_"):
                continue
            if name.startswith("same_"):
                shown.append(index)
        elif output in (OBJECT, BOOLEAN):
            continue
        shown.append(index)
    return shown


def add_findings(text: str, findings: Sequence[Finding]) -> str:
    """Return a program's text with what its steps give, as far as `find_shown` says that they show it.

    `scene filter_color:red2. unique relate:left135. filter_shape:cube15. count 2` says that object 2 is the red one,
    that 1, 3 and 5 are left of it, 1 and 5 cubes among these, and that they are two. Numbers of objects stand right
    behind the word that finds them, with nothing in between, so that a model writes them from the state that has just
    read the word; counts and values are words of their own. `unique same_size large13.` says what is shared before who
    shares it: to find both at once takes a model two looks at the scene in one step.

    Args:
        text: the program's.
        findings: for each that `find_shown` returns the numbers of objects, from 1 to `MAX_FOUND_NUMBER` and
            ascending, or a count, or a value.

    Raises:
        InputError: a number that is out of range.
    """
    words = text.split()
    program = program_from_text(text, gives=PROGRAM_TYPES).program
    assert program is not None, "the text of a program"
    for index, found in zip(find_shown(program), findings, strict=True):
        if isinstance(found, int | str):
            words[index] += f" {found}"
            continue
        for number in found:
            if not 1 <= number <= MAX_FOUND_NUMBER:
                raise InputError(
                    f"findings: object {number}; a program's text can name those from 1 to {MAX_FOUND_NUMBER}"
                )
        words[index] += "".join(map(str, found)) + FINDINGS_END
    return " ".join(words)


def split_findings(text: str) -> tuple[str, list[Finding]]:
    """Return the program's text without findings, and the findings; never raises, whatever a model wrote."""
    words: list[str] = []
    findings: list[Finding] = []
    for written in text.split():
        found = re.fullmatch(r"(\D+?)(\d*)\.", written)
        word = written if found is None else found[1]
        before = PROGRAM_WORDS.get(words[-1]) if words else None
        if before is not None and word in _SHOWN_VALUES.get(before.function.name, ()):
            findings.append(int(word) if before.function.output == INTEGER else word)
        else:
            words.append(word)
        if found is not None:
            # Numbers ascend, so that "10" is ten: a zero has no other meaning.
            findings.append(tuple(int(number) for number in re.findall("10|[1-9]", found[2])))
    return " ".join(words), findings
