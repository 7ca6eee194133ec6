"""Objects stand where the cells near them say, whoever else says what; all else of a scene stays."""

import numpy as np

from trilingua.scenes.scene import Scene, SceneObject
from trilingua.systems.kyvo.standing import stand_as_sighted
from trilingua.tokenizers.numbers import NumberGrid

GRID = NumberGrid()


def item(x: float, y: float) -> SceneObject:
    return SceneObject(size="small", color="red", material="metal", shape="cube", location=(x, y, 0.35), score=0.7)


def test_an_object_stands_at_the_mean_of_the_places_near_it() -> None:
    scene = Scene(objects=(item(0.0, 0.0), item(1.0, -2.0), item(-2.95, 2.0)), image_filename="a.png")
    places = np.float32([(0.1, 0.0), (0.0, 0.1), (0.15, 0.15), (1.0, -1.85), (1.25, -2.0), (-3.1, 2.0), (-2.9, 2.1)])
    moved = stand_as_sighted(scene, places, GRID)
    # The third place is .21 m from the first object, the fifth .25 m from the second; one lies outside of the grid.
    assert [found.location for found in moved.objects] == [(0.05, 0.05, 0.35), (1.0, -1.85, 0.35), (-2.95, 2.05, 0.35)]
    assert moved.image_filename == "a.png"
    for before, after in zip(scene.objects, moved.objects, strict=True):
        assert (after.size, after.color, after.score) == (before.size, before.color, before.score)


def test_without_places_a_scene_stays() -> None:
    scene = Scene(objects=(item(0.0, 0.0),))
    assert stand_as_sighted(scene, np.zeros((0, 2), np.float32), GRID) == scene
    assert stand_as_sighted(scene, np.float32([(1.0, 1.0)]), GRID) == scene
    assert stand_as_sighted(Scene(objects=()), np.float32([(1.0, 1.0)]), GRID) == Scene(objects=())
