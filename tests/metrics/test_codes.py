"""Usage of codebooks by scale, and the published sizes of objects."""

import math

import pytest
import torch

from trilingua.core.errors import ConfigError, InputError
from trilingua.metrics.codes import bytes_per_object, score_codes


def test_codes_are_scored_scale_by_scale():
    codes = [torch.tensor([[0], [0]]), torch.tensor([[[0, 1], [2, 2]], [[0, 1], [2, 2]]])]
    score = score_codes(codes, 8)
    entropy = -(2 * 0.25 * math.log(0.25) + 0.5 * math.log(0.5))
    assert score == {
        "used": [1 / 8, 3 / 8],
        "perplexity": [1.0, pytest.approx(math.exp(entropy))],
        "used_at_all": 3 / 8,
        "bytes_per_object": 2,  # five ids of three bits
    }


@pytest.mark.parametrize(
    ("num_ids", "num_codes", "size"),
    [
        ([512], 8192, 832),  # Kyvo
        ([3 * side**2 for side in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)], 16384, 3570),  # SAR3D
        ([1, 4, 9, 16, 25, 36, 64, 100, 169, 196, 576, 1024], 16384, 3885),  # VAT
        ([1, 4, 9, 16, 25, 36, 64, 100, 256], 256, 511),  # VAT's smallest
        ([3, 2], [2, 5], 2),  # 3 + 6 bits
        ([10], 1, 0),
        ([], 4, 0),
    ],
)
def test_bytes_of_published_layouts(num_ids, num_codes, size):
    assert bytes_per_object(num_ids, num_codes) == size


@pytest.mark.parametrize(
    ("num_ids", "num_codes", "message"),
    [
        ([1, 2], [4], "ids [1, 2] of [4] codes: expected a size of at least 1 for each number of ids"),
        ([1], 0, "ids [1] of [0] codes: expected a size of at least 1 for each number of ids"),
    ],
)
def test_layouts_that_cannot_be_are_refused(num_ids, num_codes, message):
    with pytest.raises(ConfigError) as error:
        bytes_per_object(num_ids, num_codes)
    assert str(error.value) == message


@pytest.mark.parametrize("codes", [[], [torch.zeros(0, 4, dtype=torch.long)]])
def test_no_codes_are_refused(codes):
    with pytest.raises(InputError) as error:
        score_codes(codes, 4)
    assert str(error.value) == "codes: a scale has none; expected at least one object and one scale"
