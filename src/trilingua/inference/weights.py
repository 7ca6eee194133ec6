"""Weights laid out for reading one token at a time, where memory traffic and small products decide.

Training keeps matrices as it likes them; a decoder that only decodes keeps them as the kernels for a
single row like them. Knows nothing of what is decoded.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trilingua.models.decoder import Decoder, DecoderLayer


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


@torch.no_grad()
def arrange_for_decoding(decoder: Decoder) -> Decoder:
    """Return a frozen copy of `decoder` that decodes faster; it is for `decode` alone, not to be trained or saved.

    Every value is kept, matrices are only laid out, for one row (about 1.8x at batch 1) and for several (about
    1.15x more at batch 8). Rounding them to bfloat16 gains nothing here: steps are short of memory traffic and
    small kernels, not of products. On other devices than the CPU the copy is plain.
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
                if torch.backends.mkldnn.is_available() and module.weight.dtype == torch.float32:
                    setattr(part, name, TwoLayoutLinear(module.weight))
                else:
                    module.weight = nn.Parameter(column_major(module.weight), requires_grad=False)
    arranged.head.rows = nn.Parameter(column_major(arranged.head.rows), requires_grad=False)
    return arranged


def column_major(weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
    """Return an equal matrix whose columns are contiguous: a product with one row then streams through memory."""
    return weight.detach().t().contiguous().t()
