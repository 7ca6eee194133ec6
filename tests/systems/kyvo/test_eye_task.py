"""An eye learns where objects stand, everything else of its tokenizer stays; its figures against a slow oracle."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from tests.systems.kyvo.test_image_task import CONFIG, pictures

from trilingua.core.config import replace_dotted
from trilingua.core.errors import ConfigError
from trilingua.systems.kyvo.camera_task import CameraTask
from trilingua.systems.kyvo.config import kyvo_tiny_tokenizers
from trilingua.systems.kyvo.eye_task import EyeTask
from trilingua.systems.kyvo.picture_task import shown_loss, sighting_loss
from trilingua.systems.kyvo.probes import begin_sighting
from trilingua.systems.kyvo.train import train_tokenizers
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.tokenizers.sighting import Sighted


def make_task(windows=0, modes=0, part=EyeTask, **options):
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, eye_layers=1, eye_window_width=windows, eye_light_modes=modes)
    return part(ImageTokenizer(config), **options)


def learnable():
    """Pictures each of whose cells shows its own object or the ground, told apart by their light."""
    batch = pictures(1)
    generator = torch.Generator().manual_seed(2)
    shown = torch.rand(batch.values.shape[:2], generator=generator) < 0.5
    grid, size = CONFIG.grid_size, CONFIG.patch_size
    light = (255 * shown).unflatten(1, (grid, grid)).repeat_interleave(size, 1).repeat_interleave(size, 2)
    images = light[:, None].expand_as(batch.images).to(torch.uint8).contiguous()
    classes = torch.where(shown[..., None], torch.ones_like(batch.classes), -1)
    classes[..., 0] = shown
    values = torch.where(shown[..., None], torch.arange(batch.values.shape[1])[None, :, None] / 16.0, torch.nan)
    return batch._replace(images=images, plain=images, classes=classes, values=values.expand_as(batch.values))


@pytest.mark.parametrize(("windows", "modes"), [(0, 0), (8, 0), (0, 3)])
def test_the_eye_learns_and_all_else_stays(tmp_path, windows, modes):
    task, batch = make_task(windows, modes, held_out=learnable()), learnable()
    before = {name: value.clone() for name, value in task.modules().state_dict().items()}
    trained = [p for p in task.modules().parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-2)
    at_first = task.evaluate(0, tmp_path)
    task.modules().train()
    for step in range(120):
        loss, figures = task.loss(batch)
        if step == 0:
            begun = figures
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {name for name, value in task.modules().state_dict().items() if not torch.equal(value, before[name])}
    assert {name.rpartition(".")[0].removeprefix("tokenizer.").partition(".")[0] for name in changed} == {
        "eye",
        "eye_probe",
        "eye_shows",
        *(["eye_windows"] if windows else []),
        *(["eye_sighting"] if modes else []),
    }
    assert not any("eye_sighting.camera." in name for name in changed)
    after = task.evaluate(120, tmp_path)
    assert set(figures) == {"class_accuracy", "value_error", *(["sighting"] if modes else [])}
    if modes:
        assert figures["sighting"] < 0.5 * begun["sighting"]
    assert after["place_error"] < 0.5 * at_first["place_error"]
    assert after["place_score"] > at_first["place_score"]
    assert after["class_accuracy"] == 1.0


def test_what_sighting_is_asked_is_asked_of_each_cell_with_an_object():
    """The loss against a loop over cells; a batch of bare ground loses nothing."""
    sighting = make_task(modes=3).model.tokenizer.eye_sighting
    batch = learnable()
    seen = torch.randn(*batch.values.shape[:2], CONFIG.dim)
    errors = []
    for picture, cell in (batch.classes[..., 0] == 1).nonzero().tolist():
        across, down, x, y = batch.values[picture, cell].tolist()
        centre = sighting.centre(seen[picture, cell]).tolist()
        waves = [math.sin(2**k * v) for k in range(4) for v in (x, y)]
        waves += [math.cos(2**k * v) for k in range(4) for v in (x, y)]
        told = sighting.told(seen[picture, cell]).tolist()
        error = sum(abs(a - b) for a, b in zip(centre, (across, down, batch.heights[picture, cell]), strict=True))
        errors.append(error + np.mean([abs(a - b) for a, b in zip(told, (x, y, *waves), strict=True)]))
    assert float(sighting_loss(sighting, seen, batch).detach()) == pytest.approx(np.mean(errors), rel=1e-4)
    bare = batch._replace(classes=torch.full_like(batch.classes, -1))
    assert float(sighting_loss(sighting, seen, bare).detach()) == 0


@torch.no_grad()
def test_a_cell_that_is_right_about_all_is_right_about_places_if_the_camera_is_known(tmp_path):
    """Every object stands where the camera of its picture sees it from the middle of its one cell."""
    batch = pictures(4)
    batch.classes[..., 0] = 1
    task = make_task(modes=3, held_out=batch)
    sighting = task.model.tokenizer.eye_sighting
    right = Sighted(torch.zeros(*batch.heights.shape, 2), batch.heights)
    batch.values[..., 2:] = sighting.places(batch.cameras, right)
    sighting.sight = lambda _: right
    task.modules().eval()
    figures = task.evaluate(0, tmp_path)
    assert figures["centre_score"] == 1
    assert figures["place_score"] < 0.5  # until it is taught where cameras stand, an eye tells places by itself
    assert figures["camera_error"] == pytest.approx(float(batch.cameras.abs().mean()), abs=0.5)
    sighting.camera.brightness.fill_(-1)
    sighting.camera.forward = lambda _: batch.cameras
    sighting.told.weight.copy_(task.model.eye_probe.output.weight.normal_()[: len(sighting.told.weight)])
    begin_sighting(sighting, task.model.eye_probe)
    sighting.sight = lambda _: right
    task.model.tokenizer.eye_shows.bias.fill_(20)
    assert task.evaluate(0, tmp_path)["place_score"] == 1


@torch.no_grad()
def test_new_sighting_reads_vectors_as_the_probe_did():
    task = make_task(modes=3)
    probe, sighting = task.model.eye_probe, task.model.tokenizer.eye_sighting
    torch.nn.init.normal_(probe.output.weight)
    torch.nn.init.normal_(probe.output.bias)
    begin_sighting(sighting, probe)
    seen = torch.randn(5, CONFIG.dim)
    torch.testing.assert_close(sighting.sight(seen).offsets, probe.values(seen)[:, :2])
    said = probe.output(seen)[:, sum(probe.num_classes) :]
    # Behind four values come sines, then cosines, of each frequency in turn.
    place = [2, 3, *(4 + 4 * k + v for k in range(8) for v in (2, 3))]
    torch.testing.assert_close(sighting.told(seen), said[:, place])


def test_the_camera_learns_and_all_else_stays(tmp_path):
    """From pictures whose light says where the camera stands."""
    batch = learnable()
    batch = batch._replace(cameras=torch.tensor([7.5, -6.5, 5.3]) + torch.rand(len(batch.images), 1) - 0.5)
    shade = (batch.cameras[:, :1, None, None] - 7.5) * torch.linspace(-30, 30, CONFIG.image_size)
    batch = batch._replace(images=(shade + 120).expand_as(batch.images).to(torch.uint8))
    task = make_task(modes=2, part=CameraTask, held_out=batch)
    task.begin([batch])
    before = {name: value.clone() for name, value in task.modules().state_dict().items()}
    trained = [p for p in task.modules().parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-2)
    for _ in range(60):
        loss, figures = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {name for name, value in task.modules().state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("tokenizer.eye_sighting.camera.") for name in changed)
    assert float(figures["camera_error"]) == loss.item() < 0.05
    assert task.evaluate(60, tmp_path)["camera_error"] < 0.05
    usual = task.reader.usual.clone()
    with pytest.raises(ConfigError) as caught:
        make_task(modes=4, part=CameraTask).begin([batch])
    assert str(caught.value) == (
        "images.eye_light_modes: 4; expected fewer than the 4 pictures to begin with; set it so, or make more data"
    )
    task.begin([learnable()])  # goes on with what it knows
    assert torch.equal(task.reader.usual, usual)


def test_what_is_seen_does_not_follow_the_loss_of_what_is_shown():
    """The loss against a loop; its gradient reaches the part that tells, and stops there."""
    tokenizer = make_task().model.tokenizer
    classes = torch.randint(-1, 2, (2, 5, 3))
    seen = torch.randn(2, 5, CONFIG.dim, requires_grad=True)
    loss = shown_loss(tokenizer, seen, classes)
    expected = []
    for vector, (there, *_) in zip(seen.flatten(0, 1), classes.flatten(0, 1).tolist(), strict=True):
        share = torch.sigmoid(tokenizer.eye_shows(vector)[0])
        expected.append(-(share if there == 1 else 1 - share).log())
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    loss.backward()
    assert seen.grad is None
    assert tokenizer.eye_shows.weight.grad.abs().max() > 0


@torch.no_grad()
def test_places_are_those_of_an_objects_cells_together(tmp_path):
    """Against a loop over objects and cells."""
    batch = pictures(3)
    owners = torch.randint(-1, 4, batch.values.shape[:2], generator=torch.Generator().manual_seed(3))
    places = torch.randn(len(owners), 4, 4)
    values = places.gather(1, owners.clamp(min=0)[..., None].expand(-1, -1, 4))
    values[owners < 0] = torch.nan
    batch = batch._replace(values=values)
    task = make_task(held_out=batch)
    task.modules().eval()
    said = task.model.eye_probe.output(task.model(batch.images.float() / 255))[..., -2:]
    errors = []
    for picture, cells in enumerate(owners.tolist()):
        for item in range(4):
            own = [said[picture, cell].numpy() for cell, owner in enumerate(cells) if owner == item]
            if own:
                errors.append(np.linalg.norm(np.mean(own, axis=0) - places[picture, item, 2:].numpy()))
    found = task.evaluate(0, tmp_path)
    assert found["place_error"] == pytest.approx(np.mean(errors), rel=1e-4)
    within = [np.mean(np.array(errors) < threshold) for threshold in (0.05, 0.1, 0.15, 0.2, 0.25)]
    assert found["place_score"] == pytest.approx(np.mean(within), abs=1e-6)


def test_what_cannot_learn_is_refused(clevr_folder, tmp_path):
    with pytest.raises(ConfigError) as caught:
        EyeTask(ImageTokenizer(CONFIG))
    assert str(caught.value) == "learns: 'eye', but images.eye_layers is 0; give it layers, 3 for example"
    blind = replace_dotted(kyvo_tiny_tokenizers(), {"learns": "eye", "data": str(clevr_folder)})
    with pytest.raises(ConfigError) as caught:
        train_tokenizers(blind, tmp_path / "run")
    assert str(caught.value) == "start: is not set; pass --start with the run whose codes stay as they are"
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError) as caught:
        make_task(part=CameraTask)
    assert str(caught.value) == "learns: 'camera', but images.eye_light_modes is 0; give it some, 40 for example"
