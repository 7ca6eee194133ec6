"""Multi-scale quantization: against a slow oracle, one way for training, extraction and generation, and no collapse."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.oracles import multiscale as oracle

from trilingua.core.errors import ConfigError
from trilingua.quantize.multiscale import MultiScaleConfig, MultiScaleQuantizer, usage_per_scale
from trilingua.quantize.resampling import Interpolation
from trilingua.quantize.vq import code_usage

CONFIG = MultiScaleConfig(num_codes=24, code_dim=4)
SCALES = {
    "set": Interpolation(arrangement="set", sizes=(1, 2, 4, 6, 8), upsampling="linear"),
    "map": Interpolation(arrangement="map", sizes=(1, 2, 3, 5)),
    "triplane": Interpolation(arrangement="triplane", sizes=(1, 2, 3), full_size=4),
}
EVERYWHERE = pytest.mark.parametrize("arrangement", sorted(SCALES))


def random_latents(arrangement, batch=3, seed=0):
    shape = (batch, *SCALES[arrangement].full_grid, CONFIG.code_dim)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quantizer(arrangement, **settings):
    """A quantizer that has seen a few batches, in evaluation mode."""
    torch.manual_seed(5)
    made = MultiScaleQuantizer(SCALES[arrangement], dataclasses.replace(CONFIG, **settings))
    for refinement in made.refinements:
        torch.nn.init.normal_(refinement.convolution.weight, std=0.3)
    for step in range(4):
        made(random_latents(arrangement, seed=step))
    return made.eval()


@EVERYWHERE
@pytest.mark.parametrize("num_refinements", [0, 2])
def test_codes_and_sums_equal_the_oracles(arrangement, num_refinements):
    made = quantizer(arrangement, num_refinements=num_refinements)
    latents = random_latents(arrangement, batch=2, seed=9)
    quantized = made(latents)
    scales, resampler = made.num_scales, SCALES[arrangement]
    weights = None
    if num_refinements:
        kernels = [refinement.convolution.weight.detach().double().numpy() for refinement in made.refinements]
        weights = [kernels[0 if scale < scales / 2 else 1] for scale in range(scales)]
    planes = latents.flatten(0, 1) if arrangement == "triplane" else latents
    for row, plane in enumerate(planes.double().numpy()):
        codes, sums = oracle.quantize(
            plane,
            resampler.sizes,
            made.vq.codebook.double().numpy(),
            made.gains.double().numpy(),
            resampler.upsampling,
            weights,
            0.5,
        )
        place = divmod(row, 3) if arrangement == "triplane" else row
        for scale in range(scales):
            np.testing.assert_array_equal(quantized.codes[scale][place], codes[scale])
            np.testing.assert_allclose(quantized.sums[scale][place], sums[scale], atol=1e-5)


@EVERYWHERE
def test_codes_decode_to_the_bits_that_quantizing_gave(arrangement):
    made, latents = quantizer(arrangement), random_latents(arrangement, seed=7)
    quantized = made(latents)
    for scale in range(made.num_scales):
        assert torch.equal(made.decode(quantized.codes, upto=scale + 1), quantized.sums[scale])
        assert torch.equal(made.decode(quantized.codes[: scale + 1]), quantized.sums[scale])
    assert torch.equal(quantized.vectors, quantized.sums[-1])
    assert torch.equal(made.decode(quantized.codes), quantized.vectors)
    assert [codes.shape[1:] for codes in quantized.codes] == list(SCALES[arrangement].grids)
    assert tuple(codes[0].numel() for codes in quantized.codes) == made.codes_per_scale


@EVERYWHERE
def test_inputs_of_the_next_scale_model_are_the_resized_sums_and_equal_stepping(arrangement):
    made, latents = quantizer(arrangement), random_latents(arrangement, seed=6)
    quantized = made(latents)
    inputs = made.ar_inputs(quantized.codes)
    total, read = made.start(len(latents))
    assert not read.any()
    for scale in range(made.num_scales):
        assert inputs[scale].shape[1:-1] == SCALES[arrangement].grids[scale]
        assert torch.equal(inputs[scale], read)
        if scale:
            assert torch.equal(read, SCALES[arrangement].down(quantized.sums[scale - 1], scale))
        total, read = made.next_input(total, scale, quantized.codes[scale])
        assert torch.equal(total, quantized.sums[scale])
    assert read is None
    assert len(inputs) == made.num_scales
    assert len(made.ar_inputs(quantized.codes[:2])) == 3


@EVERYWHERE
def test_training_writes_the_codes_that_evaluation_would(arrangement):
    made, latents = quantizer(arrangement, decay=0.5, revive_below=0.0), random_latents(arrangement, seed=8)
    for buffer in (made.gain_products, made.gain_squares):
        buffer.mul_(1e6)  # gains that a step cannot move
    before = made(latents)
    after = made.train()(latents)
    assert all(torch.equal(first, second) for first, second in zip(before.codes, after.codes, strict=True))
    torch.testing.assert_close(after.vectors, before.vectors, rtol=1e-4, atol=1e-5)


@EVERYWHERE
def test_autocast_changes_no_bit(arrangement):
    made, latents = quantizer(arrangement), random_latents(arrangement, seed=8)
    plain = made(latents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = made(latents)
        decoded, inputs = made.decode(cast.codes), made.ar_inputs(cast.codes)
    assert torch.equal(plain.vectors, cast.vectors)
    assert torch.equal(plain.vectors, decoded)
    assert all(torch.equal(*pair) for pair in zip(inputs, made.ar_inputs(plain.codes), strict=True))


def test_evaluation_changes_nothing():
    made = quantizer("map", scale_dropout=1.0)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    state = torch.get_rng_state()
    quantized = made(random_latents("map", seed=3))
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert quantized.num_kept.tolist() == [4, 4, 4]


def test_a_quantizer_is_wholly_in_its_state():
    made = quantizer("map")
    torch.manual_seed(99)
    other = MultiScaleQuantizer(SCALES["map"], CONFIG).eval()
    other.load_state_dict(made.state_dict())
    assert torch.equal(made(random_latents("map")).vectors, other(random_latents("map")).vectors)


def test_the_gradient_passes_straight_through_to_the_latents():
    for made in (quantizer("map"), quantizer("map", scale_dropout=1.0).train()):
        latents = random_latents("map").requires_grad_()
        pull = torch.randn(latents.shape)
        (made(latents).vectors * pull).sum().backward()
        assert torch.equal(latents.grad, pull)
        assert all(refinement.convolution.weight.grad is None for refinement in made.refinements)


def test_the_loss_is_the_published_one_and_pulls_each_side_to_the_other():
    made = quantizer("map", commitment_weight=0.4)
    latents = random_latents("map", seed=2).requires_grad_()
    quantized = made(latents)
    errors = torch.stack([(latents - total).square().mean() for total in quantized.sums])
    torch.testing.assert_close(quantized.loss, 1.4 * errors.mean())
    quantized.loss.backward()
    expected = torch.stack([0.8 * (latents - total) / latents.numel() for total in quantized.sums]).mean(0)
    torch.testing.assert_close(latents.grad, expected.detach())
    weights = [refinement.convolution.weight for refinement in made.refinements]
    with torch.no_grad():
        for weight in weights:
            weight -= 0.5 * weight.grad
        assert made(latents).loss < quantized.loss


def test_gains_are_the_least_squares_fit_so_that_no_scale_makes_the_remainder_greater():
    torch.manual_seed(3)
    made = MultiScaleQuantizer(SCALES["map"], CONFIG)
    assert made.gains.tolist() == [1, 1, 1, 1]
    latents = 0.2 * random_latents("map", batch=8, seed=4)  # far shorter than a step of length 1
    sums = made(latents).sums
    left = [float((latents - total).square().mean()) for total in (torch.zeros_like(latents), *sums)]
    assert all(second < first for first, second in pairwise(left))
    steps = [second - first for first, second in zip((torch.zeros_like(latents), *sums), sums, strict=False)]
    for step, total in zip(steps, sums, strict=True):  # what a least-squares step leaves over is orthogonal to it
        assert float((step * (latents - total)).mean()) == pytest.approx(0, abs=1e-6)


def test_scale_dropout_gives_prefixes_and_trains_as_often_as_asked():
    made = quantizer("map", scale_dropout=0.5).train()
    latents = random_latents("map", batch=400, seed=1)
    quantized = made(latents, torch.Generator().manual_seed(1))
    for row, num_kept in enumerate(quantized.num_kept.tolist()):
        assert torch.equal(quantized.vectors[row], quantized.sums[num_kept - 1][row])
    shares = torch.bincount(quantized.num_kept, minlength=5) / 400
    np.testing.assert_allclose(shares, [0, 0.125, 0.125, 0.125, 0.625], atol=0.06)
    again = quantizer("map", scale_dropout=0.5).train()(latents, torch.Generator().manual_seed(1))
    assert torch.equal(again.num_kept, quantized.num_kept)


def structured(batch, generator):
    """Maps whose coarse parts share a component and a subspace that their fine parts never enter."""
    total = 0.0
    for size in (1, 2, 4, 8):
        part = torch.randn(batch, 8, size, size, generator=generator)
        part[:, slice(4, 8) if size > 2 else slice(0, 4)] = 0
        part[:, 0] += 4 if size == 1 else 0
        total = total + F.interpolate(part, (8, 8))
    return total.movedim(1, -1) / 2


class Unweighted(MultiScaleQuantizer):
    """Each code of each scale counts once, as in a flat list of vectors."""

    def _follow(self, wanted, codes):
        inputs = torch.cat([inputs.flatten(0, -2) for inputs in wanted])
        self.vq.follow(F.normalize(inputs, dim=-1), torch.cat([part.flatten() for part in codes]))


def test_small_scales_do_not_collapse():
    perplexity, left = {}, {}
    test = structured(400, torch.Generator().manual_seed(99))
    for kind in (MultiScaleQuantizer, Unweighted):
        torch.manual_seed(0)
        config = MultiScaleConfig(num_codes=256, code_dim=8, num_refinements=0)
        made = kind(Interpolation(arrangement="map", sizes=(1, 2, 4, 8)), config)
        generator = torch.Generator().manual_seed(0)
        for _ in range(150):
            made(structured(16, generator))
        quantized = made.eval()(test)
        perplexity[kind] = [usage["perplexity"] for usage in usage_per_scale(quantized.codes, 256)]
        left[kind] = [float((test - total).square().mean() / test.square().mean()) for total in quantized.sums]
    assert perplexity[MultiScaleQuantizer][0] > 2 * perplexity[Unweighted][0]
    assert perplexity[MultiScaleQuantizer][0] > 16
    assert left[MultiScaleQuantizer][0] < 0.95 * left[Unweighted][0]
    assert left[MultiScaleQuantizer][-1] < 1.02 * left[Unweighted][-1]  # at no cost at the last


def test_published_sizes_make_a_step_without_memory():
    config = MultiScaleConfig(num_codes=16384, code_dim=8, scale_dropout=0.1)
    with torch.device("meta"):
        made = MultiScaleQuantizer(
            Interpolation(arrangement="triplane", sizes=(1, 2, 3, 4, 5, 6, 8, 10, 13, 16)), config
        )
        quantized = made(torch.randn(2, 3, 16, 16, 8, requires_grad=True))
    (quantized.loss + quantized.vectors.sum()).backward()
    assert sum(made.codes_per_scale) == 2040
    assert quantized.vectors.shape == made.decode(quantized.codes).shape == (2, 3, 16, 16, 8)
    assert [read.shape[1:-1] for read in made.ar_inputs(quantized.codes)] == list(made.resampler.grids)


def test_usage_per_scale_is_code_usage_of_each_scale():
    codes = [torch.tensor([[0], [1]]), torch.tensor([[2, 2], [2, 2]])]
    assert usage_per_scale(codes, 4) == [code_usage(codes[0], 4), code_usage(codes[1], 4)]
    assert [usage["perplexity"] for usage in usage_per_scale(codes, 4)] == pytest.approx([2.0, 1.0])


def test_more_scales_than_there_are_codes_are_refused():
    made = quantizer("set")
    codes = made(random_latents("set")).codes
    for given, upto, greatest in ((codes, 6, 5), (codes, 0, 5), (codes[:2], 3, 2)):
        with pytest.raises(ConfigError) as error:
            made.decode(given, upto=upto)
        assert str(error.value) == f"upto: {upto}; expected 1 to {greatest} scales"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_codes": 0}, "num_codes: 0; expected at least 1"),
        ({"code_dim": 0}, "code_dim: 0; expected at least 1"),
        ({"num_refinements": -1}, "num_refinements: -1; expected at least 0"),
        ({"refinement_share": 1.5}, "refinement_share: 1.5; expected 0 to 1"),
        ({"scale_dropout": -0.1}, "scale_dropout: -0.1; expected 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError) as error:
        MultiScaleConfig(**settings)
    assert str(error.value) == message
