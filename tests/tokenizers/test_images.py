"""The image tokenizer: painting against a slow oracle, codes, ranges, and the names under which it is saved."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image

from trilingua.core.errors import ConfigError
from trilingua.tokenizers.images import (
    ImageTokenizer,
    ImageTokenizerConfig,
    image_to_pixels,
    pixels_to_image,
    seen_cells,
)

CONFIG = ImageTokenizerConfig(
    image_size=24, patch_size=8, patch_overlap=3, num_codes=20, code_dim=6, dim=64, encoder_layers=1, decoder_layers=1
)


@pytest.fixture
def images() -> ImageTokenizer:
    torch.manual_seed(0)
    images = ImageTokenizer(CONFIG).eval()
    torch.nn.init.normal_(images.to_pixels.weight, std=0.3)
    return images


def paint(patches, size, patch, overlap):
    """Add each patch where it lies, over its neighbours' edges; what lies outside is lost."""
    painted = patch + 2 * overlap
    canvas = torch.zeros(3, size + 2 * overlap, size + 2 * overlap)
    for index, patch_pixels in enumerate(patches):
        row, column = divmod(index, size // patch)
        for y in range(painted):
            for x in range(painted):
                canvas[:, row * patch + y, column * patch + x] += patch_pixels.reshape(3, painted, painted)[:, y, x]
    return canvas[:, overlap : overlap + size, overlap : overlap + size]


@torch.no_grad()
def test_overlapping_patches_are_painted_as_an_oracle_paints_them(images):
    pictures, features = images.decode(torch.randn(2, 9, 6))
    expected = torch.stack([paint(patches, 24, 8, 3) for patches in images.to_pixels(features)])
    torch.testing.assert_close(pictures, expected * 0.5 + 0.5, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_tokens_are_the_codes_of_the_forward_pass_and_paint_its_picture(images):
    pictures = torch.rand(2, 3, 24, 24)
    made = images(pictures)
    codes = images.tokenize(pictures)
    assert codes.shape == (2, CONFIG.tokens_per_image) == (2, 9)
    drawn = [pixels_to_image(picture) for picture in pictures]
    assert torch.equal(images.tokenize_pictures(iter(drawn), batch_size=1), images.see_pictures(drawn).codes)
    assert torch.equal(codes, made.quantized.codes)
    assert 0 <= int(codes.min()) <= int(codes.max()) < CONFIG.num_codes
    painted = images.detokenize(codes)
    torch.testing.assert_close(painted, made.images.clamp(0, 1), rtol=1e-4, atol=1e-5)
    assert 0 <= float(painted.min()) <= float(painted.max()) <= 1
    assert not torch.equal(painted, made.images)  # something was there to clip


def test_only_training_changes_what_it_knows(images):
    before = {name: value.clone() for name, value in images.state_dict().items()}
    codes = images.tokenize(torch.rand(2, 3, 24, 24))
    images.detokenize(codes)
    images(torch.rand(2, 3, 24, 24))
    assert all(torch.equal(value, before[name]) for name, value in images.state_dict().items())
    images.train()(torch.rand(2, 3, 24, 24))
    changed = {name for name, value in images.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith(("spread.", "quantizer."))}


@torch.no_grad()
def test_latents_are_standardised_over_the_batch_in_training(images):
    images.train()
    kept = []
    images.spread.register_forward_hook(lambda *call: kept.append(call[2]))
    latents = images.encode(torch.rand(8, 3, 24, 24))
    torch.testing.assert_close(latents.norm(dim=-1), torch.ones(8, 9))
    spread = kept[0].transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(spread.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(spread.std(0, correction=0), torch.ones(6), atol=1e-2, rtol=0)
    torch.testing.assert_close(latents.flatten(0, 1), spread / spread.norm(dim=-1, keepdim=True))


def test_a_picture_is_squashed_and_bytes_come_back():
    array = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    pixels = image_to_pixels(Image.fromarray(array), 24)
    assert np.array_equal(pixels, array.transpose(2, 0, 1))
    assert np.array_equal(np.asarray(pixels_to_image(torch.from_numpy(pixels).float() / 255)), array)
    halves = np.zeros((240, 320, 3), dtype=np.uint8)
    halves[:, 160:] = 255
    squashed = image_to_pixels(Image.fromarray(halves), 32)
    assert (squashed[:, :, :13] == 0).all()
    assert (squashed[:, :, 19:] == 255).all()


@torch.no_grad()
def test_what_is_seen_are_latents_or_what_an_eye_makes_of_them(images):
    """A new eye begins as the painter, and goes on or grows where there was one; codes and pictures stay."""
    torch.nn.init.normal_(images.decoder.blocks[0].down.weight, std=0.1)
    pictures = torch.rand(2, 3, 24, 24)
    latents, shown, codes, places, cameras = images.see(pictures)
    assert places.isnan().all()
    assert cameras.isnan().all()
    assert shown.all()
    assert torch.equal(latents, images.encode(pictures))
    assert images(pictures).seen is None
    config = dataclasses.replace(images.config, eye_layers=1)
    other = ImageTokenizer(config).eval()
    other.begin_with(images)
    seen, _, again, places, cameras = other.see(pictures)
    assert places.isnan().all()
    assert cameras.isnan().all()
    assert torch.equal(again, codes)
    assert torch.equal(other.tokenize(pictures), codes)
    assert torch.equal(seen, images.decode(latents)[1])
    assert (images.config.seen_dim, config.seen_dim) == (latents.shape[-1], seen.shape[-1]) == (6, 64)
    assert images.digest != other.digest
    torch.nn.init.normal_(other.eye.blocks[0].down.weight, std=0.2)
    assert not torch.allclose(other.see(pictures).vectors, seen)
    assert torch.equal(other(pictures).seen, other.see(pictures).vectors)
    for layers in (1, 3, 0):
        third = ImageTokenizer(dataclasses.replace(config, eye_layers=layers)).eval()
        third.begin_with(other)
        assert torch.equal(third.detokenize(codes), images.detokenize(codes))
        assert torch.equal(third.see(pictures).vectors, other.see(pictures).vectors if layers else latents)


@torch.no_grad()
def test_a_cell_is_given_if_the_eye_thinks_it_possible_that_it_shows_an_object(images):
    torch.manual_seed(1)
    tokenizer = ImageTokenizer(dataclasses.replace(images.config, eye_layers=1)).eval()
    torch.nn.init.normal_(tokenizer.eye_shows.weight)
    pictures = torch.rand(2, 3, 24, 24)
    # So that half of the cells have odds of less than one to nine.
    tokenizer.eye_shows.bias -= tokenizer.eye_shows(tokenizer.see(pictures).vectors).quantile(0.5) + math.log(9)
    seen = tokenizer.see(pictures)
    given = seen_cells(seen)
    for picture, (cells, vectors) in enumerate(given):
        odds = [(tokenizer.eye_shows(vector).item(), cell) for cell, vector in enumerate(seen.vectors[picture])]
        assert cells == tuple(cell for logit, cell in odds if 1 / (1 + math.exp(-logit)) > 0.1)
        assert torch.equal(vectors, seen.vectors[picture, list(cells)])
    assert 0 < sum(len(cells) for cells, _ in given) < 18


@torch.no_grad()
def test_an_eye_may_look_through_windows_too(images):
    """New windows show nothing; those that have learned are taken over, and reach pixels that latents lost."""
    pictures = torch.rand(2, 3, 24, 24)
    config = dataclasses.replace(images.config, eye_layers=1)
    plain = ImageTokenizer(config).eval()
    other = ImageTokenizer(dataclasses.replace(config, eye_window_width=4)).eval()
    for tokenizer in (plain, other):
        tokenizer.begin_with(images)
    assert torch.equal(other.see(pictures).vectors, plain.see(pictures).vectors)
    torch.nn.init.normal_(other.eye_windows.patch.weight)
    torch.nn.init.zeros_(other.to_code.weight)  # from here on all latents are alike
    one, two = other.see(pictures).vectors
    assert (one - two).abs().max() > 0.1
    third = ImageTokenizer(other.config).eval()
    third.begin_with(other)
    assert torch.equal(third.see(pictures).vectors, other.see(pictures).vectors)
    assert torch.equal(third(pictures).seen, other.see(pictures).vectors)
    plain.begin_with(other)
    assert torch.equal(plain.see(pictures).vectors[0], plain.see(pictures).vectors[1])


@torch.no_grad()
def test_an_eye_may_find_places_by_sighting(images):
    """New sighting changes nothing until it was taught; what has learned is taken over; the eye itself stays."""
    pictures = torch.rand(2, 3, 24, 24)
    config = dataclasses.replace(images.config, eye_layers=1)
    plain = ImageTokenizer(config).eval()
    other = ImageTokenizer(dataclasses.replace(config, eye_light_modes=2, focal_length=1.2)).eval()
    plain.begin_with(images)
    torch.nn.init.normal_(plain.eye_shows.weight)
    plain.eye_shows.bias -= plain.eye_shows(plain.see(pictures).vectors).median()
    other.begin_with(plain)
    seen = plain.see(pictures)
    for one, two in zip(other.see(pictures), seen, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
    assert seen.places.isnan().all()
    reader = other.eye_sighting.camera
    reader.begin(reader.light(torch.rand(6, 3, 24, 24)), torch.tensor([7.5, -6.5, 5.3]) + torch.rand(6, 3))
    sighted = other.see(pictures)
    latents = other.encode(pictures)
    shown = other.eye_shows(seen.vectors)[..., 0].sigmoid()
    vectors, places, cameras = other.eye_sighting(seen.vectors, shown, pictures)
    assert torch.equal(sighted.vectors, vectors)
    assert torch.equal(sighted.cameras, cameras)
    believed = shown > 0.5
    assert 0 < believed.sum() < believed.numel()
    assert torch.equal(sighted.places[believed], places[believed])
    assert sighted.places[~believed].isnan().all()
    assert not torch.allclose(sighted.vectors, seen.vectors)
    assert torch.equal(sighted.shown, seen.shown)
    assert torch.equal(sighted.codes, seen.codes)
    assert torch.equal(other.look(pictures, latents).vectors, sighted.vectors)
    assert torch.equal(other.glance(pictures, latents), seen.vectors)
    assert torch.equal(other(pictures).seen, seen.vectors)
    third = ImageTokenizer(other.config).eval()
    third.begin_with(other)
    assert torch.equal(third.see(pictures).vectors, sighted.vectors)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"eye_window_width": 4},
            "eye_window_width: 4, but eye_layers is 0; give the eye layers, or set it to 0",
        ),
        (
            {"eye_window_width": 4, "eye_layers": 1, "image_size": 36, "patch_size": 12},
            "patch_size: 12; expected a multiple of 8, since the eye has windows",
        ),
        ({"eye_window_width": -1}, "eye_window_width: -1; expected at least 0"),
        (
            {"eye_light_modes": 4},
            "eye_light_modes: 4, but eye_layers is 0; give the eye layers, or set it to 0",
        ),
        (
            {"eye_light_modes": 4, "eye_layers": 1, "image_size": 27, "patch_size": 9},
            "patch_size: 9; expected a multiple of 2, since the eye reads shading",
        ),
        ({"focal_length": 0.0}, "focal_length: 0.0; expected more than 0"),
        ({"aspect": float("nan")}, "aspect: nan; expected more than 0"),
    ],
)
def test_eyes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(ConfigError) as error:
        dataclasses.replace(CONFIG, **sizes)
    assert str(error.value) == message


def test_weights_of_another_tokenizer_are_refused_by_what_differs(images):
    deep = ImageTokenizer(dataclasses.replace(CONFIG, decoder_layers=2))
    for other, sizes, name in ((images, {"encoder_layers": 2}, "encoder"), (deep, {}, "decoder")):
        with pytest.raises(ConfigError) as error:
            ImageTokenizer(dataclasses.replace(CONFIG, eye_layers=1, **sizes)).begin_with(other)
        there, here = getattr(other.config, f"{name}_layers"), 2 if sizes else 1
        assert str(error.value) == f"images.{name}_layers: is {here}, but the run to start from has {there}; set it so"


@torch.no_grad()
def test_a_painter_that_grows_paints_as_before_and_codes_keep_their_meaning(images):
    codes = torch.randint(0, CONFIG.num_codes, (2, CONFIG.tokens_per_image))
    deep = ImageTokenizer(dataclasses.replace(CONFIG, decoder_layers=3)).eval()
    deep.begin_with(images)
    assert torch.equal(deep.detokenize(codes), images.detokenize(codes))
    assert deep.digest == images.digest
    torch.nn.init.normal_(deep.decoder.blocks[2].down.weight, std=0.1)
    assert not torch.allclose(deep.detokenize(codes), images.detokenize(codes))
    assert deep.digest == images.digest


def test_pixels_out_of_range_are_clipped():
    pixels = torch.tensor([-0.5, 0.5, 1.5])[:, None, None].expand(3, 1, 1)
    assert np.asarray(pixels_to_image(pixels)).tolist() == [[[0, 128, 255]]]


def test_gradients_reach_the_encoder_through_the_codes(images):
    made = images(torch.rand(2, 3, 24, 24))
    made.images.square().mean().backward()
    assert images.encoder.input.weight.grad.abs().sum() > 0


def test_the_names_under_which_weights_are_saved(images):
    """Run directories that exist hold these names; a change of them needs a way to read the old ones."""
    block = (
        "attention_norm.weight attention_norm.bias qkv.weight qkv.bias out.weight out.bias "
        "mlp_norm.weight mlp_norm.bias up.weight up.bias down.weight down.bias"
    )
    expected = {"to_code.weight", "to_code.bias", "to_pixels.weight", "to_pixels.bias"}
    expected |= {"quantizer.codebook", "quantizer.counts"}
    expected |= {"spread.running_mean", "spread.running_var", "spread.num_batches_tracked"}
    for half in ("encoder", "decoder"):
        expected |= {
            f"{half}.{name}" for name in ("position", "input.weight", "input.bias", "norm.weight", "norm.bias")
        }
        expected |= {f"{half}.blocks.0.{name}" for name in block.split()}
    assert set(images.state_dict()) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_codes": 0}, "num_codes: 0; expected at least 1"),
        ({"image_size": 250}, "image_size: 250; expected a multiple of patch_size 16"),
        ({"patch_overlap": -1}, "patch_overlap: -1; expected at least 0"),
        ({"num_codes": 70_000}, "num_codes: 70000; expected at most 65536, since shards store 16 bits"),
        ({"dim": 100}, "dim: 100; expected a multiple of 64, the width of a head"),
    ],
)
def test_impossible_sizes_are_refused(fields, message):
    with pytest.raises(ConfigError) as error:
        dataclasses.replace(ImageTokenizerConfig(), **fields)
    assert str(error.value) == message
