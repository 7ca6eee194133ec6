"""The pipeline on a tiny model: whatever its weights, what it gives is valid, and bad values are refused in words."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import trilingua
from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import read_json
from trilingua.core.positions import count_positions
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.staging import stage
from trilingua.data.clevr.views import view_of
from trilingua.inference.decode import decode
from trilingua.inference.sampling import GREEDY, Sampling
from trilingua.metrics.calibration import ScoreMap
from trilingua.scenes.functions import PROGRAM_WORDS
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.systems.kyvo.grammars import answer_words
from trilingua.systems.kyvo.pipeline import Answer, Kyvo
from trilingua.systems.kyvo.seeing import SeenPicture
from trilingua.systems.kyvo.standing import stand_as_sighted
from trilingua.tokenizers.images import ImageTokenizer, pixels_to_image
from trilingua.tokenizers.numbers import NumberGrid
from trilingua.tokenizers.sequences import TASKS, Parsed

INSTRUCTION = "Remove the small red cube"
QUESTION = "How many metal things are left of the large sphere?"


@pytest.fixture(scope="module")
def scenes(tiny_data):
    return list(ClevrFolder(tiny_data).scenes(3))


@pytest.fixture(scope="module")
def pictures(tiny_data, scenes):
    return [ClevrFolder(tiny_data).image(scene.image_filename) for scene in scenes]


def without_scores(scene):
    return [dataclasses.replace(item, score=None) for item in scene.objects]


def assert_same_scene(found, wanted):
    assert without_scores(found) == without_scores(wanted)
    assert [item.score for item in found.objects] == pytest.approx([item.score for item in wanted.objects], rel=1e-3)


def assert_same_picture(found, wanted):
    assert np.abs(np.asarray(found, dtype=int) - np.asarray(wanted, dtype=int)).max() <= 1


def test_recognized_scenes_are_valid_and_a_batch_is_its_parts(tiny_model, tiny_data, pictures):
    single = [tiny_model.recognize(picture) for picture in pictures]
    assert all(isinstance(scene, Scene) for scene in single)
    for scene in single:
        assert Scene.from_json(scene.to_json()) == scene
        assert all(0.0 <= item.score <= 1.0 for item in scene.objects)
    assert any(scene.objects for scene in single)
    for found, wanted in zip(tiny_model.recognize(pictures), single, strict=True):
        assert_same_scene(found, wanted)
    path = tiny_data / "images" / ClevrFolder(tiny_data).scene(0).image_filename
    for form in (path, str(path), np.asarray(pictures[0]), np.asarray(pictures[0]) / 255):
        assert_same_scene(tiny_model.recognize(form), single[0])


def test_scores_are_the_probabilities_of_the_objects_tokens(tiny_model, pictures):
    seen = tiny_model._see(pictures[:1])
    (decoded,) = tiny_model.decode_task("recognition", [{"image": seen[0]}])
    scene = tiny_model.recognize(pictures[0])
    opening = {tiny_model.sequences.vocabulary.marker(f"[OBJECT-{number}]") for number in range(1, 11)}
    starts = [place for place, token in enumerate(decoded.ids) if token in opening]
    scene_end = tiny_model.sequences.vocabulary.marker("[SCENE-END]")
    ends = [*starts[1:], decoded.ids.index(scene_end)]
    wanted = [float(np.prod(decoded.probabilities[a:b])) for a, b in zip(starts, ends, strict=True)]
    assert [item.score for item in scene.objects] == pytest.approx(wanted)


def test_pictures_may_be_seen(tiny_model, tiny_run, seeing_run, pictures):
    model = Kyvo.load(seeing_run)
    assert tiny_model.read_codes
    assert not model.read_codes
    seen = model._see(pictures[:3])
    assert all(isinstance(item, SeenPicture) for item in seen)
    # Whatever codes are said to stand there, what is seen counts.
    same = [item._replace(codes=[0] * len(item.codes)) for item in seen]
    other = [item._replace(vectors=item.vectors.flip(0)) for item in seen]
    whole, equal, others = (
        model.decode_task("recognition", [{"image": item} for item in items]) for items in (seen, same, other)
    )
    assert whole == equal
    for one, two in zip(whole, others, strict=True):
        assert one.probabilities != two.probabilities
    for item, picture in zip(whole, seen, strict=True):
        (alone,) = model.decode_task("recognition", [{"image": picture}])
        assert alone.ids == item.ids
        assert alone.probabilities == pytest.approx(item.probabilities, rel=1e-3)
    reader = Kyvo.load(seeing_run, read_codes=True)
    assert reader._see(pictures[:3]) == [SeenPicture(item.codes) for item in seen]  # it need not look
    read = reader.decode_task("recognition", [{"image": item} for item in seen])
    assert [item.probabilities for item in read] != [item.probabilities for item in whole]
    with pytest.raises(ConfigError) as caught:
        Kyvo.load(tiny_run, read_codes=False)
    assert str(caught.value) == (
        "read_codes: False; this model was trained on codes alone and cannot see; leave it out"
    )


def test_numbers_are_means_unless_the_likeliest_are_wanted(tiny_model, tiny_run, pictures):
    values = [{"image": item} for item in tiny_model._see(pictures)]
    likeliest = Kyvo.load(tiny_run, average_numbers=False).decode_task("recognition", values)
    means = tiny_model.decode_task("recognition", values)
    assert [item.ids for item in means] != [item.ids for item in likeliest]
    numbers = tiny_model.sequences.vocabulary.span("numbers")
    first = next(place for place, token in enumerate(means[0].ids) if token in numbers)
    assert means[0].ids[:first] == likeliest[0].ids[:first]
    finer = tiny_model.recognize(pictures)
    for scene, decoded in zip(finer, means, strict=True):
        grid = tiny_model.sequences.parse(TASKS["recognition"], decoded.ids).values["scene"]
        for item, rounded in zip(scene.objects, grid.objects, strict=True):
            assert item.location == pytest.approx(rounded.location, abs=0.025 + 1e-6)
    tenths = {x / 0.005 for scene in finer for item in scene.objects for x in item.location}
    assert [round(tenth) for tenth in tenths] == pytest.approx(list(tenths), abs=1e-6)
    assert len({round(tenth) % 10 for tenth in tenths}) > 2


CAMERA = (7.25, -6.5, 5.5)


def test_objects_stand_where_sighting_finds_them(seeing_run, pictures, monkeypatch):
    """In recognized scenes, returned or read on; not where codes are read, nor where the grid's numbers are wanted."""
    model, grid = Kyvo.load(seeing_run), Kyvo.load(seeing_run, average_numbers=False)
    before, likeliest = model.recognize(pictures), grid.recognize(pictures)
    assert any(scene.objects for scene in before)

    def sight(tokenizer, batch, **options):
        """Each object's first cell, as it were, sees it .1 m farther along x."""
        seen = look(tokenizer, batch, **options)
        places = torch.full((len(seen.codes), 256, 2), torch.nan)
        for own, scene in zip(places, before, strict=False):
            for cell, item in enumerate(scene.objects):
                own[cell] = torch.tensor(item.location[:2]) + torch.tensor([0.1, 0.0])
        return seen._replace(places=places, cameras=torch.tensor([CAMERA]).expand(len(seen.codes), 3))

    look = ImageTokenizer.see_pictures
    monkeypatch.setattr(ImageTokenizer, "see_pictures", sight)
    wanted = [
        stand_as_sighted(
            scene, np.array([(x + 0.1, y) for x, y, _ in (o.location for o in scene.objects)]), NumberGrid()
        )
        for scene in before
    ]
    after = model.recognize(pictures)
    assert after != before
    for found, scene in zip(after, wanted, strict=True):
        for item, other in zip(found.objects, scene.objects, strict=True):
            assert item.location == pytest.approx(other.location, abs=1e-3)
        assert view_of(found).camera == CAMERA
    assert not any("view" in scene.extra for scene in before + grid.recognize(pictures))
    asked = []
    decode_task = model.decode_task
    monkeypatch.setattr(model, "decode_task", lambda task, values: asked.append(values) or decode_task(task, values))
    model.ask(pictures[:1], ["Are there any spheres?"])
    assert asked[1][0]["scene"].extra == after[0].extra
    assert asked[1][0]["scene"].objects == tuple(dataclasses.replace(item, score=None) for item in after[0].objects)
    assert grid.recognize(pictures) == likeliest
    reader = Kyvo.load(seeing_run, read_codes=True)
    assert all(item.places is None for item in reader._see(pictures))


def test_recognition_is_the_same_without_drafts(tiny_run, pictures):
    model = Kyvo.load(tiny_run)
    drafted = model.recognize(pictures)
    assert model._drafter is not None
    model._drafter = None
    for found, plain in zip(drafted, model.recognize(pictures), strict=True):
        assert [item.location for item in found.objects] == [item.location for item in plain.objects]
        assert [item.color for item in found.objects] == [item.color for item in plain.objects]
        scores = [item.score for item in plain.objects]
        assert [item.score for item in found.objects] == pytest.approx(scores, rel=1e-3)


def test_a_drafter_reads_the_last_state_where_a_layer_gave_no_other(tiny_model):
    """As the last layer does once a prompt is read, if no row had a draft."""
    scenes, drafter = tiny_model.sequences.scenes, tiny_model._drafter
    item = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.5, -1.0, 0.35))
    begun = scenes.tokenize(Scene(objects=(item,)))[1:6]
    states = torch.randn(1, 1, tiny_model.decoder.config.dim)
    drafts = []
    for token, known in ((0, states), (6, states), (6, torch.cat([torch.randn(1, 6, states.shape[-1]), states], 1))):
        drafter._states.output = known
        drafts.append(drafter([(0, token)], [begun]))
    assert drafts[0] == drafts[1] == drafts[2] != [[]]


def test_several_threads_may_ask_one_model(tiny_model, pictures):
    alone = [tiny_model.recognize(picture) for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(tiny_model.recognize, pictures * 4))
    for found, wanted in zip(together, alone * 4, strict=True):
        assert_same_scene(found, wanted)


def test_scores_go_through_the_runs_map(tiny_run, tiny_model, pictures):
    mapped = Kyvo.load(tiny_run)
    mapped.score_map = ScoreMap(scale=2.0, offset=0.5)
    plain = [item.score for scene in tiny_model.recognize(pictures) for item in scene.objects]
    found = [item.score for scene in mapped.recognize(pictures) for item in scene.objects]
    assert found == pytest.approx([mapped.score_map(score) for score in plain], rel=1e-3)
    assert found != pytest.approx(plain, rel=1e-3)


def test_a_place_counts_as_right_within_a_quarter_of_a_metre(tiny_model):
    # Numbers are .05 m apart: a square of nine by nine is as large as the circle.
    assert tiny_model._ordered.tolerance == 4


def test_the_program_is_run_if_it_is_asked_for(tiny_model, pictures, scenes, monkeypatch):
    def parse(task, decoded):
        return Parsed({"program": "scene count", "answer": "no"}, (), {}, {}, {})

    monkeypatch.setattr(tiny_model, "_parse", parse)
    (direct,), (by_program,) = (
        tiny_model.ask(pictures[:1], [QUESTION], scene=scenes[:1], by_program=choice) for choice in (False, True)
    )
    assert (direct, by_program) == ("no", str(len(scenes[0].objects)))


def test_prompts_of_all_batches_draw_other_numbers(tiny_model, scenes):
    drawn = tiny_model.render(scenes[:1] * 17, sampling=Sampling(temperature=3.0))
    assert np.asarray(drawn[0]).tolist() != np.asarray(drawn[16]).tolist()


def test_a_prompt_that_leaves_no_room_is_refused(tiny_model, pictures, scenes):
    longest = tiny_model.grammar("qa").longest
    question = "Is it? " * (tiny_model.decoder.config.max_positions - longest)
    with pytest.raises(InputError, match="tokens more than this model reads; shorten the text"):
        tiny_model.ask(pictures[0], question, scene=scenes[0])


def test_all_is_checked_before_pictures_are_seen(tiny_model, pictures, scenes, monkeypatch):
    monkeypatch.setattr(tiny_model, "_see", lambda given: pytest.fail("a picture was looked at"))
    for call in (
        lambda: tiny_model.ask(pictures, [QUESTION] * 2),
        lambda: tiny_model.edit(pictures, scenes[:2], [INSTRUCTION] * 3),
        lambda: tiny_model.ask(pictures, [QUESTION, QUESTION, "caf\udce9?"]),
    ):
        with pytest.raises(InputError):
            call()


def test_devices_that_are_not_there_are_refused_in_words(tiny_run):
    with pytest.raises(ConfigError) as caught:
        trilingua.load(tiny_run, device="gpu")
    assert str(caught.value) == "device: 'gpu' cannot be used here; expected cpu, or cuda on a machine that has a GPU"


def test_samples_follow_their_seed(tiny_model, pictures, scenes):
    for call in (
        lambda sampling: [item.objects for item in tiny_model.recognize(pictures, sampling=sampling)],
        lambda sampling: [np.asarray(item).tolist() for item in tiny_model.render(scenes[:2], sampling=sampling)],
        lambda sampling: tiny_model.edit(pictures[0], scenes[0], INSTRUCTION, sampling=sampling)[1].objects,
    ):
        first, again, other, greedy = (
            call(sampling) for sampling in (*(Sampling(temperature=3.0, seed=seed) for seed in (0, 0, 1)), GREEDY)
        )
        assert first == again
        assert len({str(first), str(other), str(greedy)}) == 3


def test_recognition_without_the_grammar(tiny_model, pictures):
    scene = tiny_model.recognize(pictures[0], constrained=False)
    assert isinstance(scene, Scene)
    assert all(0.0 <= item.score <= 1.0 for item in scene.objects)
    assert len(tiny_model.recognize(pictures, constrained=False)) == 3


def test_without_the_grammar_ids_are_continued_as_any_engine_does_it(seeing_run, pictures):
    """Over all ids, greedily, from what `tokenize` returns, whatever the run reads."""
    model = Kyvo.load(seeing_run)
    assert not model.read_codes
    prompt = model.tokenize("recognition", image=pictures[0])
    values = [{"image": item} for item in model._see(pictures[:1])]
    (found,) = model.decode_task("recognition", values, constrained=False)
    grammar = model.grammar("recognition")
    (plain,) = decode(model.decoder, [prompt], stop_id=grammar.stop_id, max_new_tokens=grammar.longest)
    assert found.ids == plain.ids


def test_rendered_pictures(tiny_model, scenes):
    size = tiny_model.images.config.image_size
    single = [tiny_model.render(scene) for scene in scenes]
    for picture in single:
        assert isinstance(picture, Image.Image)
        assert (picture.size, picture.mode) == ((size, size), "RGB")
    for found, wanted in zip(tiny_model.render(scenes), single, strict=True):
        assert_same_picture(found, wanted)
    # What is drawn does not depend on the order in which a scene lists its objects.
    turned = scenes[0].replace(objects=scenes[0].objects[::-1], relationships={})
    assert_same_picture(tiny_model.render(turned), single[0])


def test_the_mean_of_the_likely_codes_is_painted(tiny_model, scenes):
    values = [{"scene": stage(scene)} for scene in scenes]
    (decoded, *_) = tiny_model.decode_task("rendering", values)
    codes = tiny_model.sequences.parse(TASKS["rendering"], decoded.ids)
    means = torch.stack([decoded.vectors[place] for place in codes.code_places["image"]])
    # The first cell that is written is known from the prompt alone.
    prompt, span = tiny_model.tokenize("rendering", scene=scenes[0]), tiny_model.sequences.vocabulary.span("image")
    first = min(decoded.vectors)
    read = [*prompt, *decoded.ids[:first]]
    with torch.inference_mode():
        positions = torch.tensor([count_positions(read, tiny_model.sequences.places)])
        likely = tiny_model.decoder(torch.tensor([read]), positions=positions)[0, -1][span.start :].softmax(-1)
        assert torch.allclose(
            decoded.vectors[first], functional.normalize(likely @ tiny_model.images.codebook, dim=0), atol=1e-4
        )
        (painted,) = tiny_model.images.paint(means[None])
    assert_same_picture(tiny_model.draw([decoded])[0], pixels_to_image(painted))
    assert_same_picture(tiny_model.render(scenes)[0], pixels_to_image(painted))
    drawn = tiny_model.decode_task("rendering", values[:1], sampling=Sampling(temperature=1.0))
    codes = tiny_model.sequences.parse(TASKS["rendering"], drawn[0].ids).values["image"]
    assert_same_picture(tiny_model.draw(drawn)[0], tiny_model.paint([codes])[0])


def test_a_scene_is_drawn_as_its_own_camera_sees_it(tiny_model, scenes):
    prompt = tiny_model.tokenize("rendering", scene=scenes[0])
    staged = stage(scenes[0])
    assert prompt[1:-1] == tiny_model.sequences.scenes.tokenize(staged)
    assert prompt[1:-1] != tiny_model.sequences.scenes.tokenize(scenes[0])
    assert tiny_model.tokenize("rendering", scene=staged) == prompt
    assert_same_picture(tiny_model.render(scenes[0]), tiny_model.render(staged))
    (asked,) = (tiny_model.tokenize("qa", image=Image.new("RGB", (8, 8)), scene=scenes[0], question=QUESTION),)
    assert str(tiny_model.sequences.scenes.tokenize(scenes[0]))[1:-1] in str(asked)
    for call in (tiny_model.render, lambda scene: tiny_model.tokenize("rendering", scene=scene)):
        with pytest.raises(InputError) as caught:
            call(scenes[0].replace(extra={"view": {"camera": [0.0, 0.0]}}))
        assert str(caught.value) == "scene: view.camera: expected three finite numbers, got [0.0, 0.0]"


def test_edits(tiny_model, pictures, scenes):
    picture, scene = tiny_model.edit(pictures[0], scenes[0], INSTRUCTION)
    assert isinstance(picture, Image.Image)
    assert Scene.from_json(scene.to_json()) == scene
    assert all(0.0 <= item.score <= 1.0 for item in scene.objects)
    assert view_of(scene) == view_of(scenes[0])
    assert_same_picture(tiny_model.render(scene), picture)
    pairs = tiny_model.edit(pictures, scenes, [INSTRUCTION] * 3)
    assert_same_picture(pairs[0][0], picture)
    assert_same_scene(pairs[0][1], scene)
    recognized = tiny_model.recognize(pictures[0])
    by_keyword = tiny_model.edit(pictures[0], instructions=INSTRUCTION)
    assert_same_scene(by_keyword[1], tiny_model.edit(pictures[0], recognized, INSTRUCTION)[1])


def test_an_edit_is_drawn_from_where_its_picture_was_taken(tiny_model, pictures, scenes, monkeypatch):
    """As far as the given scene does not say where that is."""
    see = tiny_model._see
    monkeypatch.setattr(tiny_model, "_see", lambda given: [item._replace(camera=CAMERA) for item in see(given)])
    bare = [scene.replace(extra={}) for scene in scenes]
    (_, told), (picture, seen) = tiny_model.edit(pictures[:2], [scenes[0], bare[1]], [INSTRUCTION] * 2)
    assert view_of(told) == view_of(scenes[0])
    assert view_of(seen).camera == CAMERA
    assert_same_picture(picture, tiny_model.render(seen))


def test_answers(tiny_model, pictures, scenes):
    answer = tiny_model.ask(pictures[0], QUESTION, scene=scenes[0])
    assert answer in answer_words(tiny_model.tokenizers.schema)
    assert tiny_model.ask(pictures, [QUESTION] * 3, scene=scenes)[0] == answer
    recognized = tiny_model.recognize(pictures[0])
    assert tiny_model.ask(pictures[0], QUESTION) == tiny_model.ask(pictures[0], QUESTION, scene=recognized)


def test_answers_by_programs_carry_their_reason(tiny_model, pictures, scenes):
    explained = tiny_model.ask(pictures, [QUESTION] * 3, scene=scenes, explain=True)
    texts = tiny_model.ask(pictures, [QUESTION] * 3, scene=scenes, by_program=True)
    assert [item.text for item in explained] == texts
    direct = tiny_model.ask(pictures, [QUESTION] * 3, scene=scenes)
    for item, plain, scene in zip(explained, direct, scenes, strict=True):
        assert isinstance(item, Answer)
        assert item.direct == plain
        assert set(item.objects) <= set(scene.objects)
        assert item.program
        assert item.program.split()[0] in {text.split()[0] for text in PROGRAM_WORDS}
        if item.problem is not None:  # Then the answer was written directly.
            assert item.text == plain
        else:
            assert item.text in answer_words(tiny_model.tokenizers.schema)
    one = tiny_model.ask(pictures[0], QUESTION, scene=scenes[0], explain=True)
    assert one == explained[0]


VALUES = {
    "recognition": ("image",),
    "rendering": ("scene",),
    "editing": ("image", "scene", "instruction"),
    "qa": ("image", "scene", "question"),
}


@pytest.mark.parametrize("task", TASKS)
def test_prompts_are_ids_and_detokenize_reads_what_follows(tiny_model, tiny_run, pictures, scenes, task):
    given = {"image": pictures[0], "scene": scenes[0], "instruction": INSTRUCTION, "question": QUESTION}
    values = {name: given[name] for name in VALUES[task]}
    prompt = tiny_model.tokenize(task, **values)
    assert type(prompt) is list
    assert {type(token) for token in prompt} == {int}
    assert prompt[-1] == tiny_model.sequences.output_id
    picture = tiny_model._see([pictures[0]])[0]
    (decoded,) = tiny_model.decode_task(task, [{**values, "image": picture}])
    result = tiny_model.detokenize(task, decoded.ids)
    assert result["problems"] == []
    assert set(result) == {segment.name for segment in TASKS[task].predicted} | {"problems"}
    again = tiny_model.detokenize(task, [*prompt, *decoded.ids, tiny_model.sequences.vocabulary.end_id])
    assert again["problems"] == []
    for segment in TASKS[task].predicted:
        if segment.kind == "image":
            assert_same_picture(again[segment.name], result[segment.name])
        else:
            assert again[segment.name] == result[segment.name]
    if task == "recognition":
        likeliest = Kyvo.load(tiny_run, average_numbers=False)
        (decoded,) = likeliest.decode_task(task, [{"image": picture}])
        scene = likeliest.detokenize(task, decoded.ids)["scene"]
        assert without_scores(scene) == without_scores(likeliest.recognize(pictures[0]))


@pytest.mark.parametrize("task", TASKS)
def test_detokenize_never_raises(tiny_model, task):
    generator = np.random.default_rng(7)
    size = tiny_model.sequences.vocabulary.size
    markers = np.array(tiny_model.sequences.vocabulary.span("markers").ids)
    kinds = {segment.name: segment.kind for segment in TASKS[task].predicted}
    types = {"image": Image.Image | None, "scene": Scene}
    for number in range(300):
        length = int(generator.integers(0, 60))
        ids = generator.integers(-3, size + 3, length)  # Ids of no vocabulary, too.
        if number % 2:  # Markers make shapes that are nearly right.
            ids = np.where(generator.random(length) < 0.5, generator.choice(markers, length), ids)
        result = tiny_model.detokenize(task, ids.tolist())
        assert result.pop("problems"), "a list of random ids is no valid prediction"
        for name, value in result.items():
            assert isinstance(value, types.get(kinds[name], str))
    assert tiny_model.detokenize(task, [])["problems"]


def test_wrong_values_are_refused_in_one_line(tiny_model, pictures, scenes):
    picture, scene = pictures[0], scenes[0]
    pink = SceneObject(shape="cube", size="small", color="pink", material="metal", location=(0.0, 0.0, 0.35))
    lost = dataclasses.replace(pink, color="red", location=(float("nan"), 0.0, 0.35))
    far = dataclasses.replace(pink, color="red", location=(0.0, 7.5, 0.35))
    red = dataclasses.replace(pink, color="red")
    cases = [
        (lambda: tiny_model.recognize(5), "image: expected a path, a PIL image or an array, got int"),
        (lambda: tiny_model.recognize([None]), "image: expected a path, a PIL image or an array, got NoneType"),
        (lambda: tiny_model.recognize([]), "expected at least one value, got an empty list"),
        (
            lambda: tiny_model.recognize(picture, camera=(7.0, "a", 5.0)),
            "camera: (7.0, 'a', 5.0); expected three numbers: x, y and z in metres",
        ),
        (
            lambda: tiny_model.recognize(picture, camera=[7.0, -6.0]),
            "camera: [7.0, -6.0]; expected three numbers: x, y and z in metres",
        ),
        (
            lambda: tiny_model.recognize(picture, camera=(0.0, 0.0, 5.0)),
            "camera: (0, 0, 5); expected a place above the ground and beside the origin",
        ),
        (
            lambda: tiny_model.recognize(picture, camera=(7.0, -6.0, 5.0)),
            "camera: is known, but this model does not find places by sighting; leave it out",
        ),
        (
            lambda: tiny_model.recognize(np.zeros((4, 4), np.uint8)),
            "image: array of shape (4, 4); expected (height, width, 3)",
        ),
        (
            lambda: tiny_model.recognize(np.full((4, 4, 3), np.nan)),
            "image: array of float64 values; expected uint8, or finite floats in [0, 1]",
        ),
        (lambda: tiny_model.render({"objects": []}), "scene: expected a Scene, got dict; read one with Scene.load"),
        (
            lambda: tiny_model.render(Scene(objects=(pink,))),
            "scene: objects[0].color: 'pink' is unknown; allowed are gray, red, blue, green, brown, purple, cyan, "
            "yellow",
        ),
        (
            lambda: tiny_model.render(Scene(objects=(lost,))),
            "scene: objects[0].3d_coords[0]: nan is not a finite number; allowed is -3 to 3",
        ),
        (
            lambda: tiny_model.tokenize("rendering", scene=Scene(objects=(far,))),
            "scene: objects[0].3d_coords[1]: 7.5 is out of range; allowed is -3 to 3",
        ),
        (
            lambda: tiny_model.render(Scene(objects=(red,) * 11)),
            "scene: has 11 objects; this model reads at most 10",
        ),
        (lambda: tiny_model.edit(picture, scene, ""), "instruction: is empty; write one sentence"),
        (lambda: tiny_model.edit(picture, scene), "instruction: expected a text, got NoneType; write one sentence"),
        (
            lambda: tiny_model.edit(pictures, scenes, INSTRUCTION),
            "instruction: expected a list, one text for each picture, got str",
        ),
        (
            lambda: tiny_model.edit(pictures, scene, [INSTRUCTION] * 3),
            "scene: expected a list, one for each picture, got Scene",
        ),
        (
            lambda: tiny_model.edit(pictures, scenes, [INSTRUCTION]),
            "lists of different lengths (3, 3, 1); give one value for each picture",
        ),
        (lambda: tiny_model.ask(picture, " \n", scene=scene), "question: is empty; write one sentence"),
        (lambda: tiny_model.ask(picture, 4), "question: expected a text, got int; write one sentence"),
        (
            lambda: tiny_model.ask(picture, QUESTION, scene="scene.json"),
            "scene: expected a Scene, got str; read one with Scene.load",
        ),
        (
            lambda: tiny_model.tokenize("qa", image=picture, question=QUESTION),
            "tokenize qa: scene is missing; the task is given image, scene, question",
        ),
        (
            lambda: tiny_model.tokenize("recognition", image=picture, question=QUESTION),
            "tokenize recognition: question is not given; the task is given image",
        ),
        (
            lambda: tiny_model.tokenize("qa", image=picture, scene=scene, question=None),
            "question: expected a text, got NoneType; write one sentence",
        ),
    ]
    for call, message in cases:
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == message
    for call in (lambda: tiny_model.tokenize("drawing"), lambda: tiny_model.detokenize("drawing", [])):
        with pytest.raises(ConfigError) as error:
            call()
        assert str(error.value) == "task: 'drawing' is unknown; choose one of recognition, rendering, editing, qa"
    room = tiny_model.decoder.config.max_positions
    excess = "more than this model reads; shorten the text"
    with pytest.raises(InputError, match=rf"^qa: the prompt has \d+ tokens {excess}$"):
        tiny_model.ask(picture, "x " * room, scene=scene)


def test_load_takes_a_run_and_refuses_other_folders(tiny_model, tiny_run, tiny_tokenizers_run, tiny_data, tmp_path):
    assert isinstance(tiny_model, Kyvo)
    assert read_json(tiny_run / "config.json")["kind"] == "kyvo"
    run = "the folder of a run of `trilingua train`"
    for folder, message in (
        (
            tiny_tokenizers_run,
            f"{tiny_tokenizers_run}: holds tokenizers and no decoder; pass the run of a `kyvo-*` preset",
        ),
        (tiny_data, f"{tiny_data}: holds no config.json; pass {run}"),
        (tmp_path / "none", f"{tmp_path / 'none'}: no such folder; check the path"),
    ):
        with pytest.raises((InputError, trilingua.core.errors.CheckpointError)) as caught:
            trilingua.load(folder)
        assert str(caught.value) == message


def test_a_picture_that_is_given_several_times_is_looked_at_once(tiny_model, pictures, scenes, monkeypatch):
    looked: list[int] = []
    encode = tiny_model.images.encode
    monkeypatch.setattr(tiny_model.images, "encode", lambda batch: looked.append(len(batch)) or encode(batch))
    given = [pictures[0], pictures[0], pictures[1], pictures[0]]
    questions = [QUESTION, "Are there any spheres?", QUESTION, QUESTION]
    answers = tiny_model.ask(given, questions)
    assert looked == [2]
    assert answers[0] == answers[3]
    single = [tiny_model.ask(picture, question) for picture, question in zip(given, questions, strict=True)]
    assert answers == single


def test_many_pictures_are_seen_and_painted_a_few_at_a_time(tiny_model, pictures, monkeypatch):
    sizes = []
    encode, paint = tiny_model.images.encode, tiny_model.images.paint
    monkeypatch.setattr(tiny_model.images, "encode", lambda batch: sizes.append(len(batch)) or encode(batch))
    monkeypatch.setattr(tiny_model.images, "paint", lambda batch: sizes.append(len(batch)) or paint(batch))
    many = [picture.rotate(angle) for angle in range(0, 180, 10) for picture in pictures[:1]]
    seen = tiny_model._see(many)
    assert sizes == [4, 4, 4, 4, 2]
    codes = [item.codes for item in seen]
    painted = tiny_model.paint(codes)
    assert sizes == [4, 4, 4, 4, 2, 16, 2]
    (last,) = tiny_model.paint(codes[-1:])
    assert np.abs(np.asarray(painted[-1], int) - np.asarray(last, int)).max() <= 1
    assert codes[-1] == tiny_model._see(many[-1:])[0].codes
