"""Number grids: every value falls into its nearest bin, and impossible grids are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trilingua.core.errors import ConfigError
from trilingua.tokenizers.numbers import NumberGrid

GRIDS = (NumberGrid(), NumberGrid(step=0.005), NumberGrid(step=0.5), NumberGrid(low=0.2, high=1.0, step=0.1))


def test_the_published_grids_have_the_published_sizes():
    assert [len(grid) for grid in GRIDS] == [121, 1201, 13, 9]


@pytest.mark.parametrize("grid", GRIDS)
def test_values_are_multiples_that_print_as_meant_and_fall_into_their_own_bin(grid):
    values = [grid.value(index) for index in range(len(grid))]
    np.testing.assert_allclose(values, np.linspace(grid.low, grid.high, len(grid)), atol=1e-9)
    assert all(len(repr(value)) <= 6 and repr(value) != "-0.0" for value in values)
    assert [grid.bin(value) for value in values] == list(range(len(grid)))


@pytest.mark.parametrize("grid", GRIDS)
@given(value=st.floats(-5, 5))
def test_a_value_falls_into_the_nearest_bin(grid, value):
    all_values = np.array([grid.value(index) for index in range(len(grid))])
    distance = abs(all_values[grid.bin(value)] - value)
    assert distance <= np.abs(all_values - value).min() + 1e-9
    if grid.low <= value <= grid.high:
        assert distance <= grid.step / 2 + 1e-9


def test_values_far_away_fall_into_the_end_bins():
    assert (NumberGrid().bin(float("-inf")), NumberGrid().bin(1e300)) == (0, 120)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"step": 0.0}, "low, high, step: -3.0, 3.0, 0.0; expected low < high, step > 0"),
        ({"low": 3.0}, "low, high, step: 3.0, 3.0, 0.05; expected low < high, step > 0"),
        ({"step": float("nan")}, "low, high, step: -3.0, 3.0, nan; expected low < high, step > 0"),
        ({"step": 0.7}, "step: 0.7 does not divide the range from -3.0 to 3.0; change one"),
    ],
)
def test_impossible_grids_are_refused(fields, message):
    with pytest.raises(ConfigError) as error:
        NumberGrid(**fields)
    assert str(error.value) == message
