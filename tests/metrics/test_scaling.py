"""Laws are found again from what they say, even with noise; what is needed for a loss leads back to it."""

import math

import numpy as np
import pytest

from trilingua.core.errors import ConfigError
from trilingua.metrics.scaling import ScalingLaw, fit_scaling_law

LAW = ScalingLaw(floor=0.08, scales=(900.0, 40.0), exponents=(0.6, 0.5))


def runs():
    return np.array([(params, pictures) for params in (4e5, 1e6, 3e6) for pictures in (3e3, 1e4, 4e4, 1e5)])


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_law_is_found_again_from_its_runs(noise):
    losses = LAW.predict(runs()) * np.exp(noise * np.random.default_rng(0).normal(size=12))
    found = fit_scaling_law(runs(), losses)
    np.testing.assert_allclose(found.predict(runs()), LAW.predict(runs()), rtol=1e-3 + 2 * noise)
    if not noise:
        assert found.floor == pytest.approx(LAW.floor, rel=0.02)
        assert found.exponents == pytest.approx(LAW.exponents, rel=0.02)
        far = np.array([[1e7, 1e6]])
        assert found.predict(far) == pytest.approx(LAW.predict(far), rel=0.02)


def test_one_run_that_went_wrong_does_not_bend_the_law():
    losses = LAW.predict(runs())
    losses[5] *= 3
    np.testing.assert_allclose(fit_scaling_law(runs(), losses).predict(runs()), LAW.predict(runs()), rtol=0.02)


def test_one_amount_is_a_power_law_above_a_floor():
    law = ScalingLaw(floor=0.2, scales=(30.0,), exponents=(0.8,))
    amounts = np.array([[50.0], [100.0], [200.0], [400.0], [800.0]])
    found = fit_scaling_law(amounts, law.predict(amounts))
    assert found.floor == pytest.approx(0.2, rel=0.02)
    assert found.exponents[0] == pytest.approx(0.8, rel=0.02)


def test_what_is_needed_for_a_loss_brings_it():
    for which in (0, 1):
        amounts = [2e6, 3e5]
        amounts[which] = LAW.needed(0.3, which, amounts)
        assert LAW.predict(np.array([amounts])) == pytest.approx(0.3)
    assert LAW.needed(LAW.floor, 1, [2e6, 1.0]) == math.inf
    assert LAW.needed(0.3, 1, [1e4, 1.0]) == math.inf  # too few parameters, whatever the pictures
    assert ScalingLaw(floor=0.1, scales=(0.2,), exponents=(0.0,)).needed(0.4, 0, [1.0]) == math.inf


def test_too_few_runs_are_refused():
    with pytest.raises(ConfigError) as caught:
        fit_scaling_law(np.ones((4, 2)), np.ones(4))
    assert str(caught.value) == "runs: there are 4; a law of 2 amounts needs at least 5"
