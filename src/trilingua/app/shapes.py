"""The demonstration's shapes: objects that nobody has seen, as codes, and what decodes from more and more of them."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trilingua.app.report import ShapeRow
from trilingua.core.errors import InputError
from trilingua.core.io import write_image
from trilingua.data.shapes.procedural import ProceduralShapes
from trilingua.geometry.mesh_files import save_mesh
from trilingua.geometry.mesh_pictures import BACKGROUND, fixed_cameras, render_mesh
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Frame, Mesh
from trilingua.systems.shapes.evaluate import bytes_of, compare_surfaces
from trilingua.systems.shapes.pipeline import ShapeModel
from trilingua.tokenizers.shapes.codes import ShapeCode

MOST_PREFIXES = 5
"""Numbers of scales that are shown of an object."""

_PICTURE_SIZE = 320
_RESOLUTION = 96


def show_shapes(
    model: ShapeModel,
    out: Path,
    *,
    seed: int,
    num_shapes: int,
    progress: Callable[[Any, str], Iterable[Any]] = lambda items, _: items,
) -> tuple[list[ShapeRow], dict[str, Any]]:
    """Write meshes, codes and what they decode to into `out`; return what the page shows, and the figures.

    Args:
        model: the tokenizer.
        out: the folder.
        seed: of the objects.
        num_shapes: how many.
        progress: wraps a list of work with a title.

    Returns:
        One row an object; `f_score_0.02` (mean over objects) and `bytes_per_object`.
    """
    source = ProceduralShapes(num_objects=num_shapes, seed=seed, split="demo")
    rows, scores = [], []
    for index in progress(range(num_shapes), "shapes"):
        shape = source.load(index)
        code = model.encode(shape.mesh)
        counts = _prefixes(model.num_scales)
        decoded = [_decode(model, code, count) for count in counts]
        found = None if decoded[-1] is None else code.frame.normalize(decoded[-1])
        score = float(compare_surfaces(found, code.frame.normalize(shape.mesh), index)["f_score_0.02"])
        name = f"shape_{index:03d}"
        save_mesh(shape.mesh, out / f"{name}.glb")
        if decoded[-1] is not None:
            save_mesh(decoded[-1], out / f"{name}_decoded.glb")
        model.save_code(code, out / f"{name}.json")
        pictures = [_draw(mesh, code.frame) for mesh in (shape.mesh, *decoded)]
        write_image(out / f"{name}.png", pictures[0])
        write_image(out / f"{name}_decoded.png", pictures[-1])
        rows.append(
            ShapeRow(
                name=f"Shape {index + 1}",
                caption=shape.caption,
                picture=pictures[0],
                decoded=list(zip(counts, pictures[1:], strict=True)),
                codes=[block.flatten().tolist() for block in code.blocks],
                metrics={"F-score at 0.02": round(score, 3), "bytes": bytes_of(code)},
            )
        )
        scores.append(score)
    return rows, {"f_score_0.02": float(np.mean(scores)), "bytes_per_object": rows[0].metrics["bytes"]}


def _prefixes(num_scales: int) -> list[int]:
    """Return numbers of scales from 1 to all, evenly spread."""
    spread = np.linspace(1, num_scales, min(num_scales, MOST_PREFIXES))
    return [int(count) for count in spread.round()]


def _decode(model: ShapeModel, code: ShapeCode, scales: int) -> Mesh | None:
    """Return what some scales decode to; None where no point is inside, as the first alone may have it."""
    try:
        return model.decode(code, scales=scales, resolution=_RESOLUTION)
    except InputError:
        return None


def _draw(mesh: Mesh | None, frame: Frame) -> Image.Image:
    if mesh is None:
        return Image.new("RGB", (_PICTURE_SIZE, _PICTURE_SIZE), BACKGROUND)
    camera = fixed_cameras(_PICTURE_SIZE)[0]
    return Image.fromarray(render_mesh(MeshQueries(frame.normalize(mesh)), camera).image)
