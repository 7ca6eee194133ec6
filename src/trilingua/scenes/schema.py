"""What an object of a data set is: its attributes, their order, and the values each may take.

A schema is data. The scene parser, the tokenizer, the grammar and the matcher all read it, so a new
data set is a new schema and no new branch.
"""

from dataclasses import dataclass

from trilingua.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Category:
    """An attribute with a closed set of values, each one word."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """An attribute of `count` real numbers, each in [low, high]."""

    name: str
    count: int
    low: float
    high: float
    unit: str
    json_name: str
    """The attribute's name in the data set's JSON files."""


Attribute = Category | Numbers


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The attributes of one data set's objects, in the order in which they are written as tokens."""

    name: str
    attributes: tuple[Attribute, ...]
    max_objects: int
    order_direction: tuple[float, float, float]
    """Objects are written in the order of their places along this world direction."""

    def __post_init__(self) -> None:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) != len(names):
            raise ConfigError(f"schema {self.name}: attribute names {names} repeat; each must be unique")

    @property
    def categories(self) -> tuple[Category, ...]:
        """The attributes with a closed set of values, in order."""
        return tuple(attribute for attribute in self.attributes if isinstance(attribute, Category))

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values that category `name` may take."""
        for category in self.categories:
            if category.name == name:
                return category.values
        raise ConfigError(
            f"schema {self.name}: no category {name!r}; it has {', '.join(c.name for c in self.categories)}"
        )


CLEVR = Schema(
    name="clevr",
    attributes=(
        Numbers(name="location", count=3, low=-3.0, high=3.0, unit="metre", json_name="3d_coords"),
        Category(name="size", values=("small", "large")),
        Category(name="color", values=("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow")),
        Category(name="material", values=("rubber", "metal")),
        Category(name="shape", values=("cube", "sphere", "cylinder")),
    ),
    max_objects=10,
    order_direction=(0.6563, 0.7545, 0.0),
)
"""CLEVR's objects. Source: Kyvo, appendix B; CLEVR, section 3.

Differs: the location comes first, where Kyvo writes it last. It names the object: once it is written, its attributes
are found at that place in the picture or behind those numbers in a given scene, while two objects may share all
their attributes.
"""
