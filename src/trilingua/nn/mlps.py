"""Feed-forward blocks. Knows widths alone."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class SwiGLU(nn.Module):
    """`down(silu(gate(x)) * up(x))`, with gate and up in one matrix product (gate's rows first).

    Source: Shazeer, GLU variants improve Transformer, 2020; as in Llama.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        """Args: dim: width in and out; hidden_dim: width between."""
        super().__init__()
        self.gate_up = nn.Linear(dim, 2 * hidden_dim, bias=False)
        self.down = nn.Linear(hidden_dim, dim, bias=False)

    def forward(self, x: Float[Tensor, "batch seq dim"]) -> Float[Tensor, "batch seq dim"]:
        """Return the block's output, to be added to its input."""
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(functional.silu(gate) * up)
