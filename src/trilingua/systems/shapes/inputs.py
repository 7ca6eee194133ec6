"""What each tokenizer reads of an object: from a shape data directory, or from a mesh that has just come in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator
from trilingua.data.shapes.files import ShapeFolder
from trilingua.data.shapes.streams import AnyFolder, ReadObject
from trilingua.data.shapes.structured_latents import LatentFolder
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Mesh, SurfacePoints, sample_surface
from trilingua.geometry.posed_views import PosedViews, render_fixed_views
from trilingua.geometry.voxels import Voxels, voxelize
from trilingua.systems.shapes.build import AnyTokenizer
from trilingua.systems.shapes.config import ShapeConfig
from trilingua.tokenizers.shapes.protocol import Reads
from trilingua.tokenizers.shapes.sets import SetTokenizer
from trilingua.tokenizers.shapes.triplanes import TriplaneTokenizer
from trilingua.tokenizers.shapes.voxels import VoxelConfig, VoxelTokenizer


class _Source(NamedTuple):
    """Where something that tokenizers read comes from."""

    of_folder: Callable[[Any, int], Any]
    of_mesh: Callable[[Mesh, AnyTokenizer], Any]
    """Of a mesh in [-1, 1]^3; the same each time."""


def _points_of_mesh(mesh: Mesh, tokenizer: AnyTokenizer) -> SurfacePoints:
    assert isinstance(tokenizer, SetTokenizer), "no other tokenizer reads points"
    return sample_surface(mesh, tokenizer.config.num_points, make_generator(0, "points of a mesh"))


def _views_of_mesh(mesh: Mesh, tokenizer: AnyTokenizer) -> PosedViews:
    assert isinstance(tokenizer, TriplaneTokenizer), "no other tokenizer reads views"
    return render_fixed_views(mesh, num_views=tokenizer.config.num_views, size=tokenizer.config.view_size)


def _voxels_of_folder(folder: AnyFolder, index: int) -> Voxels:
    return folder.voxels(index)


def _voxels_of_mesh(mesh: Mesh, tokenizer: AnyTokenizer) -> Voxels:
    assert isinstance(tokenizer, VoxelTokenizer), "these read voxels"
    if tokenizer.config.features == "latents":
        raise ConfigError(
            "tokenizer: reads structured latents of TRELLIS, which a mesh alone does not give; "
            "use `ShapeModel.encode_voxels` on .npz files"
        )
    return voxelize(MeshQueries(mesh), tokenizer.config.resolution)


_SOURCES: dict[Reads, _Source] = {
    "points": _Source(ShapeFolder.points, _points_of_mesh),
    "views": _Source(ShapeFolder.views, _views_of_mesh),
    "voxels": _Source(_voxels_of_folder, _voxels_of_mesh),
}


def open_data(config: ShapeConfig) -> AnyFolder:
    """Return the folder that a tokenizer is to learn from.

    Raises:
        ConfigError: none is named, or its voxels are of another resolution than the tokenizer's.
        InputError: no such folder, or it holds something else.
    """
    if not config.data:
        raise ConfigError("data: is not set; pass --data with a shape data directory")
    voxels = config.tokenizer if isinstance(config.tokenizer, VoxelConfig) else None
    if voxels is not None and voxels.features == "latents":
        return LatentFolder(config.data, resolution=voxels.resolution)
    folder = ShapeFolder(config.data)
    known = folder.manifest["settings"]["voxel_resolution"]
    if voxels is not None and voxels.resolution != known:
        raise ConfigError(
            f"{config.data}: holds voxels of {known} cells along each side; the tokenizer reads {voxels.resolution} "
            f"(make the data with --voxel-resolution {voxels.resolution}, or set --tokenizer.resolution)"
        )
    return folder


def read_from_folder(tokenizer: AnyTokenizer) -> ReadObject:
    """Return what reads an object of a data directory as the tokenizer wants it."""
    source = _SOURCES[tokenizer.reads]

    def read(folder: AnyFolder, index: int, generator: np.random.Generator | None) -> Float32[np.ndarray, "*input"]:
        return tokenizer.prepare(source.of_folder(folder, index), generator)

    return read


def read_from_mesh(tokenizer: AnyTokenizer, mesh: Mesh) -> Float32[np.ndarray, "*input"]:
    """Return a mesh in [-1, 1]^3 as the tokenizer wants it; the same each time."""
    return tokenizer.prepare(_SOURCES[tokenizer.reads].of_mesh(mesh, tokenizer))
