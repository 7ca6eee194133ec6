"""Training of what paints pictures from codes, and of nothing else: codes stay, and what was learned of them.

A painter may grow: new layers pass on what they are given. Whoever draws codes draws better pictures with a better
painter, without having learned anything. What is painted should look to the tokenizer's own eye as the picture does,
which tells a cube from a cylinder where pixels differ little. Encoder and eye are run and not trained.
"""

from pathlib import Path
from typing import Unpack

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.errors import ConfigError
from trilingua.data.pictures import PictureBatch
from trilingua.nn.probes import DenseProbe
from trilingua.scenes.schema import CLEVR, Schema
from trilingua.systems.kyvo.image_task import ImageLossConfig, gray_ssim, judge_painting, pixel_loss
from trilingua.systems.kyvo.picture_task import PictureTask, PictureTaskOptions
from trilingua.systems.kyvo.probes import cell_probe
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.training.task import Metrics


class PainterTask(PictureTask):
    """Trains the painter of an `ImageTokenizer`.

    Args:
        images: the tokenizer; all but its painter is frozen.
        losses: of which the errors of pixels, of their structure, and of what is seen count.
        schema: whose objects the eye's probe tells apart, which goes along.
        options: those of all training on pictures.

    Raises:
        ConfigError: what is seen should count, and the tokenizer has no eye.
    """

    def __init__(
        self,
        images: ImageTokenizer,
        losses: ImageLossConfig,
        *,
        schema: Schema = CLEVR,
        **options: Unpack[PictureTaskOptions],
    ) -> None:
        if losses.seen and images.eye is None:
            raise ConfigError(f"losses.seen: {losses.seen}, but images.eye_layers is 0; set it to 0")
        self.model: _Trained = _Trained(images, cell_probe(images.config.dim, schema) if images.eye else None)
        self.model.requires_grad_(False)
        for part in (images.decoder, images.to_pixels):
            part.requires_grad_(True)
        super().__init__(images.config, **options)
        self.losses = losses

    def loss(self, batch: PictureBatch) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the errors of what is painted of the codes of pictures, and each kind of them."""
        made, images = self.model(batch.images.float() / 255), batch.plain.float() / 255
        pixels = pixel_loss(made, images, batch.classes[..., 0], self.losses)
        some = slice(0, self.losses.costly_images)
        structural = 1 - gray_ssim(made[some], images[some])
        total = pixels + self.losses.structural * structural
        figures: Metrics = {"pixels": pixels.detach(), "structural": structural.detach()}
        if self.losses.seen:
            with torch.no_grad():
                wanted = self._see(images[some])
            seen = F.mse_loss(self._see(made[some]), wanted)
            total, figures = total + self.losses.seen * seen, {**figures, "seen": seen.detach()}
        return total, figures

    def _see(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch cell dim"]:
        return self.model.tokenizer.glance(images, self.model.tokenizer.encode(images)).float()

    @torch.no_grad()
    def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
        """Return PSNR and SSIM on held-out pictures; write some beside their reconstructions."""
        if self.held_out is None:
            return {}
        images = self.held_out.images.to(self.model.tokenizer.codebook.device).float() / 255
        return judge_painting(self.model(images), images, out_dir)


class _Trained(nn.Module):
    """The tokenizer, of which the painter alone learns; calling it paints what is left of pictures in codes."""

    def __init__(self, tokenizer: ImageTokenizer, eye_probe: DenseProbe | None) -> None:
        super().__init__()
        self.tokenizer = tokenizer.eval()
        self.eye_probe = eye_probe  # an eye that goes on needs what taught it

    def train(self, mode: bool = True) -> "_Trained":
        """Change nothing: the tokenizer's statistics and codebook stay as they are."""
        return self

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        # In bfloat16 some codes are the second nearest to their latents, which paint the same.
        codes = self.tokenizer.tokenize(images).clone()
        return self.tokenizer.decode(self.tokenizer.quantizer.vectors(codes))[0]
