"""What each tokenizer reads of an object: from a shape data directory, or from a mesh that has just come in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from trilingua.core.random import make_generator
from trilingua.data.shapes.files import ShapeFolder
from trilingua.data.shapes.streams import ReadObject
from trilingua.geometry.meshes import Mesh, SurfacePoints, sample_surface
from trilingua.geometry.posed_views import PosedViews, render_fixed_views
from trilingua.systems.shapes.build import AnyTokenizer
from trilingua.tokenizers.shapes.protocol import Reads
from trilingua.tokenizers.shapes.sets import SetTokenizer
from trilingua.tokenizers.shapes.triplanes import TriplaneTokenizer


class _Source(NamedTuple):
    """Where something that tokenizers read comes from."""

    of_folder: Callable[[ShapeFolder, int], Any]
    of_mesh: Callable[[Mesh, AnyTokenizer], Any]
    """Of a mesh in [-1, 1]^3; the same each time."""


def _points_of_mesh(mesh: Mesh, tokenizer: AnyTokenizer) -> SurfacePoints:
    assert isinstance(tokenizer, SetTokenizer), "no other tokenizer reads points"
    return sample_surface(mesh, tokenizer.config.num_points, make_generator(0, "points of a mesh"))


def _views_of_mesh(mesh: Mesh, tokenizer: AnyTokenizer) -> PosedViews:
    assert isinstance(tokenizer, TriplaneTokenizer), "no other tokenizer reads views"
    return render_fixed_views(mesh, num_views=tokenizer.config.num_views, size=tokenizer.config.view_size)


_SOURCES: dict[Reads, _Source] = {
    "points": _Source(ShapeFolder.points, _points_of_mesh),
    "views": _Source(ShapeFolder.views, _views_of_mesh),
}


def read_from_folder(tokenizer: AnyTokenizer) -> ReadObject:
    """Return what reads an object of a data directory as the tokenizer wants it."""
    source = _SOURCES[tokenizer.reads]

    def read(folder: ShapeFolder, index: int, generator: np.random.Generator | None) -> Float32[np.ndarray, "*input"]:
        return tokenizer.prepare(source.of_folder(folder, index), generator)

    return read


def read_from_mesh(tokenizer: AnyTokenizer, mesh: Mesh) -> Float32[np.ndarray, "*input"]:
    """Return a mesh in [-1, 1]^3 as the tokenizer wants it; the same each time."""
    return tokenizer.prepare(_SOURCES[tokenizer.reads].of_mesh(mesh, tokenizer))
