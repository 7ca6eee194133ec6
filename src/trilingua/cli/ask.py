"""The verb `trilingua ask`."""

from pathlib import Path
from typing import Annotated

import tyro


def ask(
    image: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")],
    *,
    question: str,
    scene: Path | None = None,
    explain: bool = False,
    checkpoint: Path | None = None,
) -> None:
    """Print the answer to a question about a picture, on one line.

    Example: trilingua ask photo.png --question "How many metal things are there?"

    Args:
        image: the picture.
        question: what to answer.
        scene: its scene as JSON; recognized first if it is not given.
        explain: answer by the functional program that the model writes, run on the scene, and print it and the objects
            that it finds to standard error.
        checkpoint: run directory; the shipped model by default.
    """
    from trilingua import load
    from trilingua.cli.console import say
    from trilingua.core.io import read_image
    from trilingua.scenes.scene import Scene

    picture = read_image(image)
    known = None if scene is None else Scene.load(scene)
    model = load(checkpoint)
    if scene is not None:
        model.check_scene(known, scene)
    answer = model.ask(picture, question, scene=known, explain=explain)
    if explain:
        say(f"program: {answer.program}")
        for item in answer.objects:
            x, y, _ = item.location
            say(f"object: {item.size} {item.color} {item.material} {item.shape} at x {x:.2f} m, y {y:.2f} m")
        if answer.problem:
            say(f"this is the model's own answer, because the program could not be run: {answer.problem}")
    print(answer.text if explain else answer)
