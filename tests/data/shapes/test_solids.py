"""Solids and their union: volumes in closed form, closed surfaces, colours of parts, patterns, equal bytes."""

import math

import numpy as np
import pytest
from tests.oracles.triangles import winding_numbers

from trilingua.core.random import make_generator
from trilingua.data.shapes.solids import Part, Pattern, ball, box, hull, lathe, post, prism, ring, rod, unite
from trilingua.geometry.mesh_queries import MeshQueries

RED, BLUE, WHITE = (200, 0, 0), (0, 0, 200), (250, 250, 250)


def built(solid):
    return unite([Part(solid=solid, color=RED)])


@pytest.mark.parametrize(
    ("solid", "volume", "bounds"),
    [
        (box((1, 2, 3), (1, 0, 0)), 6, [[0.5, -1, -1.5], [1.5, 1, 1.5]]),
        (post(0.5, 1, 3, at=(1, 2)), math.pi / 2, [[0.5, 1.5, 1], [1.5, 2.5, 3]]),
        (post(0.6, 0, 1, top=0.0), math.pi * 0.36 / 3, [[-0.6, -0.6, 0], [0.6, 0.6, 1]]),
        (rod((0, 0, 0), (3, 0, 4), 0.2), math.pi * 0.04 * 5, [[-0.16, -0.2, -0.12], [3.16, 0.2, 4.12]]),
        (ball(0.5, (0, 0, 1), stretch=(1, 2, 1)), math.pi / 3, [[-0.5, -1, 0.5], [0.5, 1, 1.5]]),
        (lathe([(0, 0), (1, 0), (1, 2), (0, 2)]), 2 * math.pi, [[-1, -1, 0], [1, 1, 2]]),
        (ring(1, 0.25, (0, 0, 0), 1), 2 * math.pi**2 / 16, [[-1.25, -0.25, -1.25], [1.25, 0.25, 1.25]]),
        (prism([(0, 0), (2, 0), (2, 1)], 0, -1, 3), 4, [[-1, 0, 0], [3, 2, 1]]),
        (prism([(0, 0), (2, 0), (2, 1)], 1, -1, 3), 4, [[0, -1, 0], [2, 3, 1]]),
        (hull([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]), 1 / 6, [[0, 0, 0], [1, 1, 1]]),
    ],
)
def test_volumes_and_places_are_those_of_the_formula(solid, volume, bounds):
    mesh = built(solid)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(volume, rel=0.03)  # what is round has corners
    np.testing.assert_allclose(mesh.bounds, bounds, atol=0.01)


def test_a_prism_keeps_the_outline_where_it_is():
    lower = [(0.0, 0.0), (2.0, 0.0), (2.0, 1.0)]
    for axis in (0, 1):
        mesh = built(prism(lower, axis, 0.0, 1.0))
        points = np.zeros((2, 3))
        points[:, axis], points[:, 1 - axis], points[:, 2] = 0.5, (1.8, 0.2), (0.5, 0.5)
        np.testing.assert_allclose(winding_numbers(mesh.triangles, points), [1, 0], atol=1e-6)


def test_a_union_is_where_any_part_is():
    parts = [
        Part(solid=box((1, 1, 1), (0, 0, 0)), color=RED),
        Part(solid=box((1, 1, 1), (0.5, 0.25, 0.25)), color=BLUE),
        Part(solid=ball(0.4, (-0.5, -0.5, -0.5)), color=WHITE),
    ]
    mesh = unite(parts)
    assert mesh.is_watertight
    points = make_generator(0, "union").uniform(-1.2, 1.2, (1500, 3))
    each = [winding_numbers(unite([part]).triangles, points) > 0.5 for part in parts]
    winding = winding_numbers(mesh.triangles, points)
    np.testing.assert_allclose(winding, np.round(winding), atol=1e-5)
    np.testing.assert_array_equal(winding > 0.5, np.any(each, axis=0))
    np.testing.assert_array_equal(MeshQueries(mesh).occupied(points), np.any(each, axis=0))
    # Each triangle lies on the surface of the part whose colour it has.
    middles = mesh.triangles.mean(axis=1)
    for part in parts:
        own = (mesh.face_colors == part.color).all(axis=1)
        assert own.any()
        assert np.abs(MeshQueries(unite([part])).distance(middles[own])).max() < 1e-5


def test_patterns_are_cut_exactly():
    bands = Pattern(axis=2, width=0.25, color=BLUE)
    mesh = unite([Part(solid=box((1, 1, 1), (0, 0, 0)), color=RED, pattern=bands)])
    assert mesh.is_watertight
    middles = mesh.triangles.mean(axis=1)
    inner = np.abs(middles[:, 2]) < 0.499
    blue = (mesh.face_colors == BLUE).all(axis=1)
    np.testing.assert_array_equal(blue[inner], np.floor((middles[inner, 2] + 0.5) / 0.25) % 2 == 1)
    sides = np.linalg.norm(mesh.area_vectors, axis=1)[inner]
    assert sides[blue[inner]].sum() == pytest.approx(2.0)
    board = Pattern(axis=0, width=0.25, color=BLUE, second_axis=1)
    checked = unite([Part(solid=box((1, 1, 1), (0, 0, 0)), color=RED, pattern=board)])
    top = checked.triangles[..., 2].min(axis=1) > 0.499
    blue = (checked.face_colors == BLUE).all(axis=1)
    assert np.linalg.norm(checked.area_vectors, axis=1)[top & blue].sum() == pytest.approx(0.5)


def test_a_pattern_stays_on_its_part():
    parts = [
        Part(solid=box((1, 1, 1), (0, 0, 0)), color=RED, pattern=Pattern(axis=0, width=0.2, color=BLUE)),
        Part(solid=box((1, 1, 1), (0.9, 0, 0.5)), color=WHITE),
    ]
    mesh = unite(parts)
    assert mesh.is_watertight
    white = (mesh.face_colors == WHITE).all(axis=1)
    assert mesh.triangles[white][..., 0].min() > 0.4 - 1e-6


def test_equal_parts_give_equal_bytes():
    def make():
        return unite([Part(solid=ball(1, (0, 0, z)), color=RED) for z in (0.0, 0.7)])

    one = make()
    unite([Part(solid=box((1, 1, 1), (0, 0, 0)), color=RED)])  # moves the library's counter
    other = make()
    assert one.vertices.tobytes() == other.vertices.tobytes()
    assert one.faces.tobytes() == other.faces.tobytes()
    assert one.face_colors.tobytes() == other.face_colors.tobytes()
