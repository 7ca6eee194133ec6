"""The verb `trilingua recognize`."""

from pathlib import Path
from typing import Annotated

import tyro


def recognize(
    images: Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")],
    *,
    out: Path,
    camera: tuple[float, float, float] | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Write the scene of each picture to OUT/STEM.json and OUT/STEM.glb.

    Example: trilingua recognize a.png b.png --out scenes

    Args:
        images: pictures; PNG or JPEG of any size.
        out: folder for the scenes.
        camera: where the camera stands, x, y and z in metres, if that is known; it looks at the origin.
        checkpoint: run directory; the shipped model by default.
    """
    from trilingua import load
    from trilingua.cli.console import outputs, progress
    from trilingua.core.errors import ConfigError
    from trilingua.core.io import read_image

    if not images:
        raise ConfigError("IMAGE: is missing; name at least one picture")
    targets = outputs(images, out, ".glb", ".json")
    for path in images:  # All inputs are checked before anything is written.
        read_image(path)
    model = load(checkpoint)
    batches = [range(start, min(start + 16, len(images))) for start in range(0, len(images), 16)]
    for batch in progress(batches, "recognize"):
        for index, scene in zip(batch, model.recognize([images[i] for i in batch], camera=camera), strict=True):
            for target in targets[index]:
                scene.save(target)
            print(targets[index][-1])
