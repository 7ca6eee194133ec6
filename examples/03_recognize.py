"""One model, four tasks: recognize, draw, edit and answer, on a picture that it has never seen.

You learn the methods of a loaded model, what a recognized object carries, how far a recognized scene is
from the true one, and how an answer explains itself by a program.

    python examples/03_recognize.py [OUT_DIR] [RUN]
"""

import sys
from pathlib import Path

from PIL import Image

import trilingua
from trilingua.core.random import make_generator
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.scenes.matching import match_objects
from trilingua.scenes.text import describe


def main(out: Path, run: str | None = None) -> None:
    """Take one fresh scene through all tasks and write what comes out to `out`."""
    model = trilingua.load(run)  # the shipped model, or a run of your own

    renderer = BuiltinRenderer()
    truth, view = sample_scene(make_generator(11, "an example"), renderer, max_objects=6)
    picture = Image.fromarray(renderer.render(truth, view).image)
    picture.save(out / "picture.png")

    # Picture to scene. A score is the probability of the object's tokens; a number counts as right within 0.25 m.
    scene = model.recognize(picture)
    print(f"recognized {len(scene.objects)} of {len(truth.objects)} objects:")
    print(describe(scene))
    scene.save(out / "scene.json")
    scene.save(out / "scene.glb")
    matching = match_objects(scene.objects, truth.objects, threshold=0.25)
    print(f"Jaccard index at 0.25 m: {matching.jaccard:.2f}")

    # Scene to picture.
    model.render(truth).save(out / "drawn.png")

    # Picture, scene and instruction to the edited picture and scene.
    first = truth.objects[0]
    instruction = f"Remove the {first.size} {first.color} {first.material} {first.shape}"
    edited_picture, edited_scene = model.edit(picture, scene, instruction)
    edited_picture.save(out / "edited.png")
    edited_scene.save(out / "edited.json")
    print(f"{instruction}: {len(scene.objects)} objects before, {len(edited_scene.objects)} after")

    # Picture, scene and question to an answer: written by the model, or by its program that runs on the scene.
    question = "How many metal things are there?"
    print(f"{question} {model.ask(picture, question, scene=scene)}")
    answer = model.ask(picture, question, scene=scene, explain=True)
    print(f"  by program: {answer.text} ({answer.problem or answer.program})")

    # Every method takes lists, and decodes them as one batch.
    print("as a batch:", [len(item.objects) for item in model.recognize([picture, picture.rotate(180)])])


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/examples/recognize")
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, *sys.argv[2:3])
