"""Places by sighting: where an object stands follows from where its centre falls in the picture and from the camera.

A network that is asked for places has to learn perspective to a per cent. It knows better where an object's centre
falls, to a fifth of a pixel, and how high it is; where the camera stands, the ground's shading tells. The rest is
geometry, and the vectors that a language model is given are brought to say the same.

Differs from Kyvo: its language model is given codes alone.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.geometry.sightlines import meet_heights
from trilingua.nn.sets import fourier_features
from trilingua.nn.shading import ShadingReader

NUM_FREQUENCIES = 4
"""Waves by which vectors tell each coordinate of a place, of 6.3 to 0.8 metres, as numbers are embedded."""
_NUM_TOLD = 2 * (1 + 2 * NUM_FREQUENCIES)


class Sighted(NamedTuple):
    """What is known of an object from the vector of a cell that shows it."""

    offsets: Float[Tensor, "*batch cell 2"]
    """From the cell's centre to the object's: columns and rows, in cells."""
    heights: Float[Tensor, "*batch cell"]
    """Of the object's centre, in metres."""


class Found(NamedTuple):
    """What sighting finds in pictures, beside what it was given of them."""

    vectors: Float[Tensor, "batch cell dim"]
    """Those that tell the places, next to what an eye made of the cells."""
    places: Float[Tensor, "batch cell 2"]
    """Where the object of each cell stands, x and y in metres; NaN until cameras were taught."""
    cameras: Float[Tensor, "batch 3"]
    """Where each picture's camera stands, in metres; NaN until that was taught."""


class Sighting(nn.Module):
    """Finds the places of objects and lets vectors tell them.

    Args:
        dim: width of the vectors.
        grid_size: cells along one side of a picture.
        num_modes: ways in which the ground's light varies.
        focal_length: of the camera, in widths of its picture.
        aspect: width over height of the picture before it was squashed to a square.
    """

    centres: Tensor

    def __init__(self, dim: int, grid_size: int, num_modes: int, *, focal_length: float, aspect: float) -> None:
        super().__init__()
        self.camera = ShadingReader(grid_size, num_modes, 3)
        self.centre = nn.Linear(dim, 3)
        self.told = nn.Linear(dim, _NUM_TOLD)
        middles = (torch.arange(grid_size) + 0.5) / grid_size - 0.5
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        self.grid_size, self.focal_length, self.aspect = grid_size, focal_length, aspect
        self.centres = nn.Buffer(torch.stack([columns, rows], dim=-1).flatten(0, 1), persistent=False)

    def sight(self, seen: Float[Tensor, "*batch cell dim"]) -> Sighted:
        """Return where the object of each cell has its centre in the picture, and how high it is."""
        told = self.centre(seen).float()
        return Sighted(told[..., :2], told[..., 2])

    def places(self, cameras: Float[Tensor, "batch 3"], sighted: Sighted) -> Float[Tensor, "batch cell 2"]:
        """Return x and y in metres of the object of each cell.

        Args:
            cameras: where the camera of each picture stands, in metres.
            sighted: what is known of the cells.
        """
        columns, rows = (self.centres + sighted.offsets / self.grid_size).unbind(-1)
        slopes = torch.stack([columns, -rows / self.aspect], dim=-1) / self.focal_length
        return meet_heights(cameras[:, None], slopes, sighted.heights)

    def forward(
        self,
        seen: Float[Tensor, "batch cell dim"],
        shown: Float[Tensor, "batch cell"],
        images: Float[Tensor, "batch 3 height width"],
        cameras: Float[Tensor, "#batch 3"] | None = None,
    ) -> Found:
        """Return the places that sighting finds, the vectors next to `seen` that tell them, and the cameras.

        Args:
            seen: what an eye makes of cells.
            shown: probability that a cell shows an object; the vector of one that shows none stays as it is.
            images: in [0, 1]; until it was taught where their cameras stand, vectors stay and no place is a number.
            cameras: where each camera stands, in metres, if that is known.
        """
        if cameras is None and not self.camera.has_begun:
            return Found(
                seen, torch.full_like(self.sight(seen).offsets, torch.nan), seen.new_full((len(seen), 3), torch.nan)
            )
        with torch.autocast(images.device.type, enabled=False):
            seen = seen.float()
            cameras = self.camera(images) if cameras is None else cameras.expand(len(images), 3)
            places = self.places(cameras, self.sight(seen))
            wrong = fourier_features(places, NUM_FREQUENCIES) - self.told(seen)
            weight = self.told.weight
            change = torch.linalg.solve(weight @ weight.T, weight)
            return Found(seen + shown[..., None] * (wrong @ change), places, cameras)
