"""Scenes as ids: what is written, what is read back, and what is said of ids that are no scene."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.random_scenes import scene_objects

from trilingua.core.errors import InputError
from trilingua.core.positions import count_positions
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR, Category
from trilingua.tokenizers.scenes import NumberedScene

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.52, -2.99, 0.7))
BALL = SceneObject(size="small", color="cyan", material="rubber", shape="sphere", location=(-1.0, 0.02, 0.35))
FIELDS = ("size", "color", "material", "shape")


@pytest.fixture(scope="module")
def scenes(tiny_tokenizers):
    return tiny_tokenizers.sequences.scenes


@pytest.fixture(scope="module")
def ids_of(tiny_tokenizers):
    """Ids of a line of markers, words and numbers."""
    vocabulary, text = tiny_tokenizers.vocabulary, tiny_tokenizers.sequences.text

    def read(line):
        ids = []
        for word in line.split():
            if word[0] == "[":
                ids.append(vocabulary.marker(word))
            elif word[0] in "-0123456789":
                ids.append(vocabulary.number(float(word)))
            else:
                ids += text.tokenize(f" {word}")
        return ids

    return read


OBJECT = "[OBJECT-{}] [LOCATION] {} {} {} [SIZE] {} [COLOR] {} [MATERIAL] {} [SHAPE] {} [OBJECT-END]"
CUBE_LINE = OBJECT.format(1, 0.5, -3, 0.7, "large", "red", "metal", "cube")
BALL_LINE = OBJECT.format(2, -1, 0, 0.35, "small", "cyan", "rubber", "sphere")


def written_again(scenes, parsed):
    """The ids of what was read, whatever order its objects are in; None if they cannot be written."""
    try:
        return scenes.tokenize(NumberedScene(parsed.scene, parsed.numbers))
    except InputError:
        return None


def test_every_value_of_a_category_is_one_id_of_its_own(scenes):
    for category in CLEVR.categories:
        ids = [scenes.value_ids[category.name][value] for value in category.values]
        assert [len(item) for item in ids] == [1] * len(category.values)
        assert len(set(ids)) == len(ids)


def test_a_scene_is_written_from_left_to_right(scenes, ids_of):
    # Along (0.6563, 0.7545) the cube lies at -1.91 and the ball at -0.64.
    expected = ids_of(f"[SCENE-START] {CUBE_LINE} {BALL_LINE} [SCENE-END]")
    assert scenes.tokenize(Scene(objects=(CUBE, BALL))) == expected
    assert scenes.tokenize(Scene(objects=(BALL, CUBE))) == expected
    assert len(expected) == 2 * 14 + 2
    swapped = (BALL_LINE.replace("[OBJECT-2]", "[OBJECT-1]"), CUBE_LINE.replace("[OBJECT-1]", "[OBJECT-2]"))
    as_listed = ids_of(f"[SCENE-START] {swapped[0]} {swapped[1]} [SCENE-END]")
    assert scenes.tokenize(NumberedScene(Scene(objects=(BALL, CUBE)), (1, 2))) == as_listed
    assert scenes.tokenize(Scene(objects=())) == ids_of("[SCENE-START] [SCENE-END]")


@given(objects=st.lists(scene_objects(full=False), max_size=10))
@settings(max_examples=60)
def test_what_is_written_is_read_within_half_a_bin_and_in_canonical_order(scenes, objects):
    ids = scenes.tokenize(Scene(objects=tuple(objects)))
    parsed = scenes.detokenize(ids)
    assert parsed.problems == ()
    dx, dy, dz = CLEVR.order_direction
    ordered = sorted(objects, key=lambda item: dx * item.location[0] + dy * item.location[1] + dz * item.location[2])
    assert len(parsed.scene.objects) == len(objects)
    for found, item, (start, stop) in zip(parsed.scene.objects, ordered, parsed.spans, strict=True):
        assert [getattr(found, name) for name in FIELDS] == [getattr(item, name) for name in FIELDS]
        assert max(abs(a - b) for a, b in zip(found.location, item.location, strict=True)) <= 0.025 + 1e-9
        alone = scenes.tokenize(Scene(objects=(found,)))
        assert ids[start + 1 : stop] == alone[2:-1]
    assert written_again(scenes, parsed) == ids


@given(fractions=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3))
def test_means_are_read_between_the_numbers_of_the_grid(scenes, ids_of, fractions):
    ids = ids_of(f"[SCENE-START] {CUBE_LINE.replace('-3', '-2.9')} [SCENE-END]")
    means = [*ids[:3], *(token + part for token, part in zip(ids[3:6], fractions, strict=True)), *ids[6:]]
    parsed = scenes.detokenize(ids, means)
    expected = [number + 0.05 * part for number, part in zip((0.5, -2.9, 0.7), fractions, strict=True)]
    assert parsed.scene.objects[0].location == pytest.approx(expected, abs=0.0025 + 1e-6)
    on_grid = scenes.detokenize(ids)
    assert parsed._replace(scene=on_grid.scene) == on_grid


@given(data=st.data())
@settings(max_examples=300)
def test_ids_without_a_problem_are_exactly_those_of_a_scene(scenes, tiny_tokenizers, data):
    objects = data.draw(st.lists(scene_objects(full=False), max_size=3))
    ids = scenes.tokenize(Scene(objects=tuple(objects)))
    everything = st.integers(0, tiny_tokenizers.vocabulary.size - 1)
    likely = st.sampled_from(sorted(set(ids))) | st.sampled_from(list(tiny_tokenizers.vocabulary.span("markers").ids))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(ids)))
        until = min(len(ids), place + data.draw(st.integers(0, 2)))
        ids[place:until] = data.draw(st.lists(likely | everything, max_size=2))
    parsed = scenes.detokenize(ids)
    assert (not parsed.problems) == (written_again(scenes, parsed) == ids)
    for item, (start, stop) in zip(parsed.scene.objects, parsed.spans, strict=True):
        assert scenes.tokenize(Scene(objects=(item,)))[2:-1] == ids[start + 1 : stop]


@given(data=st.data())
@settings(max_examples=100)
def test_no_list_of_ids_raises(scenes, tiny_tokenizers, data):
    markers = st.sampled_from(list(tiny_tokenizers.vocabulary.span("markers").ids))
    ids = data.draw(st.lists(markers | st.integers(0, tiny_tokenizers.vocabulary.size - 1), max_size=40))
    parsed = scenes.detokenize(ids)
    assert parsed.problems or written_again(scenes, parsed) == ids


@pytest.mark.parametrize(
    ("line", "num_objects", "problems"),
    [
        ("", 0, ["the scene does not open with [SCENE-START]", "the scene does not close with [SCENE-END]"]),
        (f"{CUBE_LINE} [SCENE-END]", 1, ["the scene does not open with [SCENE-START]"]),
        (f"[SCENE-START] {CUBE_LINE}", 1, ["the scene does not close with [SCENE-END]"]),
        (f"[SCENE-START] red 0.5 {CUBE_LINE} [SIZE] {BALL_LINE} [SCENE-END]", 2, ["3 stray tokens outside of objects"]),
        (f"[SCENE-START] {CUBE_LINE} [SCENE-END] [SCENE-END]", 1, ["1 stray tokens outside of objects"]),
        (f"[SCENE-START] [OBJECT-1] [SIZE] {BALL_LINE} [SCENE-END]", 1, ["object 0: has no [OBJECT-END]"]),
        (f"[SCENE-START] {BALL_LINE} [SCENE-END]", 1, []),  # as in an edited scene from which the first is gone
        (f"[SCENE-START] {BALL_LINE} {CUBE_LINE} [SCENE-END]", 2, ["object 1: opens with [OBJECT-1]"]),
        (f"[SCENE-START] {CUBE_LINE} {CUBE_LINE} [SCENE-END]", 2, ["object 1: opens with [OBJECT-1]"]),
        (f"[SCENE-START] {CUBE_LINE} [OBJECT-2] [OBJECT-END] [SCENE-END]", 1, ["object 1: expected [LOCATION]"]),
        (
            f"[SCENE-START] {OBJECT.format(1, 0, 0, 0, 'large', 'rubber', 'metal', 'cube')} [SCENE-END]",
            0,
            ["object 0: [COLOR] has no known value"],
        ),
        (
            f"[SCENE-START] {OBJECT.format(1, 0, 0, 0, 'large', '', 'metal', 'cube')} [SCENE-END]",
            0,
            ["object 0: [COLOR] has no known value"],
        ),
        (
            f"[SCENE-START] {OBJECT.format(1, 0, 0, '', 'large', 'red', 'metal', 'cube')} [SCENE-END]",
            0,
            ["object 0: [LOCATION] needs 3 numbers"],
        ),
        (
            f"[SCENE-START] {OBJECT.format(1, 0, 'red', 0, 'large', 'red', 'metal', 'cube')} [SCENE-END]",
            0,
            ["object 0: [LOCATION] needs 3 numbers"],
        ),
        (
            f"[SCENE-START] {OBJECT.format(1, 0, 0, '0 0', 'large', 'red', 'metal', 'cube')} [SCENE-END]",
            0,
            ["object 0: expected [SIZE]"],
        ),
        (
            f"[SCENE-START] {OBJECT.format(1, 0, 0, 0, 'large', 'red', 'metal', 'cube 0')} [SCENE-END]",
            0,
            ["object 0: has more than its attributes"],
        ),
        (
            f"[SCENE-START] {CUBE_LINE.replace('[COLOR]', '[SHAPE]')} {BALL_LINE} [SCENE-END]",
            1,
            ["object 0: expected [COLOR]"],
        ),
    ],
)
def test_what_is_wrong_is_said(scenes, ids_of, line, num_objects, problems):
    parsed = scenes.detokenize(ids_of(line))
    assert list(parsed.problems) == problems
    assert len(parsed.scene.objects) == len(parsed.spans) == num_objects


def test_values_of_several_ids_are_read_whole(tiny_tokenizers):
    from trilingua.scenes.schema import Schema
    from trilingua.tokenizers.scenes import SceneTokenizer

    long = Category(name="color", values=("red", "redder", "reddest quartz"))
    schema = Schema(
        name="long",
        attributes=tuple(long if item.name == "color" else item for item in CLEVR.attributes),
        max_objects=10,
        order_direction=(1.0, 0.0, 0.0),
    )
    scenes = SceneTokenizer(schema, tiny_tokenizers.vocabulary, tiny_tokenizers.sequences.text)
    assert max(len(ids) for ids in scenes.value_ids["color"].values()) > 2
    for color in long.values:
        item = SceneObject(size="large", color=color, material="metal", shape="cube", location=(0.5, 1.0, 0.7))
        parsed = scenes.detokenize(scenes.tokenize(Scene(objects=(item,))))
        assert (parsed.scene.objects, parsed.problems) == ((item,), ())
    assert scenes.object_lengths[0] < scenes.object_lengths[1]
    assert scenes.places(1) == {}  # objects of several lengths stand one after the other


def test_objects_keep_their_numbers_and_their_places(scenes, ids_of):
    """One that is gone leaves a gap, which the positions keep too."""
    numbered = NumberedScene(Scene(objects=(CUBE, BALL)), (3, 7))
    lines = (CUBE_LINE.replace("[OBJECT-1]", "[OBJECT-3]"), BALL_LINE.replace("[OBJECT-2]", "[OBJECT-7]"))
    ids = scenes.tokenize(numbered)
    assert ids == ids_of(f"[SCENE-START] {lines[0]} {lines[1]} [SCENE-END]")
    parsed = scenes.detokenize(ids)
    assert (parsed.numbers, parsed.problems, len(parsed.scene.objects)) == ((3, 7), (), 2)
    positions = count_positions(ids, scenes.places(1))
    assert positions == [0, *range(1 + 2 * 14, 1 + 3 * 14), *range(1 + 6 * 14, 1 + 7 * 14), 1 + 7 * 14]
    whole = scenes.tokenize(Scene(objects=(CUBE, BALL) * 5))
    assert count_positions(whole, scenes.places(1)) == list(range(len(whole)))


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1), (0, 1), (10, 11), (1,), (1, 2, 3)])
def test_numbers_that_do_not_ascend_are_refused(scenes, numbers):
    with pytest.raises(InputError) as error:
        scenes.tokenize(NumberedScene(Scene(objects=(CUBE, BALL)), numbers))
    assert str(error.value) == f"scene: its objects have the numbers {numbers}; expected some of 1 to 10, ascending"


def test_more_objects_than_the_schema_has_are_refused(scenes):
    with pytest.raises(InputError) as error:
        scenes.tokenize(Scene(objects=(CUBE,) * 11))
    assert str(error.value) == "scene: has 11 objects; expected at most 10"
