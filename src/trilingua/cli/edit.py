"""The verb `trilingua edit`."""

from pathlib import Path
from typing import Annotated

import tyro


def edit(
    image: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")],
    *,
    instruction: str,
    out: Path,
    scene: Path | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Write the edited picture and scene to OUT/STEM.png and OUT/STEM.json.

    Example: trilingua edit photo.png --instruction "Remove the small red cube" --out edited

    Args:
        image: the picture to edit.
        instruction: what to change.
        out: folder for the results.
        scene: its scene as JSON; recognized first if it is not given.
        checkpoint: run directory; the shipped model by default.
    """
    from trilingua import load
    from trilingua.cli.console import outputs
    from trilingua.core.io import read_image, write_image
    from trilingua.scenes.scene import Scene

    given = [] if scene is None else [scene]
    ((picture_file, scene_file),) = outputs([image], out, ".png", ".json", also_read=given)
    picture = read_image(image)
    known = None if scene is None else Scene.load(scene)
    model = load(checkpoint)
    if scene is not None:
        model.check_scene(known, scene)
    edited_picture, edited_scene = model.edit(picture, known, instruction)
    write_image(picture_file, edited_picture)
    edited_scene.save(scene_file)
    print(picture_file)
    print(scene_file)
