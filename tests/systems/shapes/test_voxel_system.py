"""Voxel tokenizers in the system: data that fit, meshes with their colours, files of structured latents."""

import json

import numpy as np
import pytest
import torch
import trimesh

from trilingua.core.config import from_json, replace_dotted, to_json
from trilingua.core.errors import ConfigError, VocabularyError
from trilingua.data.shapes.files import ShapeFolder
from trilingua.data.shapes.structured_latents import (
    LatentFolder,
    read_structured_latents,
    save_structured_latents,
)
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Frame, Mesh
from trilingua.geometry.voxels import voxelize
from trilingua.systems.shapes.build import build_tokenizer
from trilingua.systems.shapes.config import ShapeConfig, shape_set_tiny, shape_voxels_tiny
from trilingua.systems.shapes.evaluate import evaluate_shapes
from trilingua.systems.shapes.pipeline import ShapeModel
from trilingua.systems.shapes.train import train_shapes

ONE_THREAD = {"trainer.num_threads": 1, "trainer.precision": "fp32"}


@pytest.fixture(scope="module")
def latent_folder(shape_folder, tmp_path_factory):
    """The voxels of the shape directory as TRELLIS would write them."""
    folder = tmp_path_factory.mktemp("latents")
    shapes = ShapeFolder(shape_folder)
    for index in range(len(shapes)):
        save_structured_latents(shapes.voxels(index), folder / f"{index}.npz")
    return folder


@pytest.fixture(scope="module")
def colored(shape_folder, tmp_path_factory):
    """A model whose shapes are blobs with colours."""
    run = tmp_path_factory.mktemp("voxels") / "run"
    changes = {"data": str(shape_folder), "trainer.max_steps": 40, "trainer.eval_every_steps": 0, **ONE_THREAD}
    train_shapes(replace_dotted(shape_voxels_tiny(), changes), run)
    return ShapeModel.load(run)


def test_the_key_type_says_which_tokenizer_a_configuration_is_of():
    for config in (shape_voxels_tiny(), shape_set_tiny()):
        written = to_json(config)
        assert written["tokenizer"]["type"] == type(config.tokenizer).__name__
        assert from_json(ShapeConfig, written) == config


def test_voxels_of_a_folder_are_read_as_the_whole_is(shape_folder):
    folder = ShapeFolder(shape_folder)
    for part, again in zip(folder.voxels(2), folder.arrays(2).voxels, strict=True):
        np.testing.assert_array_equal(part, again)


def test_data_of_another_resolution_are_refused_in_words(shape_folder, tmp_path):
    config = replace_dotted(shape_voxels_tiny(), {"data": str(shape_folder), "tokenizer.resolution": 8})
    with pytest.raises(ConfigError) as caught:
        train_shapes(config, tmp_path / "run")
    assert str(caught.value) == (
        f"{shape_folder}: holds voxels of 16 cells along each side; the tokenizer reads 8 "
        "(make the data with --voxel-resolution 8, or set --tokenizer.resolution)"
    )
    assert not (tmp_path / "run").exists()


def test_a_mesh_comes_back_with_colours(colored):
    box = trimesh.creation.box((1.0, 0.8, 0.6))
    code = colored.encode(Mesh(vertices=box.vertices + 7, faces=box.faces))
    assert code.layout.kind == "voxels"
    mesh = colored.decode(code, resolution=24)
    assert mesh.vertex_colors.shape == (len(mesh.vertices), 3)
    assert 6 < mesh.vertices.mean() < 8


def test_evaluation_tells_how_far_colours_are_off(colored, shape_folder):
    folder = ShapeFolder(shape_folder)
    figures = evaluate_shapes(colored, folder, limit=1, resolution=16)
    arrays = folder.arrays(0)
    code = colored.encode(arrays.mesh)
    own = torch.from_numpy(((arrays.points.points - code.frame.center) / code.frame.scale).astype(np.float32))
    errors = colored.field(code).colors(own).numpy() - arrays.points.colors / 255
    assert figures["color_error"] == pytest.approx(np.abs(errors).mean(), abs=1e-5)
    assert 0 < figures["color_error"] < 1
    assert figures["bytes_per_object"] == 48  # 64 ids of 6 bits


def test_latents_are_learned_from_a_folder_and_come_back_as_files(latent_folder, tmp_path):
    changes = {"data": str(latent_folder), "tokenizer.features": "latents", "num_uniform": 0, "num_near": 0}
    config = replace_dotted(shape_voxels_tiny(), changes | ONE_THREAD)
    assert train_shapes(config, tmp_path / "run").reason == "finished"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert sum(losses[-5:]) < sum(losses[:5])
    judged = [line for line in lines if "evaluation/kept" in line]
    assert [line["step"] for line in judged] == [10, 20]
    assert {"evaluation/features", "evaluation/perplexity_last"} <= set(judged[0])
    assert "evaluation/iou" not in judged[0]

    model = ShapeModel.load(tmp_path / "run")
    voxels = LatentFolder(latent_folder, resolution=16).voxels(3)
    frame = Frame(center=(1.0, 2.0, 3.0), scale=0.5)
    code = model.encode_voxels(voxels, frame)
    model.save_code(code, tmp_path / "code.json")
    again = model.load_code(tmp_path / "code.json")
    assert again.frame == frame
    back = model.decode_voxels(again)
    (wanted,) = model.tokenizer.decode_voxels(code.batch)
    np.testing.assert_array_equal(back.coords, wanted.coords)
    save_structured_latents(wanted._replace(coords=voxels.coords[:1], features=voxels.features[:1]), tmp_path / "a.npz")
    assert len(read_structured_latents(tmp_path / "a.npz", resolution=16).coords) == 1


def test_what_a_tokenizer_does_not_read_is_refused_in_words(colored):
    torch.manual_seed(0)
    of_points = ShapeModel(build_tokenizer(shape_set_tiny()))
    voxels = voxelize(MeshQueries(Mesh(vertices=np.eye(4, 3), faces=np.array([[0, 1, 2], [0, 2, 3]]))), 16)
    for call in (
        lambda: of_points.encode_voxels(voxels),
        lambda: of_points.decode_voxels(colored.encode_voxels(voxels)),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == "tokenizer: reads points; voxels need a run of a `shape-voxels` preset"
    latents = ShapeModel(build_tokenizer(replace_dotted(shape_voxels_tiny(), {"tokenizer.features": "latents"})))
    box = trimesh.creation.box((1.0, 0.8, 0.6))
    with pytest.raises(ConfigError) as caught:
        latents.encode(Mesh(vertices=box.vertices, faces=box.faces))
    assert str(caught.value) == (
        "tokenizer: reads structured latents of TRELLIS, which a mesh alone does not give; "
        "use `ShapeModel.encode_voxels` on .npz files"
    )
    with pytest.raises(VocabularyError):
        colored.decode_voxels(latents.encode_voxels(voxels))
    with pytest.raises(ConfigError) as caught:
        replace_dotted(shape_voxels_tiny(), {"num_uniform": 0, "num_near": 0})
    assert str(caught.value) == "num_uniform, num_near: both are 0; expected places to learn from"
