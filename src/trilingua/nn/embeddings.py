"""One embedding table and one output head for a vocabulary of several kinds of tokens.

Ids lie in spans in the order text, markers, numbers, image codes. Only the four counts are known
here: what an id means is the vocabulary's business.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from trilingua.core.errors import ConfigError

NumberEncoding = Literal["learned+sinusoid", "learned", "sinusoid"]


class PlacedVectors(NamedTuple):
    """What is seen of pictures, and the tokens that it is given to."""

    places: Int[Tensor, " cell"]
    """Indices into the flattened batch x seq."""
    vectors: Float[Tensor, "cell seen_dim"]


def sinusoid_table(count: int, dim: int) -> Float[Tensor, "count dim"]:
    """Return sines (even channels) and cosines (odd channels) of `index / 10000^(2 floor(channel / 2) / dim)`.

    Every row has a root mean square of sqrt(1/2). Source: Kyvo, section 3 (index, not value, is encoded).
    """
    channels = torch.arange(dim, dtype=torch.float64)
    angles = torch.arange(count, dtype=torch.float64)[:, None] / 10_000 ** (2 * (channels // 2) / dim)
    return torch.where(channels % 2 == 0, angles.sin(), angles.cos()).float()


class UnifiedEmbedding(nn.Module):
    """Text and marker tables, numbers by learned and fixed rows, image codes by frozen code vectors and a projector.

    `table()` is the whole embedding as one matrix; training, decoding and export all go through it, so
    that they cannot disagree.

    Differs: the published code draws markers and numbers from N(0, 1) and adds sines and cosines of
    that size, far above Llama's embedding scale (about 0.02); here every kind of row starts at `std`. And
    sines and cosines go through a learned matrix that starts as the identity: it learns from every number,
    a row only from its own.
    """

    def __init__(
        self,
        *,
        num_text: int,
        num_markers: int,
        num_numbers: int,
        num_image_codes: int,
        image_code_dim: int,
        dim: int,
        seen_dim: int = 0,
        number_encoding: NumberEncoding = "learned+sinusoid",
        std: float = 0.02,
    ) -> None:
        """Args: the four counts in the order of their spans; std: root mean square of a fresh row's entries."""
        super().__init__()
        self.std = std
        self.text = nn.Parameter(torch.randn(num_text, dim) * std)
        self.markers = nn.Parameter(torch.randn(num_markers, dim) * std)
        # Two parts share the scale, so that their sum has it.
        part = std / math.sqrt(2) if number_encoding == "learned+sinusoid" else std
        self.numbers = nn.Parameter(torch.randn(num_numbers, dim) * part) if "learned" in number_encoding else None
        fixed = sinusoid_table(num_numbers, dim) * (part * math.sqrt(2)) if "sinusoid" in number_encoding else None
        self.register_buffer("number_sinusoid", fixed)
        self.number_sinusoid: Tensor | None
        self.number_matrix = nn.Parameter(torch.eye(dim)) if fixed is not None else None
        self.register_buffer("codebook", torch.zeros(num_image_codes, image_code_dim))
        self.codebook: Tensor
        self.projector = nn.Parameter(torch.randn(dim, image_code_dim) * (std / math.sqrt(max(image_code_dim, 1))))
        self.seen_projector = (
            nn.Parameter(torch.randn(dim, seen_dim) * (std / math.sqrt(seen_dim))) if seen_dim else None
        )

    @torch.no_grad()
    def set_codebook(self, codebook: Float[Tensor, "code code_dim"], *, scale: bool = True) -> None:
        """Install the frozen code vectors of the image tokenizer.

        Args:
            codebook: the vectors.
            scale: scale the projector so that rows start at `std`; not for one that is trained.

        Raises:
            ConfigError: the codebook has another shape than the configuration says.
        """
        if codebook.shape != self.codebook.shape:
            raise ConfigError(
                f"codebook: shape {tuple(codebook.shape)}; the decoder was built for {tuple(self.codebook.shape)}; "
                "use the image tokenizer that the configuration names"
            )
        self.codebook.copy_(codebook)
        if scale and codebook.numel():
            size = functional.linear(self.codebook, self.projector).square().mean().sqrt()
            if size > 0:
                self.projector.mul_(self.std / size)

    @torch.no_grad()
    def align_seen(
        self, vectors: Float[Tensor, "cell seen_dim"], codes: Int[Tensor, " cell"], *, ridge: float = 1e-3
    ) -> None:
        """Let what is seen of a cell be read, as nearly as a matrix can, as its code.

        So that a decoder that knows codes need not learn to see anew.

        Args:
            vectors: of cells of many pictures.
            codes: of the same cells, from 0.
            ridge: added to the mean squares of the vectors' numbers.
        """
        assert self.seen_projector is not None, "this decoder reads codes alone"
        wanted = functional.linear(self.codebook[codes], self.projector).double()
        known = vectors.double()
        squares = known.T @ known + ridge * len(known) * torch.eye(known.shape[1], dtype=known.dtype)
        self.seen_projector.copy_(torch.linalg.solve(squares, known.T @ wanted).T)

    def table(self) -> Float[Tensor, "vocab dim"]:
        """Return the embedding of every id, in id order."""
        with torch.autocast(self.text.device.type, enabled=False):
            numbers: Tensor | None = self.numbers
            if self.number_sinusoid is not None and self.number_matrix is not None:
                smooth = functional.linear(self.number_sinusoid, self.number_matrix)
                numbers = smooth if numbers is None else numbers + smooth
            assert numbers is not None
            parts = [self.text, self.markers, numbers]
            if self.codebook.shape[0]:
                parts.append(self.code_rows(self.codebook))
            return torch.cat(parts)

    def code_rows(self, vectors: Float[Tensor, "code code_dim"]) -> Float[Tensor, "code dim"]:
        """Return the embedding of code vectors, or of what lies between them."""
        with torch.autocast(vectors.device.type, enabled=False):
            return functional.linear(vectors.to(self.projector.dtype), self.projector)

    def forward(
        self,
        ids: Int[Tensor, "batch seq"],
        table: Float[Tensor, "vocab dim"] | None = None,
        vectors: PlacedVectors | None = None,
    ) -> Float[Tensor, "batch seq dim"]:
        """Return each id's row.

        Args:
            ids: what is read.
            table: an earlier `table()`, for callers that fold once and read often.
            vectors: what is seen, added to the rows of the ids that it is given to.
        """
        rows = functional.embedding(ids, self.table() if table is None else table)
        if vectors is None:
            return rows
        assert self.seen_projector is not None, "this decoder reads codes alone"
        with torch.autocast(rows.device.type, enabled=False):
            read = functional.linear(vectors.vectors.to(self.seen_projector.dtype), self.seen_projector)
        return rows.flatten(0, 1).index_add(0, vectors.places, read.to(rows.dtype)).view_as(rows)


class UnifiedHead(nn.Module):
    """The output head: a row for each id, and for numbers also sines and cosines of their index through a matrix.

    The rows alone learn each number from its own occurrences. The matrix learns from all of them what is near
    what, so that a place which the states know roughly is written roughly right long before the rows are sharp.

    Differs: the published head has rows alone, drawn at random.
    """

    def __init__(
        self, *, vocab_size: int, first_number: int, num_numbers: int, dim: int, number_encoding: NumberEncoding
    ) -> None:
        """Args: first_number: id of the first number; number_encoding: with "learned", numbers have rows alone."""
        super().__init__()
        self.rows = nn.Parameter(torch.randn(vocab_size, dim) * 0.02)
        self.numbers = slice(first_number, first_number + num_numbers)
        smooth = num_numbers > 0 and "sinusoid" in number_encoding
        table = sinusoid_table(num_numbers, dim) if smooth else None
        self.register_buffer("number_sinusoid", table, persistent=False)
        self.number_sinusoid: Tensor | None
        self.number_matrix = nn.Parameter(torch.zeros(dim, dim)) if smooth else None

    @property
    def weight(self) -> Float[Tensor, "vocab dim"]:
        """The whole head as one matrix."""
        if self.number_sinusoid is None or self.number_matrix is None:
            return self.rows
        with torch.autocast(self.rows.device.type, enabled=False):
            smooth = functional.linear(self.number_sinusoid, self.number_matrix)
            before, numbers, after = self.rows.tensor_split((self.numbers.start, self.numbers.stop))
            return torch.cat((before, numbers + smooth, after))

    @torch.no_grad()
    def fold(self) -> None:
        """Turn into a head of rows alone that gives the same logits; it is for decoding, not to be trained or saved."""
        self.rows = nn.Parameter(self.weight, requires_grad=False)
        self.number_sinusoid = self.number_matrix = None

    def forward(self, states: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows vocab"]:
        """Return the logits of every id."""
        return functional.linear(states, self.weight)
