"""What the probes of Kyvo's models ask: what a cell of a picture shows, and what an object is and where."""

import torch

from trilingua.data.cells import NUM_CELL_VALUES, NUM_OBJECT_VALUES, num_cell_classes, num_object_classes
from trilingua.nn.probes import DenseProbe
from trilingua.scenes.schema import Schema
from trilingua.tokenizers.sighting import NUM_FREQUENCIES, Sighting

RECOGNIZED = "recognized"
"""What the probe on the states about to write an object is called among a decoder's: decoding needs it too."""


def cell_probe(dim: int, schema: Schema) -> DenseProbe:
    """Return a probe that asks features of `dim` channels for the `CellTargets` of a picture, with waves."""
    return DenseProbe(dim, num_cell_classes(schema), NUM_CELL_VALUES, num_frequencies=NUM_FREQUENCIES)


def object_probe(dim: int, schema: Schema) -> DenseProbe:
    """Return a probe that asks features of `dim` channels for the `ObjectTargets` of an object, with waves."""
    return DenseProbe(dim, num_object_classes(schema), NUM_OBJECT_VALUES, num_frequencies=NUM_FREQUENCIES)


@torch.no_grad()
def begin_sighting(sighting: Sighting, probe: DenseProbe) -> None:
    """Let sighting read vectors as a cell probe does that knows them already; heights it asks anew."""
    weight, bias = probe.output.weight[sum(probe.num_classes) :], probe.output.bias[sum(probe.num_classes) :]
    # A value's waves lie apart, one frequency after the other, as `fourier_features` lays them.
    rows = torch.arange(len(weight)).unflatten(0, (-1, NUM_CELL_VALUES))
    centre, place = rows[0, :2], rows[:, 2:].flatten()
    sighting.centre.weight[:2], sighting.centre.bias[:2] = weight[centre], bias[centre]
    sighting.told.weight.copy_(weight[place])
    sighting.told.bias.copy_(bias[place])
