"""Meshes to codes and back, where they were and as large as they were; figures are those of the metrics."""

import json

import numpy as np
import pytest
import torch
import trimesh

from trilingua.core.errors import ConfigError, InputError, VocabularyError
from trilingua.data.shapes.files import ShapeFolder
from trilingua.geometry.mesh_pictures import BACKGROUND
from trilingua.geometry.meshes import Mesh
from trilingua.geometry.posed_views import picture_rays
from trilingua.geometry.srgb import bytes_from_unit
from trilingua.geometry.volume_rendering import draw_field
from trilingua.metrics.geometry import compute_iou
from trilingua.metrics.image import score_color
from trilingua.systems.shapes.build import build_tokenizer
from trilingua.systems.shapes.config import shape_latents_tiny, shape_set_tiny
from trilingua.systems.shapes.evaluate import bytes_of, evaluate_shapes
from trilingua.systems.shapes.inputs import read_from_folder, read_from_mesh
from trilingua.systems.shapes.pipeline import ShapeModel


@pytest.fixture(scope="module")
def model(tiny_shape_run):
    return ShapeModel.load(tiny_shape_run)


def box(scale=1.0, center=(0.0, 0.0, 0.0)):
    made = trimesh.creation.box((1.0, 0.8, 0.6))
    return Mesh(vertices=made.vertices * scale + np.array(center), faces=made.faces)


def test_a_mesh_comes_back_to_its_place_and_size(model):
    code, moved = model.encode(box()), model.encode(box(40.0, (100.0, -7.0, 3.0)))
    for one, other in zip(code.blocks, moved.blocks, strict=True):
        assert torch.equal(one, other)
    near, far = model.decode(code, resolution=32), model.decode(moved, resolution=32)
    np.testing.assert_allclose(far.vertices, near.vertices * 40 + (100, -7, 3), rtol=0, atol=2e-4)
    assert near.volume > 0
    assert near.is_watertight


def test_a_mesh_turned_inside_out_has_the_same_code(model):
    inside_out = box().replace(faces=box().faces[:, ::-1].copy())
    for one, other in zip(model.encode(box()).blocks, model.encode(inside_out).blocks, strict=True):
        assert torch.equal(one, other)


def test_an_open_mesh_has_the_same_code_wherever_it_stands(model):
    """Its signed volume, by which it is turned, depends on where it is counted from."""
    lid = box().area_vectors[:, 2] > 0.1
    opened = box().replace(faces=box().faces[~lid])
    blocks = [
        model.encode(opened.replace(vertices=opened.vertices + np.array([0, 0, height]))).blocks
        for height in (0.0, 4.0, -4.0)
    ]
    for moved in blocks[1:]:
        assert all(torch.equal(one, other) for one, other in zip(blocks[0], moved, strict=True))


def test_fewer_scales_decode_to_the_prefix(model):
    code = model.encode(box())
    points = torch.rand(50, 3) * 2 - 1
    (prefix,) = model.tokenizer.decode(code.batch, upto=1)
    assert torch.equal(model.field(code, scales=1).values(points), prefix.values(points))
    assert torch.equal(model.field(code, scales=3).values(points), model.field(code).values(points))
    for scales in (0, 4):
        with pytest.raises(InputError) as caught:
            model.decode(code, scales=scales)
        assert str(caught.value) == f"scales: {scales} is not allowed; expected 1 to 3"


def test_codes_of_another_tokenizer_are_refused(model, tmp_path):
    torch.manual_seed(0)
    other = ShapeModel(build_tokenizer(shape_set_tiny()))
    code = other.encode(box())
    with pytest.raises(VocabularyError) as caught:
        model.field(code)
    assert str(caught.value) == "code: another tokenizer wrote it; decode with that one"
    other.save_code(code, tmp_path / "code.json")
    with pytest.raises(VocabularyError):
        model.load_code(tmp_path / "code.json")
    again = other.load_code(tmp_path / "code.json")
    assert again.frame == code.frame
    assert all(torch.equal(one, two) for one, two in zip(again.blocks, code.blocks, strict=True))


def test_a_field_without_an_inside_is_refused(model):
    code = model.encode(box())
    reader = model.tokenizer.decoder.reader.layers[-1]
    with torch.no_grad():
        reader.bias.sub_(100)
        try:
            with pytest.raises(InputError) as caught:
                model.decode(code, resolution=32)
            with pytest.raises(InputError) as of_some:
                model.decode(code, scales=1, resolution=32)
        finally:
            reader.bias.add_(100)
    assert str(caught.value) == "code: decodes to nothing, since no point is inside; the tokenizer may be untrained"
    assert (
        str(of_some.value) == f"code: its first 1 scales decode to nothing; expected more, at most {model.num_scales}"
    )


def test_figures_are_those_of_the_metrics(model, shape_folder):
    folder = ShapeFolder(shape_folder)
    figures = evaluate_shapes(model, folder, limit=2, resolution=32)
    json.dumps(figures, allow_nan=False)
    assert (figures["num_objects"], figures["num_empty"]) == (2, 0)
    assert set(figures) == {
        "num_objects", "num_empty", "f_score_0.01", "f_score_0.02", "chamfer_l1", "chamfer_l2", "normal_consistency",
        "iou", "near_accuracy", "cross_scale_iou", "iou_at", "color_error", "families", "codes", "bytes_per_object",
        "seconds",
    }  # fmt: skip
    assert len(figures["iou_at"]) == 3
    assert figures["color_error"] is None  # these fields know no colours
    assert figures["cross_scale_iou"] == pytest.approx(np.mean(figures["iou_at"]))
    assert figures["iou"] == pytest.approx(figures["iou_at"][-1])
    assert figures["bytes_per_object"] == 16  # 21 ids of 6 bits
    ious = []
    for index in range(2):
        arrays = folder.arrays(index)
        points, distances = arrays.distances.points[:256], arrays.distances.distances[:256]
        values = model.field(model.encode(arrays.mesh)).values(torch.from_numpy(points))
        ious.append(compute_iou((values > 0).numpy(), distances < 0))
    assert figures["iou"] == pytest.approx(np.mean(ious), abs=0.02)  # the mesh's frame may move by a rounding
    with pytest.raises(InputError) as caught:
        evaluate_shapes(model, folder, limit=0)
    assert str(caught.value) == "limit: 0 is not allowed; expected at least 1"


def test_latents_are_weighed_and_nothing_decoded_is_counted(shape_folder):
    torch.manual_seed(0)
    model = ShapeModel(build_tokenizer(shape_latents_tiny()))
    with torch.no_grad():
        model.tokenizer.decoder.to_logit[-1].bias.sub_(100)
    figures = evaluate_shapes(model, ShapeFolder(shape_folder), limit=1, resolution=16)
    assert (figures["num_empty"], figures["iou"], figures["f_score_0.02"]) == (1, 0.0, 0.0)
    assert figures["chamfer_l1"] is None
    assert "codes" not in figures
    assert figures["bytes_per_object"] == 16 * 8 * 2


def test_latents_are_as_many_as_are_asked_for(model):
    torch.manual_seed(0)
    free = ShapeModel(build_tokenizer(shape_latents_tiny()))
    for count in (1, 7, 16):
        code = free.encode(box(), num_latents=count)
        assert [block.shape for block in code.blocks] == [(count, 8)]
        assert bytes_of(code) == count * 8 * 2
        free.field(code)
    assert torch.equal(free.encode(box()).blocks[0], code.blocks[0])
    with pytest.raises(InputError) as caught:
        free.encode(box(), num_latents=129)
    assert str(caught.value) == "num_latents: 129 is not allowed; expected 1 to 128"
    with pytest.raises(ConfigError) as caught:
        model.encode(box(), num_latents=16)
    assert str(caught.value) == (
        "num_latents: the tokenizer always writes the same number of codes; leave it out, or use a run of a "
        "`shape-latents` preset"
    )


def test_a_codes_bytes_grow_with_its_scales(model):
    code = model.encode(box())
    assert [bytes_of(code, scales=scales) for scales in (1, 2, 3)] == [1, 4, 16]  # 1, 5, 21 ids of 6 bits
    assert bytes_of(code) == 16


def test_fields_with_colours_give_coloured_meshes_and_are_drawn(tiny_triplane_run, shape_folder):
    model, folder = ShapeModel.load(tiny_triplane_run), ShapeFolder(shape_folder)
    code = model.encode(folder.arrays(0).mesh)
    mesh = model.decode(code, resolution=24)
    assert mesh.vertex_colors.shape == mesh.vertices.shape
    # What comes from the mesh is what the folder holds, up to the folder's rounding of depths.
    (near, far) = (read_from_mesh(model.tokenizer, folder.arrays(0).mesh),
                   read_from_folder(model.tokenizer)(folder, 0, None))  # fmt: skip
    np.testing.assert_allclose(near, far, atol=2e-4)
    figures = evaluate_shapes(model, folder, limit=2, resolution=16)
    json.dumps(figures, allow_nan=False)
    assert figures["bytes_per_object"] == 48  # 63 ids of 6 bits
    assert 5 < figures["psnr_color"] < 40
    assert figures["ssim_color"] <= 1
    scores = []
    for index in range(2):
        arrays = folder.arrays(index)
        origins, directions = map(torch.from_numpy, picture_rays(arrays.cameras[6]))
        field = model.field(model.encode(arrays.mesh))
        found = draw_field(field, origins, directions, background=torch.tensor(BACKGROUND) / 255)
        drawn = bytes_from_unit(found.colors.numpy()).reshape(16, 16, 3)
        scores.append(score_color(drawn, arrays.pictures[6].image)["psnr_color"])
    assert figures["psnr_color"] == pytest.approx(np.mean(scores), abs=0.05)
