"""A data directory to shards: interruptions, several processes, and shards that do not mix."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.random import make_generator
from trilingua.data import tokenize_folder as module
from trilingua.data.augment import AugmentConfig, augment, shift_offsets
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.shards import Shards
from trilingua.data.tokenize_folder import tokenize_folder
from trilingua.systems.kyvo.build import Tokenizers
from trilingua.systems.kyvo.train import shard_tools, tools_of


def tokenize(
    data: Path,
    out: Path,
    tokenizers: Tokenizers,
    *,
    scenes_per_shard: int = 4,
    augmentation: AugmentConfig | None = None,
) -> int:
    return tokenize_folder(
        ClevrFolder(data),
        out,
        make_tools=lambda: tools_of(tokenizers),
        augmentation=augmentation,
        scenes_per_shard=scenes_per_shard,
        batch_size=3,
    )


def assert_same_shards(folder: Path, expected: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {path.name for path in expected.iterdir()}
    for path in expected.glob("*.json"):
        assert (folder / path.name).read_bytes() == path.read_bytes()
    for path in expected.glob("*.safetensors"):
        arrays, wanted = load_file(folder / path.name), load_file(path)
        assert set(arrays) == set(wanted)
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, wanted[name])


def test_an_interrupted_call_goes_on_where_it_stopped(
    tiny_data: Path, tiny_shards: Path, tiny_tokenizers: Tokenizers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (tmp_path / f"shard_{start:08d}.safetensors" for start in (0, 4))
    make_shard = module._make_shard

    def stop_at_the_second(start: int) -> None:
        if start:
            raise KeyboardInterrupt
        make_shard(start)

    monkeypatch.setattr(module, "_make_shard", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        tokenize(tiny_data, tmp_path, tiny_tokenizers)
    assert first.exists()
    assert not second.exists()
    with pytest.raises(InputError) as caught:
        Shards(tmp_path, tiny_tokenizers.vocabulary)
    assert str(caught.value) == f"{tmp_path}: holds 4 of 6 scenes; finish it with the same `trilingua tokenize`"
    written = first.stat().st_mtime_ns
    made: list[int] = []
    monkeypatch.setattr(module, "_make_shard", lambda start: (made.append(start), make_shard(start))[1])
    assert tokenize(tiny_data, tmp_path, tiny_tokenizers) == 6
    assert made == [4]  # the scenes of the first shard were not read again
    assert first.stat().st_mtime_ns == written
    assert_same_shards(tmp_path, tiny_shards)


def test_what_data_have_grown_by_is_added(
    tiny_data: Path, tiny_shards: Path, tiny_tokenizers: Tokenizers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short shard at the end is made anew, full ones are kept; data that shrank are refused."""
    young, out = shutil.copytree(tiny_data, tmp_path / "young"), tmp_path / "shards"
    for path in ClevrFolder(tiny_data).scene_path(5), ClevrFolder(tiny_data).scene_path(4):
        (young / "scenes" / path.name).unlink()
    assert tokenize(young, out, tiny_tokenizers, scenes_per_shard=3) == 4
    kept = (out / "shard_00000000.safetensors").stat().st_mtime_ns
    assert tokenize(tiny_data, out, tiny_tokenizers, scenes_per_shard=3) == 6
    assert (out / "shard_00000000.safetensors").stat().st_mtime_ns == kept
    found, wanted = (Shards(path, tiny_tokenizers.vocabulary) for path in (out, tiny_shards))
    assert len(found) == len(wanted) == 6
    for index in range(6):
        assert found[index].scene == wanted[index].scene
        np.testing.assert_array_equal(found[index].image, wanted[index].image)
    with pytest.raises(InputError) as caught:
        tokenize(young, out, tiny_tokenizers, scenes_per_shard=3)
    assert str(caught.value) == f"{out}: was begun with num_scenes 6, not 4; keep it or choose another --out"


def test_several_processes_write_the_same_shards(tiny_data: Path, tiny_tokenizers_run: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        count = tokenize_folder(
            ClevrFolder(tiny_data),
            tmp_path / str(number),
            make_tools=partial(shard_tools, tiny_tokenizers_run),
            scenes_per_shard=2,
            num_workers=number,
        )
        assert count == 6
    assert len(list((tmp_path / "1").iterdir())) == 5
    assert_same_shards(tmp_path / "2", tmp_path / "1")


def test_given_pictures_are_seen_as_changed_and_written_as_they_are(
    tiny_data: Path, tiny_shards: Path, tiny_tokenizers: Tokenizers, tmp_path: Path
) -> None:
    config = AugmentConfig(share=0.5, crop=0.05)
    tokenize(tiny_data, tmp_path, tiny_tokenizers, augmentation=config)
    plain, given = (Shards(folder, tiny_tokenizers.vocabulary) for folder in (tiny_shards, tmp_path))
    folder, changed = ClevrFolder(tiny_data), 0
    for position in range(len(folder)):
        image = np.asarray(folder.image(folder.scene(position).image_filename))
        expected = augment(image, config, make_generator(0, "augment", position))
        seen = tiny_tokenizers.images.see_pictures([Image.fromarray(expected.image)])
        was, now = plain[position], given[position]
        np.testing.assert_allclose(now.vectors, seen.vectors[seen.shown], rtol=0, atol=1e-3)
        np.testing.assert_array_equal(now.image, was.image)
        np.testing.assert_array_equal(now.cell_classes, was.cell_classes)
        shifted = shift_offsets(was.cell_values.astype(np.float32), expected.crop, 4)
        np.testing.assert_allclose(now.cell_values, shifted, rtol=0, atol=4e-3)
        changed += (expected.image != image).any()
    assert 0 < changed < len(folder)


def test_shards_of_two_kinds_do_not_mix(
    tiny_data: Path, tiny_shards: Path, tiny_tokenizers: Tokenizers, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    shutil.copytree(tiny_shards, out)
    with pytest.raises(InputError) as caught:
        tokenize(tiny_data, out, tiny_tokenizers, scenes_per_shard=5)
    assert str(caught.value) == f"{out}: was begun with scenes_per_shard 4, not 5; keep it or choose another --out"
    before = tiny_tokenizers.images.digest
    weight = next(tiny_tokenizers.images.parameters())
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.view(-1)[0] += 1
        with pytest.raises(InputError, match="was begun with images") as caught:
            tokenize(tiny_data, out, tiny_tokenizers)
        assert before in str(caught.value)
        assert tiny_tokenizers.images.digest in str(caught.value)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    assert tiny_tokenizers.images.digest == before
    assert tokenize(tiny_data, out, tiny_tokenizers) == 6


def test_shards_of_other_data_do_not_mix(
    tiny_data: Path, tiny_shards: Path, tiny_tokenizers: Tokenizers, tmp_path: Path
) -> None:
    out, other = shutil.copytree(tiny_shards, tmp_path / "shards"), shutil.copytree(tiny_data, tmp_path / "other")
    questions = other / f"{ClevrFolder(other).name}_questions.json"
    questions.write_text(questions.read_text().replace("?", " now?"))
    with pytest.raises(InputError, match="was begun with data"):
        tokenize(other, out, tiny_tokenizers)
    settings = json.loads((out / "settings.json").read_text())
    assert settings.pop("data")
    (out / "settings.json").write_text(json.dumps(settings))  # as earlier versions wrote it
    assert tokenize(tiny_data, out, tiny_tokenizers) == 6


def test_an_error_names_the_scene(tiny_data: Path, tiny_tokenizers: Tokenizers, tmp_path: Path) -> None:
    data = shutil.copytree(tiny_data, tmp_path / "data")
    path = ClevrFolder(data).scene_path(3)
    whole = json.loads(path.read_text())
    for changes, message in (
        (
            {"view": {}},
            "{}: scene: view: expected the field camera and, where known, key_light, back_light, fill_light; got none",
        ),
        ({"objects": whole["objects"] * 11, "relationships": {}}, "{}: scene: has"),
        ({"image_filename": None}, f"{data}: image_filename None is not a plain file name"),
    ):
        path.write_text(json.dumps({**whole, **changes}))
        with pytest.raises(InputError) as caught:
            tokenize(data, tmp_path / "out", tiny_tokenizers)
        assert str(caught.value).startswith(message.format(path))


@pytest.mark.parametrize("name", ["num_workers", "scenes_per_shard", "batch_size"])
def test_numbers_below_one_are_refused(name: str, tiny_data: Path, tiny_tokenizers: Tokenizers, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        tokenize_folder(
            ClevrFolder(tiny_data), tmp_path / "out", make_tools=lambda: tools_of(tiny_tokenizers), **{name: 0}
        )
    assert str(caught.value) == f"{name}: 0 is not allowed; give a whole number of at least 1"
    assert not (tmp_path / "out").exists()


def test_shards_hold_no_pixels(tiny_shards: Path) -> None:
    arrays = load_file(tiny_shards / "shard_00000000.safetensors")
    assert arrays["image"].dtype == np.uint16
    assert arrays["image"].shape == (4, 16)
