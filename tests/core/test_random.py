import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trilingua.core.random import make_generator

KEYS = st.lists(st.integers(-5, 5) | st.sampled_from(("scene", "view", "1", "-1")), max_size=3)


def first_draws(seed, *keys):
    return make_generator(seed, *keys).integers(0, 2**63, 4).tolist()


@given(st.integers(-10, 10), KEYS, st.integers(-10, 10), KEYS)
def test_streams_are_equal_iff_seed_and_keys_are(first_seed, first_keys, second_seed, second_keys):
    is_same = (first_seed, first_keys) == (second_seed, second_keys)
    assert (first_draws(first_seed, *first_keys) == first_draws(second_seed, *second_keys)) == is_same


def test_a_number_and_its_text_are_different_keys():
    assert first_draws(0, 1) != first_draws(0, "1")


def test_another_process_draws_the_same():
    code = "from trilingua.core.random import make_generator; print(make_generator(3, 'scene', 17).integers(0, 2**63))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == first_draws(3, "scene", 17)[0]


def test_neighbouring_streams_are_uncorrelated():
    draws = np.stack([make_generator(0, "scene", index).standard_normal(500) for index in range(20)])
    correlation = np.corrcoef(draws) - np.eye(20)
    assert np.abs(correlation).max() < 0.2
