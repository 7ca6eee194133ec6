"""The verb `trilingua demo`."""

import time
from pathlib import Path

from trilingua.cli.console import folder_to_write, progress, say
from trilingua.core.errors import ConfigError


def demo(*, out: Path = Path("out/demo"), seed: int = 0, num_scenes: int = 8, checkpoint: Path | None = None) -> None:
    """Run fresh held-out scenes through all four tasks, and fresh shapes to codes and back; write a page to look at.

    Writes OUT/report.html (one file, opens without a network) and OUT/summary.json, beside the pictures and
    scenes themselves.

    Example: trilingua demo --out out/demo --num-scenes 8

    Args:
        out: folder for the results.
        seed: which scenes and shapes; no seed gives one that a model was trained on.
        num_scenes: how many.
        checkpoint: run directory; the shipped model by default.
    """
    if num_scenes < 1:
        raise ConfigError(f"num_scenes: {num_scenes} is not allowed; expected at least 1")
    folder_to_write(out)
    start = time.perf_counter()
    from trilingua import load, load_shapes, shipped_folder
    from trilingua.app.demo import run_demo

    summary = run_demo(
        load(checkpoint),
        out,
        seed=seed,
        num_scenes=num_scenes,
        shapes=load_shapes(shipped_folder() / "shape-set"),
        progress=progress,
        started=start,
    )
    say(f"{out / 'report.html'}: open it in a browser")
    print(out / "summary.json")
    say(
        f"recognition {summary['recognition']['jaccard']:.3f}  rendering SSIM {summary['rendering']['ssim']:.3f}  "
        f"editing {summary['editing']['jaccard']:.3f}  qa {summary['qa']['accuracy']:.3f}  "
        f"shapes F-score {summary['shapes']['f_score_0.02']:.3f}  "
        f"in {summary['seconds']['total']:.1f} s"
    )
