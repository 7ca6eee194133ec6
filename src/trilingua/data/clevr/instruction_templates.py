"""The wording of edit instructions: words for values, phrases for places, sentences for each type of edit.

Pure data and string building. It knows neither scenes nor geometry; what a phrase means in metres is
said in `edits.py`. Every phrase can be read back: two edits that differ in meaning never share a text.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from trilingua.scenes.functions import ATTRIBUTES
from trilingua.scenes.schema import CLEVR

Place = tuple[str, tuple[str, ...]]
"""How far (`near`, `default`, `far`) and in which one or two directions of a reference object."""

WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "small": ("small", "tiny"),
        "large": ("large", "big"),
        "rubber": ("rubber", "matte"),
        "metal": ("metal", "metallic", "shiny"),
        "cube": ("cube", "block"),
        "sphere": ("sphere", "ball"),
        "cylinder": ("cylinder",),
        **{color: (color,) for color in CLEVR.values("color")},
    }
)
"""For each attribute value the words that name it. No word names two values."""

THINGS = ("object", "thing")
"""Nouns for an object whose shape is not said."""

SENTENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "appearance": (
            "Alter {object} so that it has {properties}",
            "Edit {object} to get {properties}",
            "I want {object} to have {properties}",
            "{object} should have {properties} from now on",
            "See to it that {object} has {properties}",
            "Turn {object} into {phrase}",
            "Make {object} become {phrase}",
            "Transform {object} into {phrase}",
            "Convert {object} to {phrase}",
            "Let {object} be {phrase} instead",
            "Take {object} and set {assignments}",
            "For {object}, switch {assignments}",
            "Pick {object} and change {assignments}",
            "Look at {object} and update {assignments}",
            "Give {object} {gifts}",
            "Provide {object} with {gifts}",
            "Modify {object}: it now has {gifts}",
            "{object} gets {gifts}",
        ),
        "appearance_relation": (
            "Adjust {object} so that it has {properties}",
            "Work on {object} until it has {properties}",
            "What stands there as {object} must have {properties}",
            "Find {object} and let it have {properties}",
            "I would like {object} to end up with {properties}",
            "Find {object} and turn it into {phrase}",
            "Recast {object} as {phrase}",
            "Remodel {object} into {phrase}",
            "Show {object} as {phrase}",
            "Where you see {object}, show {phrase}",
            "Locate {object} and set {assignments}",
            "Go to {object} and change {assignments}",
            "Concerning {object}, put {assignments}",
            "Focus on {object} and switch {assignments}",
            "Find {object} and give it {gifts}",
            "Assign {gifts} to {object}",
            "Equip {object} with {gifts}",
            "The new look of {object} has {gifts}",
        ),
        "insertion": (
            "Add {new} {place}",
            "Place {new} {place}",
            "Set down {new} {place}",
            "Create {new} {place}",
            "Introduce {new} {place}",
            "We need {new} {place}",
            "I would like to see {new} {place}",
            "There should be {new} {place}",
            "Let {new} appear {place}",
            "Position {new} {place}",
            "Bring in {new} and leave it {place}",
            "Extend the scene with {new} {place}",
            "Have {new} stand {place}",
            "Fetch {new} and deposit it {place}",
            "Put up {new} {place}",
            "Complete the picture with {new} {place}",
            "{place}, add {new}",
            "{place} there has to be {new}",
        ),
        "removal": (
            "Get rid of {object}",
            "Delete {object}",
            "Erase {object}",
            "Clear away {object}",
            "Throw out {object}",
            "Discard {object}",
            "Eliminate {object}",
            "Lift {object} out of the scene",
            "Make {object} disappear",
            "Do away with {object}",
            "I no longer want to see {object}",
            "Leave out {object}",
            "Pick up {object} and carry it away",
            "{object} should be gone",
            "The scene must not contain {object} any more",
            "Wipe {object} from the picture",
            "Withdraw {object}",
            "Show everything except {object}",
        ),
        "moving": (
            "Shift {object} {way}",
            "Push {object} {way}",
            "Slide {object} {way}",
            "Drag {object} {way}",
            "Displace {object} {way}",
            "Relocate {object} one step {way}",
            "Let {object} go one step {way}",
            "Bring {object} one metre {way}",
            "Carry {object} {way}",
            "Transfer {object} {way}",
            "{object} should stand one metre further {way}",
            "Take {object} and put it one step {way}",
            "Reposition {object} one metre {way}",
            "Roll or pull {object} {way}",
            "I want {object} one step further {way}",
            "Grab {object} and move it {way}",
            "Make {object} travel {way}",
            "Send {object} one metre {way}",
        ),
    }
)
"""For each type of instruction its sentences. Slots: {object} a reference, {new} a new object, {place}, {way}, and
one of four ways to name new values: {properties}, {phrase}, {assignments}, {gifts}."""

RELATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "left": ("to the left of", "left of", "on the left side of"),
        "right": ("to the right of", "right of", "on the right side of"),
        "front": ("in front of", "on the front side of"),
        "behind": ("behind", "on the back side of"),
    }
)
"""For each direction the phrases that put a reference object after them."""

_SIDES: Mapping[str, tuple[str, ...]] = {
    "left": ("on its left", "to its left"),
    "right": ("on its right", "to its right"),
    "front": ("in front of it", "on its front side"),
    "behind": ("behind it", "on its back side"),
}

_WAYS: Mapping[str, tuple[str, ...]] = {
    "left": ("to the left", "leftwards", "towards the left"),
    "right": ("to the right", "rightwards", "towards the right"),
    "front": ("to the front", "forwards", "towards the viewer"),
    "behind": ("to the back", "backwards", "away from the viewer"),
}

DIRECTIONS: tuple[tuple[str, ...], ...] = (
    ("left",),
    ("right",),
    ("front",),
    ("behind",),
    ("left", "front"),
    ("left", "behind"),
    ("right", "front"),
    ("right", "behind"),
)
"""The directions that an instruction may name: one, or one sideways with one in depth."""


def _places() -> dict[Place, tuple[str, ...]]:
    places: dict[Place, tuple[str, ...]] = {}
    for directions in DIRECTIONS:
        if len(directions) == 1:
            sides: tuple[str, ...] = _SIDES[directions[0]]
            places["default", directions] = tuple(f"{phrase} {{reference}}" for phrase in RELATIONS[directions[0]])
        else:
            side, depth = directions
            sides = tuple(f"{a} and {b}" for a, b in zip(_SIDES[side], _SIDES[depth], strict=True))
            before = {"front": "in front", "behind": "behind"}[depth]
            places["default", directions] = (
                f"to the {side} of and {RELATIONS[depth][0]} {{reference}}",
                f"{before} and to the {side} of {{reference}}",
            )
        places["near", directions] = tuple(
            f"{near} {{reference}}, {side}" for near in ("close to", "near") for side in sides
        )
        places["far", directions] = tuple(
            f"{far} {{reference}}, {side}" for far in ("far from", "a long way from") for side in sides
        )
    return places


PLACES: Mapping[Place, tuple[str, ...]] = MappingProxyType(_places())
"""For each place relative to one reference object its phrases, with the slot {reference}."""

BETWEEN = ("between {reference} and {other}", "midway between {reference} and {other}")
"""Phrases for the middle between two reference objects."""

WAYS: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(
    {
        directions: _WAYS[directions[0]]
        if len(directions) == 1
        else tuple(f"{a} and {b}" for a, b in zip(_WAYS[directions[0]], _WAYS[directions[1]], strict=True))
        + tuple(f"{b} and {a}" for a, b in zip(_WAYS[directions[0]], _WAYS[directions[1]], strict=True))
        for directions in DIRECTIONS
    }
)
"""For each move its phrases."""


def draw(generator: np.random.Generator, options: Sequence[str]) -> str:
    """Return one of `options`, each equally likely."""
    return options[int(generator.integers(len(options)))]


def noun_phrase(generator: np.random.Generator, values: Mapping[str, str]) -> str:
    """Return words for an object with these attribute values, without an article: "tiny metallic thing"."""
    adjectives = [
        draw(generator, WORDS[values[name]]) for name in ATTRIBUTES[:-1] if name in values
    ]  # the shape is the noun
    noun = draw(generator, WORDS[values["shape"]] if "shape" in values else THINGS)
    return " ".join([*adjectives, noun])


def value_phrases(generator: np.random.Generator, values: Mapping[str, str]) -> dict[str, str]:
    """Return the four ways to name new values, keyed by their slot.

    Args:
        generator: draws the synonyms.
        values: attribute -> new value, at least one; they are named in this order.
    """
    named = [(name, draw(generator, WORDS[value])) for name, value in values.items()]
    return {
        "properties": _join([f"{word} {name}" for name, word in named]),
        "phrase": f"a {noun_phrase(generator, values)}",
        "assignments": _join([f"its {name} to {word}" for name, word in named]),
        "gifts": _join([f"a {word} {name}" for name, word in named]),
    }


def sentence(template: str, **slots: str) -> str:
    """Return the template with its slots filled and its first letter in upper case."""
    text = template.format(**slots)
    return text[0].upper() + text[1:]


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
