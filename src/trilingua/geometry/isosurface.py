"""Where a field is 0, as a closed triangle mesh, by marching cubes.

Meshes are plain arrays of vertices and faces in the grid's units. The differentiable twin is `geometry.flexicubes`.

Source: Lewiner et al. 2003, as scikit-image implements it.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.measure import marching_cubes

from trilingua.geometry.fields import Field, Grid, evaluate_near_surface, evaluate_on_grid


class Surface(NamedTuple):
    """A triangle mesh. Seen from outside, each face's vertices turn counter-clockwise."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    colors: Float[np.ndarray, "vertex 3"] | None
    """Red, green and blue in [0, 1] of each vertex; None from a field without colour."""


@runtime_checkable
class MeshedField(Field, Protocol):
    """A field that makes a better mesh of itself than marching cubes does."""

    def surface(self, grid: Grid, *, chunk_size: int, device: torch.device | str) -> Surface:
        """Return the closed surface on `grid`, with the field's colours."""
        ...


def march_cubes(values: Float[np.ndarray, "x y z"], grid: Grid) -> Surface:
    """Return the surface where `values` are 0; it is closed, and empty if there is none.

    A shape that leaves the grid's box is cut at the box's faces and closed there.

    Args:
        values: at the grid's samples, indexed by x, y and z; positive inside.
        grid: where the samples are.
    """
    if not (values > 0).any():
        return Surface(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), None)
    # A layer so far outside that the surface crosses it at the box's face: no sample's own value moves the cut.
    outside = -1e6 * max(float(np.abs(values).max()), 1e-30)
    padded = np.pad(values.astype(np.float32), 1, constant_values=outside)
    vertices, faces, _, _ = marching_cubes(padded, 0.0, gradient_direction="ascent")
    placed = grid.lower + (vertices - 1) * grid.spacing
    return Surface(np.clip(placed, grid.lower, grid.upper).astype(np.float32), faces.astype(np.int32), None)


def extract_surface(
    field: Field,
    grid: Grid,
    *,
    refine: bool = True,
    chunk_size: int = 2**16,
    device: torch.device | str = "cpu",
) -> Surface:
    """Return the closed surface of `field` in the box of `grid`, with the field's colours at the vertices.

    By marching cubes, or as the field itself does it.

    Args:
        field: what is asked.
        grid: where.
        refine: ask only near the surface (`fields.evaluate_near_surface`) instead of everywhere.
        chunk_size: how many points are asked at once.
        device: where the field is evaluated.

    Raises:
        InputError: a value of the field is not finite.
    """
    if isinstance(field, MeshedField):
        return field.surface(grid, chunk_size=chunk_size, device=device)
    evaluate = evaluate_near_surface if refine else evaluate_on_grid
    values = evaluate(field, grid, chunk_size=chunk_size, device=device)
    surface = march_cubes(values.cpu().numpy(), grid)
    colors = color_vertices(field, surface.vertices, chunk_size=chunk_size, device=device)
    return surface._replace(colors=colors)


@torch.no_grad()
def color_vertices(
    field: Field,
    vertices: Float[np.ndarray, "vertex 3"],
    *,
    chunk_size: int = 2**16,
    device: torch.device | str = "cpu",
) -> Float[np.ndarray, "vertex 3"] | None:
    """Return the field's colours at `vertices`, clipped to [0, 1], or None from a field without colour."""
    chunks = torch.from_numpy(np.asarray(vertices, dtype=np.float32)).to(device).split(chunk_size)
    colors = [field.colors(chunk) for chunk in chunks]
    known = [color.clamp(0, 1).float().cpu() for color in colors if color is not None]
    return torch.cat(known).numpy() if len(known) == len(chunks) else None
