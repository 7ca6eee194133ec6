"""Vectors tell the places that geometry finds, are changed no more than that takes, and stay before it was taught."""

import numpy as np
import pytest
import torch

from trilingua.geometry.cameras import look_at
from trilingua.nn.sets import fourier_features
from trilingua.tokenizers.sighting import NUM_FREQUENCIES, Sighted, Sighting

GRID, DIM = 4, 48
CAMERAS = ((7.4, -6.5, 5.3), (7.0, -6.9, 5.6))


@pytest.fixture
def sighting() -> Sighting:
    torch.manual_seed(0)
    made = Sighting(DIM, GRID, 3, focal_length=35 / 32, aspect=4 / 3)
    images = torch.rand(8, 3, 32, 32)
    made.camera.begin(made.camera.light(images), torch.randn(8, 3) * 0.3 + torch.tensor(CAMERAS[0]))
    return made


def test_places_are_those_whose_centres_fall_there(sighting):
    """Against the projection: objects drawn anywhere, each told of by every cell."""
    generator = np.random.default_rng(0)
    points = generator.uniform((-3, -3, 0.3), (3, 3, 0.8), (2, GRID**2, 3))
    offsets = []
    for position, some in zip(CAMERAS, points, strict=True):
        columns, rows, _ = look_at(position, focal_length=350.0, width=320, height=240).project(some).T
        across, down = np.tile(np.arange(GRID) + 0.5, GRID), np.repeat(np.arange(GRID) + 0.5, GRID)
        offsets.append(np.stack([columns / 320 * GRID - across, rows / 240 * GRID - down], axis=-1))
    sighted = Sighted(torch.from_numpy(np.stack(offsets)).float(), torch.from_numpy(points[..., 2]).float())
    found = sighting.places(torch.tensor(CAMERAS), sighted)
    np.testing.assert_allclose(found, points[..., :2], atol=1e-5)


@torch.no_grad()
def test_vectors_tell_the_places_that_sighting_finds_and_nothing_else_of_them_changes(sighting):
    seen, images = torch.randn(2, GRID**2, DIM), torch.rand(2, 3, 32, 32)
    shown = torch.ones(2, GRID**2)
    shown[:, 3:6] = 0
    shown[:, 6:8] = 0.5
    after, places, cameras = sighting(seen, shown, images)
    assert torch.equal(cameras, sighting.camera(images))
    assert torch.equal(places, sighting.places(cameras, sighting.sight(seen)))
    wanted = fourier_features(places, NUM_FREQUENCIES)
    before = sighting.told(seen)
    torch.testing.assert_close(
        sighting.told(after), before + shown[..., None] * (wanted - before), rtol=1e-4, atol=2e-4
    )
    assert torch.equal(after[:, 3:6], seen[:, 3:6])
    # What stands across all directions in which places are told stays.
    across = torch.linalg.svd(sighting.told.weight)[2][len(sighting.told.weight) :]
    torch.testing.assert_close(after @ across.T, seen @ across.T, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_camera_that_is_known_need_not_be_read(sighting):
    """One for all pictures or one for each; known, it does without having been taught."""
    seen, images, shown = torch.randn(2, GRID**2, DIM), torch.rand(2, 3, 32, 32), torch.ones(2, GRID**2)
    known = torch.tensor(CAMERAS)
    found = sighting(seen, shown, images, known)
    assert torch.equal(found.cameras, known)
    assert torch.equal(found.places, sighting.places(known, sighting.sight(seen)))
    one = sighting(seen, shown, images, known[1:])
    assert torch.equal(one.cameras, known[[1, 1]])
    torch.testing.assert_close(one.places[1], found.places[1])
    assert not torch.allclose(one.places[0], found.places[0])
    untaught = Sighting(DIM, GRID, 3, focal_length=35 / 32, aspect=4 / 3)
    assert torch.equal(untaught(seen, shown, images, known).places, untaught.places(known, untaught.sight(seen)))


@torch.no_grad()
def test_until_it_is_taught_where_cameras_stand_vectors_stay():
    sighting = Sighting(DIM, GRID, 3, focal_length=35 / 32, aspect=4 / 3)
    seen = torch.randn(2, GRID**2, DIM)
    vectors, places, cameras = sighting(seen, torch.ones(2, GRID**2), torch.rand(2, 3, 32, 32))
    assert vectors is seen
    assert places.isnan().all()
    assert cameras.shape == (2, 3)
    assert cameras.isnan().all()
