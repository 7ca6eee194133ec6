"""Find questions about one scene that have a wanted answer: which objects to name, and how.

Sets of objects are bit masks (bit i is object i), so that a candidate costs a few machine operations.
Every question found is well-posed: what it calls "the ..." is one object, and every relation in it is
needed - without the relation, other objects would be meant. This module knows no words.

Each `find_*` returns None when it finds nothing within its bounded effort; the caller then asks for
another question.
"""

import itertools
from collections.abc import Callable, Sequence
from random import Random

from trilingua.data.clevr.question_structure import NO_FILTERS, Described, Either, Filters, Question
from trilingua.scenes.functions import ATTRIBUTES
from trilingua.scenes.programs import relationships_of
from trilingua.scenes.relations import RELATIONS
from trilingua.scenes.scene import Scene
from trilingua.scenes.schema import CLEVR

Accept = Callable[[int, int], bool]
"""Whether filters will do: given the objects that pass them within the base set, and in the whole scene."""

_PATTERNS = tuple(itertools.product((False, True), repeat=len(ATTRIBUTES)))
_FILTERS_OF_PATTERN: dict[tuple[bool, ...], tuple[Filters, ...]] = {
    pattern: tuple(
        itertools.product(  # type: ignore[arg-type]
            *(CLEVR.values(name) if used else (None,) for name, used in zip(ATTRIBUTES, pattern, strict=True))
        )
    )
    for pattern in _PATTERNS
}
_NUM_OPTIONS = 8
"""How many ways of relating an object to another are tried at each hop before giving up."""
_NUM_SAMPLES = 60
"""How many pairs of sets are drawn for a union or a comparison of numbers before giving up."""


class SceneSets:
    """One scene's objects as bit masks: by filters, by relation, by equal attribute."""

    def __init__(self, scene: Scene) -> None:
        """Compute the masks of `scene`; its relations as the program executor sees them."""
        objects = scene.objects
        self.num_objects = len(objects)
        self.everything = (1 << len(objects)) - 1
        self.values = [tuple(getattr(item, name) for name in ATTRIBUTES) for item in objects]
        with_value = {
            (position, value): sum(1 << index for index, own in enumerate(self.values) if own[position] == value)
            for position, name in enumerate(ATTRIBUTES)
            for value in (*CLEVR.values(name), None)
        }
        for position in range(len(ATTRIBUTES)):
            with_value[position, None] = self.everything
        self.passing: dict[Filters, int] = {}
        self.present: dict[tuple[bool, ...], list[Filters]] = {}
        self.absent: dict[tuple[bool, ...], list[Filters]] = {}
        for pattern, options in _FILTERS_OF_PATTERN.items():
            self.present[pattern], self.absent[pattern] = [], []
            for filters in options:
                size, color, material, shape = filters
                mask = with_value[0, size] & with_value[1, color] & with_value[2, material] & with_value[3, shape]
                self.passing[filters] = mask
                (self.present if mask else self.absent)[pattern].append(filters)
        relationships = relationships_of(scene)
        self.related = {
            name: [sum(1 << index for index in lists) for lists in relationships[name]] for name in RELATIONS
        }
        self.same = {
            name: [with_value[position, own[position]] & ~(1 << index) for index, own in enumerate(self.values)]
            for position, name in enumerate(ATTRIBUTES)
        }

    def own_filters(self, index: int, pattern: Sequence[bool]) -> Filters:
        """Return object `index`'s values of the attributes that `pattern` names."""
        size, color, material, shape = (
            value if used else None for value, used in zip(self.values[index], pattern, strict=True)
        )
        return size, color, material, shape


def _patterns(random: Random, without: Sequence[str]) -> list[tuple[bool, ...]]:
    banned = [ATTRIBUTES.index(name) for name in without]
    patterns = [pattern for pattern in _PATTERNS if not any(pattern[position] for position in banned)]
    random.shuffle(patterns)
    return patterns


def _find_filters(
    sets: SceneSets,
    random: Random,
    base: int,
    accept: Accept,
    *,
    without: Sequence[str] = (),
    named: bool = False,
    absent: bool = False,
) -> Filters | None:
    """Return filters that `accept` likes; which attributes they name is drawn before the values.

    Args:
        sets: the scene.
        random: draws among the filters.
        base: mask of the objects among which the filters choose.
        accept: judges the objects that pass.
        without: attributes that may not be named.
        named: whether at least one attribute must be named.
        absent: whether to look among filters that no object of the scene passes, rather than the others.
    """
    for pattern in _patterns(random, without):
        if named and not any(pattern):
            continue
        options = (sets.absent if absent else sets.present)[pattern]
        fitting = [item for item in options if accept(sets.passing[item] & base, sets.passing[item])]
        if fitting:
            return random.choice(fitting)
    return None


def _sorted_attempts(random: Random, num_objects: int) -> list[tuple[str, int]]:
    options = [(relation, index) for relation in RELATIONS for index in range(num_objects)]
    random.shuffle(options)
    return options


def describe(
    sets: SceneSets,
    random: Random,
    target: int,
    hops: int,
    *,
    without: Sequence[str] = (),
    visited: int = 0,
) -> Described | None:
    """Return a description that fits object `target` alone, by way of `hops` relations to other objects.

    Args:
        sets: the scene.
        random: draws among the descriptions.
        target: index of the object.
        hops: 0 names it by its attributes alone.
        without: attributes of the target that may not be named.
        visited: mask of objects that may not be named on the way.
    """
    bit = 1 << target
    if hops == 0:
        for pattern in _patterns(random, without):
            filters = sets.own_filters(target, pattern)
            if sets.passing[filters] == bit:
                return Described(filters=filters)
        return None
    visited |= bit
    options = [
        (relation, index)
        for relation, index in _sorted_attempts(random, sets.num_objects)
        if sets.related[relation][index] & bit and not visited >> index & 1
    ]
    for relation, index in options[:_NUM_OPTIONS]:
        base, others = sets.related[relation][index], sets.everything & ~(1 << index)
        for pattern in _patterns(random, without):
            filters = sets.own_filters(target, pattern)
            passing = sets.passing[filters]
            if passing & base == bit and passing & others != bit:
                reference = describe(sets, random, index, hops - 1, visited=visited)
                if reference is not None:
                    return Described(filters=filters, relations=((relation, reference),))
                break
    return None


def _related_set(
    sets: SceneSets, random: Random, hops: int, accept_size: Callable[[int], bool]
) -> tuple[Described, int] | None:
    """Return a set some hops away and its mask; `accept_size` judges how many objects it has."""
    for relation, index in _sorted_attempts(random, sets.num_objects)[: 2 * _NUM_OPTIONS]:
        base, others = sets.related[relation][index], sets.everything & ~(1 << index)
        filters = _find_filters(sets, random, base, _needs_relations(accept_size, sets.everything, others, others))
        if filters is None:
            continue
        reference = describe(sets, random, index, hops - 1)
        if reference is not None:
            return Described(filters=filters, relations=((relation, reference),)), sets.passing[filters] & base
    return None


def _accept_size(function: str, answer: str) -> Callable[[int], bool]:
    if function == "count":
        number = int(answer)
        return lambda size: size == number
    if answer == "yes":
        return lambda size: size > 0
    return lambda size: size == 0


def _targets(sets: SceneSets, random: Random, attribute: str, value: str) -> list[int]:
    position = ATTRIBUTES.index(attribute)
    targets = [index for index, own in enumerate(sets.values) if own[position] == value]
    random.shuffle(targets)
    return targets


def _needs_relations(accept_size: Callable[[int], bool], wanted: int, wider: int, other_wider: int) -> Accept:
    """Accept a hit of acceptable size within `wanted` that either wider base, a relation less, would enlarge."""
    return lambda hit, passing: (
        not hit & ~wanted and hit != passing & wider and hit != passing & other_wider and accept_size(hit.bit_count())
    )


def find_hops(sets: SceneSets, random: Random, function: str, answer: str, *, hops: int) -> Question | None:
    """Find a question about objects some hops away: `count`, `exist` or `query_*`."""
    if function.startswith("query_"):
        attribute = function.removeprefix("query_")
        for target in _targets(sets, random, attribute, answer):
            described = describe(sets, random, target, hops, without=(attribute,))
            if described is not None:
                return Question(function=function, subjects=(described,))
        return None
    accept_size = _accept_size(function, answer)
    if hops == 0:
        filters = _find_filters(
            sets,
            random,
            sets.everything,
            lambda hit, _: accept_size(hit.bit_count()),
            named=function == "exist",
            absent=accept_size(0),
        )
        return None if filters is None else Question(function=function, subjects=(Described(filters=filters),))
    found = _related_set(sets, random, hops, accept_size)
    return None if found is None else Question(function=function, subjects=(found[0],))


def find_both(sets: SceneSets, random: Random, function: str, answer: str) -> Question | None:
    """Find a question about objects that stand in two relations at once, to two different objects."""
    attribute = function.removeprefix("query_") if function.startswith("query_") else None
    accept_size = (lambda size: size == 1) if attribute else _accept_size(function, answer)
    targets = _targets(sets, random, attribute, answer) if attribute else []
    if attribute and not targets:
        return None
    wanted = sum(1 << target for target in targets) if attribute else sets.everything
    for _ in range(_NUM_SAMPLES):
        if sets.num_objects < 2:
            return None
        one, two = random.sample(range(sets.num_objects), 2)
        relation_one, relation_two = random.choice(RELATIONS), random.choice(RELATIONS)
        base_one, base_two = sets.related[relation_one][one], sets.related[relation_two][two]
        if base_one == base_two or (attribute and not base_one & base_two & wanted):
            continue
        bits = 1 << one | 1 << two
        accept = _needs_relations(accept_size, wanted, base_one & ~bits, base_two & ~bits)
        filters = _find_filters(
            sets, random, base_one & base_two, accept, without=() if attribute is None else (attribute,)
        )
        if filters is None:
            continue
        references = [describe(sets, random, index, 0) for index in (one, two)]
        if references[0] is not None and references[1] is not None:
            relations = ((relation_one, references[0]), (relation_two, references[1]))
            return Question(function=function, subjects=(Described(filters=filters, relations=relations),))
    return None


def find_same(
    sets: SceneSets, random: Random, function: str, answer: str, *, attribute: str, filtered: bool
) -> Question | None:
    """Find a question about the other objects that share `attribute` with one object.

    Args:
        sets: the scene.
        random: draws among the questions.
        function: `count`, `exist` or `query_*` of another attribute.
        answer: the wanted answer.
        attribute: what they share.
        filtered: whether they are also named by other attributes; must be True for `query_*` to vary.
    """
    asked = function.removeprefix("query_") if function.startswith("query_") else None
    accept_size = (lambda size: size == 1) if asked else _accept_size(function, answer)
    wanted = sum(1 << target for target in _targets(sets, random, asked, answer)) if asked else sets.everything
    without = (attribute,) if asked is None else (attribute, asked)
    for index in random.sample(range(sets.num_objects), sets.num_objects):
        base, others = sets.same[attribute][index], sets.everything & ~(1 << index)
        accept = _needs_relations(accept_size, wanted, others, others)
        filters: Filters | None = NO_FILTERS
        if filtered:
            filters = _find_filters(sets, random, base, accept, without=without, named=asked is None)
        elif not accept(base, sets.everything):
            filters = None
        reference = None if filters is None else describe(sets, random, index, 0, without=(attribute,))
        if filters is not None and reference is not None:
            described = Described(filters=filters, same=(attribute, reference))
            return Question(function=function, subjects=(described,))
    return None


def find_comparison(
    sets: SceneSets, random: Random, function: str, answer: str, *, hops: tuple[int, int]
) -> Question | None:
    """Find a question whether two different objects have the same value of an attribute (`equal_*`)."""
    attribute = function.removeprefix("equal_")
    position = ATTRIBUTES.index(attribute)
    pairs = [
        pair
        for pair in itertools.permutations(range(sets.num_objects), 2)
        if (sets.values[pair[0]][position] == sets.values[pair[1]][position]) == (answer == "yes")
    ]
    random.shuffle(pairs)
    for pair in pairs[: 2 * _NUM_OPTIONS]:
        first = describe(sets, random, pair[0], hops[0], without=(attribute,))
        second = None if first is None else describe(sets, random, pair[1], hops[1], without=(attribute,))
        if first is not None and second is not None:
            return Question(function=function, subjects=(first, second))
    return None


def _draw_set(
    sets: SceneSets, random: Random, hops: int, without: Sequence[str], *, named: bool
) -> tuple[Described, int] | None:
    """Draw a set of any size: one in four of those without a relation is empty."""
    if hops:
        return _related_set(sets, random, hops, lambda _: True)
    patterns = [pattern for pattern in _patterns(random, without) if any(pattern) or not named]
    absent = random.random() < 0.25
    options = (sets.absent if absent else sets.present)[patterns[0]]
    if not options:
        return None
    filters = random.choice(options)
    return Described(filters=filters), sets.passing[filters]


def _implies(one: Described, two: Described) -> bool:
    """Whether each object of one set is plainly in the other, so that a question about both is idle."""
    if two.relations and one.relations != two.relations:
        return False
    return all(wide in (None, narrow) for narrow, wide in zip(one.filters, two.filters, strict=True))


def _draw_pair(
    sets: SceneSets, random: Random, hops: tuple[int, int], without: Sequence[str], *, named: bool
) -> tuple[tuple[Described, int], tuple[Described, int]] | None:
    first = _draw_set(sets, random, hops[0], without, named=named)
    second = None if first is None else _draw_set(sets, random, hops[1], without, named=named)
    if first is None or second is None or _implies(first[0], second[0]) or _implies(second[0], first[0]):
        return None
    return first, second


def find_either(
    sets: SceneSets, random: Random, function: str, answer: str, *, hops: tuple[int, int], attribute: str | None
) -> Question | None:
    """Find a question about the objects of one set or another (`count`), perhaps filtered by `attribute`."""
    assert function == "count", function
    without = () if attribute is None else (attribute,)
    number = int(answer)
    for _ in range(_NUM_SAMPLES):
        pair = _draw_pair(sets, random, hops, without, named=True)
        if pair is None or (pair[0][1] == pair[1][1] and (attribute or pair[0][1])):
            continue
        (first, one), (second, two) = pair
        values = (None,) if attribute is None else CLEVR.values(attribute)
        for value in random.sample(values, len(values)):
            filters = NO_FILTERS
            if attribute is not None:
                size, color, material, shape = (value if name == attribute else None for name in ATTRIBUTES)
                filters = (size, color, material, shape)
            if ((one | two) & sets.passing[filters]).bit_count() == number:
                return Question(function=function, subjects=(Either(first=first, second=second, filters=filters),))
    return None


def find_number_comparison(
    sets: SceneSets, random: Random, function: str, answer: str, *, hops: tuple[int, int]
) -> Question | None:
    """Find a question that compares the sizes of two sets: `equal_integer`, `less_than` or `greater_than`."""
    for _ in range(_NUM_SAMPLES):
        pair = _draw_pair(sets, random, hops, (), named=False)
        if pair is None or not pair[0][1] | pair[1][1]:
            continue
        one, two = pair[0][1].bit_count(), pair[1][1].bit_count()
        holds = {"equal_integer": one == two, "less_than": one < two, "greater_than": one > two}[function]
        if holds == (answer == "yes"):
            return Question(function=function, subjects=(pair[0][0], pair[1][0]))
    return None
