"""What each tokenizer reads of an object: from a shape data directory, or from a mesh that has just come in."""

import numpy as np
from jaxtyping import Float32

from trilingua.core.random import make_generator
from trilingua.data.shapes.files import ShapeFolder
from trilingua.data.shapes.streams import ReadObject
from trilingua.geometry.meshes import Mesh, sample_surface
from trilingua.systems.shapes.build import AnyTokenizer


def read_from_folder(tokenizer: AnyTokenizer) -> ReadObject:
    """Return what reads an object of a data directory as the tokenizer wants it."""

    def read(folder: ShapeFolder, index: int, generator: np.random.Generator | None) -> Float32[np.ndarray, "*input"]:
        return tokenizer.prepare(folder.points(index), generator)

    return read


def read_from_mesh(tokenizer: AnyTokenizer, mesh: Mesh) -> Float32[np.ndarray, "*input"]:
    """Return a mesh in [-1, 1]^3 as the tokenizer wants it; the same each time."""
    generator = make_generator(0, "points of a mesh")
    return tokenizer.prepare(sample_surface(mesh, tokenizer.config.num_points, generator))
