"""Procedural objects by number: which family, colour and form object i of a split has, and the object itself.

Object i depends on (seed, split, i) alone. A fifth of the combinations of a family's colour and form never occur
but in the split called `unseen`, which holds nothing else; each colour and each form of a family still occurs.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version

from trilingua.core.random import make_generator
from trilingua.data.shapes.belongings import BELONGINGS
from trilingua.data.shapes.design import Dice, Family
from trilingua.data.shapes.furniture import FURNITURE
from trilingua.data.shapes.solids import unite
from trilingua.data.shapes.sources import Shape
from trilingua.data.shapes.vehicles import VEHICLES

FAMILIES: tuple[Family, ...] = (*FURNITURE, *VEHICLES, *BELONGINGS)

UNSEEN = "unseen"
"""The split of the combinations that occur nowhere else."""

_ONE_IN = 5


def is_held_out(family: Family, color: str, form: str) -> bool:
    """Return whether a combination is kept for the split of unseen ones: a diagonal of the table of combinations."""
    place = FAMILIES.index(family) + family.colors.index(color) + 2 * family.forms.index(form)
    return place % _ONE_IN == 0


@dataclass(frozen=True, kw_only=True)
class ProceduralShapes:
    """The first `num_objects` objects of a seed and split."""

    num_objects: int
    seed: int
    split: str

    def __len__(self) -> int:
        return self.num_objects

    def name(self, index: int) -> str:
        """Return the object's number within the split."""
        return f"{self.split}/{index}"

    def load(self, index: int) -> Shape:
        """Return object `index`: a closed mesh in metres, with a caption that is true by construction."""
        dice = Dice(make_generator(self.seed, "shape", self.split, index))
        while True:
            family = dice.pick(FAMILIES)
            color, form = dice.pick(family.colors), dice.pick(family.forms)
            if is_held_out(family, color, form) == (self.split == UNSEEN):
                break
        design = family.design(dice, color, form)
        return Shape(
            mesh=unite(design.parts),
            name=self.name(index),
            caption=design.caption,
            family=family.name,
            creator="trilingua",
            licence="CC0-1.0",
            facts={"color": color, "form": form, **design.attributes},
        )

    def digest(self) -> str:
        """Return a digest of what the objects depend on: the package's version is all that can change them."""
        return hashlib.sha256(f"procedural {version('trilingua')}".encode()).hexdigest()
