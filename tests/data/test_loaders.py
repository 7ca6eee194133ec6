"""What is drawn from a scene and how it is weighed; a stream that is a pure function of seed and position."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.oracles.centre_out import centre_out
from tests.oracles.random_records import CODES, make_sequences, random_record
from tests.oracles.streams import batches_of

from trilingua.core.config import from_json
from trilingua.core.errors import ConfigError
from trilingua.data.loaders import KyvoBatch, LoaderConfig, PackedStream, SequenceBuilder
from trilingua.data.packing import IGNORED, pack
from trilingua.data.shards import Shards, write_shard
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.systems.kyvo.build import Tokenizers
from trilingua.tokenizers.scenes import NumberedScene
from trilingua.tokenizers.sequences import TASKS

SEQUENCES = make_sequences()
VOCABULARY = SEQUENCES.vocabulary
COUNT = 300
ALL = {"recognition": 1.0, "rendering": 0.4, "editing": 1.2, "qa": 2.5}


def builder_of(mix: dict[str, float] = ALL, **settings: Any) -> SequenceBuilder:
    return SequenceBuilder(LoaderConfig(mix=mix, **({"row_length": 200, "rows_per_batch": 3} | settings)), SEQUENCES)


def write_records(folder: Path, count: int, **sizes: Any) -> Shards:
    generator = np.random.default_rng(0)
    records = [random_record(generator, SEQUENCES, **sizes) for _ in range(count)]
    write_shard(folder / "shard.safetensors", records, VOCABULARY)
    return Shards(folder, VOCABULARY)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return write_records(tmp_path_factory.mktemp("records"), 23)


def assert_equal(one: KyvoBatch, other: KyvoBatch) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_first_five_codes_of_a_predicted_picture_weigh_ten() -> None:
    record = random_record(np.random.default_rng(1), SEQUENCES, edits=1, undrawn=0)
    edit = record.edits[0]
    pieces = {
        "instruction": edit.instruction,
        "reference": edit.reference,
        "edited_scene": edit.edited_scene,
        "edited_image": edit.edited_image,
    }
    builder = builder_of(segment_weights={"edited_image": 0.5})
    begin, end, output = (VOCABULARY.marker(name) for name in ("[BEGIN]", "[END]", "[OUTPUT-START]"))
    opens, closes = SEQUENCES.borders["image"]
    first = VOCABULARY.span("image").start
    raster = (opens, *(first + int(code) for code in record.image), closes)

    drawn = builder.build(TASKS["rendering"], record, {})
    outwards = [first + int(record.image[place]) for place in centre_out(CODES)]
    assert drawn.given == ((begin,), record.staged)
    assert drawn.opening == (output,)
    assert drawn.predicted == (opens, *outwards, closes, end)
    assert drawn.weights == (1, 10, 10, 10, 10, 10, 1, 1, 1, 1, 1, 1)

    edited = builder.build(TASKS["editing"], record, pieces)
    outwards = [first + edit.edited_image[place] for place in centre_out(CODES)]
    assert edited.given == ((begin,), raster, record.scene, edit.instruction)
    assert edited.predicted == (*edit.reference, *edit.edited_scene, opens, *outwards, closes, end)
    assert edited.weights == (*[1.0] * len(edit.reference + edit.edited_scene), 0.5, *[5.0] * 5, *[0.5] * 6)

    stopped = builder.build(TASKS["editing"], record, pieces, last_segment="edited_scene")
    assert stopped.predicted == edit.reference + edit.edited_scene
    assert set(stopped.weights) == {1.0}

    unknown = builder.build(TASKS["editing"], record, {**pieces, "reference": ()}, last_segment="edited_scene")
    assert unknown.predicted == edit.edited_scene

    recognised = builder.build(TASKS["recognition"], record, {})
    assert recognised.given == ((begin,), raster)
    assert recognised.predicted == (*record.scene, end)
    assert set(recognised.weights) == {1.0}


def test_what_an_edit_changes_weighs_more(tiny_tokenizers: Tokenizers) -> None:
    sequences = tiny_tokenizers.sequences  # one id a word, so that objects are equally long and keep their places
    cube = SceneObject(size="large", color="red", material="metal", shape="cube", location=(-2.0, -1.0, 0.7))
    ball = SceneObject(size="small", color="cyan", material="rubber", shape="sphere", location=(0.0, 0.5, 0.35))
    tube = SceneObject(size="small", color="gray", material="rubber", shape="cylinder", location=(2.0, 1.0, 0.35))
    scene = Scene(objects=(cube, ball, tube))
    blue = dataclasses.replace(ball, color="blue")
    moved = dataclasses.replace(cube, location=(-2.0, 1.5, 0.7))
    marker, number = sequences.vocabulary.marker, sequences.vocabulary.number
    (new,) = sequences.scenes.value_ids["color"]["blue"]
    fourth = sequences.scenes.tokenize(NumberedScene(Scene(objects=(blue,)), (4,)))[1:]
    changed = [
        (NumberedScene(Scene(objects=(cube, blue, tube)), (1, 2, 3)), [new]),
        (NumberedScene(Scene(objects=(moved, ball, tube)), (1, 2, 3)), [number(1.5)]),
        (NumberedScene(Scene(objects=(cube, tube)), (1, 3)), [marker("[OBJECT-3]")]),
        (NumberedScene(Scene(objects=(cube, ball)), (1, 2)), [marker("[SCENE-END]")]),
        (NumberedScene(Scene(objects=(cube, ball, tube, blue)), (1, 2, 3, 4)), fourth),
        (NumberedScene(scene, (1, 2, 3)), []),
    ]
    record = dataclasses.replace(
        random_record(np.random.default_rng(1), SEQUENCES), scene=tuple(sequences.scenes.tokenize(scene))
    )
    for edited, expected in changed:
        ids = tuple(sequences.scenes.tokenize(edited))
        pieces = {"instruction": (1, 2), "reference": (3,), "edited_scene": ids}
        builder = SequenceBuilder(LoaderConfig(changed_weight=7.0, segment_weights={"edited_scene": 0.5}), sequences)
        made = builder.build(TASKS["editing"], record, pieces, last_segment="edited_scene")
        assert made.predicted == (3, *ids)
        heavy = [token for token, weight in zip(made.predicted, made.weights, strict=True) if weight == 3.5]
        assert heavy == expected
        assert sorted(made.weights) == [0.5] * (len(ids) - len(expected)) + [1.0] + [3.5] * len(expected)


def test_the_mix_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = builder_of(mix={**ALL, "qa": 2.5, "editing": 1.25}, edited_image_share=0.4)
    generator = np.random.default_rng(9)
    record = random_record(generator, SEQUENCES, questions=5, edits=2, undrawn=0)
    build, drawn = builder.build, []

    def count(task, record, pieces, *, last_segment=None, look="read"):
        assert look == "read"
        drawn.append((task.name if last_segment is None else "stopped", pieces.get("question")))
        return build(task, record, pieces, last_segment=last_segment)

    monkeypatch.setattr(builder, "build", count)
    totals: Counter[str] = Counter()
    asked: Counter[Any] = Counter()
    for _ in range(COUNT):
        drawn.clear()
        builder.tree(record, generator)
        names = Counter(name for name, _ in drawn)
        assert names["recognition"] == 1
        assert names["qa"] in (2, 3)
        assert names["editing"] + names["stopped"] in (1, 2)
        questions = [question for name, question in drawn if name == "qa"]
        asked.update(questions)
        totals += names
    # Four standard deviations of a coin that is tossed so often; what is drawn is the same in every run.
    margin = 4 * (0.25 / COUNT) ** 0.5
    assert abs(totals["rendering"] / COUNT - 0.4) < margin
    assert abs(totals["qa"] / COUNT - 2.5) < margin
    assert abs((totals["editing"] + totals["stopped"]) / COUNT - 1.25) < margin
    assert abs(totals["editing"] / (totals["editing"] + totals["stopped"]) - 0.4) < margin
    assert max(asked.values()) < 1.5 * min(asked.values())
    assert len(asked) == len({item.question for item in record.questions})


def test_a_share_of_the_scenes_leaves_the_picture_out() -> None:
    generator = np.random.default_rng(4)
    record = random_record(generator, SEQUENCES, questions=5, edits=2, undrawn=0)
    builder = builder_of(blind_share=0.3, blind_mix={"qa": 2.0})
    start = SEQUENCES.borders["image"][0]
    blind = 0
    for _ in range(COUNT):
        tree, _ = builder.tree(record, generator)
        if (tree.ids[1:2] != start).all():
            blind += 1
            assert len(tree.parents) == 6  # [BEGIN], the scene, then two questions and their programs and answers
            assert tree.ids[tree.starts[1] : tree.starts[2]].tolist() == list(record.scene)
    assert abs(blind / COUNT - 0.3) < 4 * (0.3 * 0.7 / COUNT) ** 0.5


def test_no_more_is_drawn_than_a_scene_has() -> None:
    record = random_record(np.random.default_rng(3), SEQUENCES, questions=2, edits=1, undrawn=1)
    tree = builder_of({"qa": 7.0, "editing": 7.0}).tree(record, np.random.default_rng(0))[0]
    wanted = [item.program + item.answer + (0,) for item in record.questions]  # and the end
    wanted += [record.edits[0].reference + record.edits[0].edited_scene]
    length = sum(len(ids) for ids in wanted)  # an edit without a picture stops before the end
    assert (tree.labels != IGNORED).sum() == length


def test_batches_equal_a_slow_stream(shards: Shards) -> None:
    builder = builder_of()
    stream = PackedStream(shards, builder, seed=5)
    first = VOCABULARY.span("image").start
    num_asked = Counter({"given": 0, "drawn": 0})
    for rows, number in batches_of(shards, builder, seed=5, count=4):
        batch = next(stream)
        assert stream.state_dict() == {"next_scene": number}
        expected = pack([[tree for _, tree in row] for row in rows], 200, VOCABULARY.begin_id)
        for mine, theirs in zip(batch.packed, expected, strict=True):
            assert torch.equal(mine, theirs)
        # The probes' cells: each token is (or is to be followed by) that cell's code, and what is asked is what the
        # record says.
        start = SEQUENCES.borders["image"][0]
        drawing = [SEQUENCES.output_id, start]
        trees = [(shards[scene], tree.ids.tolist()) for row in rows for scene, tree in row]
        given = [record for record, ids in trees if ids[1] == start]
        drawn = [record for record, ids in trees if any(ids[at : at + 2] == drawing for at in range(len(ids)))]
        for name, tokens, records in (("given", batch.packed.ids, given), ("drawn", batch.packed.labels, drawn)):
            cells = getattr(batch, name)
            codes = tokens.flatten()[cells.tokens] - first
            shown = {tuple(code.tolist()): index for index, code in enumerate(codes)}
            assert len(records) == len(codes)
            num_asked[name] += len(codes)
            for record in records:
                index = shown[tuple(record.image.tolist())]
                np.testing.assert_array_equal(cells.classes[index], record.cell_classes)
                values = record.drawn_values if name == "drawn" else record.cell_values
                np.testing.assert_array_equal(cells.values[index], values.astype(np.float32))
    assert min(num_asked.values()) > 0


def test_a_stream_goes_on_where_another_stopped(shards: Shards) -> None:
    stream = PackedStream(shards, builder_of(), seed=1)
    batches = [next(stream) for _ in range(6)]
    again = PackedStream(shards, builder_of(), seed=1)
    for stop in (3, 0, 4):  # forwards and back, with a batch made ahead each time
        fresh = PackedStream(shards, builder_of(), seed=1)
        for _ in range(stop):
            next(fresh)
        again.load_state_dict(fresh.state_dict())
        for expected in batches[stop : stop + 2]:
            assert_equal(next(again), expected)
    other = next(PackedStream(shards, builder_of(), seed=2))
    assert not torch.equal(other.packed.ids, batches[0].packed.ids)
    assert iter(again) is again


@pytest.mark.parametrize("num_scenes", [None, 7])
def test_every_scene_comes_once_an_epoch(shards: Shards, num_scenes: int | None) -> None:
    stream = PackedStream(shards, builder_of({"recognition": 1.0}), seed=0, num_scenes=num_scenes)
    count = num_scenes or len(shards)
    first = VOCABULARY.span("image").start
    names = {tuple(shards[index].image.tolist()): index for index in range(len(shards))}
    seen: Counter[int] = Counter()
    for _ in range(6):
        batch = next(stream)
        codes = batch.packed.ids.flatten()[batch.given.tokens] - first
        seen.update(names[tuple(row)] for row in codes.tolist())
        drawn = stream.state_dict()["next_scene"]
        assert seen.total() == drawn
        times = {seen[index] for index in range(count)}
        assert times <= {drawn // count, -(-drawn // count)}
        assert set(seen) <= set(range(count))
    assert drawn > count


@pytest.mark.parametrize("codes_per_place", [1, 9])
def test_a_share_of_the_pictures_is_seen(tmp_path: Path, codes_per_place: int) -> None:
    sequences = make_sequences(codes_per_place=codes_per_place)
    generator = np.random.default_rng(0)
    records = [random_record(generator, sequences, questions=1, edits=0) for _ in range(23)]
    write_shard(tmp_path / "shard.safetensors", records, sequences.vocabulary)
    config = LoaderConfig(mix={"recognition": 1.0, "qa": 1.0}, row_length=200, code_share=0.25, blind_share=0.1)
    builder = SequenceBuilder(config, sequences)
    shards = Shards(tmp_path, sequences.vocabulary)
    stream, again = (PackedStream(shards, builder, seed=0) for _ in range(2))
    start, end = sequences.borders["image"]
    totals: Counter[str] = Counter()
    for rows, _ in batches_of(shards, builder, seed=0, count=40):
        batch = next(stream)
        assert_equal(batch, next(again))
        ids = batch.packed.ids.flatten().tolist()
        looks: dict[str, list[Any]] = {"read": [], "see": [], "blind": []}
        for scene, tree in (pair for row in rows for pair in row):
            look = "blind" if tree.ids[1] != start else "see" if tree.ids[3] in (end, *sequences.place_ids) else "read"
            looks[look].append(shards[scene])
        totals.update({look: len(scenes) for look, scenes in looks.items()})
        assert len(batch.given.tokens) == len(looks["read"])
        known = {
            tuple(vector.tolist()): (record, cell)
            for record in looks["see"]
            for cell, vector in zip(record.shown, record.vectors.astype(np.float32), strict=True)
        }
        assert len(batch.seen.tokens) == sum(len(record.shown) for record in looks["see"])
        for token, vector, classes, values in zip(
            batch.seen.tokens.tolist(), batch.vectors, batch.seen.classes, batch.seen.values, strict=True
        ):
            record, cell = known[tuple(vector.tolist())]
            assert ids[token] == sequences.place_ids[cell // codes_per_place]
            np.testing.assert_array_equal(classes, record.cell_classes[cell])
            np.testing.assert_array_equal(values, record.cell_values[cell].astype(np.float32))
    share = totals["see"] / (totals["see"] + totals["read"])
    assert totals.total() > 500
    assert abs(share - 0.75) < 4 * (0.25 * 0.75 / totals.total()) ** 0.5
    assert abs(totals["blind"] / totals.total() - 0.1) < 4 * (0.1 * 0.9 / totals.total()) ** 0.5


def test_a_batch_asks_no_probe_about_pictures_that_it_lacks(shards: Shards) -> None:
    batch = next(PackedStream(shards, builder_of({"rendering": 1.0}), seed=0))
    assert len(batch.vectors) == len(batch.seen.tokens) == len(batch.seen.classes) == 0
    assert batch.given.tokens.shape == (0, CODES)
    assert batch.given.classes.shape == (0, CODES, 5)
    assert batch.given.values.shape == (0, CODES, 4)
    assert batch.drawn.tokens.shape[0] > 0
    unread = next(PackedStream(shards, builder_of({"recognition": 1.0}), seed=0))
    assert unread.drawn.tokens.shape == (0, CODES)
    assert batch.pointers.tokens.shape == batch.pointers.owners.shape == batch.pointers.targets.shape == (0,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"mix": {"recognise": 1.0}},
            "mix: no task 'recognise'; choose among recognition, rendering, editing, qa",
        ),
        ({"mix": {"qa": -0.5}}, "mix: qa -0.5; expected 0 or more"),
        ({"mix": {"qa": 0.0}}, "mix: draws no sequence of any task; give one of them more than 0"),
        ({"mix": {}}, "mix: draws no sequence of any task; give one of them more than 0"),
        (
            {"segment_weights": {"question": 1.0}},
            "segment_weights: no task predicts 'question'; choose among scene, image, reference, edited_scene, "
            "edited_image, program, answer",
        ),
        (
            {"segment_weights": {"answer": 0.0}},
            "segment_weights: answer 0.0; expected more than 0; to leave a task out, set it to 0 in the mix",
        ),
    ],
)
def test_bad_mixes_are_refused_in_words(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        builder_of(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"edited_image_share": 1.5}, "edited_image_share: 1.5; expected 0 to 1"),
        ({"changed_weight": -1.0}, "changed_weight: -1.0; expected at least 0"),
        ({"first_codes": -1}, "first_codes: -1; expected at least 0"),
        ({"first_codes_weight": -1.0}, "first_codes_weight: -1.0; expected at least 0"),
        ({"row_length": 0}, "row_length: 0; expected at least 1"),
        ({"rows_per_batch": 0}, "rows_per_batch: 0; expected at least 1"),
    ],
)
def test_bad_settings_are_refused_in_words(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LoaderConfig(**settings)
    assert str(caught.value) == message
    with pytest.raises(ConfigError) as caught:
        from_json(LoaderConfig, settings, where="loader")
    assert str(caught.value) == f"loader.{message}"


def test_streams_without_scenes_are_refused_in_words(
    tmp_path: Path, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trilingua.data.loaders._MOST_EMPTY", 20)
    for num_scenes, message in (
        (0, "shards: hold 23 scenes, which leaves none to train on; tokenize more"),
        (-2, "shards: hold 23 scenes, which leaves none to train on; tokenize more"),
        (24, "num_scenes: 24; these shards hold 23; tokenize more or use fewer"),
    ):
        with pytest.raises(ConfigError) as caught:
            PackedStream(shards, builder_of(), seed=0, num_scenes=num_scenes)
        assert str(caught.value) == message
    with pytest.raises(ConfigError) as caught:
        next(PackedStream(shards, builder_of({"recognition": 1.0}, row_length=16), seed=0))
    assert str(caught.value).startswith("row_length: 16 holds no scene of ")
    assert str(caught.value).endswith(" tokens; raise it or lower the mix")
    bare = write_records(tmp_path, 2, questions=0, edits=0)
    with pytest.raises(ConfigError) as caught:
        next(PackedStream(bare, builder_of({"qa": 1.0}), seed=0))
    assert str(caught.value) == "mix: none of its tasks has data in these shards; choose others or tokenize more"
