"""An epoch holds every item once, in another order than the next; a stream goes on where another one stopped."""

import pytest

from trilingua.core.errors import ConfigError
from trilingua.data.epochs import EpochStream


class Numbers(EpochStream):
    def make(self, positions, epoch):
        return list(positions), epoch


def stream(**changes):
    return Numbers(**{"positions": range(10, 17), "batch_size": 3, "seed": 5, "title": "numbers"} | changes)


def test_an_epoch_holds_items_once_and_leaves_the_rest_over():
    numbers = stream()
    batches = [next(numbers) for _ in range(6)]
    assert [epoch for _, epoch in batches] == [0, 0, 1, 1, 2, 2]
    orders = [[item for items, own in batches if own == epoch for item in items] for epoch in range(3)]
    for order in orders:
        assert len(set(order)) == 6
        assert set(order) <= set(range(10, 17))
    assert len({tuple(order) for order in orders}) == 3


def test_a_stream_goes_on_and_passes_over():
    first, second, third = stream(), stream(), stream()
    for _ in range(3):
        next(first)
    second.load_state_dict(first.state_dict())
    next(third)
    third.skip()
    third.skip()
    assert next(first) == next(second) == next(third)
    assert next(stream(seed=6)) != next(stream())


@pytest.mark.parametrize("batch_size", [0, 8])
def test_a_batch_that_cannot_be_filled_is_refused(batch_size):
    with pytest.raises(ConfigError) as caught:
        stream(batch_size=batch_size)
    assert str(caught.value) == f"batch_size: {batch_size}; expected 1 to 7, the number of numbers"
