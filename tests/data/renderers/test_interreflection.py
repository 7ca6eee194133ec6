"""The light that floor and sweep send each other: equal to that of random paths, and zero without lamps."""

import itertools

import numpy as np
import pytest

from trilingua.data.renderers.builtin import _pack_lamps
from trilingua.data.renderers.interreflection import GRID_ACROSS, GRID_ALONG, solve_interreflection
from trilingua.data.renderers.views import (
    FLOOR_ACROSS,
    FLOOR_ALBEDO,
    FLOOR_AXIS,
    FLOOR_PROFILE,
    FLOOR_SIDES,
    FLOOR_START,
    sample_view,
    smoothed_slopes,
)

AXES = np.array([FLOOR_AXIS, FLOOR_ACROSS, (0.0, 0.0, 1.0)])
CORNERS = np.array([(FLOOR_START, 0.0), *FLOOR_PROFILE])
BOUNCES = 4


@pytest.fixture
def lamps():
    return _pack_lamps(sample_view(np.random.default_rng(5)))


def direct_light(lamps, points, normals):
    """Light of the lamps' middles on points in the floor's own axes."""
    total = np.outer(np.maximum(normals @ (AXES @ lamps[3, :3]), 0) * lamps[3, 9], lamps[3, 13:16])
    for lamp in lamps[:3]:
        ray = AXES @ lamp[:3] - points
        reach = np.linalg.norm(ray, axis=1)
        ray /= reach[:, None]
        share = np.maximum(ray @ (AXES @ lamp[10:13]), 0) * np.maximum((ray * normals).sum(1), 0)
        total += np.outer(lamp[9] * share / reach**2, lamp[13:16])
    return total


def cosine_rays(normals, generator):
    """A random ray from each surface, the denser the nearer to its normal."""
    ball = generator.normal(size=normals.shape)
    rays = normals + ball / np.linalg.norm(ball, axis=1, keepdims=True)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def shading_normals(points):
    slopes = np.interp(points[:, 0], CORNERS[:, 0], smoothed_slopes())
    normals = np.stack([-slopes, 0 * slopes, np.ones_like(slopes)], axis=1)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def next_points(points, rays):
    """Where the rays that meet a face of the profile from above meet the first one."""
    best = np.full(len(points), np.inf)
    for (s0, z0), (s1, z1) in itertools.pairwise(CORNERS):
        normal = np.array([z0 - z1, 0.0, s1 - s0]) / np.hypot(s1 - s0, z1 - z0)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = ((np.array([s0, 0.0, z0]) - points) @ normal) / (rays @ normal)
            place = points + distance[:, None] * rays
            inside = (place[:, 0] >= s0) & (place[:, 0] <= s1) & (rays @ normal < 0)
        inside &= (place[:, 1] > FLOOR_SIDES[0]) & (place[:, 1] < FLOOR_SIDES[1]) & (distance > 1e-6)
        best = np.where(inside & (distance < best), distance, best)
    hit = np.isfinite(best)
    return points[hit] + best[hit, None] * rays[hit]


def light_of_random_paths(lamps, point, count, generator):
    points = np.tile(point, (count, 1))
    total = np.zeros(3)
    for bounce in range(1, BOUNCES + 1):
        points = next_points(points, cosine_rays(shading_normals(points), generator))
        total += FLOOR_ALBEDO**bounce * direct_light(lamps, points, shading_normals(points)).sum(axis=0)
    return total / count


# Before the objects, behind them, and on the sweep: where it is nearly flat, at half its height and at its top.
@pytest.mark.parametrize("cell", [(12, 12), (26, 14), (38, 13), (46, 10), (49, 14)])
def test_equals_random_paths(lamps, cell):
    row, column = cell
    along = FLOOR_START + row * GRID_ALONG
    point = np.array([along, FLOOR_SIDES[0] + column * GRID_ACROSS, np.interp(along, *CORNERS.T)])
    wanted = light_of_random_paths(lamps, point, 200_000, np.random.default_rng(1))
    found = solve_interreflection().irradiance(lamps)[row, column]
    assert wanted.min() > 0.02
    assert found == pytest.approx(wanted, rel=0.01)


def test_is_linear_in_the_lamps(lamps):
    solver = solve_interreflection()
    alone = []
    for kept in range(4):
        rows = lamps.copy()
        rows[np.arange(4) != kept, 9] = 0.0
        alone.append(solver.irradiance(rows))
    assert np.sum(alone, axis=0) == pytest.approx(solver.irradiance(lamps), rel=1e-4)
    assert all(part.max() > 0 for part in alone)


def test_without_lamps_nothing_is_lit(lamps):
    lamps[:, 9] = 0.0
    assert not solve_interreflection().irradiance(lamps).any()
