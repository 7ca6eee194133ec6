"""Reading a data directory back: equal to what was made, in our layout and in CLEVR's own."""

import json
import shutil

import numpy as np
import pytest
from tests.data.clevr.drawing import DiscRenderer

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.random import make_generator
from trilingua.data.clevr.files import ClevrFolder, cell_objects
from trilingua.data.clevr.generate import ClevrConfig, generate_clevr
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.clevr.placement import complete_scene, sample_scene, visible_enough
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.clevr.views import view_of

CONFIG = ClevrConfig(
    num_scenes=3, seed=9, split="val", renderer="discs", questions_per_scene=3, instructions_per_scene=2
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    generate_clevr(folder, CONFIG, make_renderer=DiscRenderer)
    return folder


def test_reading_back_gives_what_was_made(made):
    opened = ClevrFolder(made)
    renderer = DiscRenderer()
    assert (len(opened), opened.name) == (3, "CLEVR_val")
    questions, instructions = opened.questions(), opened.instructions()
    for index, scene in enumerate(opened.scenes()):
        expected, view = sample_scene(make_generator(9, "scene", "val", index), renderer)
        name = f"CLEVR_val_{index:06d}.png"
        assert scene == expected.replace(image_filename=name, image_index=index, split="val")
        assert view_of(scene) == view
        assert (np.asarray(opened.image(name)) == renderer.render(scene, view).image).all()
        for record in generate_questions(scene, make_generator(9, "questions", "val", index), 3):
            question = next(questions)
            assert (question.image_filename, question.image_index) == (name, index)
            for field in ("question", "answer", "program", "question_family_index"):
                assert getattr(question, field) == record[field]
        for number, edit in enumerate(
            generate_instructions(
                scene,
                make_generator(9, "instructions", "val", index),
                2,
                acceptable=lambda target, view=view: visible_enough(renderer, target, view),
            )
        ):
            record = next(instructions)
            assert (record.type, record.instruction, record.source_scene) == (edit.type, edit.instruction, scene)
            assert record.target_image_filename == f"CLEVR_val_{index:06d}_edit{number}.png"
            target = complete_scene(edit.target_scene.objects, view)
            assert record.target_scene.objects == target.objects
            assert record.target_scene.relationships == target.relationships
            picture = opened.image(record.target_image_filename)
            assert (np.asarray(picture) == renderer.render(target, view).image).all()
    assert (next(questions, None), next(instructions, None)) == (None, None)
    assert len(list(opened.scenes(limit=2))) == 2


def test_the_published_layout_reads_the_same(made, tmp_path):
    (tmp_path / "images").mkdir()
    shutil.copytree(made / "images", tmp_path / "images" / "val")
    scenes = [json.loads(path.read_text()) for path in sorted((made / "scenes").iterdir())]
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "CLEVR_val_scenes.json").write_text(json.dumps({"info": {}, "scenes": scenes}))
    (tmp_path / "questions").mkdir()
    shutil.copy(made / "CLEVR_val_questions.json", tmp_path / "questions")
    ours, theirs = ClevrFolder(made), ClevrFolder(tmp_path)
    assert list(theirs.scenes()) == list(ours.scenes())
    assert list(theirs.questions()) == list(ours.questions())
    assert list(theirs.instructions()) == []
    for scene in ours.scenes():
        own = [question for question in ours.questions() if question.image_filename == scene.image_filename]
        assert theirs.questions_of(scene) == ours.questions_of(scene) == own
        assert len(own) == 3
        assert len(ours.instructions_of(scene)) == 2
        assert theirs.instructions_of(scene) == []
    assert theirs.image("CLEVR_val_000001.png").tobytes() == ours.image("CLEVR_val_000001.png").tobytes()
    shutil.copy(tmp_path / "scenes" / "CLEVR_val_scenes.json", tmp_path / "scenes" / "CLEVR_train_scenes.json")
    with pytest.raises(InputError) as error:
        ClevrFolder(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: holds several splits (CLEVR_train_scenes, CLEVR_val_scenes); name one (--split), or put it "
        "into a folder of its own"
    )
    assert len(ClevrFolder(tmp_path, split="train")) == 3


def test_errors_name_the_file_and_the_field(made, tmp_path):
    def message(call):
        with pytest.raises(InputError) as error:
            call()
        return str(error.value)

    missing = tmp_path / "missing"
    assert message(lambda: ClevrFolder(missing)) == f"{missing}: no such folder; check the path"
    expected = "holds no scenes; expected files such as scenes/CLEVR_new_000000.json"
    assert message(lambda: ClevrFolder(tmp_path)) == f"{tmp_path}: {expected}"
    assert message(lambda: ClevrFolder(made).scene(3)) == f"{made}: no scene 3; it holds 3"
    lost = made / "images" / "lost.png"
    assert message(lambda: ClevrFolder(made).image("lost.png")) == (
        f"{lost}: no such picture, though a scene or record names it"
    )
    assert message(lambda: ClevrFolder(made).image("../x.png")) == (
        f"{made}: image_filename '../x.png' is not a plain file name"
    )
    copy = shutil.copytree(made, tmp_path / "copy")
    path = copy / "CLEVR_val_questions.json"
    path.write_text('{"questions": [{"image_filename": "a.png", "image_index": "0", "question": "?"}]}')
    assert (
        message(lambda: list(ClevrFolder(copy).questions()))
        == f"{path}: questions[0].image_index: is '0'; expected a whole number"
    )
    record = {"image_filename": "a.png", "image_index": 0, "question": "?"}
    for name, kind in (("answer", "text"), ("program", "list"), ("question_family_index", "whole number")):
        path.write_text(json.dumps({"questions": [{**record, name: 0.5}]}))
        wanted = f"{path}: questions[0].{name}: is 0.5; expected a {kind}"
        assert message(lambda: list(ClevrFolder(copy).questions())) == wanted
    path.write_text('{"questions": 3}')
    assert (
        message(lambda: list(ClevrFolder(copy).questions()))
        == f"{path}: expected a JSON object with a list named 'questions'"
    )
    path = copy / "CLEVR_val_instructions.json"
    path.write_text('{"instructions": [{"type": "paint"}]}')
    types = "appearance, appearance_relation, insertion, removal, moving"
    assert message(lambda: list(ClevrFolder(copy).instructions())) == (
        f"{path}: instructions[0].type: 'paint' is unknown; expected one of {types}"
    )
    shutil.copy(ClevrFolder(copy).scene_path(0), copy / "scenes" / ".CLEVR_val_000000.json.ab12cd_7.json")
    assert len(ClevrFolder(copy)) == 3  # a file that was being written when its process was killed


def slow_cells(index, grid, min_share):
    height, width = index.shape[0] // grid, index.shape[1] // grid
    cells = np.full((grid, grid), -1)
    for row in range(grid):
        for column in range(grid):
            patch = index[row * height : (row + 1) * height, column * width : (column + 1) * width]
            best = max(range(10), key=lambda number: int((patch == number).sum()))
            if (patch == best).mean() >= min_share:
                cells[row, column] = best
    return cells


def test_cell_objects_equals_a_slow_count():
    generator = np.random.default_rng(0)
    for share in (0.02, 0.25, 0.6):
        coarse = generator.integers(-4, 10, (24, 32)).clip(-1)  # blocks of 10 x 10 pixels over cells of 20 x 15
        index = np.repeat(np.repeat(coarse, 10, 0), 10, 1).astype(np.int16)
        cells = cell_objects(index, min_share=share)
        assert cells.dtype == np.int8
        assert (cells == slow_cells(index, 16, share)).all()
        assert 0 < (cells == -1).sum() < 256
    assert (cell_objects(np.full((240, 320), -1, dtype=np.int16)) == -1).all()
    with pytest.raises(ConfigError, match="grid: 7 does not divide a picture of 320 x 240; choose a divisor of both"):
        cell_objects(np.zeros((240, 320), dtype=np.int16), grid=7)
