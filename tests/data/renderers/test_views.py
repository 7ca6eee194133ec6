"""The reference studio and its jitter."""

import dataclasses

import numpy as np

from trilingua.core.random import make_generator
from trilingua.data.renderers.views import REFERENCE_VIEW, camera_for_view, reference_directions, sample_view


def test_jitter_is_uniform_within_its_bounds():
    views = [sample_view(make_generator(0, "view", index)) for index in range(300)]
    for name, bound in (("camera", 0.5), ("key_light", 1.0), ("back_light", 1.0), ("fill_light", 1.0)):
        moves = np.array([getattr(view, name) for view in views]) - getattr(REFERENCE_VIEW, name)
        assert np.abs(moves).max() <= bound
        assert (moves.max(axis=0) > 0.9 * bound).all()
        assert (moves.min(axis=0) < -0.9 * bound).all()
        np.testing.assert_allclose(moves.std(axis=0), bound / np.sqrt(3), rtol=0.15)


def test_view_depends_on_the_stream_alone():
    assert sample_view(make_generator(3, "a")) == sample_view(make_generator(3, "a"))
    assert sample_view(make_generator(3, "a")) != sample_view(make_generator(3, "b"))


def test_lens_is_350_pixels_at_320_and_scales_with_the_picture():
    assert camera_for_view(REFERENCE_VIEW).focal_length == 350.0
    assert camera_for_view(REFERENCE_VIEW, width=480, height=320).focal_length == 525.0


def test_reference_directions_ignore_jitter():
    moved = dataclasses.replace(REFERENCE_VIEW, camera=(7.0, -7.0, 5.0))
    right = camera_for_view(moved).rotation[:, 0]
    assert abs(np.dot(right, reference_directions()["right"])) < 1.0
    np.testing.assert_allclose(reference_directions()["right"], (0.65631127, 0.75449026, 0.0), atol=1e-7)
