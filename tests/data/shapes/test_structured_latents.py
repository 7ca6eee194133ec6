"""Files of structured latents: what is written is read, and what cannot be used is refused in one line."""

import numpy as np
import pytest

from trilingua.core.errors import InputError
from trilingua.data.shapes.structured_latents import LatentFolder, read_structured_latents, save_structured_latents
from trilingua.geometry.voxels import Voxels


def latents(count=20, resolution=64, seed=0):
    generator = np.random.default_rng(seed)
    numbers = np.sort(generator.choice(resolution**3, count, replace=False))
    coords = np.stack(np.unravel_index(numbers, (resolution,) * 3), axis=1)
    return Voxels(coords.astype(np.uint8), (2 * generator.standard_normal((count, 8))).astype(np.float32), resolution)


def test_what_is_written_is_read_in_any_order_of_cells(tmp_path):
    known = latents()
    save_structured_latents(known, tmp_path / "a.npz")
    order = np.random.default_rng(1).permutation(20)
    np.savez(tmp_path / "b.npz", coords=known.coords[order].astype(np.int32), feats=known.features[order])
    for name in ("a.npz", "b.npz"):
        found = read_structured_latents(tmp_path / name)
        np.testing.assert_array_equal(found.coords, known.coords)
        np.testing.assert_array_equal(found.features, known.features)
        assert (found.coords.dtype, found.features.dtype, found.resolution) == (np.uint8, np.float32, 64)
    save_structured_latents(known, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()


def changed(**arrays):
    known = latents(4)
    return {"coords": known.coords.astype(np.int64), "feats": known.features} | arrays


NAN = np.where(np.arange(32).reshape(4, 8) == 7, np.nan, 1.0)
SAME = np.array([[1, 2, 3], [1, 2, 3], [0, 0, 0], [1, 2, 3]])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"feats": np.zeros((4, 8), np.float32)}, "has no array coords; expected coords and feats"),
        ({"coords": SAME}, "has no array feats; expected coords and feats"),
        (
            changed(feats=np.zeros((4, 7))),
            "feats: float64 of shape [4, 7]; expected numbers (4, 8)",
        ),
        (changed(feats=np.zeros((4, 8), int)), "feats: int64 of shape [4, 8]; expected numbers (4, 8)"),
        (changed(feats=np.zeros((5, 8))), "feats: float64 of shape [5, 8]; expected numbers (4, 8)"),
        (changed(coords=np.zeros((4, 4), int)), "coords: int64 of shape [4, 4]; expected whole numbers (cells, 3)"),
        (changed(coords=np.zeros((4, 3))), "coords: float64 of shape [4, 3]; expected whole numbers (cells, 3)"),
        (
            {"coords": np.zeros((0, 3), int), "feats": np.zeros((0, 8))},
            "coords: has no cells; expected at least 1",
        ),
        (changed(coords=np.full((4, 3), 64)), "coords: 64 is out of range; expected 0 to 63"),
        (changed(coords=-np.eye(4, 3, dtype=int)), "coords: -1 is out of range; expected 0 to 63"),
        (changed(feats=NAN), "feats: has a number that is not finite; expected finite numbers"),
        (changed(feats=np.full((4, 8), 1e39)), "feats: has a number that is not finite; expected finite numbers"),
        (changed(coords=SAME), "coords: 2 cells are given twice; expected each once"),
    ],
)
def test_arrays_that_do_not_do_are_refused_in_words(arrays, message, tmp_path):
    path = tmp_path / "object.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError) as caught:
        read_structured_latents(path)
    assert str(caught.value) == f"{path}: {message}"


def test_files_that_are_no_archives_are_refused_in_words(tmp_path):
    path = tmp_path / "object.npz"
    torn = f"{path}: is no .npz of arrays, or is truncated; expected coords and feats"
    save_structured_latents(latents(3000), path)
    whole = path.read_bytes()
    # A byte within the numbers: the archive's list is whole, but what it lists is not.
    spoilt = whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:]
    for content in (b"", b"hello", whole[: len(whole) // 2], spoilt):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_structured_latents(path)
        assert str(caught.value) == torn
    np.savez(path, coords=np.array([{"a": 1}], dtype=object), feats=np.zeros((1, 8)))
    with pytest.raises(InputError) as caught:
        read_structured_latents(path)
    assert str(caught.value) == torn
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(InputError) as caught:
        read_structured_latents(path)
    assert str(caught.value) == f"{path}: has no array coords; expected coords and feats"
    with pytest.raises(InputError) as caught:
        read_structured_latents(tmp_path / "none.npz")
    assert str(caught.value) == f"{tmp_path / 'none.npz'}: no such file; check the path"


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    with pytest.raises(InputError) as caught:
        LatentFolder(tmp_path)
    assert str(caught.value) == f"{tmp_path}: holds no .npz; expected files of structured latents"
    for seed, name in enumerate(("b", "deep/a", "c")):
        save_structured_latents(latents(seed=seed, resolution=16), tmp_path / f"{name}.npz")
    folder = LatentFolder(tmp_path, resolution=16)
    assert len(folder) == 3
    for index, seed in enumerate((0, 2, 1)):
        np.testing.assert_array_equal(folder.voxels(index).features, latents(seed=seed, resolution=16).features)
    assert folder.voxels(0).resolution == 16
    assert len(folder.distances(0).points) == 0
