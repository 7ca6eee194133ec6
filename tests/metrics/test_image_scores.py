import math

import numpy as np
import pytest
from PIL import Image
from tests.oracles import image_scores as oracle

from trilingua.core.errors import InputError
from trilingua.metrics.image import MAX_PSNR, compute_psnr, score_color, score_gray, score_images

LUMA = np.array([0.2125, 0.7154, 0.0721])


def picture(seed, height=20, width=24):
    """Draw a soft picture: coarse noise made larger."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def test_gray_equals_the_formulas():
    generated, truth = picture(0), picture(1)
    gray, true = generated / 255 @ LUMA, truth / 255 @ LUMA
    scores = score_gray(generated, truth)
    mean_squared_error = ((gray - true) ** 2).mean()
    assert scores["ssim"] == pytest.approx(oracle.ssim(true, gray, gray.max() - gray.min()), abs=1e-5)
    assert scores["l2"] == pytest.approx(mean_squared_error, rel=1e-5)
    assert scores["psnr"] == pytest.approx(10 * math.log10(1 / mean_squared_error), rel=1e-5)


def test_color_equals_the_formulas():
    generated, truth = picture(0), picture(1)
    scores = score_color(generated, truth)
    channels = [oracle.ssim(truth[..., c] / 255, generated[..., c] / 255, 1.0) for c in range(3)]
    assert scores["ssim_color"] == pytest.approx(np.mean(channels), abs=1e-10)
    assert scores["l2_color"] == pytest.approx(((generated / 255 - truth / 255) ** 2).mean(), rel=1e-12)


def test_a_pair_is_scored_as_the_published_script_scores_it():
    """Figures that the script itself printed for this pair, at SSIM's single precision."""
    truth, generated = picture(2, 60, 80), picture(2, 32, 32)
    noise = np.random.default_rng(0).integers(-9, 10, generated.shape)
    generated = (generated.astype(np.int64) + noise).clip(0, 255).astype(np.uint8)
    scores = score_gray(generated, truth)
    assert scores["ssim"] == pytest.approx(0.9605875, abs=1e-6)
    assert scores["l2"] == pytest.approx(0.00026925672, rel=1e-6)


def test_the_truth_takes_the_generated_size_even_if_neither_is_square():
    scores = score_images([picture(3, 30, 44)], [picture(3, 60, 88)])
    assert scores["ssim"] > 0.9
    assert scores["num_images"] == 1


def test_equal_pictures_are_perfect_and_a_wrong_hue_shows_in_colour_alone():
    scores = score_images([picture(0)], [picture(0)])
    assert scores["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert scores["ssim_color"] == 1.0
    assert scores["l2"] == pytest.approx(0.0, abs=1e-12)
    assert (scores["l2_color"], scores["psnr_color"]) == (0.0, MAX_PSNR)
    red, green = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 202
    green[..., 1] = 60  # as bright as that red
    scores = score_images([red], [green])
    assert scores["l2"] < 1e-6
    assert scores["l2_color"] > 0.2


def test_means_are_over_pictures():
    first, second = (score_images([picture(a)], [picture(b)]) for a, b in ((0, 1), (2, 3)))
    both = score_images([picture(0), picture(2)], [picture(1), picture(3)])
    for name in ("ssim", "l2", "psnr", "ssim_color", "l2_color", "psnr_color"):
        assert both[name] == pytest.approx((first[name] + second[name]) / 2)


def test_a_picture_of_one_value_has_finite_scores():
    flat = np.full((16, 16, 3), 90, np.uint8)
    assert score_images([flat], [flat])["ssim"] == pytest.approx(1.0, abs=1e-6)
    assert all(math.isfinite(value) for value in score_images([flat], [picture(0)]).values())


def test_paths_pictures_and_arrays_score_alike(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    by_path = score_images([tmp_path / "a.png"], [picture(1)])
    assert (
        by_path == score_images([Image.fromarray(picture(0))], [picture(1)]) == score_images([picture(0)], [picture(1)])
    )


def test_psnr():
    assert compute_psnr(0.01) == pytest.approx(20.0)
    assert compute_psnr(1.0) == 0.0
    assert compute_psnr(0.0) == compute_psnr(1e-30) == MAX_PSNR


def test_bad_arguments_are_refused_in_words(tmp_path):
    for generated, truth, text in (
        ([], [], "images: 0 generated and 0 true ones; expected as many of each, at least one"),
        ([picture(0)], [], "images: 1 generated and 0 true ones; expected as many of each, at least one"),
        ([picture(0, 6, 9)], [picture(0)], "image: 9 x 6 pixels; SSIM needs at least 7 x 7"),
        ([tmp_path / "no.png"], [picture(0)], f"{tmp_path / 'no.png'}: no such file; check the path"),
    ):
        with pytest.raises(InputError) as caught:
            score_images(generated, truth)
        assert str(caught.value) == text
