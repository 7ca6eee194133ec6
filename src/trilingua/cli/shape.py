"""The verb `trilingua shape`: meshes to codes, codes to meshes, and how well they come back."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from trilingua.cli.arguments import act
from trilingua.core.errors import ConfigError, TrilinguaError

if TYPE_CHECKING:
    from trilingua.systems.shapes.pipeline import ShapeModel

_USAGE = """usage: trilingua shape encode MESH... --out DIR [--tokenizer RUN]
       trilingua shape decode CODES.json... --out DIR [--scales K] [--tokenizer RUN]
       trilingua shape evaluate DATA_DIR [--limit N] [--out FILE] [--tokenizer RUN]

  encode    meshes (.glb, .obj, .ply) to codes: DIR/STEM.json
  decode    codes to meshes where the objects were: DIR/STEM.glb
  evaluate  figures of the round trip on a shape data directory

example: trilingua shape encode chair.glb --out codes --tokenizer runs/shape-set
`trilingua shape encode --help` lists every option."""

Run = Annotated[str, tyro.conf.arg(metavar="NAME|RUN")]


def command(arguments: Sequence[str]) -> None:
    """Do what the first argument names."""
    actions: dict[str, Callable[..., None]] = {"encode": encode, "decode": decode, "evaluate": evaluate}
    act(actions, arguments, "trilingua shape", usage=_USAGE, kind="action")


def encode(
    meshes: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MESH")],
    *,
    out: Path,
    num_latents: int | None = None,
    allow_non_manifold: bool = False,
    tokenizer: Run = "shape-set",
) -> None:
    """Write the codes of meshes. A mesh that cannot be used is named with its reason; the others are written.

    Example: trilingua shape encode chair.glb table.obj --out codes --tokenizer runs/shape-set

    Args:
        meshes: .glb, .obj or .ply files.
        out: folder for the codes, STEM.json each.
        num_latents: how many latents, for a tokenizer that writes any number of them.
        allow_non_manifold: take meshes, too, whose edges belong to three triangles or more.
        tokenizer: run directory, or the name of a tokenizer that comes with the package.
    """

    def write(model: "ShapeModel", path: Path, target: Path) -> None:
        code = model.encode(path, num_latents=num_latents, allow_non_manifold=allow_non_manifold)
        model.save_code(code, target)

    _one_by_one(meshes, out, ".json", tokenizer, write)


def decode(
    codes: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="CODES")],
    *,
    out: Path,
    scales: int | None = None,
    resolution: int = 128,
    tokenizer: Run = "shape-set",
) -> None:
    """Write the meshes of codes, each where the object was and as large as it was.

    Example: trilingua shape decode codes/chair.json --out meshes --scales 3 --tokenizer runs/shape-set

    Args:
        codes: files that `trilingua shape encode` wrote.
        out: folder for the meshes, STEM.glb each.
        scales: decode only so many scales; all by default.
        resolution: cells along each side of the grid that surfaces are looked for on, from 8 to 512.
        tokenizer: run directory, or the name of a tokenizer that comes with the package: the one that encoded.
    """
    from trilingua.geometry.mesh_files import save_mesh

    if not 8 <= resolution <= 512:
        raise ConfigError(f"resolution: {resolution} is not allowed; expected 8 to 512")

    def write(model: "ShapeModel", path: Path, target: Path) -> None:
        code = model.load_code(path)
        save_mesh(model.decode(code, scales=scales, resolution=resolution), target)

    _one_by_one(codes, out, ".glb", tokenizer, write)


def evaluate(
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA_DIR")],
    *,
    out: Path | None = None,
    limit: int | None = None,
    tokenizer: Run = "shape-set",
) -> None:
    """Print the figures of the round trip over a shape data directory as JSON, or write them.

    Example: trilingua shape evaluate data/shapes/val --limit 50 --tokenizer runs/shape-set

    Args:
        data: shape data directory.
        out: JSON file for the figures; standard output by default.
        limit: use only the first so many objects.
        tokenizer: run directory, or the name of a tokenizer that comes with the package.
    """
    from trilingua import load_shapes
    from trilingua.cli.console import file_to_write, progress
    from trilingua.core.io import write_json
    from trilingua.data.shapes.files import ShapeFolder
    from trilingua.systems.shapes.evaluate import evaluate_shapes

    if out is not None:
        file_to_write(out)
    folder = ShapeFolder(data)
    figures = evaluate_shapes(load_shapes(tokenizer), folder, limit=limit, progress=progress)
    if out is None:
        print(json.dumps(figures, indent=2, allow_nan=False))
    else:
        write_json(out, figures)
        print(out)


def _one_by_one(
    paths: Sequence[Path],
    out: Path,
    ending: str,
    tokenizer: str,
    write: "Callable[[ShapeModel, Path, Path], None]",
) -> None:
    """Make a file of each path; what fails is said in one line each and costs the others nothing.

    Raises:
        SystemExit: some failed; with the greatest status among them.
    """
    from trilingua import load_shapes
    from trilingua.cli.console import outputs, progress, say

    if not paths:
        raise ConfigError("files: there are none; name at least one")
    targets = [target for (target,) in outputs(paths, out, ending)]
    model = load_shapes(tokenizer)
    status = 0
    for path, target in progress(list(zip(paths, targets, strict=True)), "shapes"):
        try:
            write(model, path, target)
        except ConfigError:  # of no file's making: the next would say the same
            raise
        except TrilinguaError as error:
            reason = " ".join(str(error).split())
            named = reason if str(path) in reason else f"{path}: {reason}"
            say(f"trilingua shape: {named}")
            status = max(status, error.exit_code)
        else:
            print(target)
    if status:
        sys.exit(status)
