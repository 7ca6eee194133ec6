"""A scene is plain data: write one, draw it, and save it as JSON and as a 3D file.

You learn what `Scene`, `SceneObject` and `View` hold, how to draw with the built-in renderer, what the
renderer knows about each pixel, and how to draw a random scene by CLEVR's rules.

    python examples/01_scene.py [OUT_DIR]
"""

import sys
from pathlib import Path

from PIL import Image

from trilingua.core.random import make_generator
from trilingua.data.clevr.placement import complete_scene, sample_scene
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.renderers.views import REFERENCE_VIEW
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.text import describe


def main(out: Path) -> None:
    """Make two scenes, one by hand and one by chance, and write them to `out`."""
    # Places are in metres, z up; an object stands on the ground, so z is half its height.
    objects = [
        SceneObject(shape="sphere", size="large", color="red", material="metal", location=(-1.5, 0.5, 0.7)),
        SceneObject(
            shape="cube", size="large", color="blue", material="rubber", location=(1.0, 1.0, 0.7), rotation_degrees=30.0
        ),
        SceneObject(shape="cylinder", size="small", color="yellow", material="rubber", location=(0.5, -1.5, 0.35)),
    ]
    # What follows from the camera (directions, relationships, pixel coordinates) is computed, not written.
    by_hand = complete_scene(objects, REFERENCE_VIEW)

    renderer = BuiltinRenderer()
    by_chance, view = sample_scene(make_generator(7, "an example"), renderer)

    for name, scene, seen_from in (("by_hand", by_hand, REFERENCE_VIEW), ("by_chance", by_chance, view)):
        rendering = renderer.render(scene, seen_from)
        scene.save(out / f"{name}.json")
        scene.save(out / f"{name}.glb")
        Image.fromarray(rendering.image).save(out / f"{name}.png")
        print(f"{name}: {len(scene.objects)} objects")
        print(describe(scene))
        for index, item in enumerate(scene.objects):
            pixels = int((rendering.object_index == index).sum())
            print(f"  {item.color} {item.shape}: {pixels} of {rendering.object_index.size} pixels")

    # Both files read back to the very same scene.
    assert Scene.load(out / "by_hand.json") == Scene.load(out / "by_hand.glb") == by_hand


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/examples/scene")
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
