"""The stream of pictures: resumable, each picture once an epoch, with the cells that tokenizing would record."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trilingua.core.errors import ConfigError
from trilingua.data.augment import AugmentConfig
from trilingua.data.cells import cell_targets
from trilingua.data.clevr.files import ClevrFolder, cell_objects
from trilingua.data.clevr.views import view_of
from trilingua.data.pictures import PictureBatch, PictureStream
from trilingua.data.renderers.views import camera_for_view
from trilingua.scenes.schema import CLEVR
from trilingua.systems.kyvo.train import index_maps
from trilingua.tokenizers.images import image_to_pixels


def stream_of(
    data: Path,
    *,
    seed: int = 0,
    batch_size: int = 2,
    positions: Sequence[int] | None = None,
    augmentation: AugmentConfig | None = None,
) -> PictureStream:
    return PictureStream(
        ClevrFolder(data),
        index_map=index_maps(),
        prepare=lambda picture: image_to_pixels(picture, 32),
        batch_size=batch_size,
        grid_size=4,
        seed=seed,
        positions=positions,
        augmentation=augmentation,
    )


def assert_equal(one: PictureBatch, other: PictureBatch) -> None:
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)


def test_pictures_and_cells_are_those_of_the_folder(tiny_data: Path) -> None:
    folder, index_map = ClevrFolder(tiny_data), index_maps()
    batch = stream_of(tiny_data).batch([4, 1])
    for row, position in enumerate((4, 1)):
        scene = folder.scene(position)
        pixels = image_to_pixels(folder.image(scene.image_filename), 32)
        camera = camera_for_view(view_of(scene))
        targets = cell_targets(scene, cell_objects(index_map(scene), grid=4), camera, CLEVR)
        np.testing.assert_array_equal(batch.images[row], pixels)
        np.testing.assert_array_equal(batch.plain[row], pixels)
        np.testing.assert_array_equal(batch.classes[row], targets.classes)
        np.testing.assert_array_equal(batch.values[row], targets.values)
        np.testing.assert_array_equal(batch.heights[row], targets.heights)
        np.testing.assert_allclose(batch.cameras[row], camera.position, rtol=1e-6)


def test_a_stream_goes_on_where_another_stopped(tiny_data: Path) -> None:
    stream = stream_of(tiny_data)
    batches = [next(stream) for _ in range(7)]
    again = stream_of(tiny_data)
    for stop in (5, 0, 3):  # forwards and back, with batches made ahead each time
        again.load_state_dict({"drawn": stop})
        assert_equal(next(again), batches[stop])
        assert again.state_dict() == {"drawn": stop + 1}
        again.skip()
        if stop + 2 < 7:
            assert_equal(next(again), batches[stop + 2])
    others = [next(stream_of(tiny_data, seed=seed)).images for seed in (1, 2)]
    assert not all(torch.equal(other, batches[0].images) for other in others)


@pytest.mark.parametrize(("positions", "batch_size"), [(None, 2), ((0, 2, 3, 5), 2), ((1, 4, 5), 2)])
def test_each_picture_comes_at_most_once_an_epoch(
    tiny_data: Path, positions: Sequence[int] | None, batch_size: int
) -> None:
    stream = stream_of(tiny_data, batch_size=batch_size, positions=positions)
    used = list(range(6)) if positions is None else list(positions)
    known = {stream.batch([position]).images.numpy().tobytes(): position for position in used}
    per_epoch = len(used) // batch_size
    orders = []
    for _ in range(4):
        seen = [known[image.numpy().tobytes()] for _ in range(per_epoch) for image in next(stream).images]
        assert max(Counter(seen).values()) == 1
        assert len(seen) == per_epoch * batch_size
        orders.append(tuple(seen))
    assert len(set(orders)) > 1


@pytest.mark.parametrize("batch_size", [0, 7])
def test_batches_of_more_than_all_pictures_are_refused_in_words(tiny_data: Path, batch_size: int) -> None:
    with pytest.raises(ConfigError) as caught:
        stream_of(tiny_data, batch_size=batch_size)
    assert str(caught.value) == f"batch_size: {batch_size}; expected 1 to 6, the number of pictures"


def test_pictures_are_changed_anew_and_painted_as_they_were(tiny_data: Path) -> None:
    augmentation = AugmentConfig(share=1.0, crop=0.0)
    stream = stream_of(tiny_data, augmentation=augmentation)
    plain = stream_of(tiny_data)
    batches = [next(stream) for _ in range(6)]
    assert len({batch.images.numpy().tobytes() for batch in batches}) == 6
    for batch, whole in zip(batches, plain, strict=False):
        np.testing.assert_array_equal(batch.plain, whole.images)
        assert (batch.images != batch.plain).float().mean() > 0.5
        assert_equal(batch[2:], whole[2:])
    again = stream_of(tiny_data, augmentation=augmentation)
    again.load_state_dict({"drawn": 4})
    assert_equal(next(again), batches[4])


def test_pictures_that_memory_does_not_hold_are_read_anew(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = ([0, 1, 2], [2, 1, 0])
    whole = [stream_of(tiny_data).batch(positions) for positions in orders]
    monkeypatch.setattr("trilingua.data.pictures._MEMORY", 2 * 3 * 32 * 32)
    opened: Counter[str] = Counter()
    open_image = ClevrFolder.image

    def counted(folder: ClevrFolder, name: str) -> Image.Image:
        opened[name] += 1
        return open_image(folder, name)

    monkeypatch.setattr(ClevrFolder, "image", counted)
    short = stream_of(tiny_data)
    for positions, expected in zip(orders, whole, strict=True):
        assert_equal(short.batch(positions), expected)
    names = [str(scene.image_filename) for scene in ClevrFolder(tiny_data).scenes()]
    assert [opened[name] for name in names[:3]] == [1, 1, 2]
