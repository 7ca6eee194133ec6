"""Planes to meshes by FlexiCubes: what a decoder learns when its mesh is what counts.

Heads beside the decoder's own read signed distances and moves at the samples of a grid, and weights at its cells. They
begin so that the mesh is that of the decoder's logits, and learn from where pictures see the surface.

Source: Chen et al. 2025 (SAR3D), section 4.1, equation 9; Shen et al. 2023 (FlexiCubes), section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.core.config import require_at_least
from trilingua.core.errors import ConfigError
from trilingua.geometry.fields import Grid, Kind, evaluate_near_surface
from trilingua.geometry.flexicubes import (
    NUM_WEIGHTS,
    FlexibleSurface,
    extract_flexicubes,
    sign_loss,
    surface_cells,
)
from trilingua.geometry.isosurface import Surface, color_vertices
from trilingua.geometry.volume_rendering import LOGIT_PER_DISTANCE
from trilingua.nn.triplanes import TriplaneReader
from trilingua.tokenizers.shapes.plane_decoder import PlaneDecoder


@dataclass(frozen=True, kw_only=True)
class FlexibleConfig:
    """The grid of the mesh that is learnt from, and the weights of its losses."""

    resolution: int = 32
    """Cells along each axis in training. SAR3D: 128."""
    hidden_dim: int = 64
    """Width of the heads' layers. SAR3D: 64."""
    place_weight: float = 1.0
    """Of the distance of seen points from the mesh."""
    normal_weight: float = 0.1
    """Of one minus the cosine between seen normals and the mesh's. SAR3D compares drawn normals."""
    distance_weight: float = 1.0
    """Of the error of signed distances at places where they are known, cut off at `cut_off`."""
    cut_off: float = 0.1
    """Greatest distance that counts."""
    deviation_weight: float = 0.5
    """Of FlexiCubes' deviations, in grid spacings. SAR3D: 0.5."""
    weight_decay: float = 0.1
    """Of the mean square of FlexiCubes' weights. SAR3D: 0.1."""
    sign_weight: float = 0.01
    """Of `geometry.flexicubes.sign_loss` of logits."""

    def __post_init__(self) -> None:
        require_at_least(self, resolution=4, hidden_dim=1)
        if not self.cut_off > 0:
            raise ConfigError(f"cut_off: {self.cut_off}; expected a distance above 0")


class FlexibleHeads(nn.Module):
    """What FlexiCubes wants to know, read from planes.

    Args:
        channels: of a plane.
        num_mips: resolutions that are read.
        hidden_dim: width of the heads' layers.

    Differs: SAR3D's head of weights reads the features of a cell's eight corners, this one those of its middle; its
    signed distances begin at random, these as what the decoder's logits say.
    """

    def __init__(self, *, channels: int, num_mips: int, hidden_dim: int) -> None:
        super().__init__()
        self.samples = TriplaneReader(channels=channels, num_mips=num_mips, hidden_dim=hidden_dim, out_dim=4)
        self.cells = TriplaneReader(channels=channels, num_mips=num_mips, hidden_dim=hidden_dim, out_dim=NUM_WEIGHTS)
        for reader in (self.samples, self.cells):
            last = reader.layers[-1]
            assert isinstance(last, nn.Linear), "a reader ends in a linear layer"
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)


@dataclass(frozen=True, eq=False)
class FlexibleField:
    """One object's planes with the heads that make its mesh: a field that brings its own surface, with colours."""

    decoder: PlaneDecoder
    heads: FlexibleHeads
    planes: Float[Tensor, "3 channel side side"]

    @property
    def kind(self) -> Kind:
        """Values are signed distances."""
        return "distance"

    def values(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        """Return the signed distance of each point."""
        return self._at_samples(points)[0]

    def colors(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """Return the colour of each point, as pictures show it: with the light in it."""
        return self.decoder.colors(self.planes[None], points.to(self.planes.device)[None])[0]

    @torch.no_grad()
    def surface(self, grid: Grid, *, chunk_size: int = 2**16, device: torch.device | str = "cpu") -> Surface:
        """Return the closed mesh that FlexiCubes makes on `grid`, with colours at its vertices.

        Args:
            grid: where; finer than in training will do, since heads can be read anywhere.
            chunk_size: how many points are asked at once.
            device: where the planes are.
        """
        made = self._extract(grid, chunk_size=chunk_size, device=device, fans=False)[0]
        vertices = made.vertices.float().cpu().numpy()
        colors = color_vertices(self, vertices, chunk_size=chunk_size, device=device)
        return Surface(vertices, made.faces.int().cpu().numpy(), colors)

    def losses(
        self,
        config: FlexibleConfig,
        *,
        seen: Float[Tensor, "point 3"],
        normals: Float[Tensor, "point 3"],
        places: Float[Tensor, "place 3"],
        distances: Float[Tensor, " place"],
    ) -> Mapping[str, Tensor]:
        """Return the losses of the mesh by name, each with its weight.

        Args:
            config: the grid and the weights.
            seen: points of the true surface.
            normals: of it there.
            places: where signed distances are known.
            distances: these.
        """
        grid = Grid(resolution=config.resolution)
        made, sdf, weights = self._extract(grid, chunk_size=2**18, device=self.planes.device, fans=True)
        error = self.values(places).clamp(-config.cut_off, config.cut_off) - distances.clamp(
            -config.cut_off, config.cut_off
        )
        parts = {"distance": config.distance_weight * error.abs().mean()}
        # An object that is all outside has no mesh yet; its distances will give it one.
        if len(made.faces) and len(seen):
            place, normal = compare_to_mesh(made, seen, normals)
            parts["place"] = config.place_weight * place
            parts["normal"] = config.normal_weight * normal
            parts["deviation"] = config.deviation_weight * made.deviations.mean() / grid.spacing
            parts["weights"] = config.weight_decay * weights.square().mean()
            parts["signs"] = config.sign_weight * sign_loss(LOGIT_PER_DISTANCE * sdf)
        return parts

    def _at_samples(self, points: Float[Tensor, "point 3"]) -> tuple[Float[Tensor, " point"], Float[Tensor, "point 3"]]:
        """Return signed distance and raw move of each point."""
        points = points.to(self.planes.device)[None]
        logits = self.decoder.logits(self.planes[None], points)
        found = self.heads.samples(self.planes[None], points)[0]
        return found[:, 0] - logits[0] / LOGIT_PER_DISTANCE, found[:, 1:]

    def _extract(
        self, grid: Grid, *, chunk_size: int, device: torch.device | str, fans: bool
    ) -> tuple[FlexibleSurface, Float[Tensor, "x y z"], Float[Tensor, "cell 21"]]:
        """Return the mesh, its signed distances and its weights; gradients flow to the samples around the surface."""
        sdf = -evaluate_near_surface(self, grid, coarsest=16, chunk_size=chunk_size, device=device)
        axis = grid.coordinates(sdf.device)
        corners = _corners_of(surface_cells(sdf))
        deformation = sdf.new_zeros(*sdf.shape, 3)
        for some in corners.split(chunk_size):
            index = some.unbind(-1)
            distances, moves = self._at_samples(axis[some])
            sdf = sdf.index_put(index, distances.to(sdf.dtype))
            deformation = deformation.index_put(index, moves.to(sdf.dtype))
        # Asked again, a sample may change its side by a rounding, so cells are looked for once more.
        cells = surface_cells(sdf.detach())
        middles = (axis[cells] + grid.spacing / 2).split(chunk_size)
        weights = torch.cat([self.heads.cells(self.planes[None], some[None])[0] for some in middles])
        return extract_flexicubes(sdf, grid, deformation=deformation, weights=weights, fans=fans), sdf, weights


def compare_to_mesh(
    mesh: FlexibleSurface, seen: Float[Tensor, "point 3"], normals: Float[Tensor, "point 3"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return how far seen points are from a mesh, and how much its faces are turned from what is seen.

    Each point is compared to the face whose middle is nearest: `|(middle - point) . normal|` and
    `1 - face normal . normal`, means over points, with gradients for the mesh.

    Args:
        mesh: with at least one face.
        seen: points of the true surface.
        normals: of it there.

    Differs: SAR3D draws depth and normals of the mesh by a rasterizer with gradients.
    """
    corners = mesh.vertices[mesh.faces]
    middles = corners.mean(dim=1)
    with torch.no_grad():
        nearest = torch.cat([torch.cdist(some, middles).argmin(dim=1) for some in seen.split(256)])
    first, second, third = corners[nearest].unbind(dim=1)
    turned = F.normalize(torch.linalg.cross(second - first, third - first), dim=-1, eps=1e-6)
    apart = ((middles[nearest] - seen) * normals).sum(dim=-1).abs()
    return apart.mean(), (1 - (turned * normals).sum(dim=-1)).mean()


def _corners_of(cells: Int[Tensor, "cell 3"]) -> Int[Tensor, "corner 3"]:
    """Return each sample that is a corner of a cell, once."""
    bits = torch.arange(8, device=cells.device)
    offsets = torch.stack([bits & 1, bits >> 1 & 1, bits >> 2], dim=-1)
    return (cells[:, None] + offsets).flatten(0, 1).unique(dim=0)
