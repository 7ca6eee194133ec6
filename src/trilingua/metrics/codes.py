"""What codes cost and how they use their codebook, whatever they stand for."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from trilingua.core.errors import ConfigError, InputError
from trilingua.quantize.multiscale import usage_per_scale


def score_codes(codes: Sequence[Int[Tensor, "batch ..."]], num_codes: int) -> dict[str, Any]:
    """Return what the codes of many objects show of their codebook.

    Returns:
        - `used`: list by scale of the share of the codebook that occurs, in [0, 1];
        - `perplexity`: list by scale of exp of the entropy of the codes' frequencies, from 1 to `num_codes`. It
          cannot exceed the number of codes given at that scale: compare over equally many objects;
        - `used_at_all`: share of the codebook that occurs at any scale;
        - `bytes_per_object`: see the function.

    Args:
        codes: of each scale, objects first; each code in [0, num_codes).
        num_codes: size of the codebook that all scales share.

    Raises:
        InputError: no codes.
    """
    if not codes or not all(part.numel() for part in codes):
        raise InputError("codes: a scale has none; expected at least one object and one scale")
    usage = usage_per_scale(codes, num_codes)
    return {
        "used": [scale["used"] for scale in usage],
        "perplexity": [scale["perplexity"] for scale in usage],
        "used_at_all": len(torch.cat([part.flatten() for part in codes]).unique()) / num_codes,
        "bytes_per_object": bytes_per_object([part[0].numel() for part in codes], num_codes),
    }


def bytes_per_object(num_ids: Sequence[int], num_codes: int | Sequence[int]) -> int:
    """Return how many bytes the ids of an object take: each `ceil(log2(num_codes))` bits, packed without gaps.

    Args:
        num_ids: of each scale or block.
        num_codes: how many ids there are to choose from, everywhere or at each block; at least 1.

    Raises:
        ConfigError: a block without a size, or with one that is below its least.
    """
    sizes = [num_codes] * len(num_ids) if isinstance(num_codes, int) else list(num_codes)
    if len(sizes) != len(num_ids) or min(sizes, default=1) < 1 or min(num_ids, default=0) < 0:
        raise ConfigError(f"ids {list(num_ids)} of {sizes} codes: expected a size of at least 1 for each number of ids")
    bits = sum(number * (size - 1).bit_length() for number, size in zip(num_ids, sizes, strict=True))
    return -(-bits // 8)
