"""Posed pictures with depth to the tokens of a triplane, whatever the number of pictures.

Patches of all views are one set: their rays say where they look from, so there is nothing to learn of a single view
or place of the picture. Learned tokens of the three planes read that set.

Source: Chen et al. 2025 (SAR3D), section 4.1, whose encoder is convolutional and joins exactly six views by channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.geometry.posed_views import NUM_CHANNELS, passed_points, seen_points
from trilingua.nn.patches import HEAD_DIM, PatchBlock, images_to_patches
from trilingua.nn.places import DistanceFade, embed_places
from trilingua.nn.sets import CrossBlock, fourier_dim, fourier_features
from trilingua.nn.triplanes import PlanePlaces


class ViewEncoder(nn.Module):
    """Patches attend to each other across views, then tokens of the planes read them, and attend to each other.

    Args:
        dim: width of all tokens.
        patch_size: side of a patch in pixels.
        side: tokens along each side of a plane.
        num_view_layers: blocks of attention among the patches of all views.
        num_plane_layers: rounds of reading the patches and attention among the planes' tokens.
        num_frequencies: of the features of the place that a patch shows.
        placed: whether attention fades with the distance between the places that patches show and that tokens stand at.
    """

    def __init__(
        self,
        dim: int,
        *,
        patch_size: int,
        side: int,
        num_view_layers: int,
        num_plane_layers: int,
        num_frequencies: int,
        placed: bool,
    ) -> None:
        super().__init__()
        self.placed = placed
        self.patch_size, self.num_frequencies = patch_size, num_frequencies
        # The seen point adds three channels, and says where the ray ends without the network having to multiply.
        self.embed_pixels = nn.Linear((NUM_CHANNELS + 3) * patch_size**2, dim)
        self.embed_place = nn.Linear(fourier_dim(num_frequencies) + 1, dim)
        self.view_blocks = nn.ModuleList(PatchBlock(dim, dim // HEAD_DIM, 4 * dim) for _ in range(num_view_layers))
        tokens = torch.randn(3 * side * side, dim) * 0.02
        if placed:
            self.planes = PlanePlaces(side)
            tokens = embed_places(self.planes.places, dim)
            self.view_fade, self.read_fade, self.fade = (DistanceFade(dim // HEAD_DIM) for _ in range(3))
        self.tokens = nn.Parameter(tokens)
        self.read_views = nn.ModuleList(CrossBlock(dim) for _ in range(num_plane_layers))
        self.plane_blocks = nn.ModuleList(PatchBlock(dim, dim // HEAD_DIM, 4 * dim) for _ in range(num_plane_layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, views: Float[Tensor, "batch view height width 10"]) -> Float[Tensor, "batch token dim"]:
        """Return the tokens of plane 0, 1 and 2, each in raster order.

        Args:
            views: channels as `posed_views.view_channels` makes them; any number of views, whose sides are multiples
                of the patch size.
        """
        context, shown = self._embed(views)
        among_views = to_views = among_planes = None
        if self.placed:
            among_views = self.view_fade(shown, shown)
            to_views = self.planes.towards(shown, self.read_fade)
            among_planes = self.planes.among(self.fade)
        for block in self.view_blocks:
            context = block(context, among_views)
        x = self.tokens.expand(len(views), -1, -1)
        for read, block in zip(self.read_views, self.plane_blocks, strict=True):
            x = block(read(x, context, to_views), among_planes)
        return self.norm(x)

    def _embed(
        self, views: Float[Tensor, "batch view height width 10"]
    ) -> tuple[Float[Tensor, "batch patch dim"], Float[Tensor, "batch patch 3"]]:
        """Return the patches of all views and the place that each shows, of empty ones where they pass the origin."""
        points, met = seen_points(views)

        def patches(channels: Tensor) -> Tensor:
            cut = images_to_patches(channels.flatten(0, 1).movedim(-1, 1), self.patch_size)
            return cut.unflatten(0, channels.shape[:2]).flatten(1, 2)

        pixels = self.embed_pixels(patches(torch.cat([views, points * met], dim=-1)))
        share = patches(met).mean(dim=-1, keepdim=True)
        place = patches(points * met).unflatten(-1, (-1, 3)).mean(dim=-2) / share.clamp_min(1e-6)
        features = torch.cat([fourier_features(place, self.num_frequencies), share], dim=-1)
        passed = patches(passed_points(views)).unflatten(-1, (-1, 3)).mean(dim=-2)
        return pixels + self.embed_place(features), torch.where(share > 0, place, passed)
