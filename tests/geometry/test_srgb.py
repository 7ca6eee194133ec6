"""sRGB and linear light: the standard's fixed points, and there and back."""

import numpy as np

from trilingua.geometry.srgb import bytes_from_unit, linear_from_srgb, srgb_from_linear


def test_every_byte_comes_back():
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(bytes_from_unit(srgb_from_linear(linear_from_srgb(codes))), codes)
    np.testing.assert_array_equal(linear_from_srgb(codes), linear_from_srgb(codes / 255))


def test_the_scale_is_the_standards():
    light = linear_from_srgb(np.array([0, 10, 128, 188, 255], np.uint8))
    np.testing.assert_allclose(light, [0, 0.00303527, 0.21586050, 0.50288646, 1], atol=1e-8)


def test_what_is_too_bright_is_cut():
    np.testing.assert_allclose(srgb_from_linear(np.array([-0.5, 3.0])), [0, 1], atol=1e-12)
    assert bytes_from_unit(np.array([-1.0, 0.5, 2.0])).tolist() == [0, 128, 255]
