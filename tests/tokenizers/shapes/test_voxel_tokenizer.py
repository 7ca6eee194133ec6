"""Voxels to codes and back: the field of exact voxels, the losses by hand, what is learned is what comes back."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.geometry.solids import ball, cube, torus

from trilingua.core.errors import ConfigError
from trilingua.geometry.distance_samples import sample_distances
from trilingua.geometry.fields import Field
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.voxels import Voxels, voxelize
from trilingua.metrics.geometry import compute_iou
from trilingua.systems.shapes.config import shape_voxels_paper, shape_voxels_tiny
from trilingua.tokenizers.shapes.fields import DecodedField
from trilingua.tokenizers.shapes.protocol import Judged, ShapeTokenizer
from trilingua.tokenizers.shapes.voxels import VoxelConfig, VoxelTokenizer

TINY = shape_voxels_tiny().tokenizer
LATENTS = dataclasses.replace(TINY, features="latents")
VARIANTS = {
    "random views": TINY,
    "one view": dataclasses.replace(TINY, views="one"),
    "no view": dataclasses.replace(TINY, views="none"),
    "convolutions alone": dataclasses.replace(TINY, attention_layers=0, widths=(8, 12)),
    "cells one by one": dataclasses.replace(TINY, patch_size=1, widths=(4, 8, 64)),
    "latents": LATENTS,
}


@pytest.fixture(scope="module")
def solids():
    """A ball, a cube and a torus: voxels, and places with their distances."""
    queries = [MeshQueries(mesh) for mesh in (ball(0.8), cube(0.6), torus())]
    voxels = [voxelize(query, 16) for query in queries]
    places = [sample_distances(query, np.random.default_rng(0), num_uniform=600, num_near=400) for query in queries]
    return voxels, Judged(*(torch.from_numpy(np.stack(parts)) for parts in zip(*places, strict=True)))


def inputs_of(tokenizer, voxels):
    return torch.stack([torch.from_numpy(tokenizer.prepare(one)) for one in voxels])


def trained(config, solids, steps, seed=1):
    torch.manual_seed(seed)
    tokenizer = VoxelTokenizer(config).train()
    optimizer = torch.optim.Adam(tokenizer.parameters(), 5e-3)
    inputs, judged = inputs_of(tokenizer, solids[0]), solids[1]
    losses = []
    for _ in range(steps):
        loss, _ = tokenizer.loss(inputs, judged)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return tokenizer.eval(), losses


@pytest.fixture(scope="module")
def tokenizer(solids):
    return trained(TINY, solids, steps=60)[0]


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_choice_learns_and_gives_equal_codes(name, solids):
    tokenizer, losses = trained(VARIANTS[name], solids, steps=4)
    assert losses[-1] < losses[0]
    assert isinstance(tokenizer, ShapeTokenizer)
    without = [name for name, weight in tokenizer.named_parameters() if weight.grad is None or not weight.grad.any()]
    # What lies behind a convolution that begins as zeros is reached from the second step on; all others at once.
    assert without == []
    inputs = inputs_of(tokenizer, solids[0])
    (codes,) = tokenizer.encode(inputs)
    assert torch.equal(codes, tokenizer.encode(inputs)[0])
    (block,) = tokenizer.blocks()
    assert codes.shape == (3, block.size) == (3, 64)
    assert codes.min() >= 0
    assert codes.max() < block.vocabulary
    (field, *_) = tokenizer.decode((codes,))
    assert isinstance(field, Field)
    points = torch.rand(9, 3) * 2 - 1
    assert field.values(points).shape == (9,)
    colors = field.colors(points)
    if name == "latents":
        assert colors is None
    else:
        assert colors.shape == (9, 3)
        assert 0 <= colors.min() <= colors.max() <= 1


def test_what_was_learned_comes_back_from_codes_and_random_weights_give_nothing_like_it(tokenizer, solids):
    voxels, judged = solids

    def ious(tokenizer):
        codes = tokenizer.encode(inputs_of(tokenizer, voxels))
        return [
            compute_iou(
                (field.values(judged.points[index, :600]) > 0).numpy(), judged.distances[index, :600].numpy() < 0
            )
            for index, field in enumerate(tokenizer.decode(codes))
        ]

    torch.manual_seed(0)
    assert min(ious(tokenizer)) > 0.6
    assert max(ious(VoxelTokenizer(TINY).eval())) < 0.5
    found = tokenizer.decode_voxels(tokenizer.encode(inputs_of(tokenizer, voxels)))
    for known, back in zip(voxels, found, strict=True):
        assert len(back.coords) == 0 or back.coords.max() < known.resolution == back.resolution
        np.testing.assert_allclose(np.linalg.norm(back.features[:, 1:4], axis=1), 1, atol=1e-5)
        assert ((back.features[:, 4:] >= 0) & (back.features[:, 4:] <= 1)).all()
    inputs = inputs_of(tokenizer, voxels)
    logits, kept = tokenizer(inputs).told[..., 0], inputs[..., 8] > 0
    assert logits[kept].mean() > logits[~kept].mean() + 1.5
    assert sum(len(back.coords) for back in found) == int((logits > 0).sum())


def exact(tokenizer, voxels, inside):
    """What a decoder would tell that makes no mistake."""
    grid = torch.from_numpy(voxels.dense())
    features = tokenizer.scale(grid[..., :8])
    return torch.cat([grid[..., 8:] * 40 - 20, features, inside[..., None].float() * 2 - 1], dim=-1)


def middles_inside(query, resolution):
    middles = (np.indices((resolution,) * 3).reshape(3, -1).T + 0.5) * (2 / resolution) - 1
    return torch.from_numpy(query.occupied(middles).reshape((resolution,) * 3))


def test_exact_voxels_have_the_field_and_the_colours_of_their_mesh(tokenizer):
    query = MeshQueries(cube(0.61))
    voxels = voxelize(query, 16)
    field = DecodedField(tokenizer.reader, exact(tokenizer, voxels, middles_inside(query, 16)))
    samples = sample_distances(query, np.random.default_rng(1), num_uniform=4000, num_near=2000)
    values = field.values(torch.from_numpy(samples.points)).numpy()
    wrong = (values > 0) != (samples.distances < 0)
    assert np.abs(samples.distances[wrong]).max() < 0.6 * 2 / 16  # edges are rounded, by half a cell at most
    assert compute_iou(values[:4000] > 0, samples.distances[:4000] < 0) > 0.9
    # Near a face the logit falls by 2 / surface_width for each unit of distance.
    near = np.abs(samples.distances) < 0.05
    slope = np.median(values[near] / samples.distances[near])
    assert slope == pytest.approx(-2 / TINY.surface_width, rel=0.05)
    surface = torch.from_numpy(voxels.surface_points())
    error = (field.colors(surface) - torch.from_numpy(voxels.features[:, 4:7])).abs()
    assert error.max() < 1e-4


def test_planes_find_a_sheet_that_is_thinner_than_a_cell(tokenizer):
    from trilingua.geometry.meshes import Mesh

    slab = cube(0.6)
    slab = Mesh(vertices=slab.vertices * (1, 1, 0.05), faces=slab.faces)  # half a cell thick, between two middles
    voxels = voxelize(MeshQueries(slab), 16)
    field = DecodedField(tokenizer.reader, exact(tokenizer, voxels, torch.zeros(16, 16, 16)))
    across = torch.tensor([[0.1, 0.2, z] for z in (-0.06, -0.02, 0.0, 0.02, 0.06)])
    assert (field.values(across) > 0).tolist() == [False, True, True, True, False]


def test_the_field_is_a_mean_of_planes_by_hand(tokenizer):
    told = torch.randn(16, 16, 16, 10)
    points = torch.rand(6, 3) * 1.8 - 0.9
    found = DecodedField(tokenizer.reader, told).values(points)
    edge = 2 / 16
    for point, value in zip(points, found, strict=True):
        place = (point + 1) / edge - 0.5
        lower = place.floor().long()
        total = weight = torch.tensor(0.0)
        for corner in np.ndindex(2, 2, 2):
            cell = lower + torch.tensor(corner)
            share = (1 - (place - cell).abs()).prod()
            kept, *features = told[tuple(cell)].tolist()
            distance, x, y, z = tokenizer.scale.restore(torch.tensor(features[:8]))[:4]
            away = (point - ((cell + 0.5) * edge - 1)) / edge
            plane = -(distance + torch.stack([x, y, z]) @ away) * 2 * edge / TINY.surface_width
            likely = torch.tensor(kept).sigmoid()
            total = total + share * (likely * plane + 0.1 * (1 - likely) * features[8])
            weight = weight + share * (likely + 0.1 * (1 - likely))
        torch.testing.assert_close(value, total / weight, rtol=1e-3, atol=1e-3)


def test_voxels_go_into_the_whole_grid_and_come_out(tokenizer, solids):
    known = solids[0][2]
    grid = tokenizer.prepare(known, np.random.default_rng(0))
    assert grid.shape == (16, 16, 16, 9)
    assert grid[..., 8].sum() == len(known.coords)
    assert not grid[grid[..., 8] == 0].any()
    back = Voxels.of_dense(grid[..., 8] > 0, grid[..., :8])
    np.testing.assert_array_equal(back.coords, known.coords)
    np.testing.assert_array_equal(back.features, known.features)
    with pytest.raises(ConfigError) as caught:
        VoxelTokenizer(dataclasses.replace(TINY, resolution=8)).prepare(known)
    assert str(caught.value) == "voxels: of 16 cells along each side; the tokenizer reads 8"


def test_losses_are_those_of_their_formulas(tokenizer, solids):
    inputs, judged = inputs_of(tokenizer, solids[0]), solids[1]
    loss, parts = tokenizer.loss(inputs, judged)
    told = tokenizer(inputs).told
    kept = inputs[..., 8] > 0
    probability = told[..., 0].sigmoid().clamp(1e-7, 1 - 1e-7)
    entropy = -torch.where(kept, probability, 1 - probability).log().sum() / kept.sum()
    torch.testing.assert_close(parts["kept"], entropy, rtol=1e-3, atol=1e-4)
    errors = told[..., 1:9] - (inputs[..., :8] - tokenizer.scale.mean) / tokenizer.scale.deviation
    torch.testing.assert_close(parts["features"], errors[kept].square().mean(), rtol=1e-4, atol=1e-5)
    fields = tokenizer.decode(tokenizer.encode(inputs))
    logits = torch.stack([field.values(points) for field, points in zip(fields, judged.points, strict=True)])
    wanted = (0.5 - judged.distances / (2 * TINY.surface_width)).clamp(0, 1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
    torch.testing.assert_close(parts["occupancy"], expected, rtol=1e-4, atol=1e-5)
    weights = {"occupancy": 1.0, "kept": TINY.kept_weight, "features": TINY.feature_weight}
    weights |= {"codebook": TINY.codebook_weight, "render": TINY.render_weight}
    assert set(parts) == set(weights)
    torch.testing.assert_close(loss, sum(weights[name] * part for name, part in parts.items()))


def test_pictures_agree_when_voxels_do_and_views_are_as_told(tokenizer, solids):
    inputs = inputs_of(tokenizer, solids[0])
    told = torch.stack([exact(tokenizer, one, torch.zeros(16, 16, 16)) for one in solids[0]])
    assert float(tokenizer._render_loss(told, inputs)) < 1e-3
    told[:, :8] = -20  # half of the object is gone
    assert float(tokenizer._render_loss(told, inputs)) > 0.1
    one = VoxelTokenizer(VARIANTS["one view"]).eval()
    one.load_state_dict(tokenizer.state_dict())
    assert float(one._render_loss(told, inputs)) == float(one._render_loss(told, inputs))
    assert float(tokenizer._render_loss(told, inputs)) != float(tokenizer._render_loss(told, inputs))
    assert "render" not in VoxelTokenizer(VARIANTS["no view"]).loss(inputs, solids[1])[1]


def test_the_figures_of_the_data_follow_in_training_alone(solids):
    tokenizer = VoxelTokenizer(TINY)
    inputs = inputs_of(tokenizer, solids[0])
    tokenizer.eval().loss(inputs, solids[1])
    assert not tokenizer.scale.mean.any()
    tokenizer.train().loss(inputs, solids[1])
    together = np.concatenate([voxels.features for voxels in solids[0]])
    np.testing.assert_allclose(tokenizer.scale.mean.numpy(), together.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(tokenizer.scale.deviation.numpy()[1:7], together.std(axis=0)[1:7], atol=1e-4)


def test_latents_are_learned_without_places_and_their_field_is_a_shell(solids):
    tokenizer = VoxelTokenizer(LATENTS)
    assert tokenizer.decoder.head.out_features == 9 * 2**3  # nothing is told of inside
    for judged in (solids[1], Judged(torch.zeros(3, 0, 3), torch.zeros(3, 0))):
        loss, parts = tokenizer.loss(inputs_of(tokenizer, solids[0]), judged)
        assert set(parts) == {"kept", "features", "codebook", "render"}
        assert loss.isfinite()
    told = exact(tokenizer, solids[0][0], torch.zeros(16, 16, 16))[..., :9]
    points = torch.tensor([[0.0, 0, 0], [0.8, 0, 0], [0, 0, -0.8], [-1.0, 1, 1]])
    assert DecodedField(tokenizer.reader, told).values(points).gt(0).tolist() == [False, True, True, False]


def test_context_is_the_vectors_of_codes_and_there_is_one_block(tokenizer, solids):
    codes = tokenizer.encode(inputs_of(tokenizer, solids[0]))
    assert torch.equal(tokenizer.embed(codes), tokenizer.quantizer.codebook[codes[0]])
    assert torch.equal(tokenizer.embed(codes, upto=1), tokenizer.embed(codes))
    with pytest.raises(ConfigError) as caught:
        tokenizer.decode(codes, upto=2)
    assert str(caught.value) == "upto: 2; expected 1, since the codes are one block"


def test_published_sizes_are_the_papers():
    paper = shape_voxels_paper().tokenizer
    assert (paper.resolution, paper.patch_size, paper.code_side, paper.code_dim) == (64, 1, 8, 128)
    assert (paper.code_side**3, paper.num_codes, paper.views, paper.features) == (512, 8192, "random", "latents")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_codes": 0}, "num_codes: 0; expected at least 1"),
        ({"render_weight": -1.0}, "render_weight: -1.0; expected at least 0"),
        ({"widths": ()}, "widths: []; expected channels of at least one grid"),
        ({"resolution": 60}, "resolution: 60; expected a multiple of 8, the side of a code's cell"),
        ({"widths": (64, 96)}, "widths: [64, 96]; attention needs a multiple of 64 on the coarsest grid"),
        ({"surface_width": 0.0}, "surface_width: 0.0; expected a distance above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(changes, message):
    with pytest.raises(ConfigError) as caught:
        VoxelConfig(**changes)
    assert str(caught.value) == message
