"""Posed pictures with depth to ids of three planes at growing scales, and back to a field with colours: SAR3D's VQVAE.

It learns from pictures, by volume rendering along rays, and from places whose side of the surface is known: first
without scales, whose latents are not quantized, then with them. A last stage trains the decoder alone, by the mesh that
FlexiCubes makes of it; codes stay what they were.

Source: Chen et al. 2025 (SAR3D), section 4.1 and supplement B, with the weights of its published training script.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from trilingua.core.config import require_at_least
from trilingua.core.errors import ConfigError
from trilingua.geometry.fields import Field
from trilingua.geometry.mesh_pictures import BACKGROUND
from trilingua.geometry.posed_views import PosedViews, view_channels
from trilingua.geometry.volume_rendering import density_of_logits, gather_rays
from trilingua.nn.digests import digest_weights
from trilingua.nn.patches import HEAD_DIM
from trilingua.quantize.multiscale import MultiScaleConfig, MultiScaleQuantized, MultiScaleQuantizer
from trilingua.quantize.resampling import Interpolation
from trilingua.tokenizers.shapes.codes import Block, CodeLayout, Codes
from trilingua.tokenizers.shapes.fields import DecodedField, soft_occupancy
from trilingua.tokenizers.shapes.flexible_planes import FlexibleConfig, FlexibleField, FlexibleHeads
from trilingua.tokenizers.shapes.plane_decoder import PlaneDecoder
from trilingua.tokenizers.shapes.protocol import Judged, Rays, Reads
from trilingua.tokenizers.shapes.scales import ScaledCodes
from trilingua.tokenizers.shapes.view_encoder import ViewEncoder


@dataclass(frozen=True, kw_only=True)
class TriplaneConfig:
    """Sizes and choices of a triplane tokenizer, and the weights of its losses."""

    num_views: int = 6
    """Pictures of an object that are read, the fixed ones first. SAR3D: 6."""
    view_size: int = 64
    """Side of the pictures in pixels. SAR3D: 256."""
    patch_size: int = 8
    """Side of a patch of them."""
    dim: int = 192
    """Width of encoder and decoder, a multiple of 64. SAR3D's decoder: 768."""
    view_layers: int = 2
    """Blocks of attention among the patches of all views."""
    plane_layers: int = 2
    """Rounds in which the planes read the patches."""
    decoder_layers: int = 4
    """Blocks of the decoder. SAR3D: 12."""
    placed: bool = True
    """Whether attention fades with the distance between what patches show and where tokens of planes stand.
    SAR3D: no."""
    num_frequencies: int = 6
    """Of the features of the place that a patch shows."""
    side: int = 8
    """Latents along each side of a plane. SAR3D: 16."""
    scales: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    """Sides of the planes' grids, the last at most `side`; none: latents are not quantized. SAR3D: 1, 2, 3, 4, 5, 6, 8,
    10, 13, 16."""
    codes: MultiScaleConfig = field(default_factory=lambda: MultiScaleConfig(num_codes=4096, code_dim=8))
    """The codebook that all scales and planes share. SAR3D: 16,384 codes of 8 numbers."""
    plane_patch_size: int = 12
    """Samples along each side of what a latent paints. SAR3D: 8."""
    plane_channels: int = 16
    """Channels of a plane. SAR3D: 32."""
    num_mips: int = 3
    """Resolutions of the planes that are read. SAR3D: 1."""
    reader_dim: int = 96
    """Width of the layers that read a point's features. SAR3D: 64."""
    num_even: int = 24
    """Samples spread over a ray. SAR3D: 80."""
    num_important: int = 24
    """Samples added where these found something. SAR3D: 80."""
    color_weight: float = 1.0
    """Of the absolute error of drawn colours. SAR3D: 1, and 0.8 for LPIPS."""
    mask_weight: float = 1.0
    """Of the absolute error of drawn alphas. SAR3D: 1."""
    depth_weight: float = 0.5
    """Of the absolute error of drawn depths where pictures show the object. SAR3D: 0.5, of a scale-invariant one."""
    occupancy_weight: float = 1.0
    """Of the cross-entropy at places whose side is known. SAR3D: 0, it learns from pictures alone."""
    codebook_weight: float = 1.0
    """Of the quantizer's loss. SAR3D: 1."""
    surface_width: float = 1 / 64
    """Occupancy falls linearly from 1 this far inside to 0 this far outside."""
    mesh: FlexibleConfig | None = None
    """The last stage: the decoder learns by its mesh, all else is as the run that it starts from left it."""

    def __post_init__(self) -> None:
        require_at_least(self, num_views=1, view_size=8, patch_size=1, dim=1, view_layers=0, num_frequencies=0, side=1)
        require_at_least(self, plane_layers=1, decoder_layers=1, plane_patch_size=1, plane_channels=1, num_mips=1)
        require_at_least(self, reader_dim=1, num_even=2, num_important=0, color_weight=0, mask_weight=0)
        require_at_least(self, depth_weight=0, occupancy_weight=0, codebook_weight=0)
        if self.dim % HEAD_DIM:
            raise ConfigError(f"dim: {self.dim}; expected a multiple of {HEAD_DIM}, the width of a head")
        if self.view_size % self.patch_size:
            raise ConfigError(f"view_size: {self.view_size}; expected a multiple of patch_size {self.patch_size}")
        if not self.surface_width > 0:
            raise ConfigError(f"surface_width: {self.surface_width}; expected a distance above 0")
        if self.side * self.plane_patch_size < 2 ** (self.num_mips - 1):
            raise ConfigError(
                f"num_mips: {self.num_mips}; planes of {self.side * self.plane_patch_size} cannot be halved so often"
            )


class PlaneCoding(NamedTuple):
    """What becomes of a batch in training."""

    latents: Float[Tensor, "batch 3 rows columns code_dim"]
    """What is decoded."""
    quantized: MultiScaleQuantized | None


class TriplaneTokenizer(ScaledCodes):
    """Posed pictures to ids, and back to fields.

    Args:
        config: everything.

    Raises:
        ConfigError: settings that contradict each other.

    Differs: SAR3D encodes each view by convolutions and joins six of them by channels; here a transformer reads the
    patches of any number of views, which a CPU does faster. Latents are all equally long. Density is
    `softplus(10 logit)`, so that one number gives pictures and, where it is 0, the surface; SAR3D takes a density of 10
    for the surface. No perceptual and no adversarial loss.
    """

    def __init__(self, config: TriplaneConfig) -> None:
        super().__init__()
        self.config = config
        side, code_dim = config.side, config.codes.code_dim
        self.encoder = ViewEncoder(
            config.dim,
            patch_size=config.patch_size,
            side=side,
            num_view_layers=config.view_layers,
            num_plane_layers=config.plane_layers,
            num_frequencies=config.num_frequencies,
            placed=config.placed,
        )
        self.to_latent = nn.Linear(config.dim, code_dim)
        self.quantizer = None
        if config.scales:
            planes = Interpolation(arrangement="triplane", sizes=config.scales, full_size=side)
            self.quantizer = MultiScaleQuantizer(planes, config.codes)
        sizes = {"channels": config.plane_channels, "num_mips": config.num_mips}
        self.decoder = PlaneDecoder(
            code_dim,
            config.dim,
            num_layers=config.decoder_layers,
            side=side,
            patch_size=config.plane_patch_size,
            hidden_dim=config.reader_dim,
            placed=config.placed,
            **sizes,
        )
        self.heads: FlexibleHeads | None = None
        if config.mesh is not None:
            self.heads = FlexibleHeads(hidden_dim=config.mesh.hidden_dim, **sizes)
            for part in self._written_by():
                part.requires_grad_(False)

    def _written_by(self) -> tuple[nn.Module, ...]:
        """Return the parts that codes depend on."""
        return (self.encoder, self.to_latent, *([] if self.quantizer is None else [self.quantizer]))

    def train(self, mode: bool = True) -> "TriplaneTokenizer":
        """Go into training mode, or out of it; in the last stage what writes codes stays out of it."""
        super().train(mode)
        if self.heads is not None:
            for part in self._written_by():
                part.eval()
        return self

    @property
    def reads(self) -> Reads:
        """Pictures with depth and cameras."""
        return "views"

    def blocks(self) -> tuple[Block, ...]:
        """Return a block of ids for each scale, or one of latents: plane after plane, each in raster order."""
        return self.scale_blocks(3 * self.config.side**2, self.config.codes.code_dim)

    def layout(self) -> CodeLayout:
        """Return the blocks with the digest of all weights."""
        return CodeLayout(kind="triplane", weights=digest_weights(self), blocks=self.blocks())

    def prepare(
        self, shape: PosedViews, generator: np.random.Generator | None = None
    ) -> Float32[np.ndarray, "view height width 10"]:
        """Return the pixels of the first `num_views` pictures, whatever the generator.

        Raises:
            ConfigError: there are fewer pictures, or they are of another size.
        """
        views, size = shape.first(self.config.num_views), self.config.view_size
        for camera in views.cameras:
            if (camera.width, camera.height) != (size, size):
                raise ConfigError(
                    f"view_size: {size}; the pictures are {camera.width} x {camera.height}; "
                    f"make data with --view-size {size}, or set --tokenizer.view-size"
                )
        return view_channels(views)

    def forward(self, views: Float[Tensor, "batch view height width 10"]) -> PlaneCoding:
        """Return what is to be decoded; in training mode the codebook follows."""
        latents = self.to_latent(self.encoder(views)).float()
        # Equally long, latents cannot shrink towards their codes. Statistics over a batch of few objects would not do:
        # they gave other codes in training than in use.
        latents = self._on_planes(F.layer_norm(latents, latents.shape[-1:]))
        if self.quantizer is None:
            return PlaneCoding(latents, None)
        quantized = self.quantizer(latents)
        return PlaneCoding(quantized.vectors, quantized)

    @torch.no_grad()
    def encode(self, views: Float[Tensor, "batch view height width 10"]) -> Codes:
        """Return the ids of each scale, or the latents, rounded to half precision; of any number of views."""
        made = self(views)
        if made.quantized is None:
            return (made.latents.flatten(1, 3).half().float(),)
        return tuple(ids.flatten(1) for ids in made.quantized.codes)

    @torch.no_grad()
    def decode(self, codes: Codes, *, upto: int | None = None) -> list[Field]:
        """Return the field of each object, from its first `upto` scales; in the last stage it brings its own mesh."""
        latents = self.sum_of(codes, upto)
        planes = self.decoder(latents if self.quantizer is not None else self._on_planes(latents))
        if self.heads is not None:
            return [FlexibleField(self.decoder, self.heads, each) for each in planes]
        return [DecodedField(self.decoder, each) for each in planes]

    def loss(
        self, inputs: Float[Tensor, "batch view height width 10"], judged: Judged
    ) -> tuple[Float[Tensor, ""], Mapping[str, Tensor]]:
        """Return the sum of the parts, each with its weight: pictures, occupancy, codebook or, in the last stage, mesh.

        `color`, `mask`, `depth` are absolute errors of what rays gather; `occupancy` is the cross-entropy of
        `clip(0.5 - distance / (2 surface_width), 0, 1)`.

        Raises:
            ConfigError: the last stage without rays, whose ends it compares the mesh to.
        """
        config = self.config
        made = self(inputs)
        planes = self.decoder(made.latents)
        parts: dict[str, Tensor] = {}
        if config.occupancy_weight:
            logits = self.decoder.logits(planes, judged.points)
            wanted = soft_occupancy(judged.distances, config.surface_width)
            parts["occupancy"] = config.occupancy_weight * F.binary_cross_entropy_with_logits(logits, wanted)
        if judged.rays is not None:
            parts |= self._picture_losses(planes, judged.rays)
        if config.mesh is not None:
            parts |= self._mesh_losses(planes, judged)
        elif made.quantized is not None:
            parts["codebook"] = config.codebook_weight * made.quantized.loss
        return torch.stack(list(parts.values())).sum(), {name: part.detach() for name, part in parts.items()}

    def _on_planes(
        self, latents: Float[Tensor, "batch code code_dim"]
    ) -> Float[Tensor, "batch 3 rows columns code_dim"]:
        return latents.unflatten(1, (3, self.config.side, self.config.side))

    def _picture_losses(self, planes: Float[Tensor, "batch 3 channel side side"], rays: Rays) -> dict[str, Tensor]:
        config = self.config

        def query(points: Float[Tensor, "batch point 3"]) -> tuple[Tensor, Tensor]:
            logits, colors = self.decoder.read(planes, points)
            return density_of_logits(logits), colors

        found = gather_rays(
            query,
            rays.origins,
            rays.directions,
            num_even=config.num_even,
            num_important=config.num_important,
            background=rays.colors.new_tensor(BACKGROUND) / 255,
            jitter=self.training,
        )
        met = (rays.depths > 0).to(found.alphas.dtype)
        depth = ((found.depths - rays.depths).abs() * met).sum() / met.sum().clamp_min(1)
        return {
            "color": config.color_weight * (found.colors - rays.colors).abs().mean(),
            "mask": config.mask_weight * (found.alphas - met).abs().mean(),
            "depth": config.depth_weight * depth,
        }

    def _mesh_losses(
        self, planes: Float[Tensor, "batch 3 channel side side"], judged: Judged
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the means over objects of what their meshes lose."""
        assert self.heads is not None, "the last stage has heads"
        assert self.config.mesh is not None, "the last stage has a configuration"
        if judged.rays is None:
            raise ConfigError("num_rays: 0; the mesh is compared to where rays end, so set --num-rays")
        rays = judged.rays
        sums: dict[str, Tensor] = {}
        for index, each in enumerate(planes):
            met = rays.depths[index] > 0
            ends = rays.origins[index] + rays.depths[index, :, None] * rays.directions[index]
            found = FlexibleField(self.decoder, self.heads, each).losses(
                self.config.mesh,
                seen=ends[met],
                normals=rays.normals[index][met],
                places=judged.points[index],
                distances=judged.distances[index],
            )
            for name, value in found.items():
                sums[name] = sums[name] + value if name in sums else value
        return {f"mesh_{name}": value / len(planes) for name, value in sums.items()}
