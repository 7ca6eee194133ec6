"""Training of an image tokenizer's eye alone: codes and pictures stay what they are, and so do models that draw.

The eye is asked, cell by cell, what the renderer knows: which object is there, its categories, where its centre is
and where it stands. The encoder is run and not trained, which takes a third of the time that its training takes.
"""

from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.errors import ConfigError
from trilingua.data.pictures import PictureBatch
from trilingua.metrics.scene_match import THRESHOLDS
from trilingua.nn.probes import DenseProbe
from trilingua.scenes.schema import CLEVR, Schema
from trilingua.systems.kyvo.picture_task import PictureTask, PictureTaskOptions, shown_loss, sighting_loss
from trilingua.systems.kyvo.probes import cell_probe
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.training.task import Metrics

_SIGHTING_WEIGHT = 2.0
"""Of what sighting needs beside what the probe asks."""


class EyeTask(PictureTask):
    """Trains the eye of an `ImageTokenizer` on pictures whose objects are known.

    Args:
        images: the tokenizer; all but its eye is frozen.
        schema: whose objects the probe tells apart.
        options: those of all training on pictures.

    Raises:
        ConfigError: the tokenizer has no eye.
    """

    def __init__(
        self,
        images: ImageTokenizer,
        *,
        schema: Schema = CLEVR,
        **options: Unpack[PictureTaskOptions],
    ) -> None:
        if images.eye is None:
            raise ConfigError("learns: 'eye', but images.eye_layers is 0; give it layers, 3 for example")
        images.requires_grad_(False)
        for part in (images.eye, images.eye_shows, images.eye_windows, images.eye_sighting):
            if part is not None:
                part.requires_grad_(True)
        if images.eye_sighting is not None:  # it has a training of its own
            images.eye_sighting.camera.requires_grad_(False)
        self.model: _Trained = _Trained(images, cell_probe(images.config.dim, schema))
        super().__init__(images.config, **options)

    def loss(self, batch: PictureBatch) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the losses of the probe and of sighting, and how well the probe reads."""
        tokenizer = self.model.tokenizer
        seen = self.model(batch.images.float() / 255)
        loss, figures = self.model.eye_probe.loss(seen, batch.classes.long(), batch.values)
        loss = loss + shown_loss(tokenizer, seen, batch.classes)
        if tokenizer.eye_sighting is not None:
            sighting = sighting_loss(tokenizer.eye_sighting, seen, batch)
            loss, figures = loss + _SIGHTING_WEIGHT * sighting, {**figures, "sighting": float(sighting.detach())}
        return loss, figures

    @torch.no_grad()
    def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
        """Return how well the probe reads held-out pictures, and how far off it takes objects to stand.

        An object is taken to stand at the mean of what its cells say: `place_error` in metres, and as `place_score` the
        mean share within .05 to .25 m, which is what the Jaccard index would be if all else were right. With sighting,
        `camera_error` is how far off a coordinate of the camera is, in metres, and `centre_score` the share if it were
        known.
        """
        if self.held_out is None:
            return {}
        device = self.model.eye_probe.output.weight.device
        batch = PictureBatch(*(part.to(device) for part in self.held_out))
        images = batch.images.float() / 255
        seen = self.model(images)
        _, figures = self.model.eye_probe.loss(seen, batch.classes.long(), batch.values)
        tokenizer = self.model.tokenizer
        error, score = _judge(batch, self.model.eye_probe.values(tokenizer.consider(seen, images).vectors)[..., 2:])
        figures = {**figures, "place_error": error, "place_score": score}
        sighting = tokenizer.eye_sighting
        if sighting is not None:
            figures["camera_error"] = float((sighting.camera(images) - batch.cameras).abs().mean())
            figures["centre_score"] = _judge(batch, sighting.places(batch.cameras, sighting.sight(seen)))[1]
        return figures


def _judge(batch: PictureBatch, places: Float[Tensor, "batch cell 2"]) -> tuple[float, float]:
    """Return the mean error of the places of a batch's objects, and their score, as cells say them."""
    errors = torch.cat([_place_errors(known[:, 2:], said) for known, said in zip(batch.values, places, strict=True)])
    within = torch.stack([(errors < threshold).float().mean() for threshold in THRESHOLDS])
    return float(errors.mean()), float(within.mean())


def _place_errors(known: Float[Tensor, "cell 2"], said: Float[Tensor, "cell 2"]) -> Float[Tensor, " object"]:
    """Return for each object of a picture how far from it the mean of what its cells say lies; NaN marks the ground."""
    shown = ~known[:, 0].isnan()
    places, objects, cells = known[shown].unique(dim=0, return_inverse=True, return_counts=True)
    means = torch.zeros_like(places).index_add_(0, objects, said[shown]) / cells[:, None]
    return torch.linalg.vector_norm(means - places, dim=1)


class _Trained(nn.Module):
    """The tokenizer and the probe, named as in the training of all of the tokenizer; calling it looks at pictures."""

    def __init__(self, tokenizer: ImageTokenizer, eye_probe: DenseProbe) -> None:
        super().__init__()
        self.tokenizer = tokenizer.eval()
        self.eye_probe = eye_probe

    def train(self, mode: bool = True) -> "_Trained":
        """Set the mode of the probe; the tokenizer's statistics and codebook stay as they are."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch cell dim"]:
        with torch.no_grad():
            latents = self.tokenizer.encode(images)
        return self.tokenizer.glance(images, latents)
