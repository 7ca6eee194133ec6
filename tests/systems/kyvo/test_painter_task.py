"""A painter learns, everything else of its tokenizer stays; its loss written out, its figures on held-out pictures."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from tests.systems.kyvo.test_image_task import CONFIG, pictures

from trilingua.core.config import replace_dotted
from trilingua.core.errors import ConfigError
from trilingua.metrics.structural import compute_ssim
from trilingua.systems.kyvo.build import load_tokenizers
from trilingua.systems.kyvo.config import kyvo_tiny_tokenizers
from trilingua.systems.kyvo.image_task import ImageLossConfig
from trilingua.systems.kyvo.painter_task import PainterTask
from trilingua.systems.kyvo.train import train_tokenizers
from trilingua.tokenizers.images import ImageTokenizer

LOSSES = ImageLossConfig(structural=0.3, seen=0.7, costly_images=3, commitment=5.0, latent_probe=5.0)


def make_task(**options):
    torch.manual_seed(0)
    return PainterTask(ImageTokenizer(dataclasses.replace(CONFIG, eye_layers=1)), LOSSES, **options)


def test_the_loss_is_that_of_pixels_of_structure_and_of_what_is_seen():
    task, batch = make_task(), pictures(1)
    tokenizer = task.model.tokenizer
    with torch.no_grad():
        loss, figures = task.loss(batch)
        made = tokenizer.decode(tokenizer.quantizer.vectors(tokenizer.tokenize(batch.images.float() / 255)))[0]
        vectors = [tokenizer.see(images[:3]).vectors for images in (made, batch.plain.float() / 255)]
    errors, weights, size = 0.0, 0.0, CONFIG.patch_size
    plain = batch.plain.float() / 255
    for picture in range(len(plain)):
        for cell in range(CONFIG.tokens_per_image):
            row, column = divmod(cell, CONFIG.grid_size)
            part = (slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size))
            error = (made[picture, :, *part] - plain[picture, :, *part]).double()
            weight = LOSSES.object_weight if batch.classes[picture, cell, 0] == 1 else 1.0
            errors += weight * float((LOSSES.absolute * error.abs() + LOSSES.squared * error.square()).mean())
            weights += weight
    structural = 1 - float(compute_ssim(made[:3].mean(dim=1), plain[:3].mean(dim=1)))
    seen = float((vectors[0] - vectors[1]).square().mean())
    assert float(loss) == pytest.approx(errors / weights + 0.3 * structural + 0.7 * seen, rel=1e-5)
    assert {name: float(value) for name, value in figures.items()} == {
        "pixels": pytest.approx(errors / weights, rel=1e-5),
        "structural": pytest.approx(structural, rel=1e-5),
        "seen": pytest.approx(seen, rel=1e-5),
    }


def test_the_painter_learns_and_all_else_stays(tmp_path):
    batch = pictures(2)
    task = make_task(held_out=batch)
    before = {name: value.clone() for name, value in task.modules().state_dict().items()}
    digest = task.model.tokenizer.digest
    at_first = task.evaluate(0, tmp_path)
    task.modules().train()
    optimizer = torch.optim.Adam([p for p in task.modules().parameters() if p.requires_grad], 1e-2)
    for _ in range(40):
        loss, _ = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {name for name, value in task.modules().state_dict().items() if not torch.equal(value, before[name])}
    assert {".".join(name.split(".")[:2]) for name in changed} == {"tokenizer.decoder", "tokenizer.to_pixels"}
    assert task.model.tokenizer.digest == digest
    after = task.evaluate(40, tmp_path)
    assert after["psnr"] > at_first["psnr"] + 1
    assert after["ssim"] > at_first["ssim"]
    # As many pictures as there are, above what is painted of them.
    shown = np.asarray(Image.open(tmp_path / "reconstructions.png"))
    assert shown.shape == (2 * CONFIG.image_size, len(batch.images) * CONFIG.image_size, 3)
    assert task.evaluate(0, tmp_path) == after
    assert make_task().evaluate(0, tmp_path) == {}


def test_a_painter_without_an_eye_has_nobody_to_please():
    blind = ImageTokenizer(CONFIG)
    with pytest.raises(ConfigError) as caught:
        PainterTask(blind, LOSSES)
    assert str(caught.value) == "losses.seen: 0.7, but images.eye_layers is 0; set it to 0"
    with torch.no_grad():
        loss, figures = PainterTask(blind, dataclasses.replace(LOSSES, seen=0.0)).loss(pictures(1))
    assert set(figures) == {"pixels", "structural"}
    assert float(loss) == pytest.approx(float(figures["pixels"] + 0.3 * figures["structural"]), rel=1e-6)


def test_a_run_of_the_painter_keeps_eye_and_text(tiny_run, clevr_folder, tmp_path):
    learning = {"data": str(clevr_folder), "images.eye_layers": 1, "trainer.max_steps": 2}
    first = {**learning, "start": str(tiny_run), "learns": "eye"}
    second = {**learning, "start": str(tmp_path / "eye"), "learns": "painter", "images.decoder_layers": 2}
    train_tokenizers(replace_dotted(kyvo_tiny_tokenizers(), first), tmp_path / "eye")
    train_tokenizers(replace_dotted(kyvo_tiny_tokenizers(), second), tmp_path / "painter")
    start, made = (load_tokenizers(tmp_path / name) for name in ("eye", "painter"))
    assert made.images.digest == start.images.digest
    assert made.images.config.decoder_layers == 2
    assert made.vocabulary.digest == start.vocabulary.digest
    assert {name.split(".")[0] for name in made.probes} == {"eye_probe"}
    assert all(torch.equal(value, start.probes[name]) for name, value in made.probes.items())
