"""Scenes to ids and back, as the schema says.

An object opens with its number in the scene; then come a marker and a value for each attribute. A category's value
is text after a space (one id in every tokenizer that we use), a number is one id of the number grid. Reading never
raises: what a model wrote becomes the objects that are whole, and a list of what was wrong with the others.

Source: Kyvo, section 3.1 and appendix B (the order of attributes and the markers).
Differs: objects are written from left to right as the reference camera sees them, so that a picture has
one right sequence; the published data keep the generator's random order. An object opens with a marker of its
number, which the same object of an edited scene keeps, so that copying it is following equal markers and removing
one is leaving its number out; the published marker is the same for all.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from trilingua.core.errors import InputError
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import Category, Schema
from trilingua.tokenizers.text import TextTokenizer
from trilingua.tokenizers.vocabulary import Vocabulary


class NumberedScene(NamedTuple):
    """A scene whose objects keep the numbers that they had in another one."""

    scene: Scene
    """Its objects in the order of their numbers."""
    numbers: tuple[int, ...]
    """For each object its number, from 1, ascending; numbers may be left out."""


class ParsedScene(NamedTuple):
    """What could be read from ids."""

    scene: Scene
    """The objects that are whole, in the order in which they were written."""
    problems: tuple[str, ...]
    """One line for each thing that a valid scene would not have; empty for a valid one."""
    spans: tuple[tuple[int, int], ...]
    """For each object of the scene, where its tokens start and stop in the ids."""
    numbers: tuple[int, ...]
    """The number that each object opens with, from 1."""


def canonical_order(scene: Scene, schema: Schema) -> list[int]:
    """Return the indices of a scene's objects in the order of their places along the schema's direction.

    For CLEVR that is from left to right as the reference camera sees them.
    """
    places = [sum(a * b for a, b in zip(item.location, schema.order_direction, strict=True)) for item in scene.objects]
    return sorted(range(len(places)), key=lambda index: (places[index], index))


class SceneTokenizer:
    """Writes and reads scenes over one vocabulary.

    Args:
        schema: which attributes an object has, in which order.
        vocabulary: has the schema's markers (`structural_markers`).
        text: writes the values of categories.
    """

    def __init__(self, schema: Schema, vocabulary: Vocabulary, text: TextTokenizer) -> None:
        self.schema = schema
        self.vocabulary = vocabulary
        start = vocabulary.span("text").start
        self.value_ids: dict[str, dict[str, tuple[int, ...]]] = {
            category.name: {
                value: tuple(start + token for token in text.tokenize(f" {value}")) for value in category.values
            }
            for category in schema.categories
        }
        self.starts = [vocabulary.marker(f"[OBJECT-{number}]") for number in range(1, schema.max_objects + 1)]
        """The markers that open objects, by their numbers from 1."""
        self.end = vocabulary.marker("[OBJECT-END]")
        """Closes an object."""
        self._values = {name: {ids: value for value, ids in values.items()} for name, values in self.value_ids.items()}

        self.object_lengths = (self._object_length(min), self._object_length(max))
        """Fewest and most ids of an object, borders included."""

    @property
    def longest(self) -> int:
        """Most ids that a scene has, borders included."""
        return 2 + self.schema.max_objects * self.object_lengths[1]

    def _object_length(self, extreme: Callable[[Iterable[int]], int]) -> int:
        values = (
            extreme(map(len, self.value_ids[item.name].values())) if isinstance(item, Category) else item.count
            for item in self.schema.attributes
        )
        return 2 + len(self.schema.attributes) + sum(values)

    def places(self, first: int) -> dict[int, int]:
        """Return the position of each object's opening marker in a scene whose first object may stand at `first`.

        An object so stands where the one of the same number stands in any scene. There are none where objects differ in
        length: positions would then have gaps in every scene.
        """
        shortest, longest = self.object_lengths
        if shortest != longest:
            return {}
        return {start: first + index * longest for index, start in enumerate(self.starts)}

    def tokenize(self, scene: Scene | NumberedScene) -> list[int]:
        """Return the ids of a scene, borders included.

        Args:
            scene: what to write, its objects in canonical order and numbered from 1, or with the numbers that are
                given; each coordinate goes to its nearest bin.

        Raises:
            InputError: more objects than the schema has, or numbers that it has not or that do not ascend.
        """
        most = len(self.starts)
        if isinstance(scene, NumberedScene):
            scene, numbers = scene
            if list(numbers) != sorted({*numbers} & {*range(1, most + 1)}) or len(numbers) != len(scene.objects):
                raise InputError(
                    f"scene: its objects have the numbers {numbers}; expected some of 1 to {most}, ascending"
                )
            objects = scene.objects
        else:
            if len(scene.objects) > most:
                raise InputError(f"scene: has {len(scene.objects)} objects; expected at most {most}")
            objects = tuple(scene.objects[index] for index in canonical_order(scene, self.schema))
            numbers = tuple(range(1, len(objects) + 1))
        marker = self.vocabulary.marker
        ids = [marker("[SCENE-START]")]
        for number, item in zip(numbers, objects, strict=True):
            ids.append(self.starts[number - 1])
            for attribute in self.schema.attributes:
                ids.append(marker(f"[{attribute.name.upper()}]"))
                value = getattr(item, attribute.name)
                if isinstance(attribute, Category):
                    ids.extend(self.value_ids[attribute.name][value])
                else:
                    ids.extend(self.vocabulary.number(number) for number in value)
            ids.append(self.end)
        return [*ids, marker("[SCENE-END]")]

    def detokenize(self, ids: Sequence[int], means: Sequence[int | float] | None = None) -> ParsedScene:
        """Return the whole objects among `ids` and a line for everything that is wrong.

        There are no problems exactly if `tokenize` could have written `ids`. Never raises.

        Args:
            ids: what was written.
            means: the ids, with the mean that it was rounded from in place of a number's: so finely is it read.
        """
        means = ids if means is None else means
        marker = self.vocabulary.marker
        problems: list[str] = []
        objects: list[SceneObject] = []
        spans: list[tuple[int, int]] = []
        numbers: list[int] = []
        first, last = 0, len(ids)
        if ids and ids[0] == marker("[SCENE-START]"):
            first = 1
        else:
            problems.append("the scene does not open with [SCENE-START]")
        if ids and ids[-1] == marker("[SCENE-END]"):
            last -= 1
        else:
            problems.append("the scene does not close with [SCENE-END]")
        starts = [index for index in range(first, last) if ids[index] in self.starts]
        num_stray = (starts[0] if starts else last) - first
        opened = [1 + self.starts.index(ids[start]) for start in starts]
        for index, start in enumerate(starts):
            limit = starts[index + 1] if index + 1 < len(starts) else last
            stop = next((i for i in range(start, limit) if ids[i] == self.end), None)
            if stop is None:
                problems.append(f"object {index}: has no [OBJECT-END]")
                continue
            num_stray += limit - stop - 1
            if index and opened[index] <= opened[index - 1]:
                problems.append(f"object {index}: opens with [OBJECT-{opened[index]}]")
            item = self._object(ids[start + 1 : stop], means[start + 1 : stop])
            if isinstance(item, str):
                problems.append(f"object {index}: {item}")
            else:
                objects.append(item)
                spans.append((start, stop + 1))
                numbers.append(opened[index])
        if num_stray > 0:
            problems.append(f"{num_stray} stray tokens outside of objects")
        return ParsedScene(Scene(objects=tuple(objects)), tuple(problems), tuple(spans), tuple(numbers))

    def _object(self, ids: Sequence[int], means: Sequence[int | float]) -> SceneObject | str:
        """Read one object's attributes, or return what is wrong with them."""
        fields: dict[str, object] = {}
        position = 0
        for attribute in self.schema.attributes:
            name = f"[{attribute.name.upper()}]"
            if position >= len(ids) or ids[position] != self.vocabulary.marker(name):
                return f"expected {name}"
            position += 1
            if isinstance(attribute, Category):
                for length in range(len(ids) - position, 0, -1):
                    value = self._values[attribute.name].get(tuple(ids[position : position + length]))
                    if value is not None:
                        fields[attribute.name] = value
                        position += length
                        break
                else:
                    return f"{name} has no known value"
            else:
                numbers = [self.vocabulary.number_value(mean) for mean in means[position : position + attribute.count]]
                if len(numbers) < attribute.count or None in numbers:
                    return f"{name} needs {attribute.count} numbers"
                fields[attribute.name] = tuple(numbers)
                position += attribute.count
        if position != len(ids):
            return "has more than its attributes"
        return SceneObject(**fields)  # type: ignore[arg-type]
