import errno
import hashlib
import json
import math
import os
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trilingua.core.errors import InputError, WriteError
from trilingua.core.io import (
    atomic_path,
    digest_file,
    digest_json,
    existing_file,
    existing_folder,
    read_image,
    read_json,
    write_bytes,
    write_json,
)


def refusal(call, kind=InputError):
    """Return the words in which `call` is refused."""
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_atomic_write_makes_folders_and_leaves_only_the_file(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [item.name for item in path.parent.iterdir()] == ["file.bin"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_told_in_words(tmp_path):
    def write():
        with atomic_path(tmp_path / "file.txt"):
            raise OSError(28, "No space left on device")

    assert refusal(write, WriteError) == (
        f"{tmp_path / 'file.txt'}: writing failed (No space left on device); free some space or choose another --out"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, WriteError), (errno.EDQUOT, WriteError), (errno.EACCES, InputError)]
)
def test_a_disk_too_full_to_begin_is_no_mistake_of_the_path(tmp_path, monkeypatch, number, kind):
    def refuse(**_):
        raise OSError(number, "so it is")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    path = tmp_path / "file.txt"
    expected = f"{path}: cannot write here (so it is); choose another --out"
    assert refusal(lambda: write_bytes(path, b""), kind) == expected


def test_a_place_that_cannot_be_written_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    inside = tmp_path / "file" / "scene.json"
    assert (
        refusal(lambda: write_bytes(inside, b""))
        == f"{inside}: cannot write here ({tmp_path / 'file'} is a file); choose another --out"
    )
    assert (
        refusal(lambda: write_bytes(tmp_path, b"")) == f"{tmp_path}: is a folder; expected the name of a file to write"
    )


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_json_round_trip_is_exact(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_refuses_what_it_cannot_hold(tmp_path):
    path = tmp_path / "value.json"
    assert refusal(lambda: write_json(path, [math.nan])).endswith("; every number must be finite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty; expected JSON"),
        (b'{"a": 1', "is not valid JSON at line 1, column 8; it may be truncated"),
        (b"\x89PNG\r\n\xff", "cannot be read as text (UnicodeDecodeError); expected a JSON file"),
        (b"1" * 5000, "is not valid JSON; it may be truncated"),
        (b"[" * 100_000, "is not valid JSON; it may be truncated"),
    ],
    ids=["empty", "truncated", "binary", "number", "deep"],
)
def test_what_is_no_json_is_refused_in_words(tmp_path, content, text):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    assert refusal(lambda: read_json(path)) == f"{path}: {text}"


def test_a_byte_order_mark_is_no_error(tmp_path):
    (tmp_path / "value.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "value.json") == [1]


def test_files_and_folders_are_told_apart(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    assert existing_file(str(path)) == path
    assert existing_folder(str(tmp_path)) == tmp_path
    assert refusal(lambda: existing_file(tmp_path)) == f"{tmp_path}: is a folder; expected a file"
    assert refusal(lambda: existing_folder(path)) == f"{path}: is a file; expected a folder"
    missing = tmp_path / "none"
    assert refusal(lambda: existing_file(missing)) == f"{missing}: no such file; check the path"
    assert refusal(lambda: existing_folder(missing)) == f"{missing}: no such folder; check the path"
    assert refusal(lambda: existing_file("n" * 5000)).endswith(": no such file; check the path")
    assert refusal(lambda: digest_file(missing)) == f"{missing}: no such file; check the path"


PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def test_an_image_comes_from_a_path_a_picture_or_an_array(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS).save(path)
    for source in (path, str(path), Image.fromarray(PIXELS), PIXELS, PIXELS / 255, (PIXELS / 255).astype(np.float32)):
        image = read_image(source)
        assert (image.mode, image.size) == ("RGB", (7, 5))
        np.testing.assert_array_equal(np.asarray(image), PIXELS)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = Image.new(mode, (4, 3))
    assert read_image(image).mode == "RGB"


def test_a_picture_stands_as_its_camera_was_held(tmp_path):
    picture, turned = Image.fromarray(PIXELS), Image.Exif()
    turned[0x0112] = 6  # what a phone writes that was held upright
    picture.save(tmp_path / "phone.png", exif=turned)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "phone.png")), np.rot90(PIXELS, -1))


@pytest.mark.parametrize(("mode", "suffix"), [("I;16", ".png"), ("I", ".tiff"), ("F", ".tiff")])
def test_more_than_eight_bits_are_refused_in_words(tmp_path, mode, suffix):
    path = tmp_path / f"deep{suffix}"
    Image.new(mode, (4, 3)).save(path)
    text = refusal(lambda: read_image(path))
    assert text.startswith(f"{path}: has pixels of mode ")
    assert text.endswith("; expected 8 bits a channel, so save it anew")
    with Image.open(path) as opened:
        assert refusal(lambda: read_image(opened)).startswith("image: has pixels of mode ")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty; expected a PNG or JPEG picture"),
        (b"hello", "is not a readable image, or is truncated; expected a PNG or JPEG picture"),
    ],
)
def test_what_is_no_image_is_refused_in_words(tmp_path, content, text):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    assert refusal(lambda: read_image(path)) == f"{path}: {text}"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_images_are_refused(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    for length in (1, 8, 20, 60, len(content) // 2):
        path.write_bytes(content[:length])
        text = "is not a readable image, or is truncated; expected a PNG or JPEG picture"
        assert refusal(lambda: read_image(path)) == f"{path}: {text}"


def test_a_truncated_picture_that_is_already_open_is_refused(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    os.truncate(path, 500)
    with Image.open(path) as opened:
        text = refusal(lambda: read_image(opened))
    assert text == "image: cannot be decoded, or is truncated; expected a whole picture"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((4, 4), np.uint8), "image: array of shape (4, 4); expected (height, width, 3)"),
        (np.zeros((4, 4, 4), np.uint8), "image: array of shape (4, 4, 4); expected (height, width, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "image: array of shape (0, 4, 3); expected (height, width, 3)"),
        (np.zeros((4, 4, 3), np.int64), "image: array of int64 values; expected uint8, or finite floats in [0, 1]"),
        (np.full((4, 4, 3), 200.0), "image: floats from 200 to 200; expected [0, 1], or uint8"),
        (np.full((4, 4, 3), -1.0), "image: floats from -1 to -1; expected [0, 1], or uint8"),
        (np.full((4, 4, 3), np.nan), "image: array of float64 values; expected uint8, or finite floats in [0, 1]"),
    ],
)
def test_arrays_of_another_kind_are_refused_in_words(array, text):
    assert refusal(lambda: read_image(array)) == text


def test_a_picture_of_no_pixels_is_refused_in_words():
    assert refusal(lambda: read_image(Image.new("RGB", (0, 4)))) == (
        "image: has no pixels (size (0, 4)); expected at least 1 x 1"
    )


def test_digests(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert digest_file(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    assert digest_json({"a": 1, "b": [2.5]}) == digest_json(json.loads('{"b": [2.5], "a": 1}'))
    assert digest_json({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert digest_json({"a": 1}) != digest_json({"a": 2})
