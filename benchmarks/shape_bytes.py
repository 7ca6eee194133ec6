"""Bytes an object against how much of its surface comes back: shape tokenizers, and meshes that Draco compressed.

Every tokenizer is asked for all numbers of its blocks. A compressed mesh has two dials, how far it is simplified first
and how finely its corners are rounded; of all their settings those are shown that no other beats with fewer bytes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import DracoPy
import manifold3d
import numpy as np
import tyro
from matplotlib.figure import Figure
from plots import save_figure
from tqdm import tqdm

import trilingua
from trilingua.core.io import write_json
from trilingua.data.shapes.files import ShapeFolder
from trilingua.geometry.fields import Grid
from trilingua.geometry.isosurface import extract_surface
from trilingua.geometry.meshes import Mesh
from trilingua.systems.shapes.evaluate import bytes_of, compare_surfaces
from trilingua.systems.shapes.pipeline import ShapeModel, mesh_of

TOLERANCES = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08)
"""How far simplifying may move the surface of an object of length 2."""

CORNER_BITS = (5, 6, 7, 8, 10)
"""Bits of each coordinate of a compressed mesh."""

Curve = list[tuple[float, float]]
"""Mean bytes and mean F-score at 0.02, by falling number of bytes."""


def main(
    data: Annotated[Path, tyro.conf.Positional], *, run: tuple[Path, ...] = (), limit: int = 50, out: Path
) -> None:
    """Write the plot (.svg) and its figures beside it (.json).

    Args:
        data: shape data directory whose meshes are closed, such as procedural ones.
        run: run directories of shape tokenizers; the shipped one by default.
        limit: use the first so many objects.
        out: the plot to write.
    """
    folder = ShapeFolder(data)
    meshes = [folder.arrays(index).mesh for index in range(min(limit, len(folder)))]
    runs = {path.name: path for path in run} or {"shape-set": trilingua.shipped_folder() / "shape-set"}
    curves = {name: _codes(ShapeModel.load(path), meshes, name) for name, path in runs.items()}
    curves["Draco"] = _compressed(meshes)
    write_json(out.with_suffix(".json"), {"num_objects": len(meshes), "curves": curves})
    _plot(curves, out)
    print(json.dumps(curves))


def _codes(model: ShapeModel, meshes: list[Mesh], name: str) -> Curve:
    scores = np.zeros((len(meshes), model.num_scales))
    for index, mesh in enumerate(tqdm(meshes, desc=name)):
        code = model.encode(mesh, allow_non_manifold=True)
        for scales in range(1, model.num_scales + 1):
            surface = extract_surface(model.field(code, scales=scales), Grid(resolution=128))
            decoded = code.frame.restore(mesh_of(surface)) if len(surface.faces) else None
            scores[index, scales - 1] = compare_surfaces(decoded, mesh, index)["f_score_0.02"]
    sizes = [float(bytes_of(code, scales=scales)) for scales in range(1, model.num_scales + 1)]
    return list(zip(sizes, scores.mean(axis=0).tolist(), strict=True))[::-1]


def _compressed(meshes: list[Mesh]) -> Curve:
    tried = []
    for tolerance in tqdm(TOLERANCES, desc="Draco"):
        simpler = [_simplified(mesh, tolerance) for mesh in meshes]
        for bits in CORNER_BITS:
            sizes, scores = zip(*_each_compressed(meshes, simpler, bits), strict=True)
            tried.append((float(np.mean(sizes)), float(np.mean(scores))))
    best: Curve = []
    for size, score in sorted(tried):
        if not best or score > best[-1][1]:
            best.append((size, score))
    return best[::-1]


def _each_compressed(meshes: list[Mesh], simpler: list[Mesh], bits: int) -> Iterator[tuple[int, float]]:
    for index, (mesh, less) in enumerate(zip(meshes, simpler, strict=True)):
        packed = DracoPy.encode(
            less.vertices.astype(np.float32), less.faces.astype(np.uint32), quantization_bits=bits, compression_level=10
        )
        opened = DracoPy.decode(packed)
        decoded = Mesh(vertices=np.asarray(opened.points), faces=np.asarray(opened.faces, np.int64).reshape(-1, 3))
        usable = decoded if np.linalg.norm(decoded.area_vectors, axis=1).sum() > 0 else None
        yield len(packed), compare_surfaces(usable, mesh, index)["f_score_0.02"]


def _simplified(mesh: Mesh, tolerance: float) -> Mesh:
    """Return a mesh of fewer triangles whose surface has moved by less than `tolerance`."""
    _, first, place = np.unique(mesh.vertices, axis=0, return_index=True, return_inverse=True)
    whole = manifold3d.Manifold(
        manifold3d.Mesh(
            vert_properties=mesh.vertices[first].astype(np.float32),
            tri_verts=place.reshape(-1)[mesh.faces].astype(np.uint32),
        )
    )
    made = whole.simplify(tolerance).to_mesh() if tolerance else whole.to_mesh()
    if not len(made.tri_verts):
        return mesh
    return Mesh(vertices=np.asarray(made.vert_properties)[:, :3].astype(np.float64), faces=np.asarray(made.tri_verts))


def _plot(curves: dict[str, Curve], out: Path) -> None:
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker="o", markersize=4, label=name, linewidth=1.5)
    axes.set(xscale="log", xlabel="bytes an object", ylabel="F-score at 0.02", ylim=(0, 1))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, out)


if __name__ == "__main__":
    tyro.cli(main)
