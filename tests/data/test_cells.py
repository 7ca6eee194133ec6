"""What cells show, against a loop over cells and objects."""

import math

import numpy as np
import pytest

from trilingua.data.cells import (
    NUM_CELL_VALUES,
    NUM_OBJECT_VALUES,
    cell_targets,
    num_cell_classes,
    num_object_classes,
    object_targets,
)
from trilingua.geometry.cameras import look_at
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR

CAMERA = look_at((7.5, -6.5, 5.3), focal_length=350.0, width=320, height=240)
CUBE = SceneObject(
    size="large",
    color="red",
    material="metal",
    shape="cube",
    location=(1.0, -2.0, 0.7),
)
BALL = SceneObject(
    size="small",
    color="cyan",
    material="rubber",
    shape="sphere",
    location=(-1.0, 0.5, 0.35),
)


def test_equals_a_loop_over_cells() -> None:
    scene = Scene(objects=(CUBE, BALL))
    cells = np.random.default_rng(0).integers(-1, 2, (4, 4)).astype(np.int8)
    targets = cell_targets(scene, cells, CAMERA, CLEVR)
    assert targets.classes.shape == (16, len(num_cell_classes(CLEVR)))
    assert targets.values.shape == (16, NUM_CELL_VALUES)
    for row in range(4):
        for column in range(4):
            classes, values = targets.classes[4 * row + column], targets.values[4 * row + column]
            height = targets.heights[4 * row + column]
            if cells[row, column] < 0:
                assert classes.tolist() == [0, -1, -1, -1, -1]
                assert all(math.isnan(value) for value in (*values, height))
                continue
            item = scene.objects[cells[row, column]]
            centre = CAMERA.project(np.array(item.location))
            names = [category.values[index] for category, index in zip(CLEVR.categories, classes[1:], strict=True)]
            assert names == [getattr(item, category.name) for category in CLEVR.categories]
            assert classes[0] == 1
            # A cell of this grid is 80 by 60 pixels of a 320 by 240 picture.
            assert (column + 0.5 + values[0]) * 80 == pytest.approx(centre[0], abs=1e-3)
            assert (row + 0.5 + values[1]) * 60 == pytest.approx(centre[1], abs=1e-3)
            assert (*values[2:], height) == pytest.approx(item.location)


def test_objects_are_told_by_number_attributes_and_place() -> None:
    targets = object_targets(Scene(objects=(CUBE, BALL)), CLEVR)
    assert num_object_classes(CLEVR) == (10, 2, 8, 2, 3)
    assert targets.classes.tolist() == [[0, 1, 1, 1, 0], [1, 0, 6, 0, 1]]
    np.testing.assert_array_equal(targets.values, np.float32([[1.0, -2.0, 0.7], [-1.0, 0.5, 0.35]]))
    nothing = object_targets(Scene(objects=()), CLEVR)
    assert nothing.classes.shape[0] == 0
    assert nothing.values.shape == (0, NUM_OBJECT_VALUES)
