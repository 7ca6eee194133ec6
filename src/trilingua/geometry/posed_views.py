"""Pictures of one object together with their cameras: as rows of numbers for networks, and as rays to learn from.

A pixel's ray has two names here. Networks read Pluecker coordinates, which do not change along the ray; renderers want
a place and a direction. Knows no networks.

Source: Sitzmann et al. 2021 (Light Field Networks), section 3.1; Chen et al. 2025 (SAR3D), section 4.1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from trilingua.core.errors import ConfigError
from trilingua.geometry.cameras import Camera
from trilingua.geometry.mesh_pictures import MeshPicture, camera_rays, fixed_cameras, render_mesh
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Mesh

NUM_CHANNELS = 10
"""Of a view: red, green, blue, depth, and six of the ray."""

BEHIND = 2.0
"""Depth that a network reads where a ray meets nothing: behind every place of [-1, 1]^3."""


@dataclass(frozen=True, kw_only=True)
class PosedViews:
    """Pictures of one object in [-1, 1]^3, one from each camera."""

    cameras: list[Camera]
    pictures: list[MeshPicture]

    def first(self, count: int) -> "PosedViews":
        """Return the first `count` of the views.

        Raises:
            ConfigError: there are fewer.
        """
        if len(self.cameras) < count:
            raise ConfigError(f"num_views: {count}; there are {len(self.cameras)} pictures of the object")
        return PosedViews(cameras=self.cameras[:count], pictures=self.pictures[:count])


class SeenRays(NamedTuple):
    """Rays through pixels of an object's pictures, and what is seen along each."""

    origins: Float32[np.ndarray, "ray 3"]
    directions: Float32[np.ndarray, "ray 3"]
    """Of depth 1 along the camera's axis, so that depths are lengths in directions."""
    colors: Float32[np.ndarray, "ray 3"]
    """sRGB in [0, 1]."""
    depths: Float32[np.ndarray, " ray"]
    """0 where nothing is met."""
    normals: Float32[np.ndarray, "ray 3"]
    """Of the surface that is met, towards the camera; 0 where nothing is."""


def render_fixed_views(mesh: Mesh, *, num_views: int, size: int) -> PosedViews:
    """Return what the first of the six fixed cameras see of a mesh in [-1, 1]^3.

    Args:
        mesh: the object.
        num_views: 1 to 6.
        size: side of the pictures in pixels.
    """
    cameras = fixed_cameras(size)[:num_views]
    queries = MeshQueries(mesh)
    return PosedViews(cameras=cameras, pictures=[render_mesh(queries, camera) for camera in cameras])


def view_channels(views: PosedViews) -> Float32[np.ndarray, "view height width 10"]:
    """Return the pixels of views as a network reads them.

    The channels: sRGB in [-1, 1]; the length along the pixel's ray from its place nearest to the origin to what it
    meets, `BEHIND` where it meets nothing; the moment `m = o x d` of the ray from o in the unit direction d; d.

    Differs: SAR3D reads depth from the camera, as eight bits of its inverse. Pluecker coordinates do not tell where the
    camera stands, and from these ten the place that is seen follows: `seen_points`.
    """
    rows = []
    for camera, picture in zip(views.cameras, views.pictures, strict=True):
        directions = _pixel_directions(camera)
        lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
        unit = directions / lengths
        met = picture.depth[..., None] > 0
        depth = np.where(met, picture.depth[..., None] * lengths + (unit @ camera.position)[..., None], BEHIND)
        colors = picture.image / 127.5 - 1
        rows.append(np.concatenate([colors, depth, np.cross(camera.position, unit), unit], axis=-1))
    return np.stack(rows).astype(np.float32)


def seen_points(
    views: Float[Tensor, "*batch 10"],
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch 1"]]:
    """Return the place that each pixel shows, `d x m + depth d`, and 1 where it shows one, 0 where it shows nothing.

    Args:
        views: pixels as `view_channels` makes them.
    """
    depth, direction = views[..., 3:4], views[..., 7:10]
    return passed_points(views) + depth * direction, (depth < BEHIND).to(views.dtype)


def passed_points(views: Float[Tensor, "*batch 10"]) -> Float[Tensor, "*batch 3"]:
    """Return the place of each pixel's ray that is nearest to the origin, `d x m`.

    Args:
        views: pixels as `view_channels` makes them.
    """
    return torch.linalg.cross(views[..., 7:10], views[..., 4:7], dim=-1)


def draw_rays(views: PosedViews, count: int, generator: np.random.Generator) -> SeenRays:
    """Return rays through random pixels of all views: half of them through pixels that show the object.

    Args:
        views: at least one; of any sizes.
        count: how many rays.
        generator: chooses the pixels, each time from all.
    """
    covered = [np.flatnonzero(picture.depth > 0) for picture in views.pictures]
    sizes = np.array([picture.depth.size for picture in views.pictures])
    known = np.concatenate([start + found for start, found in zip(np.cumsum(sizes) - sizes, covered, strict=True)])
    anywhere = generator.integers(sizes.sum(), size=count - count // 2)
    on_object = generator.choice(known, count // 2) if len(known) else generator.integers(sizes.sum(), size=count // 2)
    view_of, pixel = _split(np.concatenate([on_object, anywhere]), sizes)
    parts = []
    for view in np.unique(view_of):
        camera, picture = views.cameras[view], views.pictures[view]
        row, column = np.divmod(pixel[view_of == view], camera.width)
        directions = camera_rays(camera, column + 0.5, row + 0.5)
        parts.append(
            (
                np.broadcast_to(camera.position, directions.shape),
                directions,
                picture.image[row, column] / 255,
                picture.depth[row, column],
                picture.normals[row, column],
            )
        )
    return SeenRays(*(np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True)))


def picture_rays(camera: Camera) -> tuple[Float32[np.ndarray, "ray 3"], Float32[np.ndarray, "ray 3"]]:
    """Return origin and direction, of depth 1, of the ray through each pixel's centre, in raster order."""
    directions = _pixel_directions(camera).reshape(-1, 3).astype(np.float32)
    return np.broadcast_to(camera.position.astype(np.float32), directions.shape).copy(), directions


def _pixel_directions(camera: Camera) -> Float[np.ndarray, "height width 3"]:
    rows, columns = np.indices((camera.height, camera.width)) + 0.5
    return camera_rays(camera, columns, rows)


def _split(places: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the view and the pixel in it of places in all views' pixels, one after the other."""
    ends = np.cumsum(sizes)
    view = np.searchsorted(ends, places, side="right")
    return view, places - (ends - sizes)[view]
