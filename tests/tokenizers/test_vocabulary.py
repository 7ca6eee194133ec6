"""The vocabulary: spans, digest, and refusal of whatever does not belong to it."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilingua.core.errors import ConfigError, InputError, VocabularyError
from trilingua.scenes.schema import CLEVR
from trilingua.tokenizers.numbers import NumberGrid
from trilingua.tokenizers.vocabulary import Vocabulary, structural_markers

VOCABULARY = Vocabulary(text_size=300, text_digest="abc", markers=structural_markers(CLEVR))


@given(
    text_size=st.integers(1, 500),
    num_markers=st.integers(2, 30),
    step=st.sampled_from((0.5, 0.25, 0.05)),
    num_image_codes=st.integers(0, 200),
)
def test_spans_are_disjoint_and_cover_every_id(text_size, num_markers, step, num_image_codes):
    vocabulary = Vocabulary(
        text_size=text_size,
        text_digest="",
        markers=("[BEGIN]", "[END]", *(f"[{index}]" for index in range(num_markers - 2))),
        numbers=NumberGrid(step=step),
        num_image_codes=num_image_codes,
    )
    assert [index for span in vocabulary.spans for index in span.ids] == list(range(vocabulary.size))
    assert vocabulary.size == text_size + num_markers + round(6 / step) + 1 + num_image_codes
    for index in {0, text_size - 1, text_size, vocabulary.size // 2, vocabulary.size - 1}:
        holders = [span.name for span in vocabulary.spans if index in span]
        assert holders == [vocabulary.kind(index)]


def test_every_marker_and_number_has_its_id():
    markers, numbers = VOCABULARY.span("markers"), VOCABULARY.span("numbers")
    assert [VOCABULARY.marker(name) for name in VOCABULARY.markers] == list(markers.ids)
    assert (VOCABULARY.begin_id, VOCABULARY.end_id) == (300, 301)
    assert [VOCABULARY.number(VOCABULARY.number_value(index)) for index in numbers.ids] == list(numbers.ids)
    assert VOCABULARY.number_value(numbers.start - 1) is None
    assert VOCABULARY.number_value(numbers.stop) is None


def test_ids_are_described_for_people():
    numbers, image = VOCABULARY.span("numbers"), VOCABULARY.span("image")
    ids = (7, VOCABULARY.marker("[SCENE-END]"), numbers.start, numbers.start + 60, numbers.start + 67, image.start + 17)
    assert [VOCABULARY.describe(index) for index in ids] == ["text:7", "[SCENE-END]", "-3", "0", "0.35", "image:17"]


@pytest.mark.parametrize("index", [-1, VOCABULARY.size])
def test_an_id_outside_is_refused(index):
    with pytest.raises(VocabularyError) as error:
        VOCABULARY.describe(index)
    assert str(error.value) == f"id {index} is outside this vocabulary of {VOCABULARY.size} ids"


def test_an_unknown_marker_is_refused():
    with pytest.raises(VocabularyError) as error:
        Vocabulary(text_size=1, text_digest="", markers=("[BEGIN]", "[END]")).marker("[POSE]")
    assert str(error.value) == "marker '[POSE]' is unknown; this vocabulary has [BEGIN], [END]"


CHANGES = {
    "text_size": 301,
    "text_digest": "abd",
    "markers": (*VOCABULARY.markers, "[POSE]"),
    "numbers": NumberGrid(step=0.1),
    "num_image_codes": 1023,
    "begin": "[PAD]",
    "end": "[PAD]",
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Vocabulary)])
def test_the_digest_changes_with_any_field(name):
    assert dataclasses.replace(VOCABULARY, **{name: CHANGES[name]}).digest != VOCABULARY.digest


def test_the_digest_changes_with_the_order_of_markers():
    assert dataclasses.replace(VOCABULARY, markers=VOCABULARY.markers[::-1]).digest != VOCABULARY.digest


def test_what_is_saved_is_loaded(tmp_path):
    VOCABULARY.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == VOCABULARY
    assert loaded.digest == VOCABULARY.digest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text_size", 299),
        ("text_digest", "abd"),
        ("markers", list(VOCABULARY.markers[::-1])),
        ("numbers", {"low": -3.0, "high": 3.0, "step": 0.1}),
        ("num_image_codes", 1),
        ("end", "[PAD]"),
        ("digest", "0" * 64),
        ("digest", None),
    ],
)
def test_a_tampered_file_is_refused(tmp_path, key, value):
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps({**VOCABULARY.to_json(), key: value}))
    with pytest.raises(VocabularyError) as error:
        Vocabulary.load(path)
    assert str(error.value) == (
        f"{path}: was changed since it was written (its digest does not fit its content); "
        "put back the file that belongs to the run"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "TypeError('list indices must be integers or slices, not str')"),
        ({}, "KeyError('text_size')"),
        ({**VOCABULARY.to_json(), "numbers": {"low": 9.0}}, "ConfigError('low, high, step: 9.0, 3.0, 0.05; expected "),
        ({**VOCABULARY.to_json(), "markers": 5}, "TypeError(\"'int' object is not iterable\")"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path, content, reason):
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(content))
    with pytest.raises(VocabularyError) as error:
        Vocabulary.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: not a vocabulary ({reason}")
    assert message.endswith("); expected the vocabulary.json of a run")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Vocabulary.load(tmp_path / "vocabulary.json")


def test_another_digest_is_refused():
    other = dataclasses.replace(VOCABULARY, num_image_codes=8)
    VOCABULARY.require(VOCABULARY.digest, "here")
    with pytest.raises(VocabularyError) as error:
        VOCABULARY.require(other.digest, "shards/a")
    assert str(error.value) == (
        f"shards/a: made with vocabulary {other.digest[:12]}, but this run has {VOCABULARY.digest[:12]}; "
        "tokenize again with this run, or pass the run that made it"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"markers": ("[BEGIN]", "[END]", "[END]")},
            "vocabulary: marker [END] occurs twice; each needs an id of its own",
        ),
        ({"markers": ("[BEGIN]",)}, "vocabulary: [END] is not among its markers [BEGIN]; add it"),
        ({"text_size": 0}, "vocabulary: 0 text ids and 1024 image codes; expected at least 1 and at least 0"),
    ],
)
def test_an_impossible_vocabulary_is_refused(fields, message):
    with pytest.raises(ConfigError) as error:
        dataclasses.replace(VOCABULARY, **fields)
    assert str(error.value) == message


def test_a_schema_needs_a_marker_for_each_attribute():
    markers = structural_markers(CLEVR)
    assert len(set(markers)) == len(markers)
    assert {"[SIZE]", "[COLOR]", "[MATERIAL]", "[SHAPE]", "[LOCATION]", "[OBJECT-1]", "[OBJECT-10]"} < set(markers)
    assert structural_markers(CLEVR, num_places=2) == (*markers, "[PLACE-1]", "[PLACE-2]")
