"""The verb `trilingua render`."""

from pathlib import Path
from typing import Annotated

import tyro


def render(
    scenes: Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="SCENE...")],
    *,
    out: Path,
    checkpoint: Path | None = None,
) -> None:
    """Write the model's picture of each scene to OUT/STEM.png.

    Example: trilingua render scene.json --out pictures

    Args:
        scenes: CLEVR-format JSON files, or .glb files of ours.
        out: folder for the pictures.
        checkpoint: run directory; the shipped model by default.
    """
    from trilingua import load
    from trilingua.cli.console import outputs, progress
    from trilingua.core.errors import ConfigError
    from trilingua.core.io import write_image
    from trilingua.scenes.scene import Scene

    if not scenes:
        raise ConfigError("SCENE: is missing; name at least one file")
    targets = outputs(scenes, out, ".png")
    read = [Scene.load(path) for path in scenes]
    model = load(checkpoint)
    for scene, path in zip(read, scenes, strict=True):  # All inputs are checked before anything is written.
        model.check_scene(scene, path)
    batches = [range(start, min(start + 16, len(read))) for start in range(0, len(read), 16)]
    for batch in progress(batches, "render"):
        for index, picture in zip(batch, model.render([read[i] for i in batch]), strict=True):
            (target,) = targets[index]
            write_image(target, picture)
            print(target)
