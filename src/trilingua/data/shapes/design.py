"""What a family of procedural objects is: two crossed attributes, and a program that turns them and dice into parts.

The same program builds the parts and writes the caption, so the caption is true by construction. An object faces
the viewer, towards -y; left and right are the viewer's. Knows no family.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from trilingua.data.shapes.solids import Color, Length, Part, Pattern, Solid

COLORS = MappingProxyType(
    {
        "red": (200, 46, 42),
        "orange": (232, 126, 38),
        "yellow": (242, 202, 58),
        "green": (72, 146, 66),
        "blue": (50, 98, 196),
        "purple": (128, 70, 166),
        "pink": (236, 142, 172),
        "brown": (126, 80, 46),
        "beige": (216, 190, 148),
        "white": (238, 236, 230),
        "gray": (136, 139, 144),
        "black": (46, 46, 52),
    }
)
"""sRGB bytes of each colour word."""

BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
"""The colours of things that are painted to please."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")

SIDES = (-1.0, 1.0)
"""Left and right, or front and back."""

_WOODS = ("brown", "beige")

T = TypeVar("T")


class Dice:
    """Choices from one random stream."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, each as likely."""
        return options[int(self._generator.integers(len(options)))]

    def other(self, options: Sequence[str], *taken: str) -> str:
        """Return one of the options that is not taken."""
        return self.pick([option for option in options if option not in taken])

    def between(self, low: Length, high: Length) -> float:
        """Return a number from `low` to `high`."""
        return float(self._generator.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return bool(self._generator.random() < probability)


@dataclass(frozen=True, kw_only=True)
class Design:
    """One object: its parts, what is said of it, and what is known of it."""

    parts: Sequence[Part]
    caption: str
    attributes: dict[str, str | int]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of object with its two crossed attributes, whose combinations can be held out."""

    name: str
    colors: Sequence[str]
    """What the main colour can be."""
    forms: Sequence[str]
    """What the form can be."""
    design: Callable[[Dice, str, str], Design]
    """Makes an object of a colour and form; all else it draws."""


def paint(solid: Solid, word: str, *, bands: Pattern | None = None) -> Part:
    """Return a part of a colour word, in bands where a pattern is given."""
    return Part(solid=solid, color=COLORS[word], pattern=bands)


def bands(word: str, axis: int, width: Length, second_axis: int | None = None) -> Pattern:
    """Return a pattern whose second colour is a colour word."""
    return Pattern(axis=axis, width=width, color=COLORS[word], second_axis=second_axis)  # type: ignore[arg-type]


def shade(word: str, factor: float) -> Color:
    """Return a colour word's bytes made darker or lighter."""
    red, green, blue = (min(255, round(value * factor)) for value in COLORS[word])
    return red, green, blue


def stuff(dice: Dice, color: str) -> str:
    """Return what furniture of a colour is made of: wood for brown and beige, else painted wood or plastic."""
    return "wooden" if color in _WOODS else dice.pick(("painted", "plastic"))


def built_of(solid: Solid, color: str, material: str, axis: int, width: Length) -> Part:
    """Return a part of a material: wood shows boards of two shades across an axis."""
    if material != "wooden":
        return paint(solid, color)
    grain = Pattern(axis=axis, width=width, color=shade(color, 0.84))  # type: ignore[arg-type]
    return Part(solid=solid, color=COLORS[color], pattern=grain)


def article(words: str) -> str:
    """Return the words with `a` or `an` before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def count(number: int, noun: str) -> str:
    """Return a number in words and the noun, in the plural unless it is one."""
    return f"{NUMBERS[number]} {noun}{'' if number == 1 else 's'}"


def listed(things: Sequence[str]) -> str:
    """Return things as a list in words: `a, b and c`."""
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
