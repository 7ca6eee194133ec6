"""What the probes of Kyvo's models ask: what a cell of a picture shows, and what an object is and where."""

from trilingua.data.cells import NUM_CELL_VALUES, NUM_OBJECT_VALUES, num_cell_classes, num_object_classes
from trilingua.nn.probes import DenseProbe
from trilingua.scenes.schema import Schema

RECOGNIZED = "recognized"
"""What the probe on the states about to write an object is called among a decoder's: decoding needs it too."""

_NUM_FREQUENCIES = 4
"""How many waves, of 6.3 to 0.8 units, a probe asks each value by where its answer is to become numbers."""


def cell_probe(dim: int, schema: Schema) -> DenseProbe:
    """Return a probe that asks features of `dim` channels for the `CellTargets` of a picture, with waves."""
    return DenseProbe(dim, num_cell_classes(schema), NUM_CELL_VALUES, num_frequencies=_NUM_FREQUENCIES)


def object_probe(dim: int, schema: Schema) -> DenseProbe:
    """Return a probe that asks features of `dim` channels for the `ObjectTargets` of an object, with waves."""
    return DenseProbe(dim, num_object_classes(schema), NUM_OBJECT_VALUES, num_frequencies=_NUM_FREQUENCIES)
