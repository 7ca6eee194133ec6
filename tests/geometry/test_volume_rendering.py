"""What rays gather, against a loop and against the closed form of a ball; gradients; samples go where something is."""

import numpy as np
import pytest
import torch
from tests.oracles import ray_integrals as oracle

from trilingua.geometry.fields import FunctionField
from trilingua.geometry.mesh_pictures import camera_around
from trilingua.geometry.posed_views import picture_rays
from trilingua.geometry.volume_rendering import (
    composite,
    cube_span,
    density_of_logits,
    draw_field,
    gather_rays,
    important_depths,
    spread_depths,
)

RED = torch.tensor([1.0, 0.2, 0.1])
SKY = torch.tensor([0.9, 0.9, 1.0])


def rays(count=12, seed=0, dtype=torch.float32):
    """Rays from around towards the cube, some of which miss it; of any length."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(1, count, 3, generator=generator), dim=-1) * 4
    targets = torch.rand(1, count, 3, generator=generator) * 3 - 1.5
    return origins.to(dtype), ((targets - origins) * (0.2 + torch.rand(1, count, 1, generator=generator))).to(dtype)


def ball(density, radius=0.7):
    def query(points):
        inside = points.norm(dim=-1) < radius
        return density * inside.to(points.dtype), RED.to(points.dtype).expand(points.shape)

    return query


def smooth(points):
    """A field that varies everywhere."""
    return 2 * torch.exp(-3 * points.square().sum(dim=-1)), (points * 2).sin() / 2 + 0.5


def test_the_sum_equals_the_oracles():
    generator = torch.Generator().manual_seed(1)
    densities = torch.rand(1, 5, 9, generator=generator) * 4
    colors = torch.rand(1, 5, 9, 3, generator=generator)
    depths = torch.rand(1, 5, 9, generator=generator).sort(dim=-1).values + 2
    lengths = torch.rand(1, 5, generator=generator) + 0.5
    made = composite(densities, colors, depths, lengths)
    for ray in range(5):
        color, alpha, depth = oracle.gather(
            densities[0, ray].tolist(), colors[0, ray].tolist(), depths[0, ray].tolist(), float(lengths[0, ray]),
            [0, 0, 0], 0,
        )  # fmt: skip
        np.testing.assert_allclose(made.colors[0, ray], color, rtol=1e-5)
        assert float(made.weights[0, ray].sum()) == pytest.approx(alpha, rel=1e-5)
        assert float(made.depths[0, ray]) == pytest.approx(depth, rel=1e-5)


def test_whole_rays_equal_the_oracles():
    origins, directions = rays()
    found = gather_rays(smooth, origins, directions, num_even=20, num_important=0, background=SKY)
    near, far = cube_span(origins, directions)
    depths = spread_depths(near, far, 20, jitter=False)
    for ray in range(12):
        places = origins[0, ray] + depths[0, ray, :, None] * directions[0, ray]
        densities, colors = smooth(places)
        color, alpha, depth = oracle.gather(
            densities.tolist(), colors.tolist(), depths[0, ray].tolist(), float(directions[0, ray].norm()),
            SKY.tolist(), float(far[0, ray]),
        )  # fmt: skip
        np.testing.assert_allclose(found.colors[0, ray], color, rtol=1e-4)
        assert float(found.alphas[0, ray]) == pytest.approx(alpha, abs=1e-5)
        assert float(found.depths[0, ray]) == pytest.approx(depth, rel=1e-4)


def test_rays_meet_the_cube_where_walking_along_them_does():
    origins, directions = rays(8)
    origins[0, 0], directions[0, 0] = torch.tensor([-3.0, 0.5, 0.5]), torch.tensor([1.0, 0.0, 0.0])  # along an axis
    origins[0, 1], directions[0, 1] = torch.tensor([0.2, 0.1, 0.3]), torch.tensor([0.0, 0.3, 0.4])  # from inside
    origins[0, 2], directions[0, 2] = torch.tensor([-3.0, 0.0, 0.0]), torch.tensor([-1.0, 0.0, 0.0])  # away from it
    near, far = cube_span(origins, directions)
    missed = 0
    for ray in range(8):
        span = oracle.cube_span(origins[0, ray].tolist(), directions[0, ray].tolist(), steps=20_000, limit=20.0)
        if span is None:
            assert near[0, ray] == far[0, ray]
            missed += 1
        else:
            np.testing.assert_allclose([near[0, ray], far[0, ray]], span, atol=2e-3)
    assert 1 <= missed < 5


@pytest.mark.parametrize("density", [0.5, 3.0])
def test_a_ball_of_one_density_is_as_dark_as_its_chords_are_long(density):
    camera = camera_around(0.4, 0.3, size=12)
    origins, directions = (torch.from_numpy(part)[None] for part in picture_rays(camera))
    found = gather_rays(ball(density), origins, directions, num_even=800, num_important=0, background=SKY)
    unit = torch.nn.functional.normalize(directions, dim=-1)
    middle = -(origins * unit).sum(dim=-1)
    away = (origins + middle[..., None] * unit).norm(dim=-1)
    half = (0.7**2 - away.square()).clamp_min(0).sqrt()
    alpha = 1 - torch.exp(-density * 2 * half)
    # How far in the light stops on average, of what stops: the mean of an exponential cut off at the chord's end.
    into = 1 / density - 2 * half * (1 - alpha) / alpha.clamp_min(1e-9)
    reached = (middle - half + into) / directions.norm(dim=-1)
    far = cube_span(origins, directions)[1]
    torch.testing.assert_close(found.alphas, alpha, atol=5e-3, rtol=0)
    torch.testing.assert_close(found.depths, alpha * reached + (1 - alpha) * far, atol=2e-2, rtol=0)
    torch.testing.assert_close(found.colors, alpha[..., None] * RED + (1 - alpha[..., None]) * SKY, atol=5e-3, rtol=0)
    assert 0.1 < float(alpha.max()) < 1


def test_gradients_equal_finite_differences():
    origins, directions = rays(3, dtype=torch.float64)
    size = torch.tensor([0.8, 1.1, 0.5], dtype=torch.float64, requires_grad=True)

    def figures(size):
        def query(points):
            return 3 * torch.exp(-(points / size).square().sum(dim=-1)), (points * size).sigmoid()

        found = gather_rays(query, origins, directions, num_even=9, num_important=0, background=SKY.double())
        return found.colors, found.alphas, found.depths

    assert torch.autograd.gradcheck(figures, size)


def test_samples_are_added_where_something_is():
    depths = torch.linspace(0, 1, 11).expand(1, 2, 11).contiguous()
    weights = torch.zeros(1, 2, 10)
    weights[0, 0, 7] = 0.8
    added = important_depths(depths, weights, 200, jitter=False)
    assert float(((added[0, 0] >= 0.7) & (added[0, 0] <= 0.8)).float().mean()) > 0.95
    assert added[0, 0].diff().min() >= 0
    torch.testing.assert_close(added[0, 1], (torch.arange(200) + 0.5) / 200, atol=1e-4, rtol=0)  # nothing: evenly
    drawn = important_depths(depths, weights, 200, jitter=True)
    assert not torch.equal(drawn, added)
    assert float(((drawn[0, 0] >= 0.7) & (drawn[0, 0] <= 0.8)).float().mean()) > 0.95


def test_added_samples_find_a_thin_wall_that_even_ones_blur():
    def wall(points):
        return 400 * ((points[..., 0] - 0.3).abs() < 0.1).float(), RED.expand(points.shape)

    origins = torch.tensor([-3.0, 0.1, 0.2]).expand(1, 50, 3)
    directions = torch.tensor([1.0, 0.0, 0.0]).expand(1, 50, 3)
    torch.manual_seed(0)
    errors = []
    for important in (0, 24):
        found = gather_rays(
            wall, origins, directions, num_even=48 - important, num_important=important, background=SKY, jitter=True
        )
        errors.append(float((found.depths - 3.2).abs().mean()))
    assert errors[1] < 0.01
    assert errors[1] < errors[0] / 1.5


def test_draws_are_the_same_each_time_but_for_jitter():
    origins, directions = rays()
    arguments = {"num_even": 8, "num_important": 8, "background": SKY}
    one, two = (gather_rays(smooth, origins, directions, **arguments) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    jittered = gather_rays(smooth, origins, directions, jitter=True, **arguments)
    assert not torch.equal(one.colors, jittered.colors)
    torch.testing.assert_close(one.alphas, jittered.alphas, atol=0.1, rtol=0)


@pytest.mark.parametrize("kind", ["logit", "distance"])
def test_fields_are_drawn_whatever_they_measure(kind):
    def value(points):
        distance = points.norm(dim=-1) - 0.7
        return distance if kind == "distance" else -64 * distance

    field = FunctionField(kind=kind, value_function=value, color_function=lambda points: RED.expand(points.shape))
    camera = camera_around(0.4, 0.3, size=8)
    origins, directions = map(torch.from_numpy, picture_rays(camera))
    found = draw_field(field, origins, directions, background=SKY, chunk_size=10)
    unit = torch.nn.functional.normalize(directions, dim=-1)
    away = (origins - (origins * unit).sum(dim=-1, keepdim=True) * unit).norm(dim=-1)
    assert (found.alphas[0][away < 0.6] > 0.99).all()
    assert (found.alphas[0][away > 0.8] < 0.01).all()
    torch.testing.assert_close(found.colors[0][away < 0.6], RED.expand(int((away < 0.6).sum()), 3), atol=0.01, rtol=0)


def test_one_number_is_a_side_and_a_density():
    density = density_of_logits(torch.tensor([-1.0, 0.0, 5.0]))
    torch.testing.assert_close(density, torch.tensor([4.54e-5, 0.693147, 50.0]), rtol=1e-2, atol=0)
