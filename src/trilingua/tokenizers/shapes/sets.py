"""Points of a surface to a set of latents, or to ids at growing scales, and back to a field.

With scales this is VAT's tokenizer: latents pass a Gaussian bottleneck, and what its sample leaves over from scale to
scale is quantized on 1, 4, 9 ... places of their row. Without scales it is the first stage of its training, and, with
latents that start as points of the surface, the set autoencoder whose latents CG-MLLM writes, any number of them.

Source: Zhang et al. 2024 (VAT), section 3 and appendix A; Zhang et al. 2023 (3DShape2VecSet), section 5; CG-MLLM,
section 3.1, with the sizes of Hunyuan3D-2.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from trilingua.core.config import require_at_least
from trilingua.core.errors import ConfigError
from trilingua.geometry.fields import Field
from trilingua.geometry.meshes import SurfacePoints
from trilingua.nn.digests import digest_weights
from trilingua.nn.patches import HEAD_DIM
from trilingua.nn.sets import fourier_dim, fourier_features
from trilingua.quantize.gaussian import GaussianBottleneck, Posterior
from trilingua.quantize.multiscale import MultiScaleConfig, MultiScaleQuantized, MultiScaleQuantizer
from trilingua.quantize.resampling import Interpolation
from trilingua.tokenizers.shapes.codes import Block, CodeLayout, Codes
from trilingua.tokenizers.shapes.fields import DecodedField, PointDecoder, TriplaneDecoder, soft_occupancy
from trilingua.tokenizers.shapes.protocol import Judged, Reads
from trilingua.tokenizers.shapes.scales import ScaledCodes
from trilingua.tokenizers.shapes.set_encoder import Compression, SetEncoder


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """Sizes and choices of a set tokenizer, and the weights of its losses."""

    num_points: int = 2048
    """Points of a surface that are read. VAT: 80,000; Hunyuan3D-2.1: 20 for each latent."""
    num_queries: int = 128
    """Learned queries that read them. VAT: 3,072."""
    num_latents: int = 256
    """Latents of an object. VAT: 64, 256 or 1,024."""
    other_counts: tuple[int, ...] = ()
    """Numbers of latents that training takes by turns with `num_latents`; for compression "points"."""
    dim: int = 192
    """Width of encoder and decoder, a multiple of 64. VAT: 768."""
    encoder_layers: int = 4
    """Blocks behind the one that reads the points. VAT: 12."""
    decoder_layers: int = 4
    """Blocks behind the one that reads the latents. VAT: 12."""
    num_frequencies: int = 8
    """Of the features of points. Hunyuan3D-2.1: 8."""
    compression: Compression = "in-context"
    """How the latents come about."""
    placed: bool = True
    """Whether queries, latents and the tokens of planes stand at places, from which attention fades with distance.
    VAT: no; its tokens find out in 300,000 steps whom they are near. Of compression "points", the first three numbers
    of a latent are then its place."""
    decoding: Literal["triplane", "points"] = "triplane"
    """How the field comes about: see `TriplaneDecoder` and `PointDecoder`."""
    plane_side: int = 12
    """Tokens along each side of a plane."""
    patch_size: int = 8
    """Samples along each side of what a token paints."""
    plane_channels: int = 16
    """Channels of a plane."""
    num_mips: int = 3
    """Resolutions of the planes that are read. VAT: 3."""
    reader_dim: int = 96
    """Width of the layers that read a point's features."""
    scales: tuple[int, ...] = (1, 4, 9, 16, 25, 36, 64, 100, 256)
    """Places of each scale, the last of at most `num_latents`; none: latents are not quantized. VAT's longest: twelve
    up to 1,024; ours are those whose 511 ids of one byte its "512-Byte" figure counts."""
    codes: MultiScaleConfig = field(default_factory=MultiScaleConfig)
    """The codebook; its `code_dim` is the width of a latent, quantized or not."""
    variational: bool = True
    """Whether training samples around the latents' means, with a KL loss. VAT's VVQ is that before quantizing."""
    kl_weight: float = 1e-4
    """Of the mean divergence of a latent's number from the standard normal. VAT: 1e-4."""
    codebook_weight: float = 0.2
    """Of the quantizer's loss. VAT: 0.2."""
    surface_width: float = 1 / 128
    """Occupancy falls linearly from 1 this far inside to 0 this far outside. VAT: 1/128."""

    def __post_init__(self) -> None:
        require_at_least(self, num_points=1, num_queries=1, num_latents=1, dim=1, encoder_layers=1, decoder_layers=1)
        require_at_least(self, num_frequencies=0, plane_side=1, patch_size=1, plane_channels=1, num_mips=1)
        require_at_least(self, reader_dim=1, kl_weight=0, codebook_weight=0)
        if self.dim % HEAD_DIM:
            raise ConfigError(f"dim: {self.dim}; expected a multiple of {HEAD_DIM}, the width of a head")
        if not self.surface_width > 0:
            raise ConfigError(f"surface_width: {self.surface_width}; expected a distance above 0")
        if self.plane_side * self.patch_size < 2 ** (self.num_mips - 1):
            raise ConfigError(
                f"num_mips: {self.num_mips}; planes of {self.plane_side * self.patch_size} cannot be halved so often"
            )
        if self.scales and self.compression == "points":
            raise ConfigError('compression: "points" gives a set without an order, which has no scales; leave them out')
        if self.other_counts and self.compression != "points":
            raise ConfigError(f'other_counts: {list(self.other_counts)}; only compression "points" has several numbers')
        if any(not 1 <= count <= self.num_points for count in self.other_counts):
            raise ConfigError(f"other_counts: {list(self.other_counts)}; expected 1 to num_points {self.num_points}")
        if self.carries_places and self.codes.code_dim < 4:
            raise ConfigError(
                f"codes.code_dim: {self.codes.code_dim}; expected at least 4, three of which are the place of a latent"
            )

    @property
    def carries_places(self) -> bool:
        """Whether each latent begins with its place, since no two objects have theirs at the same ones."""
        return self.placed and self.compression == "points"


class SetCoding(NamedTuple):
    """What becomes of a batch in training."""

    latents: Float[Tensor, "batch latent code_dim"]
    """What is decoded."""
    posterior: Posterior
    """Of all numbers of a latent but its place, which is exact."""
    quantized: MultiScaleQuantized | None


class SetTokenizer(ScaledCodes):
    """Surfaces to latents or ids, and back to fields.

    Args:
        config: everything.

    Raises:
        ConfigError: settings that contradict each other.

    Differs: VAT does not say how it resizes a row of latents (here means of areas, linear interpolation), nor whether
    codes are taken from a sample (here from the mean). Its latents are decoded by convolutions. Latents that start as
    points bring their places along, which those of Hunyuan3D-2.1 do not.
    """

    def __init__(self, config: SetConfig) -> None:
        super().__init__()
        self.config = config
        code_dim = config.codes.code_dim
        self.encoder = SetEncoder(
            config.dim,
            num_layers=config.encoder_layers,
            num_queries=config.num_queries,
            num_latents=config.num_latents,
            num_frequencies=config.num_frequencies,
            compression=config.compression,
            placed=config.placed,
        )
        self.bottleneck = GaussianBottleneck(config.dim, code_dim - 3 * config.carries_places)
        self.quantizer = None
        if config.scales:
            row = Interpolation(
                arrangement="set", sizes=config.scales, full_size=config.num_latents, upsampling="linear"
            )
            self.quantizer = MultiScaleQuantizer(row, config.codes)
        self.unproject = nn.Linear(code_dim, config.dim)
        # Of a set of points nobody is the first; a row of learned latents has an order, which its scales are about.
        free = config.compression == "points"
        self.position = None if free else nn.Parameter(torch.randn(config.num_latents, config.dim) * 0.02)
        if config.carries_places:
            self.embed_place = nn.Linear(fourier_dim(config.num_frequencies), config.dim)
        self.decoder: TriplaneDecoder | PointDecoder
        if config.decoding == "triplane":
            self.decoder = TriplaneDecoder(
                config.dim,
                num_layers=config.decoder_layers,
                side=config.plane_side,
                patch_size=config.patch_size,
                channels=config.plane_channels,
                num_mips=config.num_mips,
                hidden_dim=config.reader_dim,
                placed=config.placed,
            )
        else:
            self.decoder = PointDecoder(
                config.dim,
                num_layers=config.decoder_layers,
                num_frequencies=config.num_frequencies,
                placed=config.placed,
            )

    @property
    def reads(self) -> Reads:
        """Points of the surface."""
        return "points"

    def blocks(self) -> tuple[Block, ...]:
        """Return one block of latents, or a block of ids for each scale."""
        free = self.config.compression == "points"
        return self.scale_blocks(None if free else self.config.num_latents, self.config.codes.code_dim)

    def layout(self) -> CodeLayout:
        """Return the blocks with the digest of all weights."""
        return CodeLayout(kind="set", weights=digest_weights(self), blocks=self.blocks())

    def prepare(
        self, shape: SurfacePoints, generator: np.random.Generator | None = None
    ) -> Float32[np.ndarray, "point 6"]:
        """Return the first `num_points` places with their normals, or some that the generator chooses.

        Raises:
            ConfigError: there are fewer.
        """
        count, known = self.config.num_points, len(shape.points)
        if known < count:
            raise ConfigError(
                f"num_points: {count}; there are {known} points of the object; make data with --num-points {count}, "
                "or set --tokenizer.num-points"
            )
        chosen = slice(count) if generator is None else generator.permutation(known)[:count]
        return np.concatenate([shape.points[chosen], shape.normals[chosen]], axis=1).astype(np.float32)

    def forward(self, surface: Float[Tensor, "batch point 6"], num_latents: int | None = None) -> SetCoding:
        """Return what is to be decoded; in training mode a sample of it, and the codebook follows."""
        features, places = self.encoder(surface, num_latents)
        posterior = self.bottleneck.posterior(features)
        latents = posterior.sample() if self.training and self.config.variational else posterior.mean
        if self.config.carries_places:
            latents = torch.cat([places, latents], dim=-1)
        if self.quantizer is None:
            return SetCoding(latents, posterior, None)
        quantized = self.quantizer(latents)
        return SetCoding(quantized.vectors, posterior, quantized)

    @torch.no_grad()
    def encode(self, surface: Float[Tensor, "batch point 6"], *, num_latents: int | None = None) -> Codes:
        """Return the ids of each scale, or the latents, rounded to half precision; both from the means.

        Args:
            surface: places and normals.
            num_latents: how many latents, for compression "points"; None: as many as in the configuration.
        """
        coding = self(surface, num_latents)
        return coding.quantized.codes if coding.quantized is not None else (coding.latents.half().float(),)

    @torch.no_grad()
    def decode(self, codes: Codes, *, upto: int | None = None) -> list[Field]:
        """Return the field of each object, from its first `upto` scales."""
        return [DecodedField(self.decoder, features) for features in self._features(self.sum_of(codes, upto))]

    def _features(self, latents: Float[Tensor, "batch latent code_dim"]) -> Float[Tensor, "batch *features dim"]:
        x, places = self.unproject(latents), self.encoder.latent_places
        if self.position is not None:
            x = x + self.position
        if self.config.carries_places:
            places = latents[..., :3]
            x = x + self.embed_place(fourier_features(places, self.config.num_frequencies))
        return self.decoder(x, places)

    def loss(
        self, inputs: Float[Tensor, "batch point 6"], judged: Judged
    ) -> tuple[Float[Tensor, ""], Mapping[str, Tensor]]:
        """Return `occupancy + codebook_weight * codebook + kl_weight * kl`, and the three.

        `occupancy` is the cross-entropy of `clip(0.5 - distance / (2 surface_width), 0, 1)`.

        Source: VAT, section 3.4 (semi-continuous occupancy) and appendix A (weights).
        """
        count = None
        if self.config.other_counts:
            counts = (self.config.num_latents, *self.config.other_counts)
            count = counts[int(torch.randint(len(counts), ()))]
        made = self(inputs, count)
        logits = self.decoder.logits(self._features(made.latents), judged.points)
        wanted = soft_occupancy(judged.distances, self.config.surface_width)
        total = occupancy = F.binary_cross_entropy_with_logits(logits, wanted)
        parts = {"occupancy": occupancy.detach()}
        if self.config.variational:
            kl = made.posterior.kl()
            total = total + self.config.kl_weight * kl
            parts["kl"] = kl.detach()
        if made.quantized is not None:
            total = total + self.config.codebook_weight * made.quantized.loss
            parts["codebook"] = made.quantized.loss.detach()
        return total, parts
