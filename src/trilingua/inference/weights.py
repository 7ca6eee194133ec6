"""Weights laid out for reading one token at a time, where memory traffic and small products decide.

Training keeps matrices as it likes them; a decoder that only decodes keeps them as the kernels for a
single row like them. Knows nothing of what is decoded.
"""

import copy
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trilingua.models.decoder import Decoder, DecoderLayer

Precision = Literal["exact", "bfloat16"]


class PackedLinear(nn.Module):
    """A linear layer without bias, its matrix in bfloat16 and packed for the CPU's kernels; keeps the type of `x`."""

    def __init__(self, weight: Float[Tensor, "out in"]) -> None:
        """Args: weight: the matrix; it is copied."""
        super().__init__()
        # Packed memory belongs to the kernel library: it cannot be saved or moved, hence no parameter.
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().bfloat16(), 1)

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """Return `x @ weight.T`, with products of bfloat16 values summed in float32."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x.bfloat16(), self.packed, None, "none", [], "")
        return out.to(x.dtype)


class TwoLayoutLinear(nn.Module):
    """A linear layer without bias that keeps its matrix twice: by column for one row, packed for several."""

    def __init__(self, weight: Float[Tensor, "out in"]) -> None:
        """Args: weight: the matrix, float32; it is copied."""
        super().__init__()
        self.weight = nn.Parameter(column_major(weight), requires_grad=False)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), 16)

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """Return `x @ weight.T`."""
        if x.numel() == x.shape[-1]:
            return functional.linear(x, self.weight)
        # Under autocast the inputs come in bfloat16; the matrix stays as it is.
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x.float(), self.packed, None, "none", [], "")
        return out.to(x.dtype)


def supports_packing() -> bool:
    """Return whether this CPU multiplies bfloat16 matrices in hardware."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


@torch.no_grad()
def arrange_for_decoding(decoder: Decoder, *, precision: Precision = "exact") -> Decoder:
    """Return a frozen copy of `decoder` that decodes faster; it is for `decode` alone, not to be trained or saved.

    On other devices than the CPU the copy is plain.

    Args:
        decoder: the model; it stays as it is.
        precision: "exact" keeps every value and only lays matrices out, for one row (about 1.8x at batch 1) and
            for several (about 1.15x more at batch 8); "bfloat16" rounds the layers' matrices, as mixed-precision
            training does, and falls back to "exact" where the CPU has no such kernels.
    """
    arranged = copy.deepcopy(decoder).eval().requires_grad_(False)
    arranged.head.fold()
    if arranged.head.rows.device.type != "cpu":
        return arranged
    for layer in arranged.layers:
        assert isinstance(layer, DecoderLayer)
        for part in (layer.attention, layer.mlp):
            for name, module in list(part.named_children()):
                assert isinstance(module, nn.Linear), "a decoder's layers hold plain matrices, arranged once"
                if precision == "bfloat16" and supports_packing():
                    setattr(part, name, PackedLinear(module.weight))
                elif torch.backends.mkldnn.is_available() and module.weight.dtype == torch.float32:
                    setattr(part, name, TwoLayoutLinear(module.weight))
                else:
                    module.weight = nn.Parameter(column_major(module.weight), requires_grad=False)
    arranged.head.rows = nn.Parameter(column_major(arranged.head.rows), requires_grad=False)
    return arranged


def column_major(weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
    """Return an equal matrix whose columns are contiguous: a product with one row then streams through memory."""
    return weight.detach().t().contiguous().t()
