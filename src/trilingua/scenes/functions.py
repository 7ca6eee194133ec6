"""The functions that a CLEVR program is made of: what each takes, what it gives, and the words that write it.

A closed catalogue. The executor, the text form and a decoding grammar all read it. It runs nothing.

A type is one of `set` (of objects), `object`, `integer`, `boolean`, or the name of an attribute
(`size`, `color`, `material`, `shape`), which is the type of that attribute's values: a program that
compares a colour with a shape is ill-typed.
"""

from dataclasses import dataclass

from trilingua.scenes.relations import RELATIONS
from trilingua.scenes.schema import CLEVR

OBJECT_SET = "set"
OBJECT = "object"
INTEGER = "integer"
BOOLEAN = "boolean"

ATTRIBUTES = tuple(category.name for category in CLEVR.categories)
"""The attributes that programs filter by and ask about, in the order in which filters are chained."""

ANSWER_TYPES = (BOOLEAN, INTEGER, *ATTRIBUTES)
"""What a whole program may give: an answer, unlike a set or an object, has words."""


ASKING_FUNCTIONS = ("unique", "count", "exist")
"""Those that take a set of objects and give something else: what they take is what a program has found."""

REFERENCE_TYPES = (OBJECT_SET, OBJECT)
"""What a program gives that says which objects a text is about."""

PROGRAM_TYPES = (*ANSWER_TYPES, *REFERENCE_TYPES)
"""All that programs give."""


@dataclass(frozen=True, kw_only=True)
class FunctionSignature:
    """One function of the catalogue."""

    name: str
    inputs: tuple[str, ...]
    """The types of its inputs, in order."""
    output: str
    values: tuple[str, ...] = ()
    """The values its one value input may take; empty for a function without value input."""


def _signature(name: str, inputs: str, output: str, values: tuple[str, ...] = ()) -> FunctionSignature:
    return FunctionSignature(name=name, inputs=tuple(inputs.split()), output=output, values=values)


FUNCTIONS: dict[str, FunctionSignature] = {
    signature.name: signature
    for signature in (
        _signature("scene", "", OBJECT_SET),
        *(_signature(f"filter_{name}", OBJECT_SET, OBJECT_SET, CLEVR.values(name)) for name in ATTRIBUTES),
        _signature("unique", OBJECT_SET, OBJECT),
        _signature("relate", OBJECT, OBJECT_SET, RELATIONS),
        *(_signature(f"same_{name}", OBJECT, OBJECT_SET) for name in ATTRIBUTES),
        _signature("intersect", "set set", OBJECT_SET),
        _signature("union", "set set", OBJECT_SET),
        _signature("count", OBJECT_SET, INTEGER),
        _signature("exist", OBJECT_SET, BOOLEAN),
        *(_signature(f"query_{name}", OBJECT, name) for name in ATTRIBUTES),
        *(_signature(f"equal_{name}", f"{name} {name}", BOOLEAN) for name in ATTRIBUTES),
        _signature("equal_integer", "integer integer", BOOLEAN),
        _signature("less_than", "integer integer", BOOLEAN),
        _signature("greater_than", "integer integer", BOOLEAN),
    )
}
"""Every function by its name. Source: CLEVR, section 3 and its public question engine.

Differs: without `equal_object`, which no CLEVR question uses.
"""


@dataclass(frozen=True, kw_only=True)
class ProgramWord:
    """One word of the text form: a function together with its value."""

    text: str
    function: FunctionSignature
    value: str | None

    @property
    def arity(self) -> int:
        """How many results the word takes from the stack; it puts one back."""
        return len(self.function.inputs)


PROGRAM_WORDS: dict[str, ProgramWord] = {
    word.text: word
    for signature in FUNCTIONS.values()
    for word in (
        [ProgramWord(text=f"{signature.name}:{value}", function=signature, value=value) for value in signature.values]
        or [ProgramWord(text=signature.name, function=signature, value=None)]
    )
}
"""Every word of the text form, by its text: `scene`, `filter_color:red`, `relate:left`, `count`, ..."""


def answer_type(answer: str) -> str | None:
    """Return the kind of question that has this answer, or None for a word that answers none.

    One of `yes/no`, `number`, `shape`, `color`, `material`, `size`. Source: Kyvo, table 8.
    """
    if answer in ("yes", "no"):
        return "yes/no"
    if answer.isdecimal():
        return "number"
    for name in ATTRIBUTES:
        if answer in CLEVR.values(name):
            return name
    return None
