"""Records of ids: each made again by hand, and the order of edited objects."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tests.oracles.alignment import best_orders, facts

from trilingua.core.random import make_generator
from trilingua.data.cells import cell_targets
from trilingua.data.clevr.files import ClevrFolder, cell_objects
from trilingua.data.clevr.instructions import INSTRUCTION_TYPES, generate_instructions
from trilingua.data.clevr.staging import stage
from trilingua.data.clevr.views import view_of
from trilingua.data.referents import UNKNOWN
from trilingua.data.renderers.views import camera_for_view
from trilingua.data.shards import Shards
from trilingua.data.tokenize import number_edit, question_record
from trilingua.scenes.functions import REFERENCE_TYPES
from trilingua.scenes.program_text import program_from_text, program_to_text, split_findings
from trilingua.scenes.programs import execute_program
from trilingua.scenes.scene import Scene
from trilingua.systems.kyvo.build import Tokenizers
from trilingua.systems.kyvo.train import index_maps
from trilingua.tokenizers.images import SeenImages, image_to_pixels
from trilingua.tokenizers.scenes import canonical_order


def test_records_equal_those_made_by_hand(tiny_data: Path, tiny_shards: Path, tiny_tokenizers: Tokenizers) -> None:
    folder, schema = ClevrFolder(tiny_data), tiny_tokenizers.schema
    shards = Shards(tiny_shards, tiny_tokenizers.vocabulary)
    text, scenes = tiny_tokenizers.sequences.text, tiny_tokenizers.sequences.scenes
    marker, start = tiny_tokenizers.vocabulary.marker, tiny_tokenizers.vocabulary.span("text").start
    index_map = index_maps()

    def codes(name: str) -> list[int]:
        return seen(name).codes[0].tolist()

    def seen(name: str) -> SeenImages:
        return tiny_tokenizers.images.see(torch.from_numpy(image_to_pixels(folder.image(name), 64))[None].float() / 255)

    def framed(words: str, kind: str = "TEXT") -> tuple[int, ...]:
        inner = [start + token for token in text.tokenize(words)]
        return (marker(f"[{kind}-START]"), *inner, marker(f"[{kind}-END]"))

    assert len(shards) == len(folder) == 6
    for position in range(6):
        record, scene = shards[position], folder.scene(position)
        name = scene.image_filename
        assert name is not None
        assert record.image.tolist() == codes(name)
        looked = seen(name)
        assert list(record.shown) == looked.shown[0].nonzero()[:, 0].tolist()
        np.testing.assert_allclose(record.vectors, looked.vectors[looked.shown], rtol=0, atol=1e-3)
        assert list(record.scene) == scenes.tokenize(scene)
        camera = camera_for_view(view_of(scene))
        targets = cell_targets(scene, cell_objects(index_map(scene), grid=4), camera, schema)
        np.testing.assert_array_equal(record.cell_classes, targets.classes)
        np.testing.assert_array_equal(record.cell_values, targets.values.astype(np.float16))
        staged = stage(scene)
        assert list(record.staged) == scenes.tokenize(staged)
        # Drawn cells are as far from their objects as the given picture's, and place them where the staged scene does.
        np.testing.assert_allclose(record.drawn_values[:, :2], targets.values[:, :2], rtol=0, atol=4e-3)
        owners = cell_objects(index_map(scene), grid=4).reshape(-1)
        for owner, place in zip(owners, record.drawn_values[:, 2:], strict=True):
            expected = staged.objects[owner].location[:2] if owner >= 0 else (np.nan, np.nan)
            np.testing.assert_allclose(place, expected, rtol=0, atol=2e-3)
        questions = [item for item in folder.questions() if item.image_filename == name]
        assert len(questions) == len(record.questions) == 3
        for question, made in zip(questions, record.questions, strict=True):
            assert question.answer is not None
            assert question.program is not None
            assert made.question == framed(question.question)
            assert made.answer == framed(question.answer)
            # After each word of the program stands what the program up to it gives, by the executor.
            ran, order = execute_program(question.program, scene).outputs, canonical_order(scene, schema)
            so_far, known, asked = "", [UNKNOWN], UNKNOWN
            words = program_to_text(question.program).split(" ")
            for index, (word, node) in enumerate(zip(words, question.program, strict=True)):
                so_far += f" {word}" if index else word
                known += [UNKNOWN] * (len(framed(so_far)) - 1 - len(known))
                kind = node["type"]
                if kind in ("unique", "count", "exist"):
                    asked = sum(2 ** order.index(member) for member in ran[node["inputs"][0]])
                about = ran[index] if isinstance(ran[index], list) else ran[node["inputs"][0]]
                if kind == "unique":
                    about = [ran[index]]
                elif kind.startswith("query"):
                    about = [about]
                if kind.startswith("same"):
                    subject = ran[node["inputs"][0]]
                    known[-1] = 2 ** order.index(subject)
                    so_far += f" {getattr(scene.objects[subject], kind.removeprefix('same_'))}"
                    known += [UNKNOWN] * (len(framed(so_far)) - 1 - len(known))
                if not kind.startswith(("equal", "less", "greater")):
                    known[-1] = sum(2 ** order.index(member) for member in about)
                if kind == "count" or kind.startswith("query"):
                    so_far += f" {ran[index]}"
                    known += [UNKNOWN] * (len(framed(so_far)) - 1 - len(known))
                filters = [step.startswith("filter") for step in [*words[index : index + 2], ""]]
                if isinstance(ran[index], list) and not ((filters[0] or kind == "scene") and filters[1]):
                    numbers = sorted(1 + order.index(member) for member in ran[index])
                    findings = "".join(map(str, numbers)) + "."
                    so_far += findings
                    tokens = text.tokenize(findings)
                    for stop in range(1, len(tokens)):
                        named = re.findall("10|[1-9]", text.detokenize(tokens[:stop]))
                        known.append(sum(2 ** (number - 1) for number in numbers if str(number) not in named))
                    known.append(UNKNOWN)
                    assert len(known) == len(framed(so_far)) - 1
            assert made.program == framed(so_far, "PROGRAM")
            assert made.referents == (*known, UNKNOWN, asked)
        edits = [item for item in folder.instructions() if item.image_filename == name]
        assert len(edits) == len(record.edits) > 0
        for edit, written in zip(edits, record.edits, strict=True):
            assert written.instruction == framed(edit.instruction)
            assert edit.reference is not None
            inner = [token - start for token in written.reference[1:-1]]
            plain, findings = split_findings(text.detokenize(inner))
            assert plain == program_to_text(edit.reference, gives=REFERENCE_TYPES)
            of_reference, of_scene = np.split(written.referents, [len(written.reference)])
            if edit.type == "insertion":
                assert len(findings[-1]) == 1 + ("between" in edit.instruction.lower())
                assert of_reference[-1] == UNKNOWN
                touched = None
            else:
                (touched,) = findings[-1]
                assert of_reference[-1] == 2 ** (touched - 1)
            numbers = [
                scenes.starts.index(token) + 1 if token in scenes.starts else 0 for token in written.edited_scene
            ]
            told = [UNKNOWN if number == 0 else number == touched and 2 ** (number - 1) for number in numbers]
            assert of_scene.tolist() == told
            found = scenes.detokenize(written.edited_scene)
            assert found.problems == ()
            assert len(found.scene.objects) == len(edit.target_scene.objects)
            drawn = edit.target_image_filename
            assert list(written.edited_image) == ([] if drawn is None else codes(drawn))


def test_steps_of_a_program_are_in_the_order_of_its_words(tiny_tokenizers: Tokenizers) -> None:
    """CLEVR's own comparisons list both objects first and then ask for both sizes."""

    def node(name: str, *inputs: int, value: str | None = None) -> dict[str, object]:
        return {"function": name, "inputs": list(inputs), "value_inputs": [value] if value else []}

    def item(shape: str, size: str, x: float) -> dict[str, object]:
        return {"shape": shape, "size": size, "color": "red", "material": "metal", "3d_coords": [x, 0, 0.7]}

    things = [item("cube", "large", -2), item("sphere", "small", 0), item("cylinder", "small", 2)]
    scene, sequences = Scene.from_json({"objects": things}), tiny_tokenizers.sequences
    cube = [node("scene"), node("filter_shape", 0, value="cube"), node("unique", 1)]
    sphere = [node("scene"), node("filter_shape", 3, value="sphere"), node("unique", 4)]
    asked = [node("query_size", 2), node("query_size", 5), node("equal_size", 6, 7)]
    shared = [*cube, node("query_size", 2), node("equal_size", 3, 3)]

    def written(program: list[dict[str, object]]) -> tuple[str, tuple[int, ...]]:
        record = question_record("Is it?", "no", program, scene, sequences)
        start = tiny_tokenizers.vocabulary.span("text").start
        return sequences.text.detokenize([token - start for token in record.program[1:-1]]), record.referents

    text, referents = written([*cube, *sphere, *asked])
    assert text == (
        "scene filter_shape:cube1. unique query_size large "
        "scene filter_shape:sphere2. unique query_size small equal_size"
    )
    in_order = program_from_text(program_to_text([*cube, *sphere, *asked])).program
    assert in_order is not None
    assert written(in_order) == (text, referents)
    assert written(shared)[0].count("filter_shape:cube1. unique query_size large") == 2
    assert question_record("Is it?", "no", [], scene, sequences).program == ()


def test_edited_objects_are_in_the_order_that_changes_least(tiny_data: Path, tiny_tokenizers: Tokenizers) -> None:
    kinds: Counter[str] = Counter()
    for position, scene in enumerate(ClevrFolder(tiny_data).scenes()):
        if len(scene.objects) > 5:  # the oracle tries every order
            continue
        order = canonical_order(scene, tiny_tokenizers.schema)
        generator = make_generator(position, "test edits")
        for item in generate_instructions(scene, generator, 20):
            # What the target lists in which order must not matter.
            shuffled = tuple(
                item.target_scene.objects[i] for i in generator.permutation(len(item.target_scene.objects))
            )
            aligned, numbers = number_edit(scene, item.target_scene.replace(objects=shuffled), order)
            for found, number in zip(aligned.objects, numbers, strict=True):
                if number > len(order):
                    assert item.type == "insertion"
                elif item.type != "moving":
                    assert found.location[:2] == scene.objects[order[number - 1]].location[:2]
            if item.type != "removal":
                assert numbers == tuple(range(1, len(aligned.objects) + 1))
            expected = best_orders([scene.objects[index] for index in order], item.target_scene.objects)
            assert expected == [[facts(found) for found in aligned.objects]], item.instruction
            kinds[item.type] += 1
    assert set(kinds) == set(INSTRUCTION_TYPES)
    assert min(kinds.values()) > 2


def test_an_edited_scene_repeats_the_tokens_of_what_stays(
    tiny_data: Path, tiny_shards: Path, tiny_tokenizers: Tokenizers
) -> None:
    sequences = tiny_tokenizers.sequences
    borders = {tiny_tokenizers.vocabulary.marker(f"[OBJECT-{number}]"): number for number in range(1, 11)}

    def objects(ids: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
        """The tokens of each object by its number."""
        starts = [place for place, token in enumerate(ids) if token in borders]
        stops = [*starts[1:], len(ids) - 1]
        return {borders[ids[start]]: ids[start + 1 : stop] for start, stop in zip(starts, stops, strict=True)}

    shards = Shards(tiny_shards, sequences.vocabulary)
    edits = [(shards[index], edit) for index in range(len(shards)) for edit in shards[index].edits]
    assert len(edits) > 6
    for record, edit in edits:
        before, after = objects(record.scene), objects(edit.edited_scene)
        assert sum(before.get(number) != after.get(number) for number in {*before, *after}) == 1


def test_numbers_of_edits_that_do_several_things(tiny_data: Path, tiny_tokenizers: Tokenizers) -> None:
    """A person's own edits may: what stays keeps its number, what comes takes those that are gone, then the next."""
    scene = next(scene for scene in ClevrFolder(tiny_data).scenes() if len(scene.objects) >= 3)
    first, second, third = scene.objects[:3]
    source = Scene(objects=(first, second, third))
    new = [dataclasses.replace(first, location=(0.123 * n, 0.0, 0.7)) for n in range(1, 9)]
    for objects, order, expected in (
        ((first, second, third, *new[:7]), [0, 1, 2], tuple(range(1, 11))),
        ((new[0], third), [0, 1, 2], (1, 3)),
        ((second, new[0], new[1], new[2]), [2, 0, 1], (1, 2, 3, 4)),
        ((), [0, 1, 2], ()),
    ):
        edited = number_edit(source, Scene(objects=objects), order)
        assert edited.numbers == expected
        assert sorted(map(repr, edited.scene.objects)) == sorted(map(repr, objects))
        for item, number in zip(edited.scene.objects, edited.numbers, strict=True):
            if item in source.objects:
                assert source.objects[order[number - 1]] is item
        tiny_tokenizers.sequences.scenes.tokenize(edited)
