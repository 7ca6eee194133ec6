"""Procedural objects: closed and exact in every family, captions that are true, splits that do not meet."""

import re

import numpy as np
import pytest
from tests.oracles.triangles import winding_numbers

from trilingua.core.random import make_generator
from trilingua.data.shapes.design import BRIGHT, COLORS, NUMBERS, Dice
from trilingua.data.shapes.procedural import FAMILIES, ProceduralShapes, is_held_out
from trilingua.data.shapes.solids import unite
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Frame, check_mesh


def designs(family, count):
    for number in range(count):
        dice = Dice(make_generator(5, family.name, number))
        color, form = dice.pick(family.colors), dice.pick(family.forms)
        yield color, form, family.design(dice, color, form)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_is_closed_and_its_occupancy_is_that_of_its_parts(family):
    for color, form, design in designs(family, 4):
        mesh = unite(design.parts)
        check_mesh(mesh)
        assert mesh.is_watertight, design.caption
        assert mesh.volume > 0
        assert len(mesh.faces) < 20_000
        assert COLORS[color] in set(map(tuple, mesh.face_colors.tolist())), design.caption
        frame = Frame.of(mesh)
        small = frame.normalize(mesh)
        points = make_generator(0, family.name, form).uniform(-1, 1, (150, 3))
        inside = np.zeros(len(points), bool)
        for part in design.parts:
            triangles = frame.normalize(unite([part])).triangles
            inside |= winding_numbers(triangles, points) > 0.5
        queries = MeshQueries(small)
        clear = queries.distance(points) > 1e-4
        np.testing.assert_array_equal(queries.occupied(points)[clear], inside[clear])
        assert len(design.parts) >= 2


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_captions_say_what_is_known(family):
    captions = set()
    for color, _, design in designs(family, 25):
        caption = design.caption
        captions.add(caption)
        assert re.search(rf"\b{color}\b", caption), caption
        assert not re.search(r"\b(a [aeiou]|an [^aeiou])", caption.replace("a one", "one")), caption
        assert not re.search(r"  |, and|,,|\bNone\b|\bnone\b", caption), caption
        for value in design.attributes.values():
            if value in COLORS or value in ("tall", "low", "slim", "stout", "single", "double"):
                assert re.search(rf"\b{value}\b", caption), (value, caption)
    assert len(captions) > 10


def count_after(caption, noun):
    found = re.search(rf"\b({'|'.join(NUMBERS)}) (?:\w+ )?{noun}", caption)
    return NUMBERS.index(found[1])


@pytest.mark.parametrize(
    ("name", "noun", "key"),
    [
        ("stool", "legs", "legs"),
        ("rocket", "fins", "fins"),
        ("rocket", "round window", "windows"),
        ("house", "window", "windows"),
        ("snowman", "button", "buttons"),
        ("bed", "pillow", "pillows"),
        ("shelf", "compartments", "compartments"),
        ("robot", "antenna", "antennas"),
    ],
)
def test_counts_in_words_are_counts_of_parts(name, noun, key):
    family = next(family for family in FAMILIES if family.name == name)
    for _, _, design in designs(family, 12):
        assert count_after(design.caption, noun) == design.attributes[key]


def test_an_object_depends_on_seed_split_and_number_alone():
    def caption(seed, split, index, num=50):
        return ProceduralShapes(num_objects=num, seed=seed, split=split).load(index)

    one, other = caption(1, "train", 7), caption(1, "train", 7, num=8)
    assert one.caption == other.caption
    assert one.mesh.vertices.tobytes() == other.mesh.vertices.tobytes()
    assert one.mesh.face_colors.tobytes() == other.mesh.face_colors.tobytes()
    changed = [caption(2, "train", 7), caption(1, "val", 7), caption(1, "train", 8)]
    assert len({one.caption, *(shape.caption for shape in changed)}) == 4
    assert (one.creator, one.licence, one.name) == ("trilingua", "CC0-1.0", "train/7")


def test_a_fifth_of_the_combinations_is_held_out_and_every_word_is_still_met():
    for family in FAMILIES:
        held = np.array([[is_held_out(family, color, form) for form in family.forms] for color in family.colors])
        assert 0.1 <= held.mean() <= 0.35, family.name
        assert not held.all(axis=0).any(), f"{family.name}: a form is never seen"
        assert not held.all(axis=1).any(), f"{family.name}: a colour is never seen"


def test_splits_of_seen_and_unseen_combinations_do_not_meet():
    families = {family.name: family for family in FAMILIES}
    for split, expected in (("train", False), ("val", False), ("unseen", True)):
        source = ProceduralShapes(num_objects=25, seed=3, split=split)
        for index in range(25):
            shape = source.load(index)
            held = is_held_out(families[shape.family], shape.facts["color"], shape.facts["form"])
            assert held == expected


def test_dice_are_fair_and_keep_their_bounds():
    dice = Dice(make_generator(0, "dice"))
    picks = [dice.pick(BRIGHT) for _ in range(2100)]
    assert min(map(picks.count, BRIGHT)) > 220
    assert {dice.other(("a", "b", "c"), "b") for _ in range(50)} == {"a", "c"}
    assert all(2 <= dice.between(2, 3) <= 3 for _ in range(50))
    assert 0.2 < np.mean([dice.chance(0.3) for _ in range(500)]) < 0.4
