"""Decoders of latents into fields: what each point of space is told by a set of vectors.

Two ways from the literature: latents become a triplane that points are projected onto (VAT), or every point attends to
the latents itself (3DShape2VecSet, Hunyuan3D). The first costs the same whatever the number of latents and next to
nothing for a point.

Source: Zhang et al. 2024 (VAT), section 3.3 and appendix A; Zhang et al. 2023 (3DShape2VecSet), section 5.3.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.geometry.fields import Kind
from trilingua.nn.patches import HEAD_DIM, PatchBlock
from trilingua.nn.places import DistanceFade, embed_places
from trilingua.nn.sets import CrossBlock, fourier_dim, fourier_features
from trilingua.nn.triplanes import PlanePlaces, TriplanePainter, TriplaneReader


def soft_occupancy(distances: Float[Tensor, "*point"], width: float) -> Float[Tensor, "*point"]:
    """Return `clip(0.5 - distance / (2 width), 0, 1)`: what a field is to say, falling linearly through the surface.

    Args:
        distances: from the surface, negative inside.
        width: 1 this far inside, 0 this far outside.

    Source: VAT, section 3.4 (semi-continuous occupancy).
    """
    return (0.5 - distances / (2 * width)).clamp(0, 1)


@runtime_checkable
class FieldReader(Protocol):
    """What tells points of objects something by the features that an object was decoded to."""

    def logits(
        self, features: Float[Tensor, "batch *features dim"], points: Float[Tensor, "batch point 3"]
    ) -> Float[Tensor, "batch point"]:
        """Return the logit of being inside of each object's points."""
        ...

    def colors(
        self, features: Float[Tensor, "batch *features dim"], points: Float[Tensor, "batch point 3"]
    ) -> Float[Tensor, "batch point 3"] | None:
        """Return sRGB in [0, 1] of each object's points; None where colours are not known."""
        ...


@dataclass(frozen=True, eq=False)
class DecodedField:
    """One object's features with what reads them: a `geometry.fields.Field`."""

    reader: FieldReader
    features: Float[Tensor, "*features dim"]

    @property
    def kind(self) -> Kind:
        """Values are logits."""
        return "logit"

    def values(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        """Return the logit of being inside of each point."""
        return self.reader.logits(self.features[None], points.to(self.features.device)[None])[0]

    def colors(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"] | None:
        """Return the colour of each point, in [0, 1]; None where the reader knows none."""
        found = self.reader.colors(self.features[None], points.to(self.features.device)[None])
        return None if found is None else found[0]


class TriplaneDecoder(nn.Module):
    """Learned tokens attend once to the latents, then to each other, and paint a triplane that points are read from.

    Args:
        dim: width of latents and tokens.
        num_layers: blocks of attention among the tokens.
        side: tokens along each side of a plane. VAT calls it r and does not say how many.
        patch_size: samples along each side of what a token paints.
        channels: of a plane.
        num_mips: resolutions that are read, each half of the one before. VAT: 3.
        hidden_dim: width of the layers that read a point's features.
        placed: whether latents and tokens stand at places, from which attention fades with distance.

    Differs: VAT's tokens are upsampled by convolutions, which a CPU does slowly.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_layers: int,
        side: int,
        patch_size: int,
        channels: int,
        num_mips: int,
        hidden_dim: int,
        placed: bool,
    ) -> None:
        super().__init__()
        tokens = torch.randn(3 * side * side, dim) * 0.02
        if placed:
            self.planes = PlanePlaces(side)
            tokens = embed_places(self.planes.places, dim)
            self.latent_fade, self.fade = DistanceFade(dim // HEAD_DIM), DistanceFade(dim // HEAD_DIM)
        self.tokens = nn.Parameter(tokens)
        self.read_latents = CrossBlock(dim)
        self.blocks = nn.ModuleList(PatchBlock(dim, dim // HEAD_DIM, 4 * dim) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        self.painter = TriplanePainter(dim, side=side, patch_size=patch_size, channels=channels)
        self.reader = TriplaneReader(channels=channels, num_mips=num_mips, hidden_dim=hidden_dim, out_dim=1)

    def forward(
        self, latents: Float[Tensor, "batch latent dim"], places: Float[Tensor, "*#batch latent 3"] | None = None
    ) -> Float[Tensor, "batch 3 channel side side"]:
        """Return the planes of each object.

        Args:
            latents: any number of them.
            places: where they stand, if the decoder is placed.
        """
        near = None if places is None else self.planes.towards(places, self.latent_fade)
        x = self.read_latents(self.tokens.expand(len(latents), -1, -1), latents, near)
        near = None if places is None else self.planes.among(self.fade)
        for block in self.blocks:
            x = block(x, near)
        return self.painter(self.norm(x))

    def logits(
        self, features: Float[Tensor, "batch 3 channel side side"], points: Float[Tensor, "batch point 3"]
    ) -> Float[Tensor, "batch point"]:
        """Return the logit of being inside of each object's points."""
        return self.reader(features, points)[..., 0]

    def colors(
        self, features: Float[Tensor, "batch 3 channel side side"], points: Float[Tensor, "batch point 3"]
    ) -> None:
        """Return None."""


class PointDecoder(nn.Module):
    """Latents attend to each other, and every point to the latents.

    Args:
        dim: width of the latents.
        num_layers: blocks of attention among the latents.
        num_frequencies: of the points' features.
        placed: as of `TriplaneDecoder`.
    """

    def __init__(self, dim: int, *, num_layers: int, num_frequencies: int, placed: bool) -> None:
        super().__init__()
        self.num_frequencies, self.placed = num_frequencies, placed
        if placed:
            self.fade, self.point_fade = DistanceFade(dim // HEAD_DIM), DistanceFade(dim // HEAD_DIM)
        self.blocks = nn.ModuleList(PatchBlock(dim, dim // HEAD_DIM, 4 * dim) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        self.embed_points = nn.Linear(fourier_dim(num_frequencies), dim)
        self.read_latents = CrossBlock(dim)
        self.to_logit = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 1))

    def forward(
        self, latents: Float[Tensor, "batch latent dim"], places: Float[Tensor, "*#batch latent 3"] | None = None
    ) -> Float[Tensor, "batch latent features"]:
        """Return the latents as points read them, each behind its place if it has one."""
        near = None if places is None else self.fade(places, places)
        for block in self.blocks:
            latents = block(latents, near)
        features = self.norm(latents)
        return features if places is None else torch.cat([places.expand(len(features), -1, -1), features.float()], -1)

    def logits(
        self, features: Float[Tensor, "batch latent features"], points: Float[Tensor, "batch point 3"]
    ) -> Float[Tensor, "batch point"]:
        """Return the logit of being inside of each object's points."""
        near = self.point_fade(points, features[..., :3]) if self.placed else None
        queries = self.embed_points(fourier_features(points, self.num_frequencies))
        vectors = features[..., 3:] if self.placed else features
        return self.to_logit(self.read_latents(queries, vectors, near))[..., 0].float()

    def colors(self, features: Float[Tensor, "batch latent features"], points: Float[Tensor, "batch point 3"]) -> None:
        """Return None."""
