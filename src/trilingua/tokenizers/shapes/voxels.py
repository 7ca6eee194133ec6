"""Voxels of a surface to one block of ids, and back to voxels, a field and colours.

The sparse cells are put into a whole grid of zeros, with a channel that says which cells are kept. A convolutional
encoder takes it to a coarse grid, each cell of which is rounded to one code. The decoder leads back to the whole grid,
and says of every cell whether it is kept, what it holds, and whether its middle is inside.

A decoded cell is kept if its logit is above 0, that is if it is likelier kept than not. How the cells make a field is
told in `voxel_fields.py`.

Source: Kyvo, section 3.4.1 and appendix D.3; van den Oord et al. 2017.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from trilingua.core.config import require_at_least
from trilingua.core.errors import ConfigError
from trilingua.geometry.fields import Field
from trilingua.geometry.voxel_rendering import VolumePicture, parallel_rays, render_volume
from trilingua.geometry.voxels import NUM_CHANNELS, Voxels
from trilingua.nn.digests import digest_weights
from trilingua.nn.norms import ChannelScale
from trilingua.nn.patches import HEAD_DIM, PatchTransformer
from trilingua.nn.volumes import VolumeDecoder, VolumeEncoder
from trilingua.quantize.vq import Quantized, VectorQuantizer
from trilingua.tokenizers.shapes.codes import Block, CodeLayout, Codes
from trilingua.tokenizers.shapes.fields import DecodedField, soft_occupancy
from trilingua.tokenizers.shapes.protocol import Judged, Reads
from trilingua.tokenizers.shapes.voxel_fields import VoxelReader

Features = Literal["surface", "latents"]
Views = Literal["none", "one", "random"]

FIXED_DIRECTION = (0.5, 0.75, -0.43)
"""In which the one fixed view looks: from the front left, a little from above."""

_OPACITY = 4.0
"""Density of a kept cell in pictures, times the edge of a cell: 98 % of the light ends in it."""

_FEW = -3.0
"""Logit with which training begins of being kept and of being inside: one in twenty."""

_HALF_WIDTH = 1.3
"""Of a picture; nearly all objects fit from any direction."""


@dataclass(frozen=True, kw_only=True)
class VoxelConfig:
    """Sizes and choices of a voxel tokenizer, and the weights of its losses."""

    resolution: int = 64
    """Cells along each side of the grid that is read. Kyvo: 64."""
    features: Features = "surface"
    """What cells hold: "surface", what `geometry.voxels` measures; "latents", TRELLIS's structured latents, which say
    nothing of inside and colour, so that the field is a shell of the kept cells, and the losses are those of cells."""
    patch_size: int = 4
    """Cells along each axis that the first layer takes, and the last paints, together. Kyvo: 1."""
    widths: tuple[int, ...] = (64, 128)
    """Channels on each grid, the finest first; each has half as many cells along each side as the one before."""
    num_blocks: int = 1
    """Residual blocks on each grid."""
    attention_layers: int = 2
    """Transformer layers among the cells of the coarsest grid, in encoder and decoder. Kyvo tells of none."""
    num_codes: int = 8192
    """Size of the codebook. Kyvo: 8,192."""
    code_dim: int = 32
    """Width of a code vector. Kyvo: 128."""
    decay: float = 0.99
    """See `VectorQuantizer`."""
    views: Views = "random"
    """From where input and output are compared in pictures: not at all, always the same way, or another each time."""
    num_pictured: int = 2
    """Objects of a batch that are seen in pictures: the first so many, which are random ones."""
    picture_size: int = 24
    """Pixels along each side of such a picture."""
    num_samples: int = 48
    """Samples along each of its rays."""
    surface_width: float = 1 / 64
    """Occupancy falls linearly from 1 this far inside to 0 this far outside."""
    kept_weight: float = 0.2
    """Of the loss of which cells are kept."""
    feature_weight: float = 0.3
    """Of the loss of what kept cells hold."""
    render_weight: float = 0.3
    """Of the loss of pictures."""
    codebook_weight: float = 0.25
    """Of the quantizer's loss."""

    def __post_init__(self) -> None:
        require_at_least(self, patch_size=1, num_blocks=0, attention_layers=0, num_codes=1, code_dim=1)
        require_at_least(self, num_pictured=1, picture_size=1, num_samples=1)
        require_at_least(self, kept_weight=0, feature_weight=0, render_weight=0, codebook_weight=0)
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(f"widths: {list(self.widths)}; expected channels of at least one grid")
        if self.resolution < 1 or self.resolution % self.code_cell:
            raise ConfigError(
                f"resolution: {self.resolution}; expected a multiple of {self.code_cell}, the side of a code's cell"
            )
        if self.attention_layers and self.widths[-1] % HEAD_DIM:
            raise ConfigError(
                f"widths: {list(self.widths)}; attention needs a multiple of {HEAD_DIM} on the coarsest grid"
            )
        if not self.surface_width > 0:
            raise ConfigError(f"surface_width: {self.surface_width}; expected a distance above 0")

    @property
    def code_cell(self) -> int:
        """Cells along each side of what one code stands for."""
        return int(self.patch_size * 2 ** (len(self.widths) - 1))

    @property
    def code_side(self) -> int:
        """Codes along each side of their grid."""
        return self.resolution // self.code_cell


class VoxelCoding(NamedTuple):
    """What becomes of a batch in training."""

    told: Float[Tensor, "batch x y z channel"]
    """What the decoder says of every cell: the logit of being kept, what it holds if it is, in units of the data's
    deviations, and the logit of its middle being inside, which latents do not tell."""
    quantized: Quantized


class VoxelTokenizer(nn.Module):
    """Voxels to ids, and back to voxels and fields.

    Args:
        config: everything.

    Differs: Kyvo's cells are TRELLIS's latents, whose frozen decoder makes its pictures, compared by SSIM and LPIPS as
    well; it does not say which cells are kept. Here codes and inputs are unit vectors, as in `VectorQuantizer`.
    """

    def __init__(self, config: VoxelConfig) -> None:
        super().__init__()
        self.config = config
        sizes = {"num_blocks": config.num_blocks, "patch_size": config.patch_size}
        dim, cells = config.widths[-1], config.code_side**3
        self.scale = ChannelScale(NUM_CHANNELS)
        self.encoder = VolumeEncoder(NUM_CHANNELS + 1, config.widths, **sizes)
        self.gather = PatchTransformer(dim, cells, dim, config.attention_layers)
        self.to_code = nn.Linear(dim, config.code_dim)
        # As in the image tokenizer: without it, latents share one large component, and few codes take all cells.
        self.spread = nn.BatchNorm1d(config.code_dim, affine=False)
        self.quantizer = VectorQuantizer(config.num_codes, config.code_dim, decay=config.decay)
        self.scatter = PatchTransformer(config.code_dim, cells, dim, config.attention_layers)
        told = NUM_CHANNELS + (2 if config.features == "surface" else 1)
        self.decoder = VolumeDecoder(told, config.widths, **sizes)
        with torch.no_grad():  # few cells are kept and few points are inside, which is not worth learning slowly
            self.decoder.head.bias.view(-1, told)[:, 0] = _FEW
            if config.features == "surface":
                self.decoder.head.bias.view(-1, told)[:, -1] = _FEW

    @property
    def reads(self) -> Reads:
        """Voxels of the surface."""
        return "voxels"

    @property
    def reader(self) -> VoxelReader:
        """What makes fields of what is told of cells."""
        return VoxelReader(scale=self.scale, surface_width=self.config.surface_width)

    def blocks(self) -> tuple[Block, ...]:
        """Return one block: a code for each cell of the coarsest grid."""
        config = self.config
        return (Block(size=config.code_side**3, dim=config.code_dim, vocabulary=config.num_codes),)

    def layout(self) -> CodeLayout:
        """Return the block with the digest of all weights."""
        return CodeLayout(kind="voxels", weights=digest_weights(self), blocks=self.blocks())

    def prepare(self, shape: Voxels, generator: np.random.Generator | None = None) -> Float32[np.ndarray, "x y z 9"]:
        """Return the whole grid, whatever the generator.

        Raises:
            ConfigError: a grid of another resolution.
        """
        if shape.resolution != self.config.resolution:
            raise ConfigError(
                f"voxels: of {shape.resolution} cells along each side; the tokenizer reads {self.config.resolution}"
            )
        return shape.dense()

    def forward(self, grids: Float[Tensor, "batch x y z 9"]) -> VoxelCoding:
        """Encode, quantize and decode; in training mode the codebook and the figures of the data follow."""
        if self.training:
            self.scale.follow(_rows(grids[..., :NUM_CHANNELS], grids[..., NUM_CHANNELS]))
        quantized = self.quantizer(self._latents(grids))
        return VoxelCoding(self._told(quantized.vectors), quantized)

    def _latents(self, grids: Float[Tensor, "batch x y z 9"]) -> Float[Tensor, "batch code code_dim"]:
        # Kept cells are brought to the figures of the data, others stay zeros: one product, since a grid is large.
        matrix = torch.diag(torch.cat([1 / self.scale.deviation, torch.ones_like(self.scale.mean[:1])]))
        matrix[:NUM_CHANNELS, NUM_CHANNELS] = -self.scale.mean / self.scale.deviation
        cells = self.encoder(F.linear(grids, matrix)).flatten(2).transpose(1, 2)
        latents = self.to_code(self.gather(cells)).float()
        return self.spread(latents.transpose(1, 2)).transpose(1, 2)

    def _told(self, vectors: Float[Tensor, "batch code code_dim"]) -> Float[Tensor, "batch x y z channel"]:
        side = self.config.code_side
        told: Tensor = self.decoder(self.scatter(vectors).transpose(1, 2).unflatten(2, (side, side, side)))
        return told

    @torch.no_grad()
    def encode(self, grids: Float[Tensor, "batch x y z 9"]) -> Codes:
        """Return the ids of the coarse grid's cells, of which z changes fastest."""
        return (self.quantizer.codes(self._latents(grids)),)

    @torch.no_grad()
    def decode(self, codes: Codes, *, upto: int | None = None) -> list[Field]:
        """Return the field of each object."""
        return [DecodedField(self.reader, told) for told in self._told(self.embed(codes, upto=upto))]

    @torch.no_grad()
    def decode_voxels(self, codes: Codes, *, upto: int | None = None) -> list[Voxels]:
        """Return the cells of each object that are kept, with what they hold; directions are unit vectors."""
        told = self._told(self.embed(codes, upto=upto)).float()
        features = self.scale.restore(told[..., 1 : 1 + NUM_CHANNELS])
        if self.config.features == "surface":
            distance, direction, shares = features.split((1, 3, 4), dim=-1)
            features = torch.cat([distance, F.normalize(direction, dim=-1), shares.clamp(0, 1)], dim=-1)
        pairs = zip((told[..., 0] > 0).cpu().numpy(), features.cpu().numpy(), strict=True)
        return [Voxels.of_dense(kept, whole) for kept, whole in pairs]

    def embed(self, codes: Codes, *, upto: int | None = None) -> Float[Tensor, "batch code code_dim"]:
        """Return the code vectors.

        Raises:
            ConfigError: another number of blocks than the one that there is.
        """
        if upto not in (None, 1):
            raise ConfigError(f"upto: {upto}; expected 1, since the codes are one block")
        return self.quantizer.vectors(codes[0])

    def loss(
        self, inputs: Float[Tensor, "batch x y z 9"], judged: Judged
    ) -> tuple[Float[Tensor, ""], Mapping[str, Tensor]]:
        """Return the weighted sum of the losses, and each of them.

        `kept`: the cross-entropy of all cells for each kept one; `features`: the mean squared error of what kept cells
        hold, in units of the data's deviations; `codebook`: the quantizer's; `occupancy`, where places are judged:
        as the set tokenizer's, with a weight of 1; `render`, with views: the mean difference of pictures.
        """
        config = self.config
        made = self(inputs)
        kept = inputs[..., NUM_CHANNELS]
        number = kept.sum().clamp_min(1)
        entropy = F.binary_cross_entropy_with_logits(made.told[..., 0].float(), kept, reduction="sum") / number
        found = _rows(made.told[..., 1 : 1 + NUM_CHANNELS], kept).float()
        parts = {
            "kept": entropy,
            "features": F.mse_loss(found, self.scale(_rows(inputs[..., :NUM_CHANNELS], kept))),
            "codebook": made.quantized.loss,
        }
        if config.features == "surface" and judged.points.shape[1]:
            occupied = soft_occupancy(judged.distances, config.surface_width)
            parts["occupancy"] = F.binary_cross_entropy_with_logits(
                self.reader.logits(made.told, judged.points), occupied
            )
        if config.views != "none":
            parts["render"] = self._render_loss(made.told[: config.num_pictured], inputs[: config.num_pictured])
        weights = {"kept": config.kept_weight, "features": config.feature_weight, "codebook": config.codebook_weight}
        weights |= {"occupancy": 1.0, "render": config.render_weight}
        total = sum((weights[name] * part for name, part in parts.items()), start=torch.zeros_like(entropy))
        return total, {name: part.detach() for name, part in parts.items()}

    def _render_loss(
        self, told: Float[Tensor, "batch x y z channel"], grids: Float[Tensor, "batch x y z 9"]
    ) -> Float[Tensor, ""]:
        """Return the mean absolute difference of silhouettes, of depths and of features, as rays see them."""
        if self.config.views == "one":
            directions = grids.new_tensor(FIXED_DIRECTION).expand(len(grids), 3)
        else:
            directions = torch.randn(len(grids), 3, device=grids.device)
        truth = self._see(grids[..., NUM_CHANNELS], self.scale(grids[..., :NUM_CHANNELS]), directions)
        told = told.float()
        found = self._see(told[..., 0].sigmoid(), told[..., 1 : 1 + NUM_CHANNELS], directions)
        return torch.stack([(one - other).abs().mean() for one, other in zip(found, truth, strict=True)]).sum()

    def _see(
        self,
        kept: Float[Tensor, "batch x y z"],
        features: Float[Tensor, "batch x y z 8"],
        directions: Float[Tensor, "batch 3"],
    ) -> VolumePicture:
        rays = parallel_rays(directions, size=self.config.picture_size, half_width=_HALF_WIDTH)
        density = kept * (_OPACITY * self.config.resolution / 2)
        return render_volume(density, features.movedim(-1, 1), rays, num_samples=self.config.num_samples)


def _rows(
    values: Float[Tensor, "batch x y z channel"], kept: Float[Tensor, "batch x y z"]
) -> Float[Tensor, "cell channel"]:
    """Return the values of kept cells; on the meta device, which does not know them, of all."""
    return values.flatten(0, 3) if values.is_meta else values[kept > 0]
