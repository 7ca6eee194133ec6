"""What every shape tokenizer can do, whatever it reads and writes."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int
from torch import Tensor

from trilingua.geometry.fields import Field
from trilingua.tokenizers.shapes.codes import Block, CodeLayout, Codes

Reads = Literal["points", "voxels", "views"]
"""What of an object a tokenizer reads: points of its surface, the cells of a grid that it passes, or pictures with
depth and cameras."""


class Rays(NamedTuple):
    """Rays through pixels of objects' pictures, and what is seen along each: `geometry.posed_views.SeenRays`."""

    origins: Float[Tensor, "batch ray 3"]
    directions: Float[Tensor, "batch ray 3"]
    """Depths are counted in their lengths."""
    colors: Float[Tensor, "batch ray 3"]
    """sRGB in [0, 1]."""
    depths: Float[Tensor, "batch ray"]
    """0 where nothing is met."""
    normals: Float[Tensor, "batch ray 3"]
    """0 where nothing is met."""


class Judged(NamedTuple):
    """What is known of objects beside what is read of them: what fields are trained on."""

    points: Float[Tensor, "batch point 3"]
    """In [-1, 1]^3."""
    distances: Float[Tensor, "batch point"]
    """From the surface, negative inside."""
    rays: Rays | None = None
    """For tokenizers that learn from pictures."""


@runtime_checkable
class ShapeTokenizer(Protocol):
    """Shapes to codes and back. A module in evaluation mode gives equal codes for equal inputs.

    A batch of inputs is what `prepare` returns of each object, stacked.
    """

    @property
    def reads(self) -> Reads:
        """What `prepare` takes."""
        ...

    def blocks(self) -> tuple[Block, ...]:
        """Return what the codes of an object are."""
        ...

    def layout(self) -> CodeLayout:
        """Return the blocks with the digest of all weights, which is computed anew."""
        ...

    def prepare(self, shape: Any, generator: np.random.Generator | None = None) -> Float32[np.ndarray, "*input"]:
        """Return an object as the network reads it.

        Args:
            shape: what `reads` says, of an object in [-1, 1]^3.
            generator: chooses what is read of it, in training; None: the same each time.
        """
        ...

    def encode(self, inputs: Float[Tensor, "batch *input channel"]) -> Codes:
        """Return the codes of each object."""
        ...

    def decode(self, codes: Codes, *, upto: int | None = None) -> list[Field]:
        """Return the field of each object.

        Args:
            codes: of the blocks from the first on.
            upto: number of blocks to decode, at least 1; None: all that are given.
        """
        ...

    def embed(self, codes: Codes, *, upto: int | None = None) -> Float[Tensor, "batch code dim"]:
        """Return the vector of each code, block after block, as a language model reads them."""
        ...

    def loss(
        self, inputs: Float[Tensor, "batch *input channel"], judged: Judged
    ) -> tuple[Float[Tensor, ""], Mapping[str, Tensor]]:
        """Return the training loss of a batch and its parts."""
        ...


@runtime_checkable
class ScaleTokenizer(ShapeTokenizer, Protocol):
    """A tokenizer whose blocks are scales, each read as what the scales before it add up to."""

    def ar_inputs(self, codes: Codes) -> list[Float[Tensor, "batch _code dim"]]:
        """Return what a next-scale model reads at each scale."""
        ...

    def start(self, batch_size: int) -> tuple[Tensor, Float[Tensor, "batch code dim"]]:
        """Return the state before the first scale, and what is read there."""
        ...

    def next_input(
        self, state: Tensor, scale: int, ids: Int[Tensor, "batch code"]
    ) -> tuple[Tensor, Float[Tensor, "batch next_code dim"] | None]:
        """Return the state after `scale`, and what is read at the scale behind it; None after the last."""
        ...
