"""Tiny presets are trained, saved, loaded to identical codes; stages follow each other; the paper's sizes build."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trilingua.core.config import from_json, replace_dotted, to_json
from trilingua.core.errors import CheckpointError, ConfigError, InputError
from trilingua.core.presets import get_preset, preset_names
from trilingua.data.shapes.files import ShapeFolder, ShapesConfig
from trilingua.data.shapes.generate import generate_shapes
from trilingua.data.shapes.streams import ShapeStream
from trilingua.geometry.fields import insideness
from trilingua.metrics.geometry import NEAR, compute_iou
from trilingua.quantize.vq import code_usage
from trilingua.systems.shapes.build import build_tokenizer, is_shape_run, load_tokenizer, write_slim_run
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.systems.shapes.inputs import read_from_folder
from trilingua.systems.shapes.task import ShapeTask
from trilingua.systems.shapes.train import train_shapes
from trilingua.tokenizers.shapes.flexible_planes import FlexibleConfig
from trilingua.tokenizers.shapes.protocol import Judged, Rays, ShapeTokenizer
from trilingua.tokenizers.shapes.triplanes import TriplaneConfig
from trilingua.training.optimizers import build_optimizers

SHAPE_PRESETS = [name for name in preset_names() if isinstance(get_preset(name), ShapeConfig)]
TINY = [name for name in SHAPE_PRESETS if name.endswith("-tiny")]
PAPER = [name for name in SHAPE_PRESETS if name.endswith("-paper")]
ONE_THREAD = {"trainer.num_threads": 1, "trainer.precision": "fp32"}


def inputs_of(folder, tokenizer, *indices):
    read = read_from_folder(tokenizer)
    return torch.stack([torch.from_numpy(read(ShapeFolder(folder), index, None)) for index in indices])


def test_there_is_a_preset_of_each_size():
    assert len(TINY) == len(PAPER) == 4


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_preset_learns_in_twenty_steps_and_comes_back(name, shape_folder, tmp_path):
    config = replace_dotted(get_preset(name), {"data": str(shape_folder), **ONE_THREAD})
    assert config.trainer.max_steps == 20
    assert train_shapes(config, tmp_path / "run").reason == "finished"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert sum(losses[-5:]) < sum(losses[:5])
    judged = [line for line in lines if "evaluation/iou" in line]
    assert [line["step"] for line in judged] == [10, 20]
    assert all(0 <= line["evaluation/near_accuracy"] <= 1 for line in judged)
    assert is_shape_run(tmp_path / "run")
    loaded, tokenizer = load_tokenizer(tmp_path / "run")
    assert loaded == config
    assert isinstance(tokenizer, ShapeTokenizer)
    saved = load_file(tmp_path / "run" / "model.safetensors")
    assert {name: value.tolist() for name, value in tokenizer.state_dict().items()} == {
        name: value.tolist() for name, value in saved.items()
    }
    inputs = inputs_of(shape_folder, tokenizer, 0, 1, 2)
    codes, again = tokenizer.encode(inputs), load_tokenizer(tmp_path / "run")[1].encode(inputs)
    assert all(torch.equal(one, other) for one, other in zip(codes, again, strict=True))
    assert tokenizer.layout() == load_tokenizer(tmp_path / "run")[1].layout()


def test_a_stage_begins_with_the_stage_before(shape_folder, tmp_path):
    second = replace_dotted(get_preset("shape-set-tiny"), {"data": str(shape_folder), "trainer.max_steps": 1,
                                                           "trainer.eval_every_steps": 0, **ONE_THREAD})  # fmt: skip
    first = dataclasses.replace(second, tokenizer=dataclasses.replace(second.tokenizer, scales=()))
    train_shapes(first, tmp_path / "first")
    still = replace_dotted(second, {"start": str(tmp_path / "first"), "trainer.learning_rate": 0.0})
    train_shapes(still, tmp_path / "second")
    before, after = (load_file(tmp_path / run / "model.safetensors") for run in ("first", "second"))
    assert set(before) < set(after)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    backwards = dataclasses.replace(first, start=str(tmp_path / "second"))
    with pytest.raises(CheckpointError):
        train_shapes(backwards, tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_a_stage_goes_on_without_the_stage_before(shape_folder, tmp_path):
    changes = {"data": str(shape_folder), "trainer.max_steps": 1, "trainer.eval_every_steps": 0, **ONE_THREAD}
    second = replace_dotted(get_preset("shape-set-tiny"), changes)
    train_shapes(
        dataclasses.replace(second, tokenizer=dataclasses.replace(second.tokenizer, scales=())), tmp_path / "a"
    )
    second = dataclasses.replace(second, start=str(tmp_path / "a"))
    train_shapes(second, tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert train_shapes(replace_dotted(second, {"trainer.max_steps": 2}), tmp_path / "b", resume=True).step == 2


@pytest.mark.parametrize("name", TINY)
def test_a_resumed_run_is_one_that_was_not_interrupted(name, shape_folder, tmp_path):
    config = replace_dotted(
        get_preset(name),
        {"data": str(shape_folder), "trainer.max_steps": 6, "trainer.save_every_steps": 3, "held_out": 0, **ONE_THREAD},
    )
    train_shapes(config, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "state" / "step_00000006")
    assert train_shapes(config, tmp_path / "parts", resume=True).step == 6
    assert (tmp_path / "parts" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_figures_while_training_are_those_of_the_metrics(tiny_shape_run, shape_folder, tmp_path):
    config, tokenizer = load_tokenizer(tiny_shape_run)
    stream = ShapeStream(
        ShapeFolder(shape_folder), read_from_folder(tokenizer), batch_size=2, num_uniform=1, num_near=1, seed=0
    )
    held_out = stream.held_out(range(3))
    figures = ShapeTask(config, tokenizer, held_out=held_out, num_uniform=256).evaluate(0, tmp_path)
    codes = tokenizer.encode(held_out.inputs)
    ious, right = [], []
    for index, field in enumerate(tokenizer.decode(codes)):
        inside = (insideness(field, held_out.places[index]) > 0).numpy()
        truth = held_out.distances[index].numpy() < 0
        ious.append(compute_iou(inside[:256], truth[:256]))
        near = np.abs(held_out.distances[index].numpy()) <= NEAR
        right.append((inside == truth)[near].mean())
    assert figures["iou"] == pytest.approx(np.mean(ious))
    assert figures["near_accuracy"] == pytest.approx(np.mean(right))
    used = [code_usage(block, tokenizer.blocks()[0].vocabulary)["perplexity"] for block in (codes[0], codes[-1])]
    assert [figures["perplexity_first"], figures["perplexity_last"]] == pytest.approx(used)
    alone = ShapeTask(config, tokenizer, held_out=held_out, num_uniform=0).evaluate(0, tmp_path)
    assert set(figures) - set(alone) == {"iou", "cross_scale_iou"}


def test_pictures_alone_are_enough_to_learn_from(tmp_path):
    config = ShapesConfig(
        num_objects=6, num_points=1, num_uniform=0, num_near=0, num_random_views=1, view_size=16, voxel_resolution=16
    )
    generate_shapes(tmp_path / "data", config)
    changes = {"data": str(tmp_path / "data"), "tokenizer.occupancy_weight": 0.0, "tokenizer.scales": ()}
    changes |= {"num_uniform": 0, "num_near": 0, "trainer.max_steps": 2, "trainer.eval_every_steps": 1, **ONE_THREAD}
    train_shapes(replace_dotted(get_preset("shape-triplane-tiny"), changes), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    judged = [line for line in lines if "evaluation/color" in line]
    assert [line["step"] for line in judged] == [1, 2]
    assert all({"evaluation/mask", "evaluation/depth"} <= line.keys() for line in judged)


def test_the_mesh_stage_begins_with_the_triplane_stage_and_keeps_its_codes(tiny_triplane_run, shape_folder, tmp_path):
    first = get_preset("shape-triplane-tiny")
    mesh = FlexibleConfig(resolution=8, hidden_dim=16)
    second = dataclasses.replace(
        first,
        data=str(shape_folder),
        start=str(tiny_triplane_run),
        tokenizer=dataclasses.replace(first.tokenizer, mesh=mesh),
    )
    changes = {"trainer.max_steps": 2, "trainer.eval_every_steps": 2, **ONE_THREAD}
    train_shapes(replace_dotted(second, changes), tmp_path / "mesh")
    _, before = load_tokenizer(tiny_triplane_run)
    _, after = load_tokenizer(tmp_path / "mesh")
    inputs = inputs_of(shape_folder, before, 0, 1, 2)
    for one, other in zip(before.encode(inputs), after.encode(inputs), strict=True):
        assert torch.equal(one, other)
    changed = {
        name.partition(".")[0]
        for name, value in after.state_dict().items()
        if name not in before.state_dict() or not torch.equal(value, before.state_dict()[name])
    }
    assert changed == {"decoder", "heads"}
    assert before.layout() != after.layout()
    lines = [json.loads(line) for line in (tmp_path / "mesh" / "metrics.jsonl").read_text().splitlines()]
    assert any("mesh_place" in line for line in lines)
    assert any(0 <= line.get("evaluation/iou", -1) <= 1 for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tokenizer.view_size": 32},
            "view_size: 32; the pictures are 16 x 16; make data with --view-size 32, or set --tokenizer.view-size",
        ),
    ],
)
def test_pictures_that_do_not_do_are_refused_in_words(changes, message, shape_folder, tmp_path):
    config = replace_dotted(get_preset("shape-triplane-tiny"), {"data": str(shape_folder), "held_out": 0, **changes})
    with pytest.raises(ConfigError) as caught:
        train_shapes(config, tmp_path / "run")
    assert str(caught.value) == message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "shape-set-tiny",
            {"num_rays": 5},
            "num_rays: 5; only tokenizers of views learn from rays; leave it out",
        ),
        (
            "shape-set-tiny",
            {"num_uniform": 0, "num_near": 0},
            "num_uniform, num_near: both are 0; expected places to learn from",
        ),
        (
            "shape-triplane-tiny",
            {"num_uniform": 0, "num_near": 0},
            "num_uniform, num_near: both are 0; expected places to learn from",
        ),
        (
            "shape-triplane",
            {"tokenizer": TriplaneConfig(num_views=7)},
            "num_views: 7; a mesh is seen by 6 fixed cameras, so expected at most as many",
        ),
        (
            "shape-triplane-paper",
            {"num_rays": 0},
            "num_rays: 0; there is nothing else to learn from, so expected at least 1",
        ),
        (
            "shape-triplane-mesh",
            {"num_rays": 0},
            "num_rays: 0; the mesh is compared to where rays end, so expected at least 1",
        ),
    ],
)
def test_nothing_to_learn_from_is_refused_in_words(name, changes, message):
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(get_preset(name), **changes)
    assert str(caught.value) == message


def test_a_configuration_says_which_tokenizer_it_is_of():
    for name, kind in (("shape-set", "SetConfig"), ("shape-triplane-mesh", "TriplaneConfig")):
        written = json.loads(json.dumps(to_json(get_preset(name))))
        assert written["tokenizer"]["type"] == kind
        assert from_json(ShapeConfig, written) == get_preset(name)


def test_a_slim_run_is_read_like_any_other(tiny_shape_run, tmp_path):
    config, tokenizer = load_tokenizer(tiny_shape_run)
    write_slim_run(tmp_path, config, tokenizer)
    slim_config, slim = load_tokenizer(tmp_path)
    assert slim_config == dataclasses.replace(config, data="")
    for name, value in slim.state_dict().items():
        torch.testing.assert_close(value, tokenizer.state_dict()[name].half().float(), rtol=0, atol=0)
    assert slim.layout().blocks == tokenizer.layout().blocks
    assert slim.layout().digest != tokenizer.layout().digest


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_sizes_make_a_step(name):
    config = get_preset(name)
    with torch.device("meta"):
        tokenizer = build_tokenizer(config).train()
        places = config.num_uniform + config.num_near
        judged = Judged(torch.empty(1, places, 3), torch.empty(1, places))
        if isinstance(config.tokenizer, TriplaneConfig):
            read = torch.empty(1, 6, config.tokenizer.view_size, config.tokenizer.view_size, 10)
            rays = (1, config.num_rays)
            judged = judged._replace(rays=Rays(*(torch.empty(*rays, 3) for _ in range(3)), torch.empty(rays),
                                               torch.empty(*rays, 3)))  # fmt: skip
        elif tokenizer.reads == "voxels":
            read = torch.empty(1, *(config.tokenizer.resolution,) * 3, 9)
        else:
            read = torch.empty(1, config.tokenizer.num_points, 6)
            # The number of latents is drawn, for which a value is needed.
            tokenizer.config = dataclasses.replace(tokenizer.config, other_counts=())
        loss, _ = tokenizer.loss(read, judged)
        loss.backward()
    trainer = config.trainer
    (optimizer,) = build_optimizers(
        tokenizer, kind="adamw", learning_rate=trainer.learning_rate, weight_decay=0.0, betas=trainer.betas
    )
    optimizer.step()
    without = [name for name, weight in tokenizer.named_parameters() if weight.grad is None]
    assert without == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ""}, "data: is not set; pass --data with a shape data directory"),
        ({"held_out": 6}, "{data}: holds 8 objects; training needs 10"),
        (
            {"tokenizer.num_points": 300},
            "num_points: 300; there are 256 points of the object; make data with --num-points 300, or set "
            "--tokenizer.num-points",
        ),
        ({"num_near": 300}, "num_near: 300; {data} holds 256 such places of each object"),
    ],
)
def test_data_that_do_not_do_are_refused_in_words(changes, message, shape_folder, tmp_path):
    config = replace_dotted(get_preset("shape-set-tiny"), {"data": str(shape_folder), **changes})
    with pytest.raises(ConfigError) as caught:
        train_shapes(config, tmp_path / "run")
    assert str(caught.value) == message.format(data=shape_folder)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("manifest", ['{"settings": {}}', "[]", '{"objects": 3}'])
def test_data_of_another_kind_are_refused_in_words(manifest, tmp_path):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError) as caught:
        ShapeFolder(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is no shape data directory; make one with `trilingua data shapes`"


def test_folders_that_are_no_runs_are_refused_in_words(tiny_shape_run, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value) == f"{tmp_path}: holds no config.json; pass the folder of a run of `trilingua train`"
    (tmp_path / "config.json").write_text('{"kind": "kyvo"}')
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'config.json'}: is no configuration of a shape tokenizer; pass the run of a `shape-*` preset"
    )
    assert not is_shape_run(tmp_path)
    (tmp_path / "config.json").write_bytes((tiny_shape_run / "config.json").read_bytes())
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'model.safetensors'}: no such file; this folder is no finished run"
