"""The image tokenizer's loss written out, what of it reaches whom and when, and its figures on held-out pictures."""

import copy
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from trilingua.core.config import replace_dotted
from trilingua.data.cells import NUM_CELL_VALUES, num_cell_classes
from trilingua.data.pictures import PictureBatch
from trilingua.metrics.perceptual import FeatureDistance
from trilingua.metrics.structural import compute_ssim
from trilingua.quantize.vq import code_usage
from trilingua.scenes.schema import CLEVR
from trilingua.systems.kyvo.config import kyvo_tiny_tokenizers
from trilingua.systems.kyvo.image_task import ImageLossConfig, ImageTokenizerTask
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.training.callbacks import Callback
from trilingua.training.trainer import Trainer, TrainerConfig

CONFIG = kyvo_tiny_tokenizers().images
ALL = ImageLossConfig(structural=0.3, perceptual=0.7, adversarial=0.5, latent_probe=0.2, eye_probe=0.7, costly_images=3)
ADVERSARIAL = ImageLossConfig(adversarial=0.5)


def make_task(losses: ImageLossConfig, *, eye_layers: int = 0, **options: Any) -> ImageTokenizerTask:
    torch.manual_seed(0)
    images = ImageTokenizer(dataclasses.replace(CONFIG, eye_layers=eye_layers))
    return ImageTokenizerTask(images, losses, **options)


def pictures(seed: int, num_pictures: int = 4) -> PictureBatch:
    """Return noisy pictures, lighter towards the bottom, with made-up cells."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(num_pictures, 3, CONFIG.image_size, CONFIG.image_size, generator=generator)
    images = 255 * (0.2 * noise + 0.8 * torch.linspace(0, 1, CONFIG.image_size)[:, None])
    cells = (num_pictures, CONFIG.tokens_per_image)
    classes = [torch.randint(-1, number, cells, generator=generator) for number in num_cell_classes(CLEVR)]
    classes[0] = classes[0].clamp_min(0)  # whether a cell shows an object is known everywhere
    values = torch.randn(*cells, NUM_CELL_VALUES, generator=generator)
    plain = (images + 9 * torch.rand(images.shape, generator=generator)).clamp(max=255)  # seen otherwise than painted
    return PictureBatch(
        images.to(torch.uint8),
        plain.to(torch.uint8),
        torch.stack(classes, dim=-1).to(torch.int8),
        values,
        heights=torch.rand(cells, generator=generator),
        cameras=torch.tensor([7.5, -6.5, 5.3]) + 0.3 * torch.randn(num_pictures, 3, generator=generator),
    )


def pixels_by_hand(made: Tensor, images: Tensor, classes: Tensor, losses: ImageLossConfig) -> Tensor:
    """Return the pixel loss cell by cell."""
    size, grid = CONFIG.patch_size, CONFIG.grid_size
    total, weights = torch.zeros(()), 0.0
    for index, cells in enumerate(classes[..., 0].tolist()):
        for cell, present in enumerate(cells):
            row, column = size * (cell // grid), size * (cell % grid)
            area = (index, slice(None), slice(row, row + size), slice(column, column + size))
            error = made[area] - images[area]
            weight = losses.object_weight if present else 1.0
            total = total + weight * (losses.absolute * error.abs() + losses.squared * error.square()).mean()
            weights += weight
    return total / weights


def by_hand(task: ImageTokenizerTask, batch: PictureBatch) -> tuple[Tensor, Tensor]:
    """Return what the tokenizer and its probes minimise, and what the discriminator does."""
    losses, model, some = task.losses, task.model, task.losses.costly_images
    made = model(batch.images.float() / 255)
    images = batch.plain.float() / 255
    painted, wanted = made.images[:some], images[:some]
    *probes, _ = model.ask(made, batch)
    pixels = pixels_by_hand(made.images, images, batch.classes, losses)
    painter = pixels + losses.commitment * made.quantized.loss
    weights = (losses.latent_probe, losses.code_probe, losses.feature_probe, losses.eye_probe)
    for weight, probe in zip(weights, probes, strict=True):
        painter = painter + weight * probe
    painter = painter + losses.structural * (1 - compute_ssim(painted.mean(dim=1), wanted.mean(dim=1)))
    painter = painter + losses.perceptual * FeatureDistance()(painted.clamp(0, 1), wanted)
    assert model.discriminator is not None
    verdict = -model.discriminator(painted).mean()
    last = model.tokenizer.to_pixels.weight
    pull, push = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (pixels, verdict))
    painter = painter + losses.adversarial * pull / (push + 1e-4) * verdict
    low, high = model.discriminator(painted.detach()), model.discriminator(wanted)
    return painter, (F.relu(1 + low).mean() + F.relu(1 - high).mean()) / 2


@pytest.mark.parametrize("eye_layers", [0, 1])
def test_loss_and_gradients_are_the_formula_written_out(eye_layers: int) -> None:
    task, batch = make_task(ALL, eye_layers=eye_layers), pictures(1)
    slow = copy.deepcopy(task)
    painter, discriminator = by_hand(slow, batch)
    loss, metrics = task.loss(batch)
    torch.testing.assert_close(loss, painter + discriminator, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(metrics["discriminator"], discriminator.detach(), rtol=1e-4, atol=1e-5)
    assert ("eye_value_error" in metrics) == bool(eye_layers)
    loss.backward()
    for name, parameter in slow.model.named_parameters():
        side = discriminator if name.startswith("discriminator.") else painter
        (expected,) = torch.autograd.grad(side, parameter, retain_graph=True)
        ours = task.model.get_parameter(name).grad
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_in_bfloat16_the_painters_losses_do_not_reach_the_discriminator() -> None:
    task, batch = make_task(ADVERSARIAL), pictures(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = task.loss(batch)
    loss.backward()
    assert task.model.discriminator is not None
    gradients = [parameter.grad.clone() for parameter in task.model.discriminator.parameters()]
    task = make_task(replace_dotted(ADVERSARIAL, {"adversarial": 1e-30}))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = task.loss(batch)
    loss.backward()
    assert task.model.discriminator is not None
    for ours, parameter in zip(gradients, task.model.discriminator.parameters(), strict=True):
        assert torch.equal(ours, parameter.grad)


def test_losses_without_weight_have_no_part() -> None:
    task = make_task(ImageLossConfig())
    assert (task.distance, task.model.discriminator) == (None, None)
    _, metrics = task.loss(pictures(1))
    assert not {"structural", "perceptual", "discriminator", "adversarial"} & set(metrics)


class OneBatch:
    """The same batch for ever."""

    def __init__(self, batch: PictureBatch) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[PictureBatch]:
        return self

    def __next__(self) -> PictureBatch:
        return self.batch

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        return


class Remember(Callback):
    """Keeps the discriminator's parameters after each step, and the metrics."""

    def __init__(self, task: ImageTokenizerTask) -> None:
        self.task = task
        self.weights: list[dict[str, Tensor]] = []
        self.lines: list[dict[str, float]] = []

    def on_step(self, step: int) -> None:
        assert self.task.model.discriminator is not None
        named = self.task.model.discriminator.named_parameters()
        self.weights.append({name: value.detach().clone() for name, value in named})

    def on_log(self, step: int, metrics: Any) -> None:
        self.lines.append(dict(metrics))


def test_the_discriminator_begins_at_its_start_and_learns(tmp_path: Path) -> None:
    losses = ImageLossConfig(adversarial=0.5, adversarial_start=3)
    settings = {"learning_rate": 1e-3, "warmup_steps": 0, "schedule": "constant", "weight_decay": 0.0}
    settings |= {"precision": "fp32", "log_every_steps": 1, "eval_every_steps": 0, "num_threads": 1}

    def train(max_steps: int, *, resume: bool) -> Remember:
        task = make_task(losses)
        remember = Remember(task)
        config = TrainerConfig(max_steps=max_steps, **settings)
        Trainer(task, OneBatch(pictures(1)), config, tmp_path, [remember]).fit(resume=resume)
        return remember

    first = train(2, resume=False)
    rest = train(10, resume=True)  # the start is counted from the beginning of the run
    weights, lines = first.weights + rest.weights, first.lines + rest.lines
    for step in (1, 2):
        assert all(torch.equal(value, weights[0][name]) for name, value in weights[step].items())
        assert "discriminator" not in lines[step]
    for step in range(3, 10):
        assert not all(torch.equal(value, weights[step - 1][name]) for name, value in weights[step].items())
    told = [line["discriminator"] for line in lines[3:]]
    assert told[-1] < 0.1 * told[0]
    assert lines[-1]["pixels"] < lines[0]["pixels"]


def test_a_discriminator_that_waits_takes_part_with_nothing() -> None:
    waiting = make_task(ImageLossConfig(adversarial=0.5, adversarial_start=1))
    without = make_task(ImageLossConfig())
    loss, _ = waiting.loss(pictures(1))
    torch.testing.assert_close(loss, without.loss(pictures(1))[0])
    loss.backward()
    assert waiting.model.discriminator is not None
    gradients = [parameter.grad for parameter in waiting.model.discriminator.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_evaluation_judges_the_held_out_pictures_and_changes_nothing(tmp_path: Path) -> None:
    held_out = pictures(2, 9)
    task = make_task(ImageLossConfig(), held_out=held_out)
    task.loss(pictures(1))  # a codebook that has seen something
    model = task.modules().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    figures = task.evaluate(7, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    images = held_out.images.double() / 255
    made = task.model.tokenizer.detokenize(codes := task.model.tokenizer.tokenize(images.float())).double()
    psnr = -10 * math.log10(float(((made - images) ** 2).mean()))
    assert figures["psnr"] == pytest.approx(psnr, rel=1e-4)
    usage = {f"codes_{name}": value for name, value in code_usage(codes, CONFIG.num_codes).items()}
    assert {name: value for name, value in figures.items() if name.startswith("codes_")} == pytest.approx(usage)
    assert 0 < figures["codes_used"] <= 1 <= figures["codes_perplexity"] <= CONFIG.num_codes
    probes = {f"{at}_{what}" for at in ("latent", "code", "feature") for what in ("class_accuracy", "value_error")}
    assert set(figures) == {"psnr", "ssim", *usage, *probes}
    (path,) = tmp_path.iterdir()
    assert path.name == "reconstructions.png"
    shown = np.asarray(Image.open(path))
    side = CONFIG.image_size
    assert shown.shape == (2 * side, 8 * side, 3)
    for index in (0, 7):  # the picture, and below it what became of it
        column = slice(index * side, (index + 1) * side)
        np.testing.assert_array_equal(shown[:side, column], held_out.images[index].permute(1, 2, 0))
        painted = (made[index] * 255).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(shown[side:, column], painted, atol=0.51)


def test_nothing_is_judged_without_held_out_pictures(tmp_path: Path) -> None:
    assert make_task(ImageLossConfig()).evaluate(7, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_counts_are_those_of_pictures_and_cells() -> None:
    task, batch = make_task(ImageLossConfig()), pictures(1, 3)
    assert (task.batch_weight(batch), task.num_tokens(batch)) == (3.0, 3 * 16)
