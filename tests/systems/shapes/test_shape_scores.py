"""Figures of a surface against another: exact ones, whatever the number of points."""

import numpy as np
import pytest
import trimesh

from trilingua.geometry.meshes import Mesh
from trilingua.systems.shapes.evaluate import compare_surfaces


def ball(radius):
    made = trimesh.creation.icosphere(subdivisions=5, radius=radius)
    return Mesh(vertices=np.asarray(made.vertices), faces=np.asarray(made.faces))


def test_a_surface_is_its_own_perfect_copy():
    scores = compare_surfaces(ball(0.9), ball(0.9), 3)
    assert scores["f_score_0.01"] == scores["f_score_0.02"] == 1.0
    assert scores["chamfer_l1"] == pytest.approx(0, abs=1e-6)
    assert scores["normal_consistency"] == pytest.approx(1, abs=1e-3)


def test_a_larger_ball_is_away_by_the_difference_of_radii():
    scores = compare_surfaces(ball(0.615), ball(0.6))
    assert scores["chamfer_l1"] == pytest.approx(0.015, abs=5e-4)
    assert scores["chamfer_l2"] == pytest.approx(2 * 0.015**2, rel=0.05)
    assert (scores["f_score_0.01"], scores["f_score_0.02"]) == (0.0, 1.0)
    assert scores["normal_consistency"] > 0.99


def test_nothing_is_found_in_nothing():
    scores = compare_surfaces(None, ball(0.5))
    assert scores["empty"]
    assert scores["f_score_0.02"] == 0
    assert scores["chamfer_l1"] is None
