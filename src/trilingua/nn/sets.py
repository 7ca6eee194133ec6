"""Sets of points and of vectors: what a coordinate looks like to a network, and attention from one set to another.

Nothing here depends on the order of a set. Knows no shapes.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.nn.patches import HEAD_DIM


def fourier_features(points: Float[Tensor, "*batch axis"], num_frequencies: int) -> Float[Tensor, "*batch feature"]:
    """Return each point with the sines and cosines of its coordinates times 1, 2, 4, ...

    Args:
        points: in [-1, 1]; one in space gets 3 + 6 `num_frequencies` features.
        num_frequencies: powers of two; 8 tell places apart that differ by 1/128.

    Source: Mildenhall et al. 2020 (NeRF), section 5.1; without its factor pi, as Hunyuan3D-2.1's published code.
    """
    powers = 2.0 ** torch.arange(num_frequencies, device=points.device)
    angles = (points[..., None, :] * powers[:, None]).flatten(-2)
    return torch.cat([points, angles.sin(), angles.cos()], dim=-1)


def fourier_dim(num_frequencies: int) -> int:
    """Return how many features `fourier_features` gives a point."""
    return 3 + 6 * num_frequencies


@torch.no_grad()
def farthest_points(points: Float[Tensor, "batch point 3"], count: int) -> Int[Tensor, "batch chosen"]:
    """Return the indices of points that cover a set: the one farthest from the origin, then each the farthest from all.

    What is chosen does not depend on the order of the points, but for ties.

    Args:
        points: at least `count` of each object.
        count: how many to choose.

    Source: Eldar et al. 1997; PointNet++ (Qi et al. 2017), section 3.2, which begins at random.
    """
    rows = torch.arange(len(points), device=points.device)
    chosen = torch.zeros(len(points), count, dtype=torch.long, device=points.device)
    if points.is_meta:
        return chosen  # sizes alone, and no distances that could be compared
    distances = torch.full(points.shape[:2], torch.inf, device=points.device)
    next_one = points.square().sum(dim=-1).argmax(dim=1)
    for index in range(count):
        chosen[:, index] = next_one
        distances = distances.minimum((points - points[rows, next_one][:, None]).square().sum(dim=-1))
        next_one = distances.argmax(dim=1)
    return chosen


class CrossBlock(nn.Module):
    """Pre-norm attention of each query to every vector of another set, then a squared-ReLU feed-forward layer.

    As large as a `PatchBlock`, and written out in matrix products for the same reason.

    Args:
        dim: width of queries and context, a multiple of `HEAD_DIM`.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_heads = dim // HEAD_DIM
        self.query_norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)
        nn.init.zeros_(self.down.weight)

    def forward(
        self,
        queries: Float[Tensor, "batch query dim"],
        context: Float[Tensor, "batch point dim"],
        bias: Float[Tensor, "*batch head query point"] | None = None,
    ) -> Float[Tensor, "batch query dim"]:
        """Return the queries with what they read added.

        Args:
            queries: what reads.
            context: what is read.
            bias: added to the attention scores.
        """
        query = self._heads(self.query(self.query_norm(queries)))
        key, value = map(self._heads, self.key_value(self.context_norm(context)).chunk(2, dim=-1))
        scores = query * HEAD_DIM**-0.5 @ key.transpose(-1, -2)
        if bias is not None:
            scores = scores + bias.to(scores.dtype)
        x = queries + self.out((scores.softmax(dim=-1).to(value.dtype) @ value).transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(self.mlp_norm(x))).square())

    def _heads(self, x: Float[Tensor, "batch seq dim"]) -> Float[Tensor, "batch head seq head_dim"]:
        return x.unflatten(-1, (self.num_heads, HEAD_DIM)).transpose(1, 2)
