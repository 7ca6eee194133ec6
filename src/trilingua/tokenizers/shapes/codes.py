"""What a shape is written as: blocks of ids or of latents, and the frame that leads back to the object's own units.

Generators of shapes write block after block: one block a scale (VAT), or one for all latents (CG-MLLM). A layout says
what the blocks are and whose they are; codes of one tokenizer mean nothing to another, so a file names its layout by
digest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trilingua.core.errors import InputError, VocabularyError
from trilingua.core.io import digest_json
from trilingua.geometry.meshes import Frame

Codes = tuple[Tensor, ...]
"""Of a batch, block by block: ids (batch, size), or latents (batch, size, dim)."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Ids or latents of an object that belong together."""

    size: int | None
    """How many; None: as many as one likes, at least 1."""
    dim: int
    """Width of the vector that each of them is."""
    vocabulary: int | None
    """Ids lie in [0, vocabulary); None: latents."""


@dataclass(frozen=True, kw_only=True)
class CodeLayout:
    """What the codes of a tokenizer are; hashable."""

    kind: str
    """Which class of tokenizers."""
    weights: str
    """Digest of its weights."""
    blocks: tuple[Block, ...]

    @property
    def digest(self) -> str:
        """What a file of codes is recognized by."""
        return digest_json(asdict(self))

    @property
    def num_ids(self) -> list[int]:
        """How many ids each block has; blocks of latents have none."""
        return [block.size or 0 for block in self.blocks if block.vocabulary is not None]

    @property
    def vocabularies(self) -> list[int]:
        """How many ids there are to choose from in each block of ids."""
        return [block.vocabulary for block in self.blocks if block.vocabulary is not None]

    def require(self, digest: Any, where: str) -> None:
        """Raise unless `digest` is this layout's.

        Raises:
            VocabularyError: the codes were written by another tokenizer; one line.
        """
        if digest != self.digest:
            raise VocabularyError(
                f"{where}: layout {str(digest)[:12]} is not {self.digest[:12]}, the tokenizer's; decode with the "
                "tokenizer that wrote it"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeCode:
    """One object, as a tokenizer writes it."""

    layout: CodeLayout
    blocks: tuple[Tensor, ...]
    """Ids (size), or latents (size, dim), of each block."""
    frame: Frame
    """Where the object stood and how large it was."""

    @property
    def batch(self) -> Codes:
        """The blocks as a batch of one object."""
        return tuple(block[None] for block in self.blocks)

    def num_bytes_of_latents(self) -> int:
        """Return the bytes that the latents take in half precision; ids are counted by `metrics.codes`."""
        return sum(2 * block.numel() for block in self.blocks if block.is_floating_point())

    def to_json(self) -> dict[str, Any]:
        """Return the code as a JSON object that `from_json` reads back to equal blocks and frame."""
        return {
            "layout": {**asdict(self.layout), "digest": self.layout.digest},
            "codes": [block.tolist() for block in self.blocks],
            "frame": self.frame.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any, layout: CodeLayout, where: str) -> "ShapeCode":
        """Return the code that a JSON object describes.

        Args:
            value: what `to_json` returned.
            layout: of the tokenizer that is to decode it.
            where: the file, for messages.

        Raises:
            VocabularyError: it was written by another tokenizer.
            InputError: a field is missing or of another form; names the file and the field.
        """
        if not isinstance(value, Mapping) or not {"layout", "codes", "frame"} <= set(value):
            raise InputError(f"{where}: expected an object with the fields layout, codes and frame")
        layout.require(value["layout"].get("digest") if isinstance(value["layout"], Mapping) else None, where)
        found = value["codes"]
        if not isinstance(found, Sequence) or len(found) != len(layout.blocks):
            number = len(found) if isinstance(found, Sequence) else "no"
            raise InputError(f"{where}: codes: {number} blocks; expected {len(layout.blocks)}")
        blocks = tuple(
            _read_block(values, block, f"{where}: codes[{index}]")
            for index, (values, block) in enumerate(zip(found, layout.blocks, strict=True))
        )
        return cls(layout=layout, blocks=blocks, frame=Frame.from_json(value["frame"], f"{where}: frame"))


def _read_block(values: Any, block: Block, where: str) -> Tensor:
    wanted = "ids" if block.vocabulary is not None else f"latents of {block.dim} numbers"
    expected = f"expected {'1 or more' if block.size is None else block.size} {wanted}"
    try:
        array = np.asarray(values, dtype=np.float64 if block.vocabulary is None else None)
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{where}: is no list of that form; {expected}") from None
    shape = (len(array) if array.ndim and block.size is None else block.size,)
    if array.shape != (shape if block.vocabulary is not None else (*shape, block.dim)) or not array.size:
        raise InputError(f"{where}: has the shape {list(array.shape)}; {expected}")
    if block.vocabulary is None:
        if not (np.abs(array) < np.finfo(np.float16).max).all():
            raise InputError(f"{where}: has a number that is not finite or too large; {expected}")
        return torch.from_numpy(array.astype(np.float32))
    if array.dtype.kind != "i" or array.min() < 0 or array.max() >= block.vocabulary:
        raise InputError(f"{where}: has an id outside of [0, {block.vocabulary}); {expected}")
    return torch.from_numpy(array.astype(np.int64))
