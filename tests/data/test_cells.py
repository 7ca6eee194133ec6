"""What cells show, against a loop over cells and objects."""

import dataclasses
import math

import numpy as np
import pytest

from trilingua.core.errors import InputError
from trilingua.data.cells import (
    NUM_CELL_VALUES,
    NUM_OBJECT_VALUES,
    cell_targets,
    num_cell_classes,
    num_object_classes,
    object_targets,
)
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR

CUBE = SceneObject(
    size="large",
    color="red",
    material="metal",
    shape="cube",
    location=(1.0, -2.0, 0.7),
    pixel_coords=(100.0, 60.0, 9.0),
)
BALL = SceneObject(
    size="small",
    color="cyan",
    material="rubber",
    shape="sphere",
    location=(-1.0, 0.5, 0.35),
    pixel_coords=(300.0, 230.0, 8.0),
)


def test_equals_a_loop_over_cells() -> None:
    scene = Scene(objects=(CUBE, BALL))
    cells = np.random.default_rng(0).integers(-1, 2, (4, 4)).astype(np.int8)
    targets = cell_targets(scene, cells, CLEVR)
    assert targets.classes.shape == (16, len(num_cell_classes(CLEVR)))
    assert targets.values.shape == (16, NUM_CELL_VALUES)
    for row in range(4):
        for column in range(4):
            classes, values = targets.classes[4 * row + column], targets.values[4 * row + column]
            if cells[row, column] < 0:
                assert classes.tolist() == [0, -1, -1, -1, -1]
                assert all(math.isnan(value) for value in values)
                continue
            item = scene.objects[cells[row, column]]
            assert item.pixel_coords is not None
            names = [category.values[index] for category, index in zip(CLEVR.categories, classes[1:], strict=True)]
            assert names == [getattr(item, category.name) for category in CLEVR.categories]
            assert classes[0] == 1
            # A cell of this grid is 80 by 60 pixels of a 320 by 240 picture.
            assert (column + 0.5 + values[0]) * 80 == pytest.approx(item.pixel_coords[0], abs=1e-3)
            assert (row + 0.5 + values[1]) * 60 == pytest.approx(item.pixel_coords[1], abs=1e-3)
            assert tuple(values[2:]) == pytest.approx(item.location[:2])


def test_objects_without_a_place_in_the_picture_are_refused_in_words() -> None:
    scene = Scene(objects=(CUBE, dataclasses.replace(BALL, pixel_coords=None)), image_filename="a.png")
    with pytest.raises(InputError) as caught:
        cell_targets(scene, np.zeros((2, 2), np.int8), CLEVR)
    assert str(caught.value) == (
        "objects[1] has no pixel_coords, which the targets of its cells need; compute them with `complete_scene` of "
        "`trilingua.data.clevr.placement`"
    )


def test_objects_are_told_by_number_attributes_and_place() -> None:
    targets = object_targets(Scene(objects=(CUBE, BALL)), CLEVR)
    assert num_object_classes(CLEVR) == (10, 2, 8, 2, 3)
    assert targets.classes.tolist() == [[0, 1, 1, 1, 0], [1, 0, 6, 0, 1]]
    np.testing.assert_array_equal(targets.values, np.float32([[1.0, -2.0, 0.7], [-1.0, 0.5, 0.35]]))
    nothing = object_targets(Scene(objects=()), CLEVR)
    assert nothing.classes.shape[0] == 0
    assert nothing.values.shape == (0, NUM_OBJECT_VALUES)
