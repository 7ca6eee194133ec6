"""Edit instructions for a CLEVR scene: a text, and the scene that results when it is followed.

Five types, drawn with equal chances:

- `appearance`: one to three attributes of one object change.
- `appearance_relation`: the same; the object is described by where it lies from another object.
- `insertion`: a new object appears beside one object, or between two.
- `removal`: one object disappears.
- `moving`: one object moves by one step.

A reference is unambiguous in the source scene: "the small cube" fits one object, minimally;
"the cube left of the red ball" fits exactly one of the objects left of the ball, and not one of the
whole scene; "the closest cube left of the red ball" is nearer to the ball than every other such cube
by at least 0.2 m on the ground. What "left of", "close to" and "one step" mean in metres is said in
`edits.py`; the wording is in `instruction_templates.py`. This module draws no pictures: whether the
target can be seen well is for the caller to accept or not.

Source: Kyvo, section 4 and table 6. Differs: own wording, synonyms as in CLEVR's questions, two more
distances and "between" for insertions; the published code of the places does not exist, so each is
defined here such that text and scene alone determine the target.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from trilingua.core.errors import ConfigError, InputError
from trilingua.data.clevr import edits
from trilingua.data.clevr.instruction_templates import (
    BETWEEN,
    DIRECTIONS,
    PLACES,
    RELATIONS,
    SENTENCES,
    WAYS,
    draw,
    noun_phrase,
    sentence,
    value_phrases,
)
from trilingua.data.clevr.question_structure import Described, Filters, to_reference
from trilingua.data.clevr.references import Description, all_descriptions, fitting, minimal_descriptions
from trilingua.scenes.functions import ATTRIBUTES
from trilingua.scenes.programs import Program
from trilingua.scenes.relations import compute_relationships
from trilingua.scenes.scene import Scene
from trilingua.scenes.schema import CLEVR

InstructionType = Literal["appearance", "appearance_relation", "insertion", "removal", "moving"]
INSTRUCTION_TYPES: tuple[InstructionType, ...] = get_args(InstructionType)

CLOSEST_MARGIN = 0.2
"""Metres by which "the closest" object is nearer than the next one."""

_ATTEMPTS_PER_TYPE = 100
_CHECKS_PER_TYPE = 8
_TYPES_PER_INSTRUCTION = 20
_RELATION_IN_REMOVAL = 0.3
_BETWEEN_IN_INSERTION = 0.2
_CLOSEST_IN_RELATION = 0.5


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One edit of a scene in words, with its result."""

    type: InstructionType
    instruction: str
    reference: Program
    """Gives the objects of the source that the text names as those to change or to stand beside, as it names them.
    "The closest" of some is not in it: the program then gives them all."""
    target_scene: Scene

    def to_json(self, source_scene: Scene, *, target_image_filename: str | None) -> dict[str, Any]:
        """Return the entry of a data directory's instruction file; a target that is not drawn has no file name."""
        return {
            "image_filename": source_scene.image_filename,
            "target_image_filename": target_image_filename,
            "type": self.type,
            "instruction": self.instruction,
            "reference": self.reference,
            "source_scene": source_scene.to_json(),
            "target_scene": self.target_scene.to_json(),
        }


def generate_instructions(
    scene: Scene,
    generator: np.random.Generator,
    num_instructions: int,
    *,
    acceptable: Callable[[Scene], bool] = lambda target: True,
) -> list[Instruction]:
    """Return up to `num_instructions` instructions for `scene`, no two with the same text.

    The type of each is drawn uniformly; when a hundred attempts, of which the caller looks at eight at
    most, give no target of that type, another type is drawn. Fewer are returned only when twenty types
    in a row gave nothing. Every target keeps the placement rules of CLEVR scenes (see `edits.py`) and
    passed `acceptable`.

    Args:
        scene: the source; it needs `directions`.
        generator: the only source of randomness: equal state, equal instructions.
        num_instructions: at least 0.
        acceptable: the caller's check of a target scene, for example that each object can be seen;
            called last.

    Raises:
        ConfigError: `num_instructions` is negative.
        InputError: the scene has no directions left, right, front and behind.
    """
    if num_instructions < 0:
        raise ConfigError(f"num_instructions: {num_instructions} is negative; use 0 or more")
    missing = [name for name in RELATIONS if name not in scene.directions]
    if missing:
        raise InputError(f"scene: directions lack {', '.join(missing)}; compute them from the camera before editing")
    writer = _Writer(scene, generator)
    found: dict[str, Instruction] = {}
    for _ in range(num_instructions):
        for _ in range(_TYPES_PER_INSTRUCTION):
            kind = INSTRUCTION_TYPES[int(generator.integers(len(INSTRUCTION_TYPES)))]
            instruction = _find(writer, kind, found, acceptable)
            if instruction is not None:
                found[instruction.instruction] = instruction
                break
        else:
            break
    return list(found.values())


def _find(
    writer: "_Writer", kind: InstructionType, found: Mapping[str, Instruction], acceptable: Callable[[Scene], bool]
) -> Instruction | None:
    write = {
        "appearance": writer.appearance,
        "appearance_relation": writer.appearance_relation,
        "insertion": writer.insertion,
        "removal": writer.removal,
        "moving": writer.moving,
    }[kind]
    template = draw(writer.generator, SENTENCES[kind])
    checks = 0
    for _ in range(_ATTEMPTS_PER_TYPE):
        written = write(template)
        if written is None:
            continue
        text, reference, target = written
        if text in found:
            continue
        if acceptable(target):
            return Instruction(type=kind, instruction=text, reference=reference, target_scene=target)
        checks += 1
        if checks == _CHECKS_PER_TYPE:
            break
    return None


class _Reference(NamedTuple):
    """An object, and how it is named."""

    place: int
    """Index of the object."""
    text: str
    described: Described
    program: Program


Written = tuple[str, Program, Scene]
"""An instruction's text, the program of what it is about, and the target."""


class _Writer:
    """Attempts at each type of instruction for one scene; None when an attempt has no valid target."""

    def __init__(self, scene: Scene, generator: np.random.Generator) -> None:
        self.scene = scene
        self.generator = generator
        self.relationships = compute_relationships(scene.objects, scene.directions)
        self.descriptions = [minimal_descriptions(scene.objects, index) for index in range(len(scene.objects))]

    def appearance(self, template: str) -> Written | None:
        referred = self._object()
        return None if referred is None else self._change(template, referred)

    def appearance_relation(self, template: str) -> Written | None:
        referred = self._related_object()
        return None if referred is None else self._change(template, referred)

    def removal(self, template: str) -> Written | None:
        referred = self._related_object() if self.generator.random() < _RELATION_IN_REMOVAL else self._object()
        if referred is None:
            return None
        target = edits.remove_object(self.scene, referred.place)
        return None if target is None else (sentence(template, object=referred.text), referred.program, target)

    def moving(self, template: str) -> Written | None:
        referred = self._object()
        if referred is None:
            return None
        directions = DIRECTIONS[int(self.generator.integers(len(DIRECTIONS)))]
        target = edits.move_object(self.scene, referred.place, directions)
        if target is None:
            return None
        text = sentence(template, object=referred.text, way=draw(self.generator, WAYS[directions]))
        return text, referred.program, target

    def insertion(self, template: str) -> Written | None:
        referred = self._object()
        if referred is None or len(self.scene.objects) >= CLEVR.max_objects:
            return None
        program = referred.program
        values = {category.name: draw(self.generator, category.values) for category in CLEVR.categories}
        if self.generator.random() < _BETWEEN_IN_INSERTION:
            second = self._object()
            if second is None or second.place == referred.place:
                return None
            target = edits.insert_between(self.scene, values, referred.place, second.place)
            place = draw(self.generator, BETWEEN).format(reference=referred.text, other=second.text)
            program = to_reference(referred.described, second.described)
        else:
            key = list(PLACES)[int(self.generator.integers(len(PLACES)))]
            distance, directions = key
            target = edits.insert_beside(self.scene, values, referred.place, directions, distance)
            place = draw(self.generator, PLACES[key]).format(reference=referred.text)
        if target is None:
            return None
        return sentence(template, new=f"a {noun_phrase(self.generator, values)}", place=place), program, target

    def _change(self, template: str, referred: _Reference) -> Written | None:
        item = self.scene.objects[referred.place]
        categories = CLEVR.categories
        count = 1 + int(self.generator.integers(3))
        chosen = self.generator.permutation(len(categories))[:count]
        values = {}
        for category in (categories[number] for number in chosen):
            others = [value for value in category.values if value != getattr(item, category.name)]
            values[category.name] = draw(self.generator, others)
        target = edits.change_attributes(self.scene, referred.place, values)
        if target is None:
            return None
        text = sentence(template, object=referred.text, **value_phrases(self.generator, values))
        return text, referred.program, target

    def _object(self) -> _Reference | None:
        """Return a random object and a minimal description of it; None if another object looks the same."""
        index = int(self.generator.integers(len(self.scene.objects)))
        if not self.descriptions[index]:
            return None
        noun, filters = self._noun(self.descriptions[index])
        described = Described(filters=filters)
        return _Reference(index, f"the {noun}", described, to_reference(described))

    def _related_object(self) -> _Reference | None:
        """Return a random object described by its direction from another one; None if this is ambiguous."""
        anchor = self._object()
        if anchor is None:
            return None
        direction = draw(self.generator, tuple(RELATIONS))
        region = self.relationships[direction][anchor.place]
        if not region:
            return None
        index = region[int(self.generator.integers(len(region)))]
        closest = self.generator.random() < _CLOSEST_IN_RELATION
        if closest:
            which, options = "the closest", self._closest_descriptions(index, anchor.place, region)
        else:
            which, options = "the", self._region_descriptions(index, region)
        if not options:
            return None
        relation = draw(self.generator, RELATIONS[direction])
        link = draw(self.generator, ("", "that is ", "which stands "))
        noun, filters = self._noun(options)
        described = Described(filters=filters, relations=((direction, anchor.described),))
        text = f"{which} {noun} {link}{relation} {anchor.text}"
        return _Reference(index, text, described, to_reference(described, unique=not closest))

    def _region_descriptions(self, index: int, region: list[int]) -> list[Description]:
        """Return minimal descriptions unique in the region but not in the scene, so that the relation is needed."""
        objects = self.scene.objects
        return [d for d in minimal_descriptions(objects, index, region) if len(fitting(objects, d)) > 1]

    def _closest_descriptions(self, index: int, reference: int, region: list[int]) -> list[Description]:
        """Return descriptions of which `index` is the clearly closest of several objects in the region."""
        objects = self.scene.objects
        x, y, _ = objects[reference].location
        distance = {i: math.hypot(objects[i].location[0] - x, objects[i].location[1] - y) for i in region}
        options = []
        for description in all_descriptions(objects[index]):
            rivals = [distance[i] for i in fitting(objects, description, region) if i != index]
            if rivals and min(rivals) >= distance[index] + CLOSEST_MARGIN:
                options.append(description)
        return options

    def _noun(self, options: list[Description]) -> tuple[str, Filters]:
        """Return words for one of the descriptions, and the filters that it names."""
        chosen = options[int(self.generator.integers(len(options)))]
        size, color, material, shape = (chosen.get(name) for name in ATTRIBUTES)
        return noun_phrase(self.generator, chosen), (size, color, material, shape)
