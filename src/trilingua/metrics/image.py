"""How close generated pictures are to true ones: SSIM, L2 and PSNR, in gray as published and in colour.

Takes pictures of any size and source; knows nothing of who made them.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from trilingua.core.errors import InputError
from trilingua.core.io import read_image

Picture = str | Path | Image.Image | np.ndarray

WINDOW = 7
"""Side of the square over which SSIM compares, in pixels; no picture may be smaller."""

MAX_PSNR = 100.0
"""PSNR of equal pictures, in decibels: it would be infinite, which no mean and no JSON file can hold."""


def score_images(generated: Sequence[Picture], truth: Sequence[Picture]) -> dict[str, float | int]:
    """Score generated pictures against true ones, the i-th against the i-th, and return means over pictures.

    Returns:
        `ssim` (at most 1), `l2` (mean squared error of values in [0, 1]) and `psnr` (decibels, at most
        `MAX_PSNR`) of the gray pictures; `ssim_color`, `l2_color` and `psnr_color` of the colour pictures;
        `num_images`.

    Args:
        generated: pictures a model drew: paths, PIL images or arrays (height, width, 3).
        truth: the true pictures, in the same order; each is resized to its generated picture's size.

    Raises:
        InputError: no pictures, not as many generated as true ones, one that cannot be read or is too small.

    Source: Kyvo, appendix C.2.
    """
    if len(generated) != len(truth) or not truth:
        raise InputError(
            f"images: {len(generated)} generated and {len(truth)} true ones; expected as many of each, at least one"
        )
    scores = [
        {**score_gray(first, second), **score_color(first, second)}
        for first, second in zip(map(_pixels, generated), map(_pixels, truth), strict=True)
    ]
    means = {name: math.fsum(score[name] for score in scores) / len(scores) for name in scores[0]}
    return {**means, "num_images": len(scores)}


def score_gray(
    generated: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "truth_height truth_width 3"]
) -> dict[str, float]:
    """Return `ssim`, `l2` and `psnr` of one pair as published, in single precision.

    Both become gray, the true picture is resized (bicubic) to the generated one's size, and the SSIM's data
    range is the generated picture's greatest minus its least value.

    Differs: the published script resizes to (height, width) taken as (width, height), which only square pictures
    survive. A picture of a single value has range 0, for which its SSIM is not a number; ours takes range 1.

    Source: Kyvo, appendix C.2; its script `compute_ssim_l2loss.py`.
    """
    height, width = generated.shape[:2]
    gray = rgb2gray(generated)
    true_gray = Image.fromarray(rgb2gray(truth).astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    true = np.asarray(true_gray)
    span = float(gray.max() - gray.min())
    similarity = structural_similarity(true, gray, win_size=WINDOW, data_range=span if span > 0 else 1.0)
    l2 = float(np.mean((true - gray) ** 2))
    return {"ssim": float(similarity), "l2": l2, "psnr": compute_psnr(l2)}


def score_color(
    generated: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "truth_height truth_width 3"]
) -> dict[str, float]:
    """Return `ssim_color`, `l2_color` and `psnr_color` of one pair of values in [0, 1], with data range 1.

    A colour that is wrong at the same brightness shows here and not in gray. The true picture is resized
    (bicubic, in 8 bits) to the generated one's size.
    """
    height, width = generated.shape[:2]
    resized = Image.fromarray(truth).resize((width, height), Image.Resampling.BICUBIC)
    first, second = (np.asarray(picture, dtype=np.float64) / 255 for picture in (resized, generated))
    similarity = structural_similarity(first, second, win_size=WINDOW, data_range=1.0, channel_axis=2)
    l2 = float(np.mean((first - second) ** 2))
    return {"ssim_color": float(similarity), "l2_color": l2, "psnr_color": compute_psnr(l2)}


def compute_psnr(mean_squared_error: float) -> float:
    """Return `-10 log10(mean_squared_error)` of values in [0, 1], in decibels, at most `MAX_PSNR`."""
    return min(MAX_PSNR, -10 * math.log10(mean_squared_error)) if mean_squared_error > 0 else MAX_PSNR


def _pixels(picture: Picture) -> UInt8[np.ndarray, "height width 3"]:
    image = read_image(picture)
    if min(image.size) < WINDOW:
        name = picture if isinstance(picture, str | Path) else "image"
        raise InputError(f"{name}: {image.width} x {image.height} pixels; SSIM needs at least {WINDOW} x {WINDOW}")
    return np.asarray(image)
