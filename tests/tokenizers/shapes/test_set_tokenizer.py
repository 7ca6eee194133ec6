"""Sets of points to codes and back: the same each time and in any order of points, one sum for all uses."""

import dataclasses

import numpy as np
import pytest
import torch

from trilingua.core.errors import ConfigError, InputError
from trilingua.geometry.fields import Field
from trilingua.geometry.meshes import SurfacePoints
from trilingua.quantize.multiscale import MultiScaleConfig
from trilingua.systems.shapes.config import shape_latents_tiny, shape_set_tiny
from trilingua.tokenizers.shapes.protocol import Judged
from trilingua.tokenizers.shapes.sets import SetConfig, SetTokenizer

TINY, LATENTS = shape_set_tiny().tokenizer, shape_latents_tiny().tokenizer
VARIANTS = {
    "in-context": TINY,
    "queries": dataclasses.replace(TINY, compression="queries", encoder_layers=2),
    "pooling": dataclasses.replace(TINY, compression="pooling", num_queries=32),
    "points": LATENTS,
    "points, unplaced": dataclasses.replace(LATENTS, placed=False),
    "points to planes": dataclasses.replace(LATENTS, decoding="triplane"),
    "unquantized": dataclasses.replace(TINY, scales=()),
    "point decoder": dataclasses.replace(TINY, decoding="points"),
    "unplaced": dataclasses.replace(TINY, placed=False),
    "plain": dataclasses.replace(TINY, variational=False),
}


def spheres(count=3, points=128, seed=0):
    """Surfaces of rough balls of several sizes, and places with their distances."""
    generator = torch.Generator().manual_seed(seed)
    radii = torch.linspace(0.4, 0.8, count)
    normals = torch.nn.functional.normalize(torch.randn(count, points, 3, generator=generator), dim=-1)
    places = torch.rand(count, 200, 3, generator=generator) * 2 - 1
    distances = places.norm(dim=-1) - radii[:, None]
    # Rough by a hundredth, so that no two points are as far from the origin as each other.
    radii = radii[:, None, None] * (1 + 0.01 * torch.rand(count, points, 1, generator=generator))
    return torch.cat([radii * normals, normals], dim=-1), Judged(places, distances)


def trained(config, steps=8, seed=1):
    """A tokenizer after a few steps, so that no layer is at its start any more."""
    torch.manual_seed(seed)
    tokenizer = SetTokenizer(config).train()
    optimizer = torch.optim.Adam(tokenizer.parameters(), 3e-3)
    inputs, judged = spheres()
    losses = []
    for _ in range(steps):
        loss, _ = tokenizer.loss(inputs, judged)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return tokenizer.eval(), losses


@pytest.fixture(scope="module")
def tokenizer():
    return trained(TINY)[0]


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_choice_learns_and_gives_equal_codes_in_any_order_of_points(name):
    tokenizer, losses = trained(VARIANTS[name])
    assert losses[-1] < losses[0]
    inputs, _ = spheres()
    codes = tokenizer.encode(inputs)
    assert all(torch.equal(one, other) for one, other in zip(codes, tokenizer.encode(inputs), strict=True))
    for ids, block in zip(codes, tokenizer.blocks(), strict=True):
        assert ids.shape[1] == (block.size or tokenizer.config.num_latents)
    shuffled = inputs[:, torch.randperm(inputs.shape[1])]
    latents, again = tokenizer(inputs).posterior.mean, tokenizer(shuffled).posterior.mean
    torch.testing.assert_close(again, latents, rtol=1e-4, atol=1e-5)
    (field, *_) = tokenizer.decode(codes)
    assert isinstance(field, Field)
    values = field.values(torch.rand(9, 3))
    assert values.shape == (9,)
    assert field.colors(torch.rand(9, 3)) is None


def test_what_is_decoded_from_codes_is_what_training_decodes_in_evaluation(tokenizer):
    inputs, judged = spheres()
    codes = tokenizer.encode(inputs)
    coding = tokenizer(inputs)
    assert torch.equal(tokenizer.quantizer.decode(codes), coding.latents)
    for upto, total in enumerate(coding.quantized.sums, start=1):
        fields = tokenizer.decode(codes, upto=upto)
        logits = tokenizer.decoder.logits(tokenizer._features(total), judged.points)
        for index, field in enumerate(fields):
            torch.testing.assert_close(field.values(judged.points[index]), logits[index], rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError):
        tokenizer.decode(codes, upto=4)


def test_what_a_next_scale_model_reads_is_the_same_at_once_and_step_by_step(tokenizer):
    codes = tokenizer.encode(spheres()[0])
    inputs = tokenizer.ar_inputs(codes)
    state, following = tokenizer.start(3)
    for scale, ids in enumerate(codes):
        assert torch.equal(inputs[scale], following)
        state, following = tokenizer.next_input(state, scale, ids)
    assert following is None
    assert len(inputs) == len(codes)
    assert torch.equal(state, tokenizer.quantizer.decode(codes))


def test_context_is_the_vectors_of_the_first_scales(tokenizer):
    codes = tokenizer.encode(spheres()[0])
    vectors = tokenizer.embed(codes)
    assert vectors.shape == (3, 21, 8)
    assert torch.equal(tokenizer.embed(codes, upto=2), vectors[:, :5])
    torch.testing.assert_close(vectors[:, 1:5], tokenizer.quantizer.vq.codebook[codes[1]])


def test_latents_are_as_many_as_one_likes_and_have_no_order():
    tokenizer, _ = trained(LATENTS)
    inputs, judged = spheres()
    for count in (1, 5, 128):
        (latents,) = tokenizer.encode(inputs, num_latents=count)
        assert latents.shape == (3, count, 8)
        assert torch.equal(latents, latents.half().float())
        shuffled = latents[:, torch.randperm(count)]
        for field, other in zip(tokenizer.decode((latents,)), tokenizer.decode((shuffled,)), strict=True):
            torch.testing.assert_close(
                field.values(judged.points[0]), other.values(judged.points[0]), rtol=1e-4, atol=1e-5
            )
    assert torch.equal(tokenizer.embed((latents,)), latents)
    with pytest.raises(InputError) as caught:
        tokenizer.encode(inputs, num_latents=129)
    assert str(caught.value) == "num_latents: 129 is not allowed; expected 1 to 128"
    with pytest.raises(ConfigError) as caught:
        tokenizer.ar_inputs((latents,))
    assert str(caught.value) == "scales: there are none; latents are not written scale by scale"


def test_ways_of_compression_weigh_the_same():
    """But for the learned latents and queries: a comparison of ways compares nothing else."""
    counts = {}
    for way in ("in-context", "queries", "pooling"):
        config = dataclasses.replace(TINY, compression=way, encoder_layers=2)
        tokenizer = SetTokenizer(config)
        learned = sum(
            tokenizer.encoder.get_parameter(name).numel()
            for name in ("queries", "latents")
            if hasattr(tokenizer.encoder, name)
        )
        counts[way] = sum(weight.numel() for weight in tokenizer.parameters()) - learned
    norm = 2 * TINY.dim  # the block that reads from another set has a norm for each
    assert counts == {
        "in-context": counts["pooling"],
        "queries": counts["pooling"] + norm,
        "pooling": counts["pooling"],
    }


def test_occupancy_is_linear_across_the_surface_and_the_sum_is_of_its_parts(tokenizer):
    inputs, judged = spheres()
    width = TINY.surface_width
    distances = torch.tensor([-2 * width, -width, -width / 2, 0.0, width / 2, width, 2 * width]).expand(3, 7)
    places = judged.points[:, :7]
    loss, parts = tokenizer.loss(inputs, Judged(places, distances))
    wanted = torch.tensor([1, 1, 0.75, 0.5, 0.25, 0, 0]).expand(3, 7)
    logits = torch.stack(
        [field.values(place) for field, place in zip(tokenizer.decode(tokenizer.encode(inputs)), places, strict=True)]
    )
    expected = torch.nn.functional.binary_cross_entropy(torch.sigmoid(logits), wanted)
    torch.testing.assert_close(parts["occupancy"], expected, rtol=1e-4, atol=1e-5)
    total = parts["occupancy"] + TINY.kl_weight * parts["kl"] + TINY.codebook_weight * parts["codebook"]
    torch.testing.assert_close(loss, total)


def test_points_are_the_first_ones_or_those_that_a_generator_chooses(tokenizer):
    known = np.arange(900, dtype=np.float32).reshape(300, 3)
    points = SurfacePoints(known, -known, np.zeros((300, 3), np.uint8))
    first = tokenizer.prepare(points)
    np.testing.assert_array_equal(first, np.concatenate([known, -known], axis=1)[:128])
    drawn = tokenizer.prepare(points, np.random.default_rng(0))
    assert len(np.unique(drawn[:, 0])) == 128
    np.testing.assert_array_equal(drawn[:, :3], -drawn[:, 3:])
    assert not np.array_equal(drawn, first)
    few = SurfacePoints(*(values[:100] for values in points))
    with pytest.raises(ConfigError) as caught:
        tokenizer.prepare(few)
    assert str(caught.value) == (
        "num_points: 128; there are 100 points of the object; make data with --num-points 128, or set "
        "--tokenizer.num-points"
    )


def test_numbers_of_latents_are_drawn_in_training(monkeypatch):
    tokenizer = SetTokenizer(dataclasses.replace(LATENTS, other_counts=(3, 9))).train()
    inputs, judged = spheres()
    counts, encode = set(), tokenizer.encoder.forward
    monkeypatch.setattr(
        tokenizer.encoder, "forward", lambda surface, count=None: counts.add(count) or encode(surface, count)
    )
    for _ in range(20):
        tokenizer.loss(inputs, judged)
    assert counts == {LATENTS.num_latents, 3, 9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 96}, "dim: 96; expected a multiple of 64, the width of a head"),
        ({"num_latents": 0}, "num_latents: 0; expected at least 1"),
        ({"surface_width": 0.0}, "surface_width: 0.0; expected a distance above 0"),
        ({"num_mips": 9}, "num_mips: 9; planes of 96 cannot be halved so often"),
        (
            {"compression": "points"},
            'compression: "points" gives a set without an order, which has no scales; leave them out',
        ),
        ({"other_counts": (8,)}, 'other_counts: [8]; only compression "points" has several numbers'),
        (
            {"compression": "points", "scales": (), "other_counts": (4096,)},
            "other_counts: [4096]; expected 1 to num_points 2048",
        ),
        (
            {"compression": "points", "scales": (), "codes": MultiScaleConfig(code_dim=3)},
            "codes.code_dim: 3; expected at least 4, three of which are the place of a latent",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(changes, message):
    with pytest.raises(ConfigError) as caught:
        SetConfig(**changes)
    assert str(caught.value) == message


def test_pooling_needs_whole_groups():
    with pytest.raises(ConfigError) as caught:
        SetTokenizer(dataclasses.replace(TINY, compression="pooling", num_queries=24))
    assert str(caught.value) == "num_queries: 24; pooling needs a multiple of num_latents 16"
