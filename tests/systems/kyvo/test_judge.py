"""The figures while training: a decoder that knows the truth has full marks, and a real one those of its run."""

import copy
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from trilingua.core.config import replace_dotted
from trilingua.data.loaders import LoaderConfig, SequenceBuilder
from trilingua.data.shards import SceneRecord, Shards
from trilingua.inference.decode import DecodedSequence
from trilingua.models.decoder import Decoder
from trilingua.systems.kyvo import judge as judging
from trilingua.systems.kyvo.build import Tokenizers, build_decoder, load_decoder
from trilingua.systems.kyvo.config import kyvo_tiny
from trilingua.systems.kyvo.judge import make_judge
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.tokenizers.sequences import TASKS

NUM_SCENES = 3


@pytest.fixture(scope="module")
def shards(tiny_shards: Path, tiny_tokenizers: Tokenizers) -> Shards:
    return Shards(tiny_shards, tiny_tokenizers.vocabulary)


@pytest.fixture
def decoder(tiny_tokenizers: Tokenizers) -> Decoder:
    torch.manual_seed(0)
    return build_decoder(kyvo_tiny(), tiny_tokenizers)


class Knowing(Kyvo):
    """Writes what the records say, where `errs` does not object to a task or a segment and a number of a prompt."""

    records: list[SceneRecord]
    errs: Callable[[str, int], bool]
    asked: list[tuple[str, Any]]

    def decode_task(self, task: str, values: Any, **options: Any) -> list[DecodedSequence]:
        self.asked.append((task, values))
        builder = SequenceBuilder(LoaderConfig(), self.sequences)
        written = []
        for number, value in enumerate(values):
            record, pieces = self._known(value, staged=task == "rendering")
            if self.errs(task, number):
                ids = list(self.sequences.borders["scene"])  # a scene of nothing, and no text at all
            else:
                blanks = {name: (ids[0], ids[-1]) for name, ids in pieces.items() if self.errs(name, number)}
                chosen = builder.build(TASKS[task], record, pieces | blanks, last_segment=options.get("last_segment"))
                ids = list(chosen.predicted)
            written.append(DecodedSequence(ids=ids, probabilities=[1.0] * len(ids), means=[*ids], finished=True))
        return written

    def _known(self, value: Any, *, staged: bool) -> tuple[SceneRecord, dict[str, Any]]:
        """Return the record that a prompt speaks of, and of it the question or edit."""
        for record in self.records:
            scene = self.sequences.scenes.detokenize(record.staged if staged else record.scene).scene
            if "scene" in value and value["scene"] != scene:
                continue
            if "image" in value and value["image"].codes != record.image.tolist():
                continue
            for part in (*record.questions, *record.edits):
                pieces = dataclasses.asdict(part)
                text = pieces.get("question") or pieces["instruction"]
                wanted = value.get("question" if "question" in pieces else "instruction")
                if wanted is not None and tuple(self.sequences.segment(TASKS["qa"].given[2], wanted)) == tuple(text):
                    return record, pieces
            if not {"question", "instruction"} & set(value):
                return record, {}
        raise AssertionError(f"the judge asked about what is in no record: {value}")


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch, shards: Shards) -> type[Knowing]:
    """The class that the judge asks, in place of a model."""
    held_out = [shards[index] for index in range(len(shards) - NUM_SCENES, len(shards))]
    known = {"records": held_out, "errs": staticmethod(lambda task, number: False), "asked": []}
    stand_in: type[Knowing] = type("Knows", (Knowing,), known)
    monkeypatch.setattr(judging, "Kyvo", stand_in)
    return stand_in


def test_who_knows_the_truth_has_full_marks_on_the_last_scenes(
    knowing: type[Knowing], shards: Shards, tiny_tokenizers: Tokenizers, decoder: Decoder, tmp_path: Path
) -> None:
    figures = make_judge(tiny_tokenizers, shards, NUM_SCENES)(decoder, tmp_path)
    assert figures == {
        "recognition_jaccard": 1.0,
        "editing_jaccard": 1.0,
        "qa_accuracy": 1.0,
        "program_accuracy": 1.0,
        "rendering_ssim": pytest.approx(1.0),
    }
    counts = {task: len(values) for task, values in knowing.asked}
    assert counts == {"recognition": 3, "editing": 3, "qa": 6, "rendering": 3}
    shown = {tuple(record.image.tolist()): record.vectors.astype(np.float32) for record in knowing.records}
    seen = [value["image"] for _, values in knowing.asked for value in values if "image" in value]
    for picture in seen:
        np.testing.assert_array_equal(picture.vectors, shown[tuple(picture.codes)])


@pytest.mark.parametrize(
    ("task", "figure", "expected"),
    [
        ("recognition", "recognition_jaccard", 2 / 3),
        ("editing", "editing_jaccard", 2 / 3),
        ("answer", "qa_accuracy", 5 / 6),
        ("program", "program_accuracy", 5 / 6),
    ],
)
def test_one_error_lowers_its_own_figure_alone(
    knowing: type[Knowing],
    shards: Shards,
    tiny_tokenizers: Tokenizers,
    decoder: Decoder,
    tmp_path: Path,
    task: str,
    figure: str,
    expected: float,
) -> None:
    knowing.errs = staticmethod(lambda asked, number: asked == task and number == 1)
    figures = make_judge(tiny_tokenizers, shards, NUM_SCENES)(decoder, tmp_path)
    assert figures.pop(figure) == pytest.approx(expected)
    assert list(figures.values()) == pytest.approx([1.0] * 4)


def test_its_picture_shows_the_tokenizers_own_above_the_models(
    knowing: type[Knowing], shards: Shards, tiny_tokenizers: Tokenizers, decoder: Decoder, tmp_path: Path
) -> None:
    make_judge(tiny_tokenizers, shards, NUM_SCENES)(decoder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rendering.png"]
    shown = np.asarray(Image.open(tmp_path / "rendering.png"))
    side = tiny_tokenizers.images.config.image_size
    assert shown.shape == (2 * side, NUM_SCENES * side, 3)
    for index, record in enumerate(knowing.records):
        (own,) = tiny_tokenizers.images.detokenize(torch.from_numpy(record.image.astype(np.int64))[None])
        column = shown[:, index * side : (index + 1) * side]
        np.testing.assert_allclose(column[:side], (255 * own).permute(1, 2, 0), atol=0.51)
        np.testing.assert_array_equal(column[side:], column[:side])


def test_scenes_that_nobody_asks_about_or_edits_have_no_such_figures(
    knowing: type[Knowing],
    shards: Shards,
    tiny_tokenizers: Tokenizers,
    decoder: Decoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = [dataclasses.replace(shards[index], questions=(), edits=()) for index in range(len(shards))]
    monkeypatch.setattr(Shards, "__getitem__", lambda self, index: bare[index])
    figures = make_judge(tiny_tokenizers, shards, NUM_SCENES)(decoder, tmp_path)
    assert figures == {"recognition_jaccard": 1.0, "rendering_ssim": pytest.approx(1.0)}


@pytest.mark.parametrize("read_codes", [True, False])
def test_the_judged_decoder_stays_as_it_was_and_where_it_was(
    shards: Shards,
    tiny_tokenizers: Tokenizers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read_codes: bool,
) -> None:
    torch.manual_seed(0)
    decoder = build_decoder(replace_dotted(kyvo_tiny(), {"loader.code_share": float(read_codes)}), tiny_tokenizers)
    made: list[Kyvo] = []

    class Remembered(Kyvo):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(judging, "Kyvo", Remembered)
    judge = make_judge(tiny_tokenizers, shards, 1, read_codes=read_codes)
    before = copy.deepcopy(decoder.state_dict())
    trained = [parameter.requires_grad for parameter in decoder.parameters()]
    figures = judge(decoder, tmp_path)
    assert all(0 <= value <= 1 for value in figures.values())
    assert made[0].read_codes == read_codes
    assert made[0].decoder is not decoder
    assert decoder.training
    assert [parameter.requires_grad for parameter in decoder.parameters()] == trained
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())


def test_the_decoder_is_asked_where_it_is_trained(
    shards: Shards, tiny_tokenizers: Tokenizers, decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AskedError(Exception):
        pass

    def ask(*_: Any, device: str, **__: Any) -> None:
        raise AskedError(device)

    monkeypatch.setattr(judging, "Kyvo", ask)
    with pytest.raises(AskedError, match="meta"):  # stands for a GPU
        make_judge(tiny_tokenizers, shards, 1)(decoder.to("meta"), tmp_path)


def test_the_figures_and_the_picture_of_a_run_are_those_of_its_weights(
    tiny_run: Path, shards: Shards, tiny_tokenizers: Tokenizers, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config, decoder = load_decoder(tiny_run, tiny_tokenizers)
    assert config.held_out == kyvo_tiny().held_out
    figures = make_judge(tiny_tokenizers, shards, config.held_out)(decoder, tmp_path)
    events = EventAccumulator(str(tiny_run / "tensorboard"))
    events.Reload()
    for name, value in figures.items():
        assert [event.step for event in events.Scalars(f"evaluation/{name}")] == [30, 60]
        assert events.Scalars(f"evaluation/{name}")[-1].value == pytest.approx(value)
    drawn = np.asarray(Image.open(tmp_path / "rendering.png"))
    np.testing.assert_array_equal(Image.open(tiny_run / "evaluation" / "step_00000060" / "rendering.png"), drawn)
    shown = events.Images("evaluation/rendering")
    assert [event.step for event in shown] == [30, 60]
    np.testing.assert_array_equal(Image.open(io.BytesIO(shown[-1].encoded_image_string)), drawn)
