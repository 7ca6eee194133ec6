"""Makes a shape data directory: every object measured once, then the manifest.

Work goes over all objects in parallel and can be stopped and resumed: a record that exists is kept, and every file
is written whole or not at all. Object i and all that is drawn for it depend on (seed, split, i) and its source
alone, so the bytes are the same whatever the number of workers. A mesh that cannot be used is skipped and counted,
with its reason; it never ends the work.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from trilingua.core.errors import InputError
from trilingua.core.io import read_json, write_json
from trilingua.core.random import make_generator
from trilingua.data import directory
from trilingua.data.cluster import workers_at
from trilingua.data.shapes.files import ShapeArrays, ShapesConfig, ShapesLayout
from trilingua.data.shapes.procedural import ProceduralShapes
from trilingua.data.shapes.sources import Shape, Source
from trilingua.geometry.distance_samples import sample_distances
from trilingua.geometry.mesh_pictures import fixed_cameras, render_mesh, sample_cameras
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Frame, Mesh, check_mesh, sample_surface
from trilingua.geometry.voxels import voxelize

_COMMAND = "trilingua data shapes"


def generate_shapes(
    out: str | Path,
    config: ShapesConfig,
    *,
    source: Source | None = None,
    num_workers: int = 1,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Make the data directory `out`, or finish one that was begun, and return its manifest.

    With several workers, each is a process of its own that imports the calling program's main module anew, so
    a script must call this under `if __name__ == "__main__":`.

    Args:
        out: the folder; it is made if it does not exist.
        config: what to make.
        source: where shapes come from, at least `config.num_objects` of them; default are procedural ones.
        num_workers: number of processes, at least 1; 1 works in this process.
        cluster: address of a Ray cluster whose machines do the work instead, as `cluster_workers` takes it; all
            must see `out`.

    Raises:
        ConfigError: a setting is out of range.
        InputError: `out` cannot be written, was begun with other settings, or no shape at all could be used.
        WriteError: the disk is full.
        WorkerError: a process died.
    """
    out = Path(out).absolute()  # another machine works in another folder
    directory.check_count("num_workers", num_workers, 1)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder for --out")
    if source is None:
        source = ProceduralShapes(num_objects=config.num_objects, seed=config.seed, split=config.split)
    if config.num_objects > len(source):
        raise InputError(f"num_objects: {config.num_objects} is too many; there are {len(source)} shapes")
    layout = ShapesLayout(out=out, config=config)
    settings = {**asdict(config), "source": source.digest()}
    directory.adopt_settings(out, settings, command=_COMMAND, may_become=_may_become)
    finished, broken = directory.finished_before(out, settings)
    if finished is not None and not broken:
        return finished
    (out / "manifest.json").unlink(missing_ok=True)  # it promises a finished folder, which this is not until the end
    with workers_at(cluster, num_workers, _start_worker, (layout, source)) as run:
        missing = [index for index in range(config.num_objects) if not _has_object(layout, index)]
        run(_make_object, missing, title="objects", total=config.num_objects)
    return _write_manifest(layout, settings)


def _may_become(name: str, old: Any, new: Any) -> bool:
    return name == "num_objects" and isinstance(old, int) and old < new


def measure(shape: Mesh, config: ShapesConfig, generator: np.random.Generator) -> ShapeArrays:
    """Return all that is kept of an object.

    Args:
        shape: in [-1, 1]^3; it is rounded to float32 first, so that what is kept fits what was measured.
        config: how much of each.
        generator: draws points, places and cameras.
    """
    mesh = shape.replace(vertices=shape.vertices.astype(np.float32), faces=shape.faces.astype(np.int32))
    queries = MeshQueries(mesh)
    points = sample_surface(mesh, config.num_points, generator)
    distances = sample_distances(queries, generator, num_uniform=config.num_uniform, num_near=config.num_near)
    cameras = [
        *fixed_cameras(config.view_size),
        *sample_cameras(generator, config.num_random_views, config.view_size),
    ]
    return ShapeArrays(
        mesh=mesh,
        points=points,
        distances=distances,
        voxels=voxelize(queries, config.voxel_resolution),
        cameras=cameras,
        pictures=[render_mesh(queries, camera) for camera in cameras],
    )


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """What a process keeps between units of work."""

    layout: ShapesLayout
    source: Source


_worker: _Worker | None = None


def _start_worker(layout: ShapesLayout, source: Source) -> None:
    global _worker
    _worker = _Worker(layout=layout, source=source)


def _has_object(layout: ShapesLayout, index: int) -> bool:
    record = layout.record_path(index)
    return record.exists() and (layout.arrays_path(index).exists() or "skipped" in read_json(record))


def _make_object(index: int) -> None:
    assert _worker is not None, "a process is started with _start_worker"
    layout, config = _worker.layout, _worker.layout.config
    name = _worker.source.name(index)
    try:
        shape = _worker.source.load(index)
        check_mesh(shape.mesh)
        frame = Frame.of(shape.mesh)
        generator = make_generator(config.seed, "measured", config.split, index)
        arrays = measure(frame.normalize(shape.mesh).outward(), config, generator)
    except InputError as error:
        reason = " ".join(str(error).split())
        record = {
            "stem": layout.stem(index),
            "name": name,
            "skipped": reason if name in reason else f"{name}: {reason}",
        }
        layout.arrays_path(index).unlink(missing_ok=True)
        write_json(layout.record_path(index), record)
        return
    arrays.save(layout.arrays_path(index))
    write_json(layout.record_path(index), _record(layout.stem(index), shape, arrays, frame, config))


def _record(stem: str, shape: Shape, arrays: ShapeArrays, frame: Frame, config: ShapesConfig) -> dict[str, Any]:
    uniform = arrays.distances.distances[: config.num_uniform]
    return {
        "stem": stem,
        "name": shape.name,
        "caption": shape.caption,
        "family": shape.family,
        "creator": shape.creator,
        "licence": shape.licence,
        "facts": shape.facts,
        "frame": frame.to_json(),
        "watertight": arrays.mesh.is_watertight,
        "inside_share": float((uniform < 0).mean()) if len(uniform) else None,
        "num_faces": len(arrays.mesh.faces),
        "num_voxels": len(arrays.voxels.coords),
    }


def _write_manifest(layout: ShapesLayout, settings: dict[str, Any]) -> dict[str, Any]:
    """Gather the records, digest every file, write the manifest and return it."""
    indices = range(layout.config.num_objects)
    records = [read_json(layout.record_path(index)) for index in indices]
    used = [record for record in records if "skipped" not in record]
    skipped = {record["stem"]: record["skipped"] for record in records if "skipped" in record}
    if not used:
        raise InputError(f"none of {len(records)} shapes could be used; the first: {next(iter(skipped.values()))}")
    paths = [layout.record_path(index) for index in indices]
    paths += [layout.out / "objects" / f"{record['stem']}.npz" for record in used]
    manifest = {
        "version": version("trilingua"),
        "settings": settings,
        "counts": {
            "objects": len(used),
            "skipped": len(skipped),
            "watertight": sum(record["watertight"] for record in used),
            "families": dict(sorted(Counter(record["family"] for record in used).items())),
        },
        "skipped": skipped,
        "objects": used,
        "files": directory.digest_files(layout.out, paths),
    }
    write_json(layout.out / "manifest.json", manifest)
    return manifest
