"""The cache: chunks land behind each row's length, padding never counts, rows can be taken apart."""

import pytest
import torch

from trilingua.core.errors import ConfigError
from trilingua.nn.caches import KVCache


def make(batch: int = 2, max_len: int = 6) -> KVCache:
    return KVCache(num_layers=1, batch=batch, num_kv_heads=1, max_len=max_len, head_dim=2)


def write(cache: KVCache, values: list[list[float]], counts: list[int]) -> torch.Tensor:
    chunk = torch.tensor(values).float()[:, None, :, None].expand(-1, 1, -1, 2)
    plan = cache.plan(chunk.shape[2])
    keys, _ = cache.write(0, chunk, chunk, plan)
    cache.advance(counts)
    return keys[:, 0, :, 0]


def test_rows_of_different_lengths_stay_dense() -> None:
    cache = make()
    write(cache, [[1, 2, 3], [4, 0, 0]], [3, 1])
    keys = write(cache, [[5, 0], [6, 7]], [1, 2])
    assert cache.lengths == [4, 3]
    assert keys[0, :4].tolist() == [1, 2, 3, 5]
    assert keys[1, :3].tolist() == [4, 6, 7]


def test_ragged_mask_and_positions() -> None:
    cache = make()
    write(cache, [[1, 2, 3], [4, 0, 0]], [3, 1])
    plan = cache.plan(2)
    assert plan.slots.tolist() == [[3, 4], [1, 2]]
    assert plan.mask is not None
    assert plan.mask[0, 0].int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert plan.mask[1, 0].int().tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]


def test_padding_past_the_end_harms_nothing() -> None:
    cache = make(max_len=4)
    write(cache, [[1, 2, 3], [4, 0, 0]], [3, 1])
    keys = write(cache, [[5, 9, 9], [6, 7, 8]], [1, 3])
    assert keys.tolist() == [[1, 2, 3, 5], [4, 6, 7, 8]]


def test_select_copies_rows() -> None:
    cache = make()
    write(cache, [[1, 2, 3], [4, 0, 0]], [3, 1])
    assert cache.select([1, 0, 1]).lengths == [1, 3, 1]
    repeated = cache.select([0, 0, 1, 1])
    assert repeated.lengths == [3, 3, 1, 1]
    write(repeated, [[7], [8], [9], [9]], [1, 1, 1, 1])
    assert repeated.memory[0, 0, :2, 0, :4, 0].tolist() == [[1, 2, 3, 7], [1, 2, 3, 8]]
    assert cache.memory[0, 0, 0, 0, 3, 0] == 0


def test_overflow_is_an_error_in_words() -> None:
    cache = make(max_len=4)
    with pytest.raises(ConfigError, match="cache: 5 new tokens after 0 exceed max_len 4"):
        cache.plan(5)
