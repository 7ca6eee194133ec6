"""Shards: what was written comes back, and a file that is torn, foreign or of another vocabulary is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.oracles.random_records import make_sequences, random_record

from trilingua.core.errors import InputError, VocabularyError
from trilingua.data.shards import SceneRecord, Shards, write_shard

VOCABULARY = make_sequences().vocabulary


def random_records(seed: int, count: int) -> list[SceneRecord]:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(0, 4, (count, 2))
    return [random_record(generator, make_sequences(), questions=int(a), edits=int(b)) for a, b in sizes]


def assert_equal(one: SceneRecord, other: SceneRecord) -> None:
    for field in dataclasses.fields(SceneRecord):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs, field.name


@pytest.mark.parametrize("seed", range(3))
def test_records_come_back_in_order(tmp_path: Path, seed: int) -> None:
    records = random_records(seed, 8)
    assert any(not edit.edited_image for record in records for edit in record.edits)
    assert any(edit.edited_image for record in records for edit in record.edits)
    for name, part in (
        ("shard_00000003", records[3:4]),
        ("shard_00000000", records[:3]),
        ("shard_00000004", records[4:]),
    ):
        write_shard(tmp_path / f"{name}.safetensors", part, VOCABULARY)
    (tmp_path / ".shard_00000004.torn.safetensors").write_bytes(b"half")  # what a killed process leaves
    shards = Shards(tmp_path, VOCABULARY)
    assert len(shards) == 8
    for index, record in enumerate(records):
        assert_equal(shards[index], record)
    for index in (-1, 8):
        with pytest.raises(IndexError, match=f"scene {index} of 8"):
            shards[index]


def test_arrays_come_back_however_they_lie_in_memory(tmp_path: Path) -> None:
    records = [
        dataclasses.replace(record, vectors=np.asfortranarray(record.vectors)) for record in random_records(0, 3)
    ]
    assert not records[0].vectors.flags.c_contiguous
    write_shard(tmp_path / "one.safetensors", records, VOCABULARY)
    shards = Shards(tmp_path, VOCABULARY)
    for index, record in enumerate(records):
        assert_equal(shards[index], record)


def test_records_without_questions_and_edits_come_back(tmp_path: Path) -> None:
    record = random_record(np.random.default_rng(0), make_sequences(), questions=0, edits=0)
    write_shard(tmp_path / "one.safetensors", [record], VOCABULARY)
    assert_equal(Shards(tmp_path, VOCABULARY)[0], record)


def test_another_vocabulary_is_refused_in_words(tmp_path: Path) -> None:
    other = make_sequences(num_image_codes=21).vocabulary
    write_shard(tmp_path / "one.safetensors", random_records(0, 1), VOCABULARY)
    with pytest.raises(VocabularyError) as caught:
        Shards(tmp_path, other)
    assert str(caught.value) == (
        f"{tmp_path / 'one.safetensors'}: made with vocabulary {VOCABULARY.digest[:12]}, but this run has "
        f"{other.digest[:12]}; tokenize again with this run, or pass the run that made it"
    )


def test_another_image_tokenizer_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    write_shard(path, random_records(0, 1), VOCABULARY, image_tokenizer="a" * 64)
    assert len(Shards(tmp_path, VOCABULARY)) == len(Shards(tmp_path, VOCABULARY, image_tokenizer="a" * 64)) == 1
    with pytest.raises(VocabularyError) as caught:
        Shards(tmp_path, VOCABULARY, image_tokenizer="b" * 64)
    assert str(caught.value) == (
        f"{path}: made with image tokenizer aaaaaaaaaaaa, but this run has bbbbbbbbbbbb; "
        "tokenize again with this run, or pass the run that made it"
    )


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, 0.999])
def test_a_torn_shard_is_refused_in_words(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "one.safetensors"
    write_shard(path, random_records(0, 3), VOCABULARY)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError) as caught:
        Shards(tmp_path, VOCABULARY)
    assert str(caught.value).startswith(f"{path}: cannot be read as safetensors (")
    assert str(caught.value).endswith("); tokenize again")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_shards_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(InputError) as caught:
        Shards(tmp_path, VOCABULARY)
    assert str(caught.value) == f"{path}: is no shard of tokenized scenes; remove it or name another folder"
    path.unlink()
    with pytest.raises(InputError) as caught:
        Shards(tmp_path, VOCABULARY)
    assert str(caught.value) == (
        f"{tmp_path}: holds no shards; make them with `trilingua tokenize DATA --out {tmp_path}`"
    )


def test_a_shard_that_lacks_a_part_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    write_shard(path, random_records(0, 2), VOCABULARY)
    arrays = load_file(path)
    del arrays["question.answer.offsets"]
    save_file(arrays, path, metadata={"kind": "trilingua-shard", "vocabulary": VOCABULARY.digest})
    with pytest.raises(InputError) as caught:
        Shards(tmp_path, VOCABULARY)
    assert str(caught.value) == f"{path}: lacks question.answer.offsets; it is of another version; tokenize again"
    write_shard(path, random_records(0, 2), VOCABULARY)
    save_file(load_file(path), path, metadata={"kind": "trilingua-shard"})
    with pytest.raises(InputError) as caught:
        Shards(tmp_path, VOCABULARY)
    assert str(caught.value) == f"{path}: lacks the name of its vocabulary; it is of another version; tokenize again"
