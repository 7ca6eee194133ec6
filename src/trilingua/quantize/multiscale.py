"""Multi-scale residual vector quantization: what a coarse scale's codes leave over, the next finer scale codes.

One way leads from codes to latents, `_add`, and training, extraction, prefix decoding and generation all take it: so
equal codes give equal bits. What the next-scale model reads before it writes a scale is the sum of the scales before,
on that scale's grid.

One codebook serves all scales, on the unit sphere. A scale's vectors enter the sum times its gain, since what is left
over shrinks from scale to scale: steps of length 1 would make small remainders greater. In published runs, small scales
collapse onto few codes: one code of a grid of 1 stands beside 256 of the last. Here an input counts as much as it
changes the sum, by the cells that it covers and its length, when codes follow their inputs and when dead codes move.

Source: Tian et al. 2024 (VAR), algorithms 1 and 2; Chen et al. 2025 (SAR3D), section 4.1; Zhang et al. 2024 (VAT),
section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trilingua.core.config import require_at_least, require_shares
from trilingua.core.errors import ConfigError
from trilingua.quantize.resampling import Refinement, Resampler
from trilingua.quantize.vq import VectorQuantizer, code_usage, single_precision


@dataclass(frozen=True, kw_only=True)
class MultiScaleConfig:
    """A multi-scale quantizer without its scales, which a `Resampler` brings."""

    num_codes: int = 4096
    """Size of the codebook that all scales share. SAR3D: 16,384; VAT: 2,048 or 16,384."""
    code_dim: int = 16
    """Width of a code vector. SAR3D: 8; VAT: 16."""
    num_refinements: int = 4
    """Convolutions that scales share evenly, from coarse to fine; 0: none. VAR and SAR3D: 4."""
    refinement_share: float = 0.5
    """Of a convolution in what it refines, in [0, 1]. VAR and SAR3D: 0.5."""
    commitment_weight: float = 0.25
    """Of the pull of latents to their sums. VAR and SAR3D: 0.25."""
    scale_dropout: float = 0.0
    """Share of the objects in training that are decoded from a random number of their first scales, in [0, 1]."""
    decay: float = 0.99
    """See `VectorQuantizer`. VAT: 0.99."""
    count_decay: float = 0.95
    """See `VectorQuantizer`; gains follow as fast."""
    revive_below: float = 0.03
    """See `VectorQuantizer`."""

    def __post_init__(self) -> None:
        require_at_least(self, num_codes=1, code_dim=1, num_refinements=0, commitment_weight=0)
        require_shares(self, "refinement_share", "scale_dropout", "decay", "count_decay", "revive_below")


class MultiScaleQuantized(NamedTuple):
    """What a multi-scale quantizer makes of a batch."""

    vectors: Float[Tensor, "batch *full dim"]
    """The sum that is decoded; gradients pass straight through to the latents."""
    codes: tuple[Int[Tensor, "batch ..."], ...]
    """Of each scale, on its grid, from coarse to fine."""
    sums: tuple[Float[Tensor, "batch *full dim"], ...]
    """The running sum after each scale, without gradients."""
    loss: Float[Tensor, ""]
    """`commitment_weight * |latents - sg(sum)|^2 + |sg(latents) - sum|^2`, mean over numbers and scales."""
    num_kept: Int[Tensor, " batch"]
    """How many scales of each object are in `vectors`: all, but for scale dropout."""


class MultiScaleQuantizer(nn.Module):
    """Latents to codes at several scales, and back.

    Nothing here fixes how long latents are: gains follow them, and what is made of the sums must keep them from
    shrinking, as a decoder's loss or a Gaussian bottleneck before does.

    Args:
        resampler: brings the scales, and takes latents to their grids and back.
        config: everything else.

    Differs: VAR and SAR3D learn their codebook by gradients, add vectors without gains, and look codes up by other
    rules in training than in extraction.
    """

    gain_products: Tensor
    gain_squares: Tensor

    def __init__(self, resampler: Resampler, config: MultiScaleConfig) -> None:
        super().__init__()
        self.resampler = resampler
        self.config = config
        self.vq = VectorQuantizer(
            config.num_codes,
            config.code_dim,
            decay=config.decay,
            count_decay=config.count_decay,
            revive_below=config.revive_below,
        )
        self.refinements = nn.ModuleList(
            Refinement(resampler.arrangement, config.code_dim, config.refinement_share)
            for _ in range(min(config.num_refinements, self.num_scales))
        )
        self.register_buffer("gain_products", torch.zeros(self.num_scales))
        self.register_buffer("gain_squares", torch.zeros(self.num_scales))

    @property
    def num_scales(self) -> int:
        """How many scales there are."""
        return len(self.resampler.grids)

    @property
    def codes_per_scale(self) -> tuple[int, ...]:
        """How many codes an object has at each scale."""
        return tuple(prod(grid) for grid in self.resampler.grids)

    @property
    def gains(self) -> Float[Tensor, " scale"]:
        """What each scale's vectors are multiplied by: the least-squares fit to what was left over, 1 at first.

        Both of its terms are moving averages from 0 on, so that their ratio is right from the first step. Refinements
        come after: fitted behind them, gains would grow as the refinements' weights shrink, without an end.
        """
        known = self.gain_squares > 0
        return torch.where(known, self.gain_products / self.gain_squares.clamp_min(1e-30), 1.0)

    def forward(
        self, latents: Float[Tensor, "batch *full dim"], generator: torch.Generator | None = None
    ) -> MultiScaleQuantized:
        """Quantize latents; in training mode also move codes and gains towards them, and drop scales.

        Args:
            latents: on the resampler's full grid.
            generator: draws which scales are dropped, on the latents' device; None: torch's own stream.
        """
        # Under autocast, training would add up other sums than extraction does.
        with single_precision(latents):
            latents = latents.float()
            known = latents.detach()
            total = torch.zeros_like(known)
            all_codes, wanted, totals = [], [], []
            for scale in range(self.num_scales):
                left = known - total.detach()
                wanted.append(self.resampler.down(left, scale))
                all_codes.append(self.vq.codes(wanted[-1]))
                step = self._step(all_codes[-1], scale)
                if self.training:
                    self._follow_gain(left, step, scale)
                total = self._add(total, step, scale)
                totals.append(total)
            if self.training:
                self._follow(wanted, all_codes)
            sums = torch.stack(totals)
            commitment = (latents - sums.detach()).square().mean()
            loss = self.config.commitment_weight * commitment + (known - sums).square().mean()
            num_kept = self._draw_num_kept(known, generator)
            kept = sums.detach()[num_kept - 1, torch.arange(len(known), device=known.device)]
            # To the bit what `decode` gives, where `latents + (kept - latents)` would be rounded.
            vectors = kept + (latents - known)
        return MultiScaleQuantized(vectors, tuple(all_codes), tuple(sums.detach()), loss, num_kept)

    @torch.no_grad()
    def decode(
        self, codes: Sequence[Int[Tensor, "batch ..."]], *, upto: int | None = None
    ) -> Float[Tensor, "batch *full dim"]:
        """Return the running sum of the first scales: to the bit what quantizing in evaluation mode gives.

        Args:
            codes: of each scale from the first on, at least of `upto` scales.
            upto: number of scales, at least 1; None: all that are given.

        Raises:
            ConfigError: more scales than there are codes, or none.
        """
        upto = len(codes) if upto is None else upto
        if not 1 <= upto <= min(len(codes), self.num_scales):
            raise ConfigError(f"upto: {upto}; expected 1 to {min(len(codes), self.num_scales)} scales")
        total, _ = self.start(len(codes[0]))
        with single_precision(total):
            for scale in range(upto):
                total = self._add(total, self._step(codes[scale], scale), scale)
        return total

    @torch.no_grad()
    def start(self, batch_size: int) -> tuple[Float[Tensor, "batch *full dim"], Float[Tensor, "batch *grid dim"]]:
        """Return the sum of no scales, and it on the first scale's grid: what is read before the first code."""
        total = self.vq.codebook.new_zeros(batch_size, *self.resampler.full_grid, self.config.code_dim)
        return total, self.resampler.down(total, 0)

    @torch.no_grad()
    def next_input(
        self, total: Float[Tensor, "batch *full dim"], scale: int, codes: Int[Tensor, "batch ..."]
    ) -> tuple[Float[Tensor, "batch *full dim"], Float[Tensor, "batch *next dim"] | None]:
        """Return the running sum with `scale` added, and what the next-scale model reads for the scale after it.

        Args:
            total: the running sum before, from `start` or the last call.
            scale: whose codes are given, from 0.
            codes: on the grid of `scale`.

        Returns:
            The new sum, and it on the next scale's grid; None after the last scale.
        """
        with single_precision(total):
            total = self._add(total, self._step(codes, scale), scale)
            return total, self.resampler.down(total, scale + 1) if scale + 1 < self.num_scales else None

    def ar_inputs(self, codes: Sequence[Int[Tensor, "batch ..."]]) -> list[Float[Tensor, "batch *_grid dim"]]:
        """Return what the next-scale model reads at each scale: the sum of the scales before it, on its grid.

        Args:
            codes: of each scale from the first on.

        Returns:
            One more than there are codes, but none after the last scale; the first is 0.
        """
        total, first = self.start(len(codes[0]))
        inputs = [first]
        for scale, scale_codes in enumerate(codes):
            total, following = self.next_input(total, scale, scale_codes)
            inputs += [] if following is None else [following]
        return inputs

    def _step(self, codes: Int[Tensor, "batch ..."], scale: int) -> Float[Tensor, "batch *full dim"]:
        """Return the vectors of a scale's codes on the full grid, before their gain."""
        return self.resampler.up(self.vq.vectors(codes), scale)

    def _add(
        self, total: Float[Tensor, "batch *full dim"], step: Float[Tensor, "batch *full dim"], scale: int
    ) -> Float[Tensor, "batch *full dim"]:
        """Return the running sum with a scale's vectors, as long as their gain and refined."""
        step = self.gains[scale] * step
        if self.refinements:
            step = self.refinements[scale * len(self.refinements) // self.num_scales](step)
        return total + step

    @torch.no_grad()
    def _follow_gain(
        self, left: Float[Tensor, "batch *full dim"], step: Float[Tensor, "batch *full dim"], scale: int
    ) -> None:
        self.gain_products[scale].lerp_((left * step).mean(), 1 - self.config.count_decay)
        self.gain_squares[scale].lerp_(step.square().mean(), 1 - self.config.count_decay)

    @torch.no_grad()
    def _follow(
        self, wanted: Sequence[Float[Tensor, "batch *_grid dim"]], codes: Sequence[Int[Tensor, "batch ..."]]
    ) -> None:
        """Let the codebook follow the inputs of all scales at once, each weighed by what it changes in the sum."""
        cells = prod(self.resampler.full_grid)
        inputs = torch.cat([inputs.flatten(0, -2) for inputs in wanted])
        weights = torch.cat(
            [
                gain.abs() * (cells / number) * inputs.flatten(0, -2).norm(dim=-1)
                for gain, number, inputs in zip(self.gains, self.codes_per_scale, wanted, strict=True)
            ]
        )
        weights = weights / weights.mean().clamp_min(1e-12)
        self.vq.follow(F.normalize(inputs, dim=-1), torch.cat([part.flatten() for part in codes]), weights)

    def _draw_num_kept(
        self, latents: Float[Tensor, "batch *full dim"], generator: torch.Generator | None
    ) -> Int[Tensor, " batch"]:
        everything = torch.full((len(latents),), self.num_scales, device=latents.device)
        if not (self.training and self.config.scale_dropout):
            return everything
        drawn = torch.rand(2, len(latents), device=latents.device, generator=generator)
        some = 1 + (drawn[1] * self.num_scales).long().clamp_max(self.num_scales - 1)
        return torch.where(drawn[0] < self.config.scale_dropout, some, everything)


def usage_per_scale(codes: Sequence[Int[Tensor, "batch ..."]], num_codes: int) -> list[dict[str, float]]:
    """Return `code_usage` of each scale: the `used` share of the codebook and the `perplexity` of its codes."""
    return [code_usage(scale_codes, num_codes) for scale_codes in codes]
