"""The verb `trilingua evaluate`."""

from pathlib import Path
from typing import Annotated

import tyro


def evaluate(
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA_DIR")],
    *,
    out: Path,
    tasks: tuple[str, ...] = ("recognition", "rendering", "editing", "qa"),
    checkpoint: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
) -> None:
    """Write a model's figures on a data directory as JSON.

    Example: trilingua evaluate data/val --tasks recognition qa --out metrics.json

    Args:
        data: CLEVR data directory.
        out: JSON file for the figures.
        tasks: any of recognition, rendering, editing, qa.
        checkpoint: run directory; the shipped model by default.
        split: which split of the directory, where it holds several.
        limit: use only the first so many scenes.
    """
    from trilingua import load
    from trilingua.cli.console import file_to_write, progress
    from trilingua.core.io import write_json
    from trilingua.data.clevr.files import ClevrFolder
    from trilingua.systems.kyvo.evaluate import check_request, evaluate_folder

    file_to_write(out)
    check_request(tasks, limit)
    folder = ClevrFolder(data, split=split)
    figures = evaluate_folder(load(checkpoint), folder, tasks, limit=limit, progress=progress)
    write_json(out, figures)
    print(out)
