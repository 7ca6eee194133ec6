"""The verb `trilingua data`: makes data directories. The work is in `trilingua.data`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from trilingua.cli.arguments import act
from trilingua.core.errors import ConfigError

_USAGE = """usage: trilingua data clevr --out DIR --num-scenes N [options]
       trilingua data shapes --out DIR --num-objects N [options]

Make a data directory.
  clevr   scenes, pictures, questions, instructions and a manifest
  shapes  3D objects with captions, points, distances, voxels, pictures and a manifest

example: trilingua data clevr --out data/val --num-scenes 100 --seed 7 --split val
`trilingua data clevr --help` lists every option."""


def command(arguments: Sequence[str]) -> None:
    """Make the data set that the first argument names."""
    act({"clevr": clevr, "shapes": shapes}, arguments, "trilingua data", usage=_USAGE, kind="data set")


def clevr(
    *,
    out: Path,
    num_scenes: int,
    seed: int = 0,
    split: str = "new",
    renderer: Literal["builtin", "blender"] = "builtin",
    num_workers: int | None = None,
    cluster: str | None = None,
    min_objects: int = 3,
    max_objects: int = 10,
    questions_per_scene: int = 10,
    instructions_per_scene: int = 5,
    pictured_share: float = 1.0,
) -> None:
    """Make a CLEVR data directory: scenes, pictures, questions, instructions and a manifest.

    A run that was stopped goes on where it was when the same command is given again. The same seed and split
    give the same bytes, whatever the number of workers.

    Example: trilingua data clevr --out data/val --num-scenes 100 --seed 7 --split val

    Args:
        out: folder to make; a folder that an equal command began is finished.
        num_scenes: number of scenes, at least 1.
        seed: seed of everything random.
        split: name of the split; part of every file's name and of the randomness.
        renderer: what draws: `builtin` needs nothing else, `blender` needs the extra `[blender]`.
        num_workers: number of processes; by default, one for each usable core.
        cluster: address of a Ray cluster whose machines do the work, or `auto` for the one that this machine has
            joined; needs the extra `[distributed]`, and OUT at the same path on all machines.
        min_objects: least number of objects in a scene, from 1.
        max_objects: largest number of objects in a scene, to 10.
        questions_per_scene: questions for each scene; 0 makes none.
        instructions_per_scene: instructions for each scene, each with its target picture; 0 makes none.
        pictured_share: share of the instructions whose target picture is drawn, which is the slow part.
    """
    from trilingua.cli.console import folder_to_write, processes
    from trilingua.data.clevr.generate import ClevrConfig, generate_clevr

    config = ClevrConfig(
        num_scenes=num_scenes,
        seed=seed,
        split=split,
        renderer=renderer,
        min_objects=min_objects,
        max_objects=max_objects,
        questions_per_scene=questions_per_scene,
        instructions_per_scene=instructions_per_scene,
        pictured_share=pictured_share,
    )
    generate_clevr(folder_to_write(out), config, num_workers=processes(num_workers, cluster), cluster=cluster)
    print(out / "manifest.json")


def shapes(
    *,
    out: Path,
    num_objects: int | None = None,
    seed: int = 0,
    split: str = "new",
    from_: Annotated[tuple[Path, ...], tyro.conf.arg(name="from")] = (),
    num_workers: int | None = None,
    cluster: str | None = None,
    num_points: int = 8192,
    num_uniform: int = 8192,
    num_near: int = 8192,
    num_random_views: int = 6,
    view_size: int = 128,
    voxel_resolution: int = 64,
) -> None:
    """Make a shape data directory: objects with captions, and all that is measured of each, with a manifest.

    A run that was stopped goes on where it was when the same command is given again. The same seed and split
    give the same bytes, whatever the number of workers. A mesh that cannot be used is skipped; the manifest says why.

    Example: trilingua data shapes --out data/shapes --num-objects 1000 --seed 1 --split train

    Args:
        out: folder to make; a folder that an equal command began is finished.
        num_objects: number of objects, at least 1; with --from, all that there are by default.
        seed: seed of everything random.
        split: name of the split; part of every file's name and of the randomness. `unseen` holds combinations of
            attributes that no other split has.
        from_: furniture libraries (.sh3f), meshes (.glb, .obj, .ply) and folders of either; by default, objects
            are made by programs.
        num_workers: number of processes; by default, one for each usable core.
        cluster: as of `trilingua data clevr`; files of --from lie at the same paths on all machines.
        num_points: points of each surface, with normals and colours.
        num_uniform: signed distances at uniform places.
        num_near: signed distances near the surface.
        num_random_views: pictures from random places, after the six from fixed ones.
        view_size: side of the pictures in pixels, from 8 to 1024.
        voxel_resolution: cells along each side of the voxel grid, a multiple of 4 from 8 to 256.
    """
    from trilingua.cli.console import folder_to_write, processes, say
    from trilingua.data.shapes.files import ShapesConfig
    from trilingua.data.shapes.generate import generate_shapes
    from trilingua.data.shapes.sources import open_sources

    if num_objects is None and not from_:
        raise ConfigError("num_objects: is missing; give a whole number of at least 1, or --from")
    if cluster is not None:  # another machine works in another folder
        from_ = tuple(path.absolute() for path in from_)
    source = open_sources(from_) if from_ else None
    config = ShapesConfig(
        num_objects=len(source) if num_objects is None and source is not None else num_objects or 0,
        seed=seed,
        split=split,
        num_points=num_points,
        num_uniform=num_uniform,
        num_near=num_near,
        num_random_views=num_random_views,
        view_size=view_size,
        voxel_resolution=voxel_resolution,
    )
    workers = processes(num_workers, cluster)
    made = generate_shapes(folder_to_write(out), config, source=source, num_workers=workers, cluster=cluster)
    skipped = made["skipped"]
    for reason in list(skipped.values())[:_MOST_REASONS]:
        say(f"skipped: {reason}")
    if len(skipped) > _MOST_REASONS:
        say(f"skipped: {len(skipped) - _MOST_REASONS} more; {out / 'manifest.json'} says why")
    print(out / "manifest.json")


_MOST_REASONS = 10
