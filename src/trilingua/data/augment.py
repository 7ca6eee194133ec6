"""Pictures as another camera might have taken them: exposure, white balance, shading, noise, blur, a slight crop.

A renderer's pictures are all alike in what a scene does not decide. Trained on them alone, a model reads places off the
ground's exact brightness, and a picture that is three per cent brighter misleads it; or off the way in which that
brightness fades, of which a tenth of a gray level tells where the camera stands. Knows no scenes and no tokens.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter

from trilingua.core.config import require_at_least, require_shares
from trilingua.core.errors import ConfigError
from trilingua.geometry.srgb import linear_from_srgb, srgb_from_linear


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far pictures are changed. Each amount is drawn evenly between nothing and what is given here."""

    share: float = 0.0
    """Share of the pictures that are changed at all, in [0, 1]."""
    exposure: float = 0.3
    """Largest change of exposure, darker or brighter, in stops."""
    white_balance: float = 0.1
    """Largest change of red and of blue against green, in stops."""
    shading: float = 0.01
    """Largest deviation of a change of exposure that varies smoothly across the picture, in stops; with more, what the
    ground's light tells about the camera is lost."""
    noise: float = 4.0
    """Largest deviation of the noise, in steps of 255."""
    blur: float = 0.8
    """Largest deviation of the blur, in pixels."""
    crop: float = 0.01
    """Largest part of the width or height that is cut off at each edge."""

    def __post_init__(self) -> None:
        require_shares(self, "share")
        require_at_least(self, exposure=0, white_balance=0, shading=0, noise=0, blur=0, crop=0)
        if self.crop >= 0.5:
            raise ConfigError(f"crop: {self.crop}; expected less than 0.5, or nothing is left")


class Crop(NamedTuple):
    """What is left of a picture, as shares of its width and height."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0


class Augmented(NamedTuple):
    """A changed picture beside what was not changed but cut alike."""

    image: UInt8[np.ndarray, "height width 3"]
    plain: UInt8[np.ndarray, "height width 3"]
    crop: Crop


def augment(
    image: UInt8[np.ndarray, "height width 3"], config: AugmentConfig, generator: np.random.Generator
) -> Augmented:
    """Return a picture changed at random, of the same size.

    Exposure and white balance are factors on linear light, and so, nearly, is shading; noise comes last, as a sensor
    adds it.

    Args:
        image: in sRGB.
        config: how far; a share of the pictures stays as it is.
        generator: of everything random.
    """
    if generator.random() >= config.share:
        return Augmented(image, image, Crop())
    left, top, right, bottom = generator.uniform(0, config.crop, 4)
    crop = Crop(left, top, 1 - right, 1 - bottom)
    plain = _cut(image, crop)
    stops = generator.uniform(-1, 1, 3) * (config.white_balance, 0, config.white_balance)
    stops += generator.uniform(-config.exposure, config.exposure)
    table = (255 * srgb_from_linear(_LIGHT * 2.0**stops)).astype(np.float32)
    values = np.stack([table[:, channel][plain[..., channel]] for channel in range(3)], axis=-1)
    values *= _shading(plain.shape[:2], generator.uniform(0, config.shading), generator)[..., None]
    deviation = generator.uniform(0, config.blur)
    values = gaussian_filter(values, (deviation, deviation, 0), truncate=3)
    values += generator.uniform(0, config.noise) * generator.standard_normal(values.shape, dtype=np.float32)
    return Augmented(np.clip(values + 0.5, 0, 255).astype(np.uint8), plain, crop)


def shift_offsets(
    values: Float32[np.ndarray, "cell value"], crop: Crop, grid_size: int
) -> Float32[np.ndarray, "cell value"]:
    """Return `CellTargets.values` of a picture of which `crop` was left; the cells keep what they show.

    Args:
        values: of the whole picture; the first two columns are offsets in cells.
        crop: what was left.
        grid_size: cells along one side.
    """
    columns, rows = np.tile(np.arange(grid_size) + 0.5, grid_size), np.repeat(np.arange(grid_size) + 0.5, grid_size)
    shifted = values.copy()
    for axis, (centres, low, high) in enumerate(((columns, crop.left, crop.right), (rows, crop.top, crop.bottom))):
        place = (values[:, axis] + centres) / grid_size
        shifted[:, axis] = (place - low) / (high - low) * grid_size - centres
    return shifted


def _shading(
    size: tuple[int, int], deviation: float, generator: np.random.Generator
) -> Float32[np.ndarray, "height width"]:
    """Return a smooth factor on the codes of a picture, from stops that are drawn at a few places."""
    stops = Image.fromarray(generator.normal(0, deviation, _SHADING_GRID).astype(np.float32))
    return np.exp2(np.asarray(stops.resize(size[::-1], Image.Resampling.BICUBIC)) / _GAMMA)


def _cut(image: UInt8[np.ndarray, "height width 3"], crop: Crop) -> UInt8[np.ndarray, "height width 3"]:
    height, width = image.shape[:2]
    box = (crop.left * width, crop.top * height, crop.right * width, crop.bottom * height)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, box=box))


_LIGHT = linear_from_srgb(np.arange(256)[:, None] / 255)
"""Linear light of each 8-bit sRGB code."""

_GAMMA = 2.2
"""Of the power that sRGB comes close to: what multiplies light multiplies codes by as much to one over this."""

_SHADING_GRID = (3, 4)
"""Places down and across a picture where shading is drawn."""
