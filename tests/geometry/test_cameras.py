"""The pinhole camera against the projection written out by hand, and CLEVR's published numbers."""

import math

import numpy as np
import pytest

from trilingua.core.errors import ConfigError
from trilingua.geometry.cameras import directions_for_camera, look_at

POSITION = (7.481131553649902, -6.5076398849487305, 5.34366512298584)


def project_by_hand(position, focal, width, height, point):
    """Column, row and depth by spherical angles: turn about z, then tilt, then divide."""
    x, y, z = (point[i] - position[i] for i in range(3))
    around = math.atan2(-position[1], -position[0])
    down = math.atan2(position[2], math.hypot(position[0], position[1]))
    along = x * math.cos(around) + y * math.sin(around)
    right = x * math.sin(around) - y * math.cos(around)
    depth = along * math.cos(down) - z * math.sin(down)
    up = along * math.sin(down) + z * math.cos(down)
    return width / 2 + focal * right / depth, height / 2 - focal * up / depth, depth


def test_projection_equals_the_one_by_hand():
    generator = np.random.default_rng(0)
    for _ in range(20):
        position = tuple(np.array(POSITION) + generator.uniform(-0.5, 0.5, 3))
        camera = look_at(position, focal_length=350.0, width=320, height=240)
        points = generator.uniform(-3, 3, (5, 3))
        expected = [project_by_hand(position, 350.0, 320, 240, point) for point in points]
        np.testing.assert_allclose(camera.project(points), expected, atol=1e-9)


def test_target_falls_on_the_middle_at_its_distance():
    camera = look_at(POSITION, (1.0, 2.0, 0.5), focal_length=100.0, width=64, height=48)
    distance = math.dist(POSITION, (1.0, 2.0, 0.5))
    np.testing.assert_allclose(camera.project(np.array([1.0, 2.0, 0.5])), [32, 24, distance], atol=1e-9)


def test_world_from_camera_is_rigid_and_looks_along_minus_z():
    camera = look_at(POSITION, focal_length=350.0, width=320, height=240)
    np.testing.assert_allclose(camera.rotation.T @ camera.rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(camera.rotation) == pytest.approx(1.0)
    assert camera.rotation[2, 0] == 0.0
    np.testing.assert_allclose(camera.position - camera.rotation[:, 2] * np.linalg.norm(POSITION), 0, atol=1e-9)


def test_directions_are_those_of_published_scenes():
    directions = directions_for_camera(look_at(POSITION, focal_length=350.0, width=320, height=240))
    published = {
        "right": (0.6563112735748291, 0.7544902563095093, 0.0),
        "behind": (-0.754490315914154, 0.6563112735748291, 0.0),
        "above": (0.0, 0.0, 1.0),
    }
    opposite = {"right": "left", "behind": "front", "above": "below"}
    assert set(directions) == {*opposite, *opposite.values()}
    for name, vector in published.items():
        np.testing.assert_allclose(directions[name], vector, atol=2e-7)
        np.testing.assert_array_equal(directions[opposite[name]], -np.array(directions[name]))


def test_directions_agree_with_the_picture():
    camera = look_at((5.0, -7.0, 4.0), focal_length=350.0, width=320, height=240)
    directions = directions_for_camera(camera)
    middle = camera.project(np.zeros(3))
    assert camera.project(np.array(directions["right"]))[0] > middle[0]
    assert camera.project(np.array(directions["behind"]))[2] > middle[2]
    assert camera.project(np.array(directions["above"]))[1] < middle[1]


def test_camera_above_its_target_is_refused():
    message = r"camera at \(0.0, 0.0, 5.0\): cannot look at \(0.0, 0.0, 0.0\) with a level horizon; move it sideways"
    with pytest.raises(ConfigError, match=message):
        look_at((0.0, 0.0, 5.0), focal_length=350.0, width=320, height=240)
