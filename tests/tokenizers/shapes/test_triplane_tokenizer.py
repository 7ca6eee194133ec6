"""Posed pictures to ids of three planes and back: the same each time, from any number of views, one sum for all."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from trilingua.core.errors import ConfigError
from trilingua.geometry.fields import Field, Grid
from trilingua.geometry.isosurface import MeshedField, extract_surface
from trilingua.geometry.mesh_pictures import fixed_cameras, render_mesh, sample_cameras
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Mesh
from trilingua.geometry.posed_views import PosedViews, draw_rays
from trilingua.systems.shapes.config import shape_triplane_tiny
from trilingua.tokenizers.shapes.flexible_planes import FlexibleConfig
from trilingua.tokenizers.shapes.protocol import Judged, Rays, ScaleTokenizer
from trilingua.tokenizers.shapes.triplanes import TriplaneConfig, TriplaneTokenizer

TINY = shape_triplane_tiny().tokenizer
SIZES = ((1.6, 0.8, 0.6), (0.7, 1.5, 0.7), (0.6, 0.6, 1.7))
COLORS = ((220, 40, 40), (40, 200, 60), (50, 60, 220))


@pytest.fixture(scope="module")
def boxes():
    """Three coloured boxes: their views, and what is known of them to learn from."""
    views, places, distances, rays = [], [], [], []
    for number, (size, color) in enumerate(zip(SIZES, COLORS, strict=True)):
        made = trimesh.creation.box(size)
        mesh = Mesh(
            vertices=made.vertices,
            faces=made.faces,
            face_colors=np.tile(np.array(color, np.uint8), (len(made.faces), 1)),
        )
        queries, generator = MeshQueries(mesh), np.random.default_rng(number)
        cameras = [*fixed_cameras(16), *sample_cameras(generator, 2, 16)]
        seen = PosedViews(cameras=cameras, pictures=[render_mesh(queries, camera) for camera in cameras])
        points = generator.uniform(-1, 1, (300, 3)).astype(np.float32)
        views.append(seen)
        places.append(points)
        distances.append(queries.signed_distance(points))
        rays.append(draw_rays(seen, 48, generator))
    stacked = Rays(*(torch.from_numpy(np.stack(part)) for part in zip(*rays, strict=True)))
    judged = Judged(*(torch.from_numpy(np.stack(part)) for part in (places, distances)), stacked)
    return views, judged


def prepared(tokenizer, views):
    return torch.stack([torch.from_numpy(tokenizer.prepare(each)) for each in views])


def learn(tokenizer, inputs, judged, steps, rate=3e-3):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([p for p in tokenizer.parameters() if p.requires_grad], rate)
    tokenizer.train()
    history = []
    for _ in range(steps):
        loss, parts = tokenizer.loss(inputs, judged)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({name: float(part) for name, part in parts.items()} | {"loss": float(loss.detach())})
    tokenizer.eval()
    return history


@pytest.fixture(scope="module")
def trained(boxes):
    """A tokenizer that knows the boxes by heart, and how it was before."""
    views, judged = boxes
    torch.manual_seed(1)
    tokenizer = TriplaneTokenizer(TINY)
    inputs = prepared(tokenizer, views)
    learn(tokenizer, inputs, judged, 1, rate=0.0)
    before = iou(tokenizer, inputs, judged)
    history = learn(tokenizer, inputs, judged, 300)
    return tokenizer, inputs, before, history


def iou(tokenizer, inputs, judged):
    fields = tokenizer.decode(tokenizer.encode(inputs))
    inside = torch.stack([field.values(points) > 0 for field, points in zip(fields, judged.points, strict=True)])
    truth = judged.distances < 0
    return float((inside & truth).sum() / (inside | truth).sum())


def volume_errors(tokenizer, codes):
    """How far the volumes of the meshes, closed and coloured, are from those of the boxes."""
    errors = []
    for field, size in zip(tokenizer.decode(codes), SIZES, strict=True):
        surface = extract_surface(field, Grid(resolution=24))
        mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
        assert mesh.is_watertight
        assert surface.colors.shape == surface.vertices.shape
        errors.append(abs(mesh.volume - np.prod(size)))
    return errors


def test_it_learns_shapes_and_colours_by_heart(trained, boxes):
    tokenizer, inputs, before, history = trained
    assert isinstance(tokenizer, ScaleTokenizer)
    assert set(history[0]) == {"occupancy", "color", "mask", "depth", "codebook", "loss"}
    for name in ("occupancy", "color", "mask", "depth"):
        assert history[-1][name] < 0.6 * history[0][name], name
    assert iou(tokenizer, inputs, boxes[1]) > max(0.5, before + 0.3)
    for field, color in zip(tokenizer.decode(tokenizer.encode(inputs)), COLORS, strict=True):
        surface = extract_surface(field, Grid(resolution=24))
        assert surface.colors.mean(axis=0).argmax() == np.argmax(color)
        assert field.kind == "logit"
        assert isinstance(field, Field)
        assert not isinstance(field, MeshedField)


def test_equal_inputs_give_equal_ids_in_range(trained):
    tokenizer, inputs, *_ = trained
    codes = tokenizer.encode(inputs)
    for ids, again, block in zip(codes, tokenizer.encode(inputs), tokenizer.blocks(), strict=True):
        assert torch.equal(ids, again)
        assert ids.shape == (3, block.size)
        assert int(ids.min()) >= 0
        assert int(ids.max()) < block.vocabulary == 64
    assert [block.size for block in tokenizer.blocks()] == [3, 12, 48]
    assert len({tuple(torch.cat([ids[index] for ids in codes]).tolist()) for index in range(3)}) == 3
    assert tokenizer.layout() == tokenizer.layout()
    assert tokenizer.layout().kind == "triplane"


def test_what_is_decoded_from_codes_is_what_training_decodes_in_evaluation(trained):
    tokenizer, inputs, *_ = trained
    codes, coding = tokenizer.encode(inputs), tokenizer(inputs)
    points = torch.rand(40, 3) * 2 - 1
    with torch.no_grad():
        for upto, total in enumerate(coding.quantized.sums, start=1):
            logits, _ = tokenizer.decoder.read(tokenizer.decoder(total), points.expand(3, -1, -1))
            for field, wanted in zip(tokenizer.decode(codes, upto=upto), logits, strict=True):
                torch.testing.assert_close(field.values(points), wanted, rtol=1e-4, atol=1e-4)
        assert torch.equal(coding.latents, coding.quantized.sums[-1])
    for upto in (0, 4):
        with pytest.raises(ConfigError):
            tokenizer.decode(codes, upto=upto)


def test_what_a_next_scale_model_reads_is_the_same_at_once_and_step_by_step(trained):
    tokenizer, inputs, *_ = trained
    codes = tokenizer.encode(inputs)
    read = tokenizer.ar_inputs(codes)
    assert [each.shape for each in read] == [(3, 3, 8), (3, 12, 8), (3, 48, 8)]
    state, following = tokenizer.start(3)
    for scale, ids in enumerate(codes):
        assert torch.equal(read[scale], following)
        state, following = tokenizer.next_input(state, scale, ids)
    assert following is None
    assert torch.equal(state, tokenizer(inputs).latents)


def test_context_is_the_vectors_of_the_first_scales(trained):
    tokenizer, inputs, *_ = trained
    codes = tokenizer.encode(inputs)
    vectors = tokenizer.embed(codes)
    assert vectors.shape == (3, 63, 8)
    assert torch.equal(tokenizer.embed(codes, upto=2), vectors[:, :15])
    torch.testing.assert_close(vectors[:, 3:15], tokenizer.quantizer.vq.codebook[codes[1]])


def test_planes_do_not_mix_before_the_decoder(trained):
    """Ids are plane after plane: another id of plane 1 changes the sum in plane 1 alone."""
    tokenizer, inputs, *_ = trained
    codes = [ids.clone() for ids in tokenizer.encode(inputs)]
    before, _ = tokenizer.next_input(tokenizer.start(3)[0], 2, codes[2])
    codes[2][:, 16] = (codes[2][:, 16] + 1) % 64
    after, _ = tokenizer.next_input(tokenizer.start(3)[0], 2, codes[2])
    changed = (before != after).flatten(2).any(dim=-1)
    assert changed.tolist() == [[False, True, False]] * 3


def test_any_number_of_views_in_any_order_will_do(trained, boxes):
    tokenizer, inputs, *_ = trained
    for count in (1, 4, 8):
        tokenizer.config = dataclasses.replace(TINY, num_views=count)
        try:
            read = prepared(tokenizer, boxes[0])
        finally:
            tokenizer.config = TINY
        assert read.shape == (3, count, 16, 16, 10)
        assert [ids.shape[1] for ids in tokenizer.encode(read)] == [3, 12, 48]
    shuffled = inputs[:, torch.tensor([4, 0, 5, 2, 1, 3])]
    torch.testing.assert_close(tokenizer.encoder(shuffled), tokenizer.encoder(inputs), rtol=1e-4, atol=1e-4)


def test_without_places_it_learns_too_and_has_no_rates(boxes):
    views, judged = boxes
    torch.manual_seed(1)
    tokenizer = TriplaneTokenizer(dataclasses.replace(TINY, placed=False))
    placed = set(TriplaneTokenizer(TINY).state_dict())
    assert {name.rsplit(".", 1)[-1] for name in placed - set(tokenizer.state_dict())} == {"log_rates"}
    inputs = prepared(tokenizer, views)
    history = learn(tokenizer, inputs, judged, 25)
    assert history[-1]["color"] < history[0]["color"]
    assert [ids.shape[1] for ids in tokenizer.encode(inputs)] == [3, 12, 48]


def test_the_loss_is_the_sum_of_its_parts_and_each_has_a_switch(boxes):
    views, judged = boxes
    weights = ("color_weight", "mask_weight", "depth_weight", "occupancy_weight", "codebook_weight")
    torch.manual_seed(0)
    tokenizer = TriplaneTokenizer(TINY).eval()
    inputs = prepared(tokenizer, views)
    loss, parts = tokenizer.loss(inputs, judged)
    torch.testing.assert_close(loss.detach(), sum(parts.values()))
    for name in weights:
        tokenizer.config = dataclasses.replace(TINY, **{name: 3 * getattr(TINY, name)})
        _, more = tokenizer.loss(inputs, judged)
        changed = {part for part in parts if not torch.allclose(parts[part], more[part])}
        assert changed == {name.removesuffix("_weight")}
    tokenizer.config = dataclasses.replace(TINY, occupancy_weight=0.0)
    assert "occupancy" not in tokenizer.loss(inputs, judged)[1]
    tokenizer.config = TINY
    assert set(tokenizer.loss(inputs, judged._replace(rays=None))[1]) == {"occupancy", "codebook"}


def test_occupancy_is_linear_across_the_surface(boxes):
    views, judged = boxes
    torch.manual_seed(0)
    tokenizer = TriplaneTokenizer(TINY).eval()
    width = TINY.surface_width
    distances = torch.tensor([-2 * width, -width, -width / 2, 0.0, width / 2, width, 2 * width]).expand(3, 7)
    places = judged.points[:, :7]
    inputs = prepared(tokenizer, views)
    _, parts = tokenizer.loss(inputs, Judged(places, distances))
    wanted = torch.tensor([1, 1, 0.75, 0.5, 0.25, 0, 0]).expand(3, 7)
    fields = tokenizer.decode(tokenizer.encode(inputs))
    found = torch.stack([field.values(place) for field, place in zip(fields, places, strict=True)]).sigmoid()
    expected = torch.nn.functional.binary_cross_entropy(found, wanted)
    torch.testing.assert_close(parts["occupancy"], expected.detach(), rtol=1e-4, atol=1e-5)


def test_the_second_stage_trains_the_decoder_by_its_mesh_and_leaves_the_codes(trained, boxes):
    first, inputs, *_ = trained
    config = dataclasses.replace(TINY, mesh=FlexibleConfig(resolution=16, hidden_dim=16))
    torch.manual_seed(2)
    second = TriplaneTokenizer(config)
    missing = second.load_state_dict(first.state_dict(), strict=False)
    assert {name.partition(".")[0] for name in missing.missing_keys} == {"heads"}
    assert not missing.unexpected_keys
    second.eval()
    codes = first.encode(inputs)
    points = torch.rand(50, 3) * 2 - 1
    for field, logits in zip(second.decode(codes), first.decode(codes), strict=True):
        assert isinstance(field, MeshedField)
        assert field.kind == "distance"
        torch.testing.assert_close(field.values(points), -logits.values(points) / 64)
    before = volume_errors(second, codes)
    history = learn(second, inputs, boxes[1], 16, rate=3e-4)
    assert "codebook" not in history[0]
    parts = {f"mesh_{name}" for name in ("distance", "place", "normal", "deviation", "weights", "signs")}
    assert parts < set(history[0])
    of_mesh = [sum(line[name] for name in parts) for line in history]
    assert np.mean(of_mesh[-4:]) < 0.9 * of_mesh[0]
    assert sum(volume_errors(second, codes)) < 0.8 * sum(before)
    assert all(torch.equal(one, two) for one, two in zip(codes, second.encode(inputs), strict=True))
    kept = {name for name in second.state_dict() if name.partition(".")[0] not in ("decoder", "heads")}
    assert all(torch.equal(second.state_dict()[name], first.state_dict()[name]) for name in kept)
    with pytest.raises(ConfigError) as caught:
        second.loss(inputs, boxes[1]._replace(rays=None))
    assert str(caught.value) == "num_rays: 0; the mesh is compared to where rays end, so set --num-rays"


def test_without_scales_there_is_one_block_of_latents(boxes):
    views, judged = boxes
    torch.manual_seed(0)
    tokenizer = TriplaneTokenizer(dataclasses.replace(TINY, scales=()))
    inputs = prepared(tokenizer, views)
    history = learn(tokenizer, inputs, judged, 8)
    assert "codebook" not in history[0]
    assert history[-1]["loss"] < history[0]["loss"]
    (block,) = tokenizer.blocks()
    assert (block.size, block.dim, block.vocabulary) == (48, 8, None)
    (latents,) = codes = tokenizer.encode(inputs)
    assert latents.shape == (3, 48, 8)
    assert torch.equal(latents, latents.half().float())
    assert torch.equal(tokenizer.embed(codes), latents)
    assert tokenizer.decode(codes, upto=1)[0].values(torch.rand(5, 3)).shape == (5,)
    with pytest.raises(ConfigError) as caught:
        tokenizer.decode(codes, upto=2)
    assert str(caught.value) == "upto: 2; expected 1, since latents are one block"
    with pytest.raises(ConfigError) as caught:
        tokenizer.start(1)
    assert str(caught.value) == "scales: there are none; latents are not written scale by scale"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 96}, "dim: 96; expected a multiple of 64, the width of a head"),
        ({"num_views": 0}, "num_views: 0; expected at least 1"),
        ({"view_size": 60}, "view_size: 60; expected a multiple of patch_size 8"),
        ({"surface_width": 0.0}, "surface_width: 0.0; expected a distance above 0"),
        ({"num_mips": 9}, "num_mips: 9; planes of 96 cannot be halved so often"),
        ({"num_even": 1}, "num_even: 1; expected at least 2"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(changes, message):
    with pytest.raises(ConfigError) as caught:
        TriplaneConfig(**changes)
    assert str(caught.value) == message


def test_pictures_of_another_size_are_refused_in_words(boxes):
    tokenizer = TriplaneTokenizer(dataclasses.replace(TINY, view_size=32))
    with pytest.raises(ConfigError) as caught:
        tokenizer.prepare(boxes[0][0])
    assert str(caught.value) == (
        "view_size: 32; the pictures are 16 x 16; make data with --view-size 32, or set --tokenizer.view-size"
    )
