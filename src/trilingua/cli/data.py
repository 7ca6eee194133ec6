"""The verb `trilingua data`: makes data directories. The work is in `trilingua.data`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trilingua.cli.arguments import parse
from trilingua.core.config import did_you_mean
from trilingua.core.errors import ConfigError

_USAGE = """usage: trilingua data clevr --out DIR --num-scenes N [options]

Make a data directory: scenes, pictures, questions, instructions and a manifest.

example: trilingua data clevr --out data/val --num-scenes 100 --seed 7 --split val
`trilingua data clevr --help` lists every option."""


def command(arguments: Sequence[str]) -> None:
    """Make the data set that the first argument names."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if name in ("-h", "--help"):
        print(_USAGE)
    elif name == "clevr":
        clevr(**parse(clevr, rest, "trilingua data clevr"))
    elif not name or name.startswith("-"):
        raise ConfigError("data set: is missing; it comes first, as in `trilingua data clevr`")
    else:
        raise ConfigError(f"data set: {name!r} is unknown; choose clevr{did_you_mean(name, ['clevr'])}")


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
