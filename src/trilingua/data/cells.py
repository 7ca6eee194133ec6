"""What each cell of a picture shows and what each object is, as targets for the dense probes.

The renderer knows which object covers most of a cell; the scene knows that object's categories and place.
Knows no files and no models.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int8

from trilingua.geometry.cameras import Camera
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import Schema


class CellTargets(NamedTuple):
    """The facts that a probe is asked about one picture's cells, in raster order."""

    classes: Int8[np.ndarray, "cell category"]
    """Whether an object is there (0 or 1), then its categories in the schema's order; -1 on the ground."""
    values: Float32[np.ndarray, "cell value"]
    """Offset of the object's centre from the cell's (columns, rows, in cells), then its x and y in metres; NaN on
    the ground."""
    heights: Float32[np.ndarray, " cell"]
    """How high the object's centre is, in metres; NaN on the ground."""


def num_cell_classes(schema: Schema) -> tuple[int, ...]:
    """Return the number of classes of each column of `CellTargets.classes`."""
    return (2, *(len(category.values) for category in schema.categories))


NUM_CELL_VALUES = 4
"""Columns of `CellTargets.values`."""


class ObjectTargets(NamedTuple):
    """The facts that a probe is asked about the objects of a scene, in their order."""

    classes: Int8[np.ndarray, "object category"]
    """The object's number in the scene, from 0, then its categories in the schema's order."""
    values: Float32[np.ndarray, "object value"]
    """Its place in metres."""


def num_object_classes(schema: Schema) -> tuple[int, ...]:
    """Return the number of classes of each column of `ObjectTargets.classes`."""
    return (schema.max_objects, *(len(category.values) for category in schema.categories))


NUM_OBJECT_VALUES = 3
"""Columns of `ObjectTargets.values`."""


def object_targets(scene: Scene, schema: Schema) -> ObjectTargets:
    """Return what the objects of a scene are; they stand in the order of their numbers."""
    num_objects = len(scene.objects)
    classes = [(number, *_classes(item, schema)) for number, item in enumerate(scene.objects)]
    places = [item.location for item in scene.objects]
    return ObjectTargets(
        np.array(classes, np.int8).reshape(num_objects, 1 + len(schema.categories)),
        np.array(places, np.float32).reshape(num_objects, NUM_OBJECT_VALUES),
    )


def cell_targets(scene: Scene, cells: Int8[np.ndarray, "row column"], camera: Camera, schema: Schema) -> CellTargets:
    """Return what the cells of a picture show.

    Args:
        scene: what is in the picture.
        cells: index of the object that each cell of a square grid shows, -1 for the ground.
        camera: the picture's.
        schema: the data set's.

    Differs: centres are where the camera sees them, not CLEVR's `pixel_coords`, which are rounded to whole pixels: half
    a pixel is two centimetres of the ground.
    """
    grid_size = len(cells)
    facts = np.full((len(scene.objects) + 1, len(schema.categories) + 1), -1, dtype=np.int8)
    facts[-1, 0] = 0
    places = np.full((len(scene.objects) + 1, 5), np.nan, dtype=np.float32)
    for index, item in enumerate(scene.objects):
        column, row, _ = camera.project(np.array(item.location))
        facts[index] = [1, *_classes(item, schema)]
        places[index] = [column / camera.width * grid_size, row / camera.height * grid_size, *item.location]
    owners = cells.reshape(-1).astype(np.int64)
    values = places[owners]
    centres = np.arange(grid_size, dtype=np.float32) + 0.5
    values[:, 0] -= np.tile(centres, grid_size)
    values[:, 1] -= np.repeat(centres, grid_size)
    return CellTargets(facts[owners], values[:, :NUM_CELL_VALUES], values[:, NUM_CELL_VALUES])


def _classes(item: SceneObject, schema: Schema) -> list[int]:
    """Return the index of each of an object's categories."""
    return [category.values.index(getattr(item, category.name)) for category in schema.categories]
