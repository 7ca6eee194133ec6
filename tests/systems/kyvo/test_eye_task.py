"""An eye learns where objects stand, everything else of its tokenizer stays; its figures against a slow oracle."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.systems.kyvo.test_image_task import CONFIG, pictures

from trilingua.core.config import replace_dotted
from trilingua.core.errors import ConfigError
from trilingua.systems.kyvo.config import kyvo_tiny_tokenizers
from trilingua.systems.kyvo.eye_task import EyeTask
from trilingua.systems.kyvo.picture_task import shown_loss
from trilingua.systems.kyvo.train import train_tokenizers
from trilingua.tokenizers.images import ImageTokenizer


def make_task(windows=0, **options):
    torch.manual_seed(0)
    return EyeTask(ImageTokenizer(dataclasses.replace(CONFIG, eye_layers=1, eye_window_width=windows)), **options)


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


@pytest.mark.parametrize("windows", [0, 8])
def test_the_eye_learns_and_all_else_stays(tmp_path, windows):
    task, batch = make_task(windows, held_out=learnable()), learnable()
    before = {name: value.clone() for name, value in task.modules().state_dict().items()}
    trained = [p for p in task.modules().parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-2)
    at_first = task.evaluate(0, tmp_path)
    task.modules().train()
    for _ in range(120):
        loss, figures = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {name for name, value in task.modules().state_dict().items() if not torch.equal(value, before[name])}
    assert {name.rpartition(".")[0].removeprefix("tokenizer.").partition(".")[0] for name in changed} == {
        "eye",
        "eye_probe",
        "eye_shows",
        *(["eye_windows"] if windows else []),
    }
    after = task.evaluate(120, tmp_path)
    assert set(figures) == {"class_accuracy", "value_error"}
    assert after["place_error"] < 0.5 * at_first["place_error"]
    assert after["place_score"] > at_first["place_score"]
    assert after["class_accuracy"] == 1.0


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
    assert str(caught.value) == "start: is not set; pass --start with the run whose codes the eye is to look at"
    assert not (tmp_path / "run").exists()
