"""Resampling against pixel by pixel oracles; shapes of sets, maps and triplanes; refused sizes."""

import numpy as np
import pytest
import torch
from tests.oracles import multiscale as oracle

from trilingua.core.errors import ConfigError
from trilingua.quantize.resampling import Interpolation, Refinement

SHAPES = {"set": (), "map": (), "triplane": (3,)}
AXES = {"set": 1, "map": 2, "triplane": 2}


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def per_grid(x, arrangement, function):
    """Apply an oracle to each object and plane alone."""
    rows = x.reshape(-1, *x.shape[-1 - AXES[arrangement] :]).double().numpy()
    made = np.stack([function(row) for row in rows])
    return made.reshape(*x.shape[: -1 - AXES[arrangement]], *made.shape[1:])


@pytest.mark.parametrize(
    ("arrangement", "upsampling"),
    [("set", "linear"), ("map", "linear"), ("map", "cubic"), ("triplane", "linear"), ("triplane", "cubic")],
)
def test_both_ways_equal_the_oracle(arrangement, upsampling):
    sizes = (1, 2, 3, 5, 7)
    made = Interpolation(arrangement=arrangement, sizes=sizes, upsampling=upsampling)
    axes = AXES[arrangement]
    full = random(2, *SHAPES[arrangement], *(7,) * axes, 3)
    for scale, size in enumerate(sizes):
        small = made.down(full, scale)
        assert small.shape[1:-1] == made.grids[scale]
        np.testing.assert_allclose(small, per_grid(full, arrangement, lambda x, n=size: oracle.area(x, n)), atol=1e-6)
        up = made.up(small, scale)
        assert up.shape[1:-1] == made.full_grid
        expected = per_grid(small, arrangement, lambda x: oracle.interpolate(x, 7, upsampling))
        np.testing.assert_allclose(up, expected, atol=2e-6)


def test_a_scale_of_full_size_is_untouched():
    full = random(2, 4, 4, 3)
    made = Interpolation(arrangement="map", sizes=(1, 4))
    assert made.down(full, 1) is full
    assert made.up(full, 1) is full


def test_grids_of_each_arrangement():
    assert Interpolation(arrangement="set", sizes=(1, 4), upsampling="linear").grids == ((1,), (4,))
    assert Interpolation(arrangement="map", sizes=(1, 4)).grids == ((1, 1), (4, 4))
    triplane = Interpolation(arrangement="triplane", sizes=(1, 4), full_size=6)
    assert triplane.grids == ((3, 1, 1), (3, 4, 4))
    assert triplane.full_grid == (3, 6, 6)


@pytest.mark.parametrize("arrangement", ["set", "map", "triplane"])
def test_refinement_equals_the_oracle_and_is_linear(arrangement):
    torch.manual_seed(0)
    refinement = Refinement(arrangement, 3, share=0.3).requires_grad_(False)
    x = random(2, *SHAPES[arrangement], *(4,) * AXES[arrangement], 3)
    torch.testing.assert_close(refinement(x), x)  # as it starts
    torch.nn.init.normal_(refinement.convolution.weight)
    weight = refinement.convolution.weight.double().numpy()
    expected = per_grid(x, arrangement, lambda row: oracle.refine(row, weight, 0.3))
    np.testing.assert_allclose(refinement(x), expected, atol=1e-5)
    torch.testing.assert_close(refinement(2 * x), 2 * refinement(x))


def test_planes_do_not_mix():
    torch.manual_seed(0)
    full = random(1, 3, 4, 4, 2)
    changed = full.clone()
    changed[:, 1] += 1
    made, refinement = Interpolation(arrangement="triplane", sizes=(1, 2, 4)), Refinement("triplane", 2)
    torch.nn.init.normal_(refinement.convolution.weight)
    for way in (lambda x: made.up(made.down(x, 1), 1), refinement):
        assert torch.equal(way(full)[:, [0, 2]], way(changed)[:, [0, 2]])
        assert not torch.equal(way(full)[:, 1], way(changed)[:, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"arrangement": "map", "sizes": ()},
            "sizes: [] of as many; expected at least one, from 1 on, none smaller than the one before, none greater "
            "than full_size",
        ),
        (
            {"arrangement": "map", "sizes": (1, 4, 2)},
            "sizes: [1, 4, 2] of as many; expected at least one, from 1 on, none smaller than the one before, none "
            "greater than full_size",
        ),
        (
            {"arrangement": "map", "sizes": (1, 4), "full_size": 3},
            "sizes: [1, 4] of 3; expected at least one, from 1 on, none smaller than the one before, none greater "
            "than full_size",
        ),
        (
            {"arrangement": "set", "sizes": (1, 4)},
            "upsampling: 'cubic' is not defined for a set; choose 'linear'",
        ),
    ],
)
def test_scales_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError) as error:
        Interpolation(**settings)
    assert str(error.value) == message
