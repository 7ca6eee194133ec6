"""Lines of sight undo the camera's projection; they are not followed to the horizon."""

import numpy as np
import torch

from trilingua.geometry.cameras import look_at
from trilingua.geometry.sightlines import meet_heights


def test_places_are_those_that_the_camera_projected():
    generator = np.random.default_rng(0)
    cameras = generator.uniform((6, -8, 4), (8, -6, 6), (20, 3))
    points = generator.uniform((-3, -3, 0.2), (3, 3, 0.9), (20, 5, 3))
    slopes = []
    for position, some in zip(cameras, points, strict=True):
        columns, rows, _ = look_at(position, focal_length=350.0, width=320, height=240).project(some).T
        slopes.append(np.stack([(columns - 160) / 350, (120 - rows) / 350], axis=-1))
    found = meet_heights(
        torch.from_numpy(cameras)[:, None], torch.from_numpy(np.stack(slopes)), torch.from_numpy(points[..., 2])
    )
    np.testing.assert_allclose(found, points[..., :2], atol=1e-9)


def test_what_is_seen_at_or_above_the_horizon_stays_finite_and_before_the_camera():
    camera = torch.tensor([7.5, -6.5, 5.3])
    slopes = torch.tensor([[0.3, slope] for slope in (0.2, 0.5, 1.0, 9.0)])
    places = meet_heights(camera, slopes, torch.full((4,), 0.5))
    assert places.isfinite().all()
    assert ((places - camera[:2]) @ -camera[:2] > 0).all()
