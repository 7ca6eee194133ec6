"""The figures of a shape tokenizer on a data directory: the round trip from mesh to codes to mesh."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.random import make_generator
from trilingua.data.shapes.files import ShapeFolder
from trilingua.geometry.fields import Field, Grid
from trilingua.geometry.isosurface import extract_surface
from trilingua.geometry.mesh_pictures import BACKGROUND, NUM_FIXED_CAMERAS
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Frame, Mesh, SurfacePoints, sample_surface
from trilingua.geometry.posed_views import PosedViews, picture_rays
from trilingua.geometry.srgb import bytes_from_unit
from trilingua.geometry.volume_rendering import draw_field
from trilingua.metrics.codes import bytes_per_object, score_codes
from trilingua.metrics.geometry import THRESHOLDS, score_distances
from trilingua.metrics.image import score_color
from trilingua.systems.shapes.insides import compare_insides
from trilingua.systems.shapes.pipeline import RESOLUTION, ShapeModel, mesh_of
from trilingua.tokenizers.shapes.codes import ShapeCode

NUM_POINTS = 10_000
"""Points of each surface that are compared. Source: VAT, section 4.1."""

NUM_VIEWS = 2
"""Pictures from random places that a field with colours is drawn for."""


def evaluate_shapes(
    model: ShapeModel,
    folder: ShapeFolder,
    *,
    limit: int | None = None,
    resolution: int = RESOLUTION,
    progress: Callable[[Sequence[int], str], Iterable[int]] = lambda items, _: items,
) -> dict[str, Any]:
    """Return how well the objects of a folder come back from their codes: means over objects.

    Returns:
        `f_score_0.01`, `f_score_0.02`, `chamfer_l1`, `chamfer_l2`, `normal_consistency` of points drawn from both
        surfaces (an object that decodes to nothing has F-scores of 0 and is left out of the other three);
        `iou` at uniform places, `near_accuracy`, `cross_scale_iou`, `iou_at` by scale; of fields with colours,
        `color_error`, the mean absolute difference of colours at points of the true surface, and, where the folder has
        pictures from random places, which no tokenizer reads, `psnr_color` and `ssim_color` of the field drawn from the
        first `NUM_VIEWS` of them; `codes` with usage and perplexity by scale; `bytes_per_object`; `seconds` an object;
        `families` with the IoU of each; `num_objects` and `num_empty`.

    Args:
        model: the tokenizer.
        folder: whose objects.
        limit: only the first so many.
        resolution: cells along each side of the grid that surfaces are looked for on.
        progress: shows how far the work is.

    Raises:
        InputError: a limit below 1, or a folder without uniform places.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit: {limit} is not allowed; expected at least 1")
    num_uniform = int(folder.manifest["settings"]["num_uniform"])
    if not num_uniform:
        raise ConfigError(f"{folder.path}: holds no uniform places, by which IoU is judged; make it with --num-uniform")
    indices = range(min(len(folder), limit or len(folder)))
    rows, codes = [], []
    seconds = {"encode": 0.0, "decode": 0.0}
    for index in progress(indices, "shapes"):
        arrays = folder.arrays(index)
        began = time.perf_counter()
        code = model.encode(arrays.mesh, allow_non_manifold=True)
        encoded = time.perf_counter()
        field = model.field(code)
        surface = extract_surface(field, Grid(resolution=resolution), device=model.device)
        seconds["encode"] += encoded - began
        seconds["decode"] += time.perf_counter() - encoded
        prefixes = [*(model.field(code, scales=scales) for scales in range(1, model.num_scales)), field]
        predicted = code.frame.restore(mesh_of(surface)) if len(surface.faces) else None
        row = compare_surfaces(predicted, arrays.mesh, index)
        places = _in_frame(arrays.distances.points, code.frame, model.device)
        row |= compare_insides(prefixes, places, arrays.distances.distances, num_uniform=num_uniform)
        views = PosedViews(cameras=arrays.cameras, pictures=arrays.pictures)
        row |= _compare_pictures(field, views, code.frame, model.device)
        row["color_error"] = _compare_colors(field, arrays.points, code.frame, model.device)
        rows.append(row)
        codes.append(code)
    families = [folder.records[index]["family"] for index in indices]
    return {
        "num_objects": len(rows),
        "num_empty": sum(row["empty"] for row in rows),
        **{name: _mean([row.get(name) for row in rows]) for name in _MEANS if any(name in row for row in rows)},
        "iou_at": np.mean([row["iou_at"] for row in rows], axis=0).tolist(),
        "families": {
            family: _mean([row["iou"] for row, own in zip(rows, families, strict=True) if own == family])
            for family in sorted(set(families))
        },
        **_about_codes(codes),
        "seconds": {name: value / len(rows) for name, value in seconds.items()},
    }


_SURFACE = (*(f"f_score_{threshold:g}" for threshold in THRESHOLDS), "chamfer_l1", "chamfer_l2", "normal_consistency")
_MEANS = (*_SURFACE, "iou", "near_accuracy", "cross_scale_iou", "psnr_color", "ssim_color", "color_error")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def compare_surfaces(predicted: Mesh | None, truth: Mesh, index: int = 0) -> dict[str, Any]:
    """Return the figures of `NUM_POINTS` points of each mesh, and whether there is no prediction.

    Distances are those to the other mesh itself, not to points of it, whose number would limit what can be reached.

    Returns:
        `score_distances`; `normal_consistency`, the mean of |cosine| between a point's normal and that of the nearest
        place; `empty`.

    Args:
        predicted: in the units of `truth`; None for nothing, which has F-scores of 0 and no distances.
        truth: in [-1, 1]^3, since thresholds are in its units.
        index: of the object: which points are drawn.
    """
    if predicted is None:
        return {name: 0.0 if name.startswith("f_score") else None for name in _SURFACE} | {"empty": True}
    found = sample_surface(predicted, NUM_POINTS, make_generator(0, "predicted points", index))
    true = sample_surface(truth, NUM_POINTS, make_generator(0, "true points", index))
    near_truth = MeshQueries(truth).closest(found.points, signed=False)
    near_found = MeshQueries(predicted).closest(true.points, signed=False)
    agreement = [
        np.abs((points.normals * near.normals).sum(axis=-1)).mean()
        for points, near in ((found, near_truth), (true, near_found))
    ]
    scores = score_distances(near_truth.distances, near_found.distances)
    return {**scores, "normal_consistency": float(np.mean(agreement)), "empty": False}


def bytes_of(code: ShapeCode, *, scales: int | None = None) -> int:
    """Return the bytes that a code takes: ids packed without gaps, latents in half precision.

    Args:
        code: of any tokenizer.
        scales: count only the first so many blocks of ids; None for all.
    """
    layout = code.layout
    return bytes_per_object(layout.num_ids[:scales], layout.vocabularies[:scales]) + code.num_bytes_of_latents()


def _compare_pictures(field: Field, views: PosedViews, frame: Frame, device: torch.device) -> dict[str, float]:
    """Return how like the truth the field looks where nobody looked from; nothing of a field without colours."""
    unseen = list(zip(views.cameras, views.pictures, strict=True))[NUM_FIXED_CAMERAS:][:NUM_VIEWS]
    if not unseen or field.colors(torch.zeros(1, 3, device=device)) is None:
        return {}
    background = torch.tensor(BACKGROUND, device=device) / 255
    scores = []
    for camera, picture in unseen:
        origins, directions = picture_rays(camera)
        found = draw_field(
            field,
            _in_frame(origins, frame, device),
            torch.from_numpy(directions).to(device) / frame.scale,
            background=background,
        )
        drawn = bytes_from_unit(found.colors.cpu().numpy()).reshape(picture.image.shape)
        scores.append(score_color(drawn, picture.image))
    return {name: _mean([score[name] for score in scores]) or 0.0 for name in ("psnr_color", "ssim_color")}


@torch.no_grad()
def _compare_colors(field: Field, points: SurfacePoints, frame: Frame, device: torch.device) -> float | None:
    """Return how far the field's colours are from the true ones at points of the true surface, from 0 to 1."""
    colors = field.colors(_in_frame(points.points, frame, device))
    return None if colors is None else float((colors.cpu() - torch.from_numpy(points.colors) / 255).abs().mean())


def _in_frame(places: np.ndarray, frame: Frame, device: torch.device) -> torch.Tensor:
    """Return where places of the data's frame are in the code's."""
    return torch.from_numpy(((places - np.array(frame.center)) / frame.scale).astype(np.float32)).to(device)


def _about_codes(codes: Sequence[ShapeCode]) -> dict[str, Any]:
    layout = codes[0].layout
    figures: dict[str, Any] = {"bytes_per_object": bytes_of(codes[0])}
    if layout.num_ids:
        together = [torch.stack([code.blocks[index] for code in codes]) for index in range(len(layout.blocks))]
        figures["codes"] = score_codes(together, layout.vocabularies[0])
    return figures
