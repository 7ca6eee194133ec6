import json
import math
from collections import Counter

import numpy as np
import pytest
from tests.oracles import instructions as oracle
from tests.oracles.alignment import facts

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.random import make_generator
from trilingua.data.clevr import edits
from trilingua.data.clevr.instruction_templates import PLACES, SENTENCES, WAYS, WORDS
from trilingua.data.clevr.instructions import INSTRUCTION_TYPES, generate_instructions
from trilingua.data.clevr.placement import placement_problem
from trilingua.data.clevr.references import fitting, minimal_descriptions
from trilingua.scenes.functions import REFERENCE_TYPES
from trilingua.scenes.programs import execute_program
from trilingua.scenes.relations import compute_relationships
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR

STRAIGHT = {"left": (-1.0, 0.0, 0.0), "right": (1.0, 0.0, 0.0), "front": (0.0, -1.0, 0.0), "behind": (0.0, 1.0, 0.0)}


def draw_scene(seed, num_objects):
    """A scene that keeps the placement rules, seen from a random side."""
    generator = make_generator(seed, "test scene")
    turn = generator.uniform(0, 2 * math.pi)
    vectors = {
        name: (math.cos(turn + quarter * math.pi / 2), math.sin(turn + quarter * math.pi / 2), 0.0)
        for quarter, name in enumerate(("right", "behind", "left", "front"))
    }
    objects, attempts = [], 0
    while len(objects) < num_objects:
        values = {category.name: str(generator.choice(category.values)) for category in CLEVR.categories}
        x, y = generator.uniform(-3, 3, 2)
        item = SceneObject(
            **values,
            location=(float(x), float(y), oracle.RADIUS[values["size"]]),
            rotation_degrees=float(generator.uniform(0, 360)),
            pixel_coords=(1.0, 2.0, 3.0),
        )
        attempts += 1
        if all(placement_problem([other, item], vectors) is None for other in objects):
            objects.append(item)
        elif attempts > 500:
            objects, attempts = [], 0
    relationships = compute_relationships(objects, vectors)
    return Scene(objects=tuple(objects), directions=vectors, relationships=relationships, image_filename="a.png")


@pytest.fixture(scope="module")
def generated():
    pairs = []
    for seed in range(60):
        scene = draw_scene(seed, 3 + seed % 7)
        pairs += [(scene, item) for item in generate_instructions(scene, make_generator(seed, "edit"), 16)]
    return pairs


def test_every_type_has_sixteen_sentences():
    assert set(SENTENCES) == set(INSTRUCTION_TYPES)
    for sentences in SENTENCES.values():
        assert len(set(sentences)) >= 16
    every = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    assert len(set(every)) == len(every)


def test_no_word_or_phrase_has_two_meanings():
    for table in (WORDS, PLACES, WAYS):
        phrases = Counter(phrase for options in table.values() for phrase in options)
        assert max(phrases.values()) == 1


def test_text_has_one_reading_and_it_gives_the_target(generated):
    used = set()
    for scene, item in generated:
        readings = oracle.readings(item.instruction)
        assert len(readings) == 1, item.instruction
        kind, sentence, slots = readings[0]
        assert kind == item.type
        expected = oracle.follow(scene, kind, slots)
        got = [[o.size, o.color, o.material, o.shape, *o.location] for o in item.target_scene.objects]
        assert len(got) == len(expected), item.instruction
        for row, wanted in zip(got, expected, strict=True):
            assert row[:4] == wanted[:4], item.instruction
            np.testing.assert_allclose(row[4:], wanted[4:], atol=1e-6, err_msg=item.instruction)
        used.add((kind, sentence))
    assert used == {(kind, sentence) for kind, sentences in SENTENCES.items() for sentence in sentences}


def test_references_name_the_objects_that_the_text_names(generated):
    sizes = Counter()
    for scene, item in generated:
        result = execute_program(item.reference, scene, gives=REFERENCE_TYPES)
        assert result.problem is None, item.instruction
        found = result.outputs[-1]
        named = found if isinstance(found, list) else [found]
        sizes[item.type, len(named) > 1] += 1
        if item.type == "insertion":
            assert len(named) == 1 + ("between" in item.instruction.lower()), item.instruction
        else:
            assert len(named) == 1 or "closest" in item.instruction, item.instruction
            kept = [facts(other) for other in item.target_scene.objects]
            (changed,) = (index for index, one in enumerate(scene.objects) if facts(one) not in kept)
            assert changed in named, item.instruction
        for node in item.reference:
            if node["type"].startswith("filter_"):
                (value,) = node["value_inputs"]
                assert any(word in item.instruction for word in WORDS[value]), item.instruction
    assert all(sizes[kind, True] > 0 for kind in ("appearance_relation", "insertion", "removal"))


def test_targets_keep_placement_rules(generated):
    for _, item in generated:
        target = item.target_scene
        assert oracle.problem(target) is None, item.instruction
        if item.type != "insertion":  # an inserted object may stand in line with its reference
            assert placement_problem(target.objects, target.directions) is None, item.instruction
        assert 1 <= len(target.objects) <= 10


def test_other_objects_and_directions_stay_and_relationships_are_new(generated):
    for source, item in generated:
        target = item.target_scene
        assert target.directions == source.directions
        assert target.relationships == compute_relationships(target.objects, target.directions)
        assert target.image_filename is None
        kept = [o for o in target.objects if o in source.objects]
        assert kept == [o for o in source.objects if o in kept]
        assert len(kept) == len(source.objects) - (item.type != "insertion")
        for changed in (o for o in target.objects if o not in source.objects):
            assert changed.pixel_coords is None
            assert changed.location[2] == oracle.RADIUS[changed.size]
        if item.type == "insertion":
            assert target.objects[:-1] == source.objects
            assert target.objects[-1].rotation_degrees == 0.0


def test_types_are_balanced(generated):
    counts = Counter(item.type for _, item in generated)
    assert len(generated) == 60 * 16
    for kind in INSTRUCTION_TYPES:
        assert 0.15 < counts[kind] / len(generated) < 0.25, counts


def test_is_a_pure_function_of_the_generators_state():
    scene = draw_scene(3, 6)
    first = generate_instructions(scene, make_generator(7), 10)
    assert first == generate_instructions(scene, make_generator(7), 10)
    assert first != generate_instructions(scene, make_generator(8), 10)
    assert len({item.instruction for item in first}) == 10


def test_acceptable_has_the_last_word():
    seen = []

    def acceptable(target):
        seen.append(target)
        return len(target.objects) < 5

    scene = draw_scene(3, 5)
    found = generate_instructions(scene, make_generator(0), 4, acceptable=acceptable)
    assert {item.type for item in found} == {"removal"}
    assert all(any(item.target_scene is target for target in seen) for item in found)
    assert generate_instructions(scene, make_generator(0), 4, acceptable=lambda target: False) == []


def test_full_scene_gets_no_insertion_and_twins_no_reference():
    full = draw_scene(1, 10)
    assert "insertion" not in {item.type for item in generate_instructions(full, make_generator(0), 20)}
    one = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.0, 0.0, 0.35))
    directions = dict(STRAIGHT)
    twins = Scene(objects=(one, one), directions=directions)
    assert generate_instructions(twins, make_generator(0), 3) == []


def test_minimal_descriptions_equal_brute_force():
    for seed in range(15):
        objects = draw_scene(seed, 8).objects
        for index in range(8):
            for description in minimal_descriptions(objects, index):
                assert fitting(objects, description) == [index]
                for left_out in description:
                    shorter = {name: value for name, value in description.items() if name != left_out}
                    assert len(fitting(objects, shorter)) > 1


def line_scene(*items):
    directions = dict(STRAIGHT)
    return Scene(objects=items, directions=directions)


def cube(size, x, y):
    return SceneObject(shape="cube", size=size, color="red", material="metal", location=(x, y, oracle.RADIUS[size]))


NEW = {"size": "small", "color": "blue", "material": "rubber", "shape": "sphere"}


def test_edits_place_where_the_docstring_says():
    scene = line_scene(cube("large", 0.0, 0.0))
    assert edits.insert_beside(scene, NEW, 0, ("left",)).objects[1].location == (-1.65, 0.0, 0.35)
    assert edits.insert_beside(scene, NEW, 0, ("left",), "near").objects[1].location == (-1.35, 0.0, 0.35)
    assert edits.insert_beside(scene, NEW, 0, ("behind",), "far").objects[1].location == (0.0, 2.55, 0.35)
    assert edits.insert_beside(scene, NEW, 0, ("right", "front")).objects[1].location == (1.15, -1.15, 0.35)
    assert edits.move_object(scene, 0, ("right", "behind")).objects[0].location == (1.0, 1.0, 0.7)
    assert edits.change_attributes(scene, 0, {"size": "small"}).objects[0].location == (0.0, 0.0, 0.35)


def test_edits_refuse_collisions_and_the_edge():
    scene = line_scene(cube("small", 0.0, 0.0), cube("small", 1.3, 0.5))
    assert edits.move_object(scene, 0, ("right",)) is None
    assert edits.insert_beside(scene, NEW, 0, ("right",)) is None
    assert (
        edits.change_attributes(line_scene(cube("small", 0.0, 0.0), cube("small", 0.8, 0.6)), 0, {"size": "large"})
        is None
    )
    assert edits.move_object(line_scene(cube("small", 2.5, 0.0)), 0, ("right",)) is None
    assert edits.remove_object(line_scene(cube("small", 2.5, 0.0)), 0) is None


def test_between_is_the_middle():
    scene = line_scene(cube("small", -1.5, -1.0), cube("small", 1.0, 1.0))
    assert edits.insert_between(scene, NEW, 0, 1).objects[2].location == (-0.25, 0.0, 0.35)


def test_json_holds_both_scenes():
    scene = draw_scene(2, 5)
    (item,) = generate_instructions(scene, make_generator(0), 1)
    value = json.loads(json.dumps(item.to_json(scene, target_image_filename="b.png")))
    assert list(value) == [
        "image_filename",
        "target_image_filename",
        "type",
        "instruction",
        "reference",
        "source_scene",
        "target_scene",
    ]
    assert Scene.from_json(value["source_scene"]).objects == scene.objects
    assert Scene.from_json(value["target_scene"]).objects == item.target_scene.objects


def test_errors_say_what_to_do():
    scene = draw_scene(2, 5)
    with pytest.raises(ConfigError, match=r"^num_instructions: -1 is negative; use 0 or more$"):
        generate_instructions(scene, make_generator(0), -1)
    with pytest.raises(
        InputError, match=r"^scene: directions lack left, front, behind; compute them from the camera before editing$"
    ):
        generate_instructions(scene.replace(directions={"right": (1.0, 0.0, 0.0)}), make_generator(0), 1)
