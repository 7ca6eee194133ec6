"""The text tokenizer: any string round-trips, words that are asked for are one id, files are checked."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trilingua.core.errors import InputError
from trilingua.tokenizers.text import TextTokenizer

WORDS = ("cube", "sphere", "purple")
TEXTS = ["What color is the large cube?", "Remove the small sphere.", "purple", "yes", "no"] * 3
TOKENIZER = TextTokenizer.train(TEXTS, size=400, whole_words=WORDS)


@given(text=st.text(max_size=40))
@example("")
@example("  two  spaces\n\ttab ")
@example("e\u0301\u00e9 \u2028 \ufeff \x00 \U0001f9ca")
@example("<|endoftext|>[BEGIN] \u0120cube")
def test_any_string_round_trips(text):
    ids = TOKENIZER.tokenize(text)
    assert TOKENIZER.detokenize(ids) == text
    assert all(0 <= index < TOKENIZER.size for index in ids)


@given(ids=st.lists(st.integers(0, TOKENIZER.size - 1), max_size=30))
def test_any_ids_are_some_text(ids):
    assert isinstance(TOKENIZER.detokenize(ids), str)


def test_a_word_that_is_asked_for_is_one_id_after_a_space():
    assert [len(TOKENIZER.tokenize(f" {word}")) for word in WORDS] == [1, 1, 1]
    assert 256 <= TOKENIZER.size <= 400


def test_equal_texts_give_equal_digests_and_other_texts_do_not():
    assert TextTokenizer.train(TEXTS, size=400, whole_words=WORDS).digest == TOKENIZER.digest
    assert TextTokenizer.train(TEXTS[1:4], size=400).digest != TOKENIZER.digest


def test_what_is_saved_is_loaded(tmp_path):
    TOKENIZER.save(tmp_path / "text.json")
    loaded = TextTokenizer.load(tmp_path / "text.json")
    assert (loaded.digest, loaded.size) == (TOKENIZER.digest, TOKENIZER.size)
    assert loaded.tokenize("What is it?") == TOKENIZER.tokenize("What is it?")


@pytest.mark.parametrize("content", ["", "{}", '{"model": 3}', "\udcff"])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, content):
    path = tmp_path / "text.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as error:
        TextTokenizer.load(path)
    assert str(error.value) == f"{path}: is not a tokenizer.json of the `tokenizers` library"


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        TextTokenizer.load(tmp_path / "text.json")
