"""Sequences: the layout of every task written out by hand, the order of codes, and what is read back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.centre_out import centre_out
from tests.oracles.random_scenes import scene_objects

from trilingua.core.errors import VocabularyError
from trilingua.core.positions import count_positions
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.tokenizers.scenes import NumberedScene
from trilingua.tokenizers.sequences import (
    TASKS,
    SeenCells,
    Segment,
    SequenceTokenizer,
    centre_out_order,
    count_places,
)
from trilingua.tokenizers.vocabulary import Vocabulary, structural_markers

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(1.0, 0.0, 0.7))
BALL = SceneObject(size="small", color="cyan", material="rubber", shape="sphere", location=(-1.0, 0.0, 0.35))
CUBE_LINE = "[OBJECT-{}] [LOCATION] 1 0 0.7 [SIZE] [COLOR] [MATERIAL] [SHAPE] [OBJECT-END]"
BALL_LINE = "[OBJECT-{}] [LOCATION] -1 0 0.35 [SIZE] [COLOR] [MATERIAL] [SHAPE] [OBJECT-END]"
SCENE_LINE = f"[SCENE-START] {BALL_LINE.format(1)} {CUBE_LINE.format(2)} [SCENE-END]"
EDITED_LINE = f"[SCENE-START] {CUBE_LINE.format(1)} {BALL_LINE.format(2)} [SCENE-END]"
RASTER = [10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43]
IMAGE_LINE = (
    "[IMAGE-START] [PLACE-1] image:10 image:11 image:12 image:13 [PLACE-2] image:20 image:21 image:22 image:23 "
    "[PLACE-3] image:30 image:31 image:32 image:33 [PLACE-4] image:40 image:41 image:42 image:43 [IMAGE-END]"
)
# From position 6 = 8 - 2, a step to the left before each step to the right.
OUTWARDS_LINE = (
    "[IMAGE-START] [PLACE-1] image:22 image:21 image:23 image:20 [PLACE-2] image:30 image:13 image:31 image:12 "
    "[PLACE-3] image:32 image:11 image:33 image:10 [PLACE-4] image:40 image:41 image:42 image:43 [IMAGE-END]"
)
PROGRAM = "[PROGRAM-START] <count> [PROGRAM-END]"
VALUES = {
    "image": RASTER,
    "scene": Scene(objects=(CUBE, BALL)),
    "question": "How many?",
    "answer": "2",
    "program": "count ( scene )",
    "instruction": "Do it",
    "reference": "scene",
    "edited_scene": NumberedScene(Scene(objects=(CUBE, BALL)), (1, 2)),
    "edited_image": RASTER,
}
GIVEN = {
    "recognition": IMAGE_LINE,
    "rendering": SCENE_LINE,
    "editing": f"{IMAGE_LINE} {SCENE_LINE} [TEXT-START] <Do it> [TEXT-END]",
    "qa": f"{IMAGE_LINE} {SCENE_LINE} [TEXT-START] <How many?> [TEXT-END]",
}
PREDICTED = {
    "recognition": SCENE_LINE,
    "rendering": OUTWARDS_LINE,
    "editing": f"[PROGRAM-START] <scene> [PROGRAM-END] {EDITED_LINE} {OUTWARDS_LINE}",
    "qa": "[PROGRAM-START] <count ( scene )> [PROGRAM-END] [TEXT-START] <2> [TEXT-END]",
}


@pytest.fixture(scope="module")
def sequences(tiny_tokenizers):
    return tiny_tokenizers.sequences


def readable(sequences, ids):
    """A line with each run of text between angle brackets; attribute values, always after a space, are left out."""
    words, run = [], []
    for index in [*ids, sequences.vocabulary.end_id]:
        if sequences.vocabulary.kind(index) == "text":
            run.append(index)
            continue
        text = sequences.text.detokenize(run)
        if text and text[0] != " ":
            words.append(f"<{text}>")
        run = []
        words.append(sequences.vocabulary.describe(index))
    return " ".join(words[:-1])


@pytest.mark.parametrize("num_codes", [*range(1, 70), *range(70, 1024, 53), 1023, 1024])
def test_codes_are_written_in_the_published_order(num_codes):
    order = centre_out_order(num_codes)
    assert list(order) == centre_out(num_codes)
    assert sorted(order) == list(range(num_codes))


def test_the_published_example_of_the_order():
    order = centre_out_order(256)
    assert order[:5] == (120, 119, 121, 118, 122)
    assert order[239:243] == (0, 240, 241, 242)
    assert order[-1] == 255


def test_there_are_five_tasks():
    assert list(TASKS) == list(GIVEN) == list(PREDICTED)


@pytest.mark.parametrize("name", TASKS)
def test_the_layout_of_a_task(sequences, name):
    task = TASKS[name]
    prompt, prediction = sequences.prompt(task, VALUES), sequences.prediction(task, VALUES)
    assert readable(sequences, prompt) == f"[BEGIN] {GIVEN[name]} [OUTPUT-START]"
    assert readable(sequences, prediction) == f"{PREDICTED[name]} [END]"


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("with_end", [True, False])
def test_a_prediction_is_read_back(sequences, name, with_end):
    ids = sequences.prediction(TASKS[name], VALUES)
    parsed = sequences.parse(TASKS[name], ids if with_end else ids[:-1])
    expected = {segment.name: VALUES[segment.name] for segment in TASKS[name].predicted}
    if name == "editing":
        expected["edited_scene"], numbers = expected["edited_scene"]
        assert parsed.object_numbers == {"edited_scene": numbers}
    if name == "recognition":
        expected = {"scene": Scene(objects=(BALL, CUBE))}  # in the order in which it was written
    assert (parsed.values, parsed.problems) == (expected, ())
    for scene, spans in parsed.object_spans.items():
        for item, (start, stop) in zip(expected[scene].objects, spans, strict=True):
            alone = sequences.scenes.tokenize(Scene(objects=(item,)))
            assert ids[start + 1 : stop] == alone[2:-1]
    span = sequences.vocabulary.span("image")
    for image, places in parsed.code_places.items():
        assert [ids[place] - span.start for place in places] == expected[image]
    assert len(parsed.code_places) == sum(segment.kind == "image" for segment in TASKS[name].predicted)


@pytest.mark.parametrize(
    ("name", "line", "problems"),
    [
        ("qa", "", ["program: is missing", "answer: is missing"]),
        ("qa", "[TEXT-START] [TEXT-END]", ["program: is missing", "answer: is missing"]),
        ("qa", f"{PROGRAM} [TEXT-START]", ["answer: is cut off"]),
        ("qa", "[PROGRAM-START]", ["program: is cut off", "answer: is missing"]),
        ("qa", f"{PROGRAM} [SIZE] [TEXT-START] [TEXT-END] [END]", ["answer: 1 stray tokens before it"]),
        ("qa", f"{PROGRAM} [TEXT-START] 0.5 [TEXT-START] [TEXT-END]", ["answer: 2 stray tokens inside it"]),
        ("qa", f"{PROGRAM} [TEXT-START] [TEXT-END] [END] [END]", ["1 stray tokens at the end"]),
        ("qa", f"{PROGRAM} [TEXT-START] [TEXT-END] 0.5", ["1 stray tokens at the end"]),
        ("rendering", "[IMAGE-START] [IMAGE-END] [END]", ["image: has 0 image codes, a picture has 16"]),
        (
            "rendering",
            OUTWARDS_LINE.replace("image:10", "red"),
            ["image: 1 stray tokens inside it", "image: has 15 image codes, a picture has 16"],
        ),
        (
            "rendering",
            OUTWARDS_LINE.replace("[PLACE-2]", "[PLACE-3]"),
            ["image: its places are not marked as they should be"],
        ),
        (
            "rendering",
            OUTWARDS_LINE.replace(" [PLACE-4]", ""),
            ["image: its places are not marked as they should be"],
        ),
        (
            "recognition",
            "[END]",
            [
                "scene: is missing",
                "scene: the scene does not open with [SCENE-START]",
                "scene: the scene does not close with [SCENE-END]",
            ],
        ),
        (
            "editing",
            f"{PROGRAM} [SCENE-START] [SIZE] [SCENE-END] {OUTWARDS_LINE}",
            ["edited_scene: 1 stray tokens outside of objects"],
        ),
        (
            "editing",
            f"{PROGRAM} [SCENE-START] [SCENE-END]",
            ["edited_image: is missing", "edited_image: has 0 image codes, a picture has 16"],
        ),
    ],
)
def test_what_is_wrong_is_said(sequences, name, line, problems):
    vocabulary = sequences.vocabulary
    ids_by_name = {vocabulary.describe(index): index for index in range(sequences.text.size, vocabulary.size)}
    ids = [
        ids_by_name[word] if word in ids_by_name else sequences.text.tokenize(f" {word}")[0] for word in line.split()
    ]
    parsed = sequences.parse(TASKS[name], ids)
    assert list(parsed.problems) == problems
    assert set(parsed.values) == {segment.name for segment in TASKS[name].predicted}


@pytest.mark.parametrize("name", ["rendering", "editing"])
@given(data=st.data())
@settings(max_examples=100)
def test_ids_without_a_problem_are_exactly_those_of_a_prediction(sequences, name, data):
    task, vocabulary = TASKS[name], sequences.vocabulary
    codes = data.draw(st.lists(st.integers(0, 63), min_size=16, max_size=16))
    scene = Scene(objects=tuple(data.draw(st.lists(scene_objects(full=False), max_size=2))))
    numbers = tuple(sorted(data.draw(st.sets(st.integers(1, 10), min_size=len(scene.objects), max_size=2))))
    numbered = NumberedScene(scene, numbers[: len(scene.objects)])
    ids = sequences.prediction(
        task,
        {"image": codes, "edited_image": codes, "edited_scene": numbered, "reference": "scene"},
    )
    # A text can be written in several ways, of which one is ours.
    first = ids.index(vocabulary.marker("[SCENE-START]")) if name == "editing" else 0
    likely = st.sampled_from(sorted(set(ids))) | st.sampled_from(list(vocabulary.span("markers").ids))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(first, len(ids)))
        until = min(len(ids), place + data.draw(st.integers(0, 2)))
        ids[place:until] = data.draw(st.lists(likely | st.integers(0, vocabulary.size - 1), max_size=2))
    parsed = sequences.parse(task, ids)
    known = {key: [] if value is None else value for key, value in parsed.values.items()}
    for key, found in parsed.object_numbers.items():
        if list(found) != sorted(set(found)):
            assert parsed.problems
            return
        known[key] = NumberedScene(known[key], found)
    again = sequences.prediction(task, known)
    assert (ids in (again, again[:-1])) == (not parsed.problems)


@pytest.mark.parametrize("name", TASKS)
@given(data=st.data())
@settings(max_examples=40)
def test_no_list_of_ids_raises(sequences, name, data):
    borders = st.sampled_from([index for pair in sequences.borders.values() for index in pair])
    ids = data.draw(st.lists(borders | st.integers(0, sequences.vocabulary.size - 1), max_size=60))
    parsed = sequences.parse(TASKS[name], ids)
    for segment in TASKS[name].predicted:
        value = parsed.values[segment.name]
        if segment.kind == "image":
            assert value is None or len(value) == 16
        else:
            assert isinstance(value, Scene if segment.kind == "scene" else str)
    if not set(ids) & {start for start, _ in sequences.borders.values()}:
        assert parsed.problems


@pytest.mark.parametrize(("codes", "every"), [(16, 4), (9, 4), (9, 2), (5, 9), (9, 0)])
def test_places_stand_before_every_few_codes(tiny_tokenizers, codes, every):
    num_places = count_places(codes, every)
    vocabulary = Vocabulary(
        text_size=tiny_tokenizers.sequences.text.size,
        text_digest="",
        markers=structural_markers(tiny_tokenizers.schema, num_places=num_places),
        num_image_codes=64,
    )
    text = tiny_tokenizers.sequences.text
    sequences = SequenceTokenizer(
        tiny_tokenizers.schema, vocabulary, text, codes_per_image=codes, codes_per_place=every
    )
    ids = sequences.segment(Segment(kind="image", name="image"), list(range(codes)))
    names = [vocabulary.describe(index) for index in ids[1:-1]]
    expected = []
    for code in range(codes):
        if every and code % every == 0:
            expected.append(f"[PLACE-{code // every + 1}]")
        expected.append(f"image:{code}")
    assert names == expected
    first = vocabulary.span("image").start
    assert [ids[place] - first for place in sequences.code_positions] == list(range(codes))


def test_segments_of_a_kind_share_their_positions(sequences):
    prompt = sequences.prompt(TASKS["recognition"], VALUES)
    written = sequences.prediction(TASKS["recognition"], VALUES)
    assert count_positions(prompt + written, sequences.places) == list(range(len(prompt + written)))
    edit = sequences.prompt(TASKS["editing"], VALUES) + sequences.prediction(TASKS["editing"], VALUES)
    positions = count_positions(edit, sequences.places)
    for start, end in sequences.borders.values():
        starts = [index for index, token in enumerate(edit) if token == start]
        assert len({positions[index] for index in starts}) <= 1
        for index in starts:
            length = edit[index:].index(end)
            assert positions[index : index + length] == list(range(positions[index], positions[index] + length))


def test_a_picture_that_is_seen_is_written_as_the_places_of_its_cells(sequences):
    vocabulary = sequences.vocabulary
    ids = sequences.prompt(TASKS["recognition"], {"image": SeenCells((1, 2, 4, 11, 15))})
    line = "[BEGIN] [IMAGE-START] [PLACE-1] [PLACE-1] [PLACE-2] [PLACE-3] [PLACE-4] [IMAGE-END] [OUTPUT-START]"
    assert " ".join(vocabulary.describe(index) for index in ids) == line
    nothing = sequences.prompt(TASKS["recognition"], {"image": SeenCells()})
    assert (
        " ".join(vocabulary.describe(index) for index in nothing) == "[BEGIN] [IMAGE-START] [IMAGE-END] [OUTPUT-START]"
    )


def test_what_is_seen_of_a_place_stands_where_its_marker_would(sequences):
    cells = SeenCells((0, 1, 5, 10, 11, 12))
    read, seen = (sequences.prompt(TASKS["qa"], {**VALUES, "image": image}) for image in (RASTER, cells))
    whole = dict(zip(read, count_positions(read, sequences.places), strict=True))
    placed = list(zip(seen, count_positions(seen, sequences.places), strict=True))
    assert all(whole[token] == position for token, position in placed[:9])
    rest = len(placed) - 9
    assert placed[9:] == list(zip(read, count_positions(read, sequences.places), strict=True))[-rest:]


def test_the_longest_scene_fits_its_room(sequences):
    scenes = sequences.scenes
    full = Scene(objects=(CUBE, BALL) * (scenes.schema.max_objects // 2))
    assert len(scenes.tokenize(full)) <= scenes.longest
    scene, text = (sequences.borders[kind][0] for kind in ("scene", "text"))
    assert sequences.places[text] - sequences.places[scene] == scenes.longest


def test_a_code_of_another_image_tokenizer_is_refused(sequences):
    with pytest.raises(VocabularyError) as error:
        sequences.segment(Segment(kind="image", name="image"), [3, 64])
    assert str(error.value) == (
        "image: holds codes from 3 to 64, this vocabulary has 0 to 63; "
        "tokenize the picture with this run's image tokenizer"
    )


def test_the_pictures_of_a_run_have_the_codes_of_its_image_tokenizer(tiny_tokenizers):
    assert tiny_tokenizers.sequences.codes_per_image == tiny_tokenizers.images.config.tokens_per_image == 16
    other = SequenceTokenizer(
        tiny_tokenizers.schema, tiny_tokenizers.vocabulary, tiny_tokenizers.sequences.text, codes_per_image=9
    )
    segment = Segment(kind="image", name="image", centre_out=True)
    ids = other.segment(segment, list(range(9)))
    assert other.parse(TASKS["rendering"], ids).values == {"image": list(range(9))}
    assert len(ids) == 9 + 2  # no places
