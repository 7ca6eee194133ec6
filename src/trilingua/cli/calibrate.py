"""The verb `trilingua calibrate`."""

from pathlib import Path
from typing import Annotated

import tyro


def calibrate(
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA_DIR")],
    *,
    checkpoint: Path,
    split: str | None = None,
    limit: int | None = None,
    plot: Path | None = None,
) -> None:
    """Make a run's scores honest: of objects with a score of 0.8, eight in ten should be right.

    The run recognizes the pictures, a map of two numbers is fitted from its scores to how often they are right, and
    its config.json keeps it. Use pictures that it was neither trained nor is evaluated on.

    Example: trilingua calibrate data/calibration --checkpoint runs/mine --plot calibration.svg

    Args:
        data: CLEVR data directory.
        checkpoint: run directory; its config.json is written anew.
        split: which split of the directory, where it holds several.
        limit: use only the first so many scenes.
        plot: SVG file for a diagram of the scores before and after.
    """
    from trilingua import load
    from trilingua.app.plots import reliability_diagram
    from trilingua.cli.console import file_to_write, progress, say
    from trilingua.core.io import write_bytes
    from trilingua.data.clevr.files import ClevrFolder
    from trilingua.systems.kyvo.build import write_score_map
    from trilingua.systems.kyvo.evaluate import calibrate_run, check_request

    check_request(["recognition"], limit)
    if plot is not None:
        file_to_write(plot)
    folder = ClevrFolder(data, split=split)
    found, before, after = calibrate_run(load(checkpoint), folder, limit=limit, progress=progress)
    diagram = reliability_diagram({"before": before, "after": after})
    say(f"calibration error {before.error:.3f} before, {after.error:.3f} after, on the same scenes")
    write_score_map(checkpoint, found)
    if plot is not None:
        write_bytes(plot, diagram.encode())
        print(plot)
    print(checkpoint / "config.json")
