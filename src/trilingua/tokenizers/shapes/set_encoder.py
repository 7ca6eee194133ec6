"""Points of a surface to a fixed or free number of vectors, whatever the order of the points.

Source: Zhang et al. 2024 (VAT), section 3.1; Zhang et al. 2023 (3DShape2VecSet), section 5.1; Li et al. 2023 (BLIP-2),
section 3.1, for the Q-Former.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.errors import ConfigError, InputError
from trilingua.nn.patches import HEAD_DIM, PatchBlock
from trilingua.nn.places import DistanceFade, embed_places, spread_places
from trilingua.nn.sets import CrossBlock, farthest_points, fourier_dim, fourier_features

Compression = Literal["in-context", "queries", "pooling", "points"]
"""How many vectors become few.

| name | what reads the points | what is kept |
|---|---|---|
| in-context (VAT) | learned queries | learned latents that attended to the queries' vectors, and these to them |
| queries (Q-Former) | learned queries | learned latents that read the queries' vectors in the last block |
| pooling | learned queries | means of as many neighbouring vectors as it takes |
| points (3DShape2VecSet, Hunyuan3D) | points that cover the surface, as many as are wanted | all |
"""


class EncodedSet(NamedTuple):
    """What a surface becomes."""

    features: Float[Tensor, "batch latent dim"]
    places: Float[Tensor, "*batch latent 3"] | None
    """Where the latents stand, in [-1, 1]^3, if they stand anywhere: on the surface for "points", else all the same."""


class SetEncoder(nn.Module):
    """Queries read the points of a surface by attention, attend to each other, and are compressed to latents.

    All ways of compression have as many layers and, but for the learned latents, as many weights.

    Args:
        dim: width of all vectors.
        num_layers: blocks behind the one that reads the points.
        num_queries: learned queries; unused by "points". "pooling" needs a multiple of `num_latents`.
        num_latents: vectors that are kept; unused by "points".
        num_frequencies: of the points' features.
        compression: see `Compression`.
        placed: whether queries and latents stand at places, from which attention fades with distance.

    Raises:
        ConfigError: "pooling" of another number of queries.
    """

    query_places: Tensor | None
    latent_places: Tensor | None

    def __init__(
        self,
        dim: int,
        *,
        num_layers: int,
        num_queries: int,
        num_latents: int,
        num_frequencies: int,
        compression: Compression,
        placed: bool = False,
    ) -> None:
        super().__init__()
        if compression == "pooling" and num_queries % num_latents:
            raise ConfigError(f"num_queries: {num_queries}; pooling needs a multiple of num_latents {num_latents}")
        self.num_frequencies, self.num_latents, self.compression = num_frequencies, num_latents, compression
        self.embed_points = nn.Linear(fourier_dim(num_frequencies) + 3, dim)
        self.read_points = CrossBlock(dim)
        queries, latents = (torch.randn(count, dim) * 0.02 for count in (num_queries, num_latents))
        self.placed = placed
        query_places = latent_places = None
        if placed:
            self.point_fade, self.fade = DistanceFade(dim // HEAD_DIM), DistanceFade(dim // HEAD_DIM)
            if compression != "points":
                query_places, latent_places = spread_places(num_queries), spread_places(num_latents)
                if compression == "pooling":
                    latent_places = query_places.unflatten(0, (num_latents, -1)).mean(dim=1)
                queries, latents = embed_places(query_places, dim), embed_places(latent_places, dim)
        self.register_buffer("query_places", query_places, persistent=False)
        self.register_buffer("latent_places", latent_places, persistent=False)
        if compression != "points":
            self.queries = nn.Parameter(queries)
        if compression in ("in-context", "queries"):
            self.latents = nn.Parameter(latents)
        asked = compression == "queries"
        self.blocks = nn.ModuleList(PatchBlock(dim, dim // HEAD_DIM, 4 * dim) for _ in range(num_layers - asked))
        if asked:
            self.read_queries = CrossBlock(dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, surface: Float[Tensor, "batch point 6"], num_latents: int | None = None) -> EncodedSet:
        """Return the latents' features and places.

        Args:
            surface: places in [-1, 1]^3 and unit normals.
            num_latents: how many; None: the number that the encoder was made with, as all but "points" must have.

        Raises:
            InputError: a number of latents that cannot be had.
        """
        count = self.num_latents if num_latents is None else num_latents
        if not 1 <= count <= surface.shape[1] or (count != self.num_latents and self.compression != "points"):
            allowed = f"1 to {surface.shape[1]}" if self.compression == "points" else str(self.num_latents)
            raise InputError(f"num_latents: {count} is not allowed; expected {allowed}")
        points = surface[..., :3]
        context = self.embed_points(torch.cat([fourier_features(points, self.num_frequencies), surface[..., 3:]], -1))
        places, latent_places = self.query_places, self.latent_places
        if self.compression == "points":
            chosen = farthest_points(points, count)[..., None]
            queries = context.gather(1, chosen.expand(-1, -1, context.shape[-1]))
            places = latent_places = points.gather(1, chosen.expand(-1, -1, 3)) if self.placed else None
        else:
            queries = self.queries.expand(len(surface), -1, -1)
        x = self.read_points(queries, context, None if places is None else self.point_fade(places, points))
        if self.compression == "in-context":
            x = torch.cat([x, self.latents.expand(len(x), -1, -1)], dim=1)
            places = None if places is None or latent_places is None else torch.cat([places, latent_places])
        near = None if places is None else self.fade(places, places)
        for block in self.blocks:
            x = block(x, near)
        if self.compression == "in-context":
            x = x[:, -count:]
        elif self.compression == "queries":
            near = None if places is None or latent_places is None else self.fade(latent_places, places)
            x = self.read_queries(self.latents.expand(len(x), -1, -1), x, near)
        elif self.compression == "pooling":
            x = x.unflatten(1, (count, -1)).mean(dim=2)
        return EncodedSet(self.norm(x), latent_places)
