"""What tokenizers share whose blocks are scales: codes by scale to sums, vectors and what a next-scale model reads.

Codes of an object are rows, whatever their arrangement; the quantizer's own grids are known here alone.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.core.errors import ConfigError
from trilingua.quantize.multiscale import MultiScaleQuantizer
from trilingua.tokenizers.shapes.codes import Block, Codes


class ScaledCodes(nn.Module):
    """A tokenizer that writes ids scale by scale, or, without a quantizer, latents in one block."""

    quantizer: MultiScaleQuantizer | None

    def scale_blocks(self, size: int | None, dim: int) -> tuple[Block, ...]:
        """Return a block of ids for each scale, or one of latents.

        Args:
            size: number of latents; None: any number.
            dim: width of a latent.
        """
        if self.quantizer is None:
            return (Block(size=size, dim=dim, vocabulary=None),)
        return tuple(
            Block(size=count, dim=dim, vocabulary=self.quantizer.config.num_codes)
            for count in self.quantizer.codes_per_scale
        )

    def sum_of(self, codes: Codes, upto: int | None) -> Float[Tensor, "batch *full dim"]:
        """Return what the first `upto` scales add up to on the full grid, or the latents."""
        if self.quantizer is None:
            return self._only_block(codes, upto)
        return self.quantizer.decode(self._on_grids(codes), upto=upto)

    def embed(self, codes: Codes, *, upto: int | None = None) -> Float[Tensor, "batch code code_dim"]:
        """Return the code vectors of the first `upto` scales, one after the other, or the latents."""
        if self.quantizer is None:
            return self._only_block(codes, upto)
        return torch.cat([self.quantizer.vq.vectors(ids) for ids in codes[:upto]], dim=1)

    def ar_inputs(self, codes: Codes) -> list[Float[Tensor, "batch _code code_dim"]]:
        """Return what a next-scale model reads at each scale; see `MultiScaleQuantizer`."""
        return [each.flatten(1, -2) for each in self._scales().ar_inputs(self._on_grids(codes))]

    def start(self, batch_size: int) -> tuple[Tensor, Float[Tensor, "batch code code_dim"]]:
        """Return the sum of no scales, and what is read before the first."""
        total, first = self._scales().start(batch_size)
        return total, first.flatten(1, -2)

    def next_input(
        self, state: Tensor, scale: int, ids: Int[Tensor, "batch code"]
    ) -> tuple[Tensor, Float[Tensor, "batch next_code code_dim"] | None]:
        """Return the sum with `scale`, and what is read at the scale behind it; None after the last."""
        grid = self._scales().resampler.grids[scale]
        total, following = self._scales().next_input(state, scale, ids.unflatten(1, grid))
        return total, None if following is None else following.flatten(1, -2)

    def _scales(self) -> MultiScaleQuantizer:
        if self.quantizer is None:
            raise ConfigError("scales: there are none; latents are not written scale by scale")
        return self.quantizer

    def _on_grids(self, codes: Codes) -> list[Int[Tensor, "batch ..."]]:
        return [ids.unflatten(1, grid) for ids, grid in zip(codes, self._scales().resampler.grids, strict=False)]

    def _only_block(self, codes: Codes, upto: int | None) -> Tensor:
        if upto not in (None, 1):
            raise ConfigError(f"upto: {upto}; expected 1, since latents are one block")
        return codes[0]
