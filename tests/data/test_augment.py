"""Changed pictures: each change alone against what it should do, places after a crop, and nothing left to chance."""

import dataclasses

import numpy as np
import pytest
from jaxtyping import UInt8
from scipy.ndimage import center_of_mass

from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator
from trilingua.data.augment import AugmentConfig, Crop, augment, shift_offsets

NOTHING = AugmentConfig(share=1.0, exposure=0.0, white_balance=0.0, shading=0.0, noise=0.0, blur=0.0, crop=0.0)


def picture(*, height: int = 24, width: int = 32) -> UInt8[np.ndarray, "height width 3"]:
    return make_generator(0, "picture").integers(0, 256, (height, width, 3), dtype=np.uint8)


def changed(image: np.ndarray, number: int = 0, **amounts: float) -> np.ndarray:
    """Return the picture with one kind of change."""
    return augment(image, dataclasses.replace(NOTHING, **amounts), make_generator(number, "test")).image


def test_amounts_of_nothing_change_nothing() -> None:
    image = picture()
    made = augment(image, NOTHING, make_generator(0, "test"))
    np.testing.assert_array_equal(made.image, image)
    np.testing.assert_array_equal(made.plain, image)
    assert made.crop == Crop(0.0, 0.0, 1.0, 1.0)
    assert augment(image, AugmentConfig(), make_generator(0, "test")).image is image


def test_a_share_of_the_pictures_is_changed() -> None:
    config, image = AugmentConfig(share=0.3), picture()
    untouched = sum(augment(image, config, make_generator(number, "test")).image is image for number in range(300))
    assert 180 < untouched < 240


def test_exposure_is_a_factor_on_linear_light() -> None:
    gray = np.full((8, 8, 3), 100, np.uint8)
    light = ((100 / 255 + 0.055) / 1.055) ** 2.4
    codes = {int(changed(gray, number, exposure=1.0)[0, 0, 0]) for number in range(40)}
    for stops, code in ((-1, min(codes)), (1, max(codes))):
        limit = 255 * (1.055 * (light * 2.0**stops) ** (1 / 2.4) - 0.055)
        assert abs(code - limit) < 8
        assert (code - limit) * stops <= 0.5
    assert all(
        (changed(gray, number, exposure=1.0) == changed(gray, number, exposure=1.0)[0, 0, 0]).all() for number in (1, 2)
    )


def test_white_balance_leaves_green_alone() -> None:
    image = picture()
    made = [changed(image, number, white_balance=0.5) for number in range(8)]
    for other in made:
        np.testing.assert_array_equal(other[..., 1], image[..., 1])
    signs = {
        (
            np.sign(int(other[..., 0].sum()) - int(image[..., 0].sum())),
            np.sign(int(other[..., 2].sum()) - int(image[..., 2].sum())),
        )
        for other in made
    }
    assert len(signs) > 2  # red and blue go their own ways


def test_shading_is_a_smooth_change_of_exposure() -> None:
    gray = np.full((120, 160, 3), 128, np.uint8)
    spreads = []
    for number in range(30):
        made = changed(gray, number, shading=0.3)
        assert (made == made[..., :1]).all()
        codes = made[..., 0].astype(float)
        assert max(np.abs(np.diff(codes, axis=0)).max(), np.abs(np.diff(codes, axis=1)).max()) < 6
        light = ((codes / 255 + 0.055) / 1.055) ** 2.4
        spreads.append(np.log2(light).std())
    assert min(spreads) < 0.03
    assert 0.15 < max(spreads) < 0.3  # less than what was drawn, which is smoothed


def test_noise_has_the_deviation_that_was_drawn() -> None:
    gray = np.full((120, 160, 3), 128, np.uint8)
    deviations = [changed(gray, number, noise=6.0).astype(float).std() for number in range(30)]
    assert 5 < max(deviations) < 6.2
    assert min(deviations) < 1
    assert abs(changed(gray, 3, noise=6.0).astype(float).mean() - 128) < 0.2


def test_blur_spreads_a_point() -> None:
    point = np.zeros((21, 21, 3), np.uint8)
    point[10, 10] = 255
    widths = []
    for number in range(20):
        made = changed(point, number, blur=2.0)[..., 0].astype(float)
        rows = np.arange(21) - 10
        widths.append(float(np.sqrt((made.sum(0) * rows**2).sum() / made.sum())))
        np.testing.assert_allclose(center_of_mass(made), (10, 10), atol=0.05)
    assert 1.5 < max(widths) < 2.0
    assert min(widths) < 0.6


def test_offsets_follow_what_is_cut_off() -> None:
    grid_size, size = 4, 64
    rows, columns = np.mgrid[:size, :size] + 0.5
    for number in range(6):
        column, row = make_generator(number, "place").uniform(20, 44, 2)
        disc = 255 * np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / 18)
        image = np.repeat(disc[..., None], 3, axis=-1).astype(np.uint8)
        made = augment(image, dataclasses.replace(NOTHING, crop=0.1), make_generator(number, "test"))
        np.testing.assert_array_equal(made.image, made.plain)
        centres = np.arange(grid_size) + 0.5
        values = np.full((grid_size**2, 4), 0.5, np.float32)
        values[:, 0] = column / size * grid_size - np.tile(centres, grid_size)
        values[:, 1] = row / size * grid_size - np.repeat(centres, grid_size)
        values[3] = np.nan
        shifted = shift_offsets(values, made.crop, grid_size)
        found_row, found_column = center_of_mass(made.image[..., 0].astype(float))
        np.testing.assert_allclose(shifted[5, 0] + 1.5, (found_column + 0.5) / size * grid_size, atol=0.03)
        np.testing.assert_allclose(shifted[5, 1] + 1.5, (found_row + 0.5) / size * grid_size, atol=0.03)
        np.testing.assert_array_equal(shifted[:, 2:], values[:, 2:])
        assert np.isnan(shifted[3]).all()


def test_the_generator_decides_all() -> None:
    image, config = picture(), AugmentConfig(share=1.0)
    one, same, other = (augment(image, config, make_generator(number, "test")).image for number in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({"share": 1.5}, "share: 1.5; expected 0 to 1"),
        ({"noise": -1.0}, "noise: -1.0; expected at least 0"),
        ({"crop": 0.5}, "crop: 0.5; expected less than 0.5, or nothing is left"),
    ],
)
def test_amounts_out_of_range_are_refused(amounts: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AugmentConfig(**amounts)
    assert str(caught.value) == message
