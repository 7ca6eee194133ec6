"""Positions of ids, some of which have a place of their own."""

from hypothesis import given
from hypothesis import strategies as st

from trilingua.core.positions import count_positions

IDS = st.lists(st.integers(0, 9), max_size=20)
PLACES = st.dictionaries(st.integers(0, 9), st.integers(0, 50), max_size=3)


def test_ids_with_a_place_start_the_count_anew():
    assert count_positions([7, 1, 2, 8, 3, 7, 4], {7: 10, 8: 3}) == [10, 11, 12, 3, 4, 10, 11]


@given(IDS, st.integers(-1, 30))
def test_without_places_each_stands_after_the_last(ids, last):
    assert count_positions(ids, {}, last=last) == list(range(last + 1, last + 1 + len(ids)))


@given(IDS, IDS, PLACES)
def test_reading_in_parts_is_reading_at_once(first, second, places):
    before = count_positions(first, places)
    after = count_positions(second, places, last=before[-1] if before else -1)
    assert before + after == count_positions(first + second, places)
