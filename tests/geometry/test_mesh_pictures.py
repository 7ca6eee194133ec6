"""Pictures: depth and normals against closed forms, whole objects in view, smooth edges, equal bytes."""

import numpy as np
import pytest
from tests.geometry.solids import as_mesh, ball, cube

from trilingua.core.errors import ConfigError
from trilingua.core.random import make_generator
from trilingua.geometry.mesh_pictures import (
    BACKGROUND,
    camera_around,
    camera_rays,
    fixed_cameras,
    render_mesh,
    sample_cameras,
)
from trilingua.geometry.mesh_queries import MeshQueries


def test_rays_go_through_what_the_camera_projects():
    camera = camera_around(0.7, 0.4, size=40)
    columns, rows = make_generator(0, "pixels").uniform(0, 40, (2, 50))
    points = camera.position + 2.5 * camera_rays(camera, columns, rows)
    np.testing.assert_allclose(camera.project(points), np.stack([columns, rows, np.full(50, 2.5)], axis=1), atol=1e-9)


def test_depth_and_normals_lead_back_to_the_surface():
    import trimesh

    fine = as_mesh(trimesh.creation.icosphere(5, radius=0.8))
    for camera in fixed_cameras(48):
        picture = render_mesh(MeshQueries(fine), camera)
        rows, columns = np.nonzero(picture.depth)
        depth = picture.depth[rows, columns]
        points = camera.position + depth[:, None] * camera_rays(camera, columns + 0.5, rows + 0.5)
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.8, atol=1e-3)
        assert np.einsum("pi,pi->p", picture.normals[rows, columns], points / 0.8).min() > 0.99
        # The middle of the picture shows the point that is nearest to the camera.
        assert depth.min() == pytest.approx(4 - 0.8, abs=5e-3)
        empty = picture.depth == 0
        assert (picture.normals[empty] == 0).all()
        assert (picture.image[0, 0] == BACKGROUND).all()


def test_the_largest_object_is_whole_in_every_view():
    queries = MeshQueries(cube(0.95))
    for camera in [*fixed_cameras(64), *sample_cameras(make_generator(0, "cameras"), 20, 64)]:
        depth = render_mesh(queries, camera, samples_per_side=1).depth
        border = np.concatenate([depth[0], depth[-1], depth[:, 0], depth[:, -1]])
        assert not border.any()
        assert (depth > 0).mean() > 0.2


def test_the_picture_is_the_mean_of_its_samples():
    queries = MeshQueries(cube())
    coarse, fine = camera_around(0.5, 0.5, size=16), camera_around(0.5, 0.5, size=48)
    smooth = render_mesh(queries, coarse, samples_per_side=3).image.astype(float) / 255
    sharp = render_mesh(queries, fine, samples_per_side=1).image.astype(float) / 255
    light = np.where(sharp <= 0.04045, sharp / 12.92, ((sharp + 0.055) / 1.055) ** 2.4)
    mean = light.reshape(16, 3, 16, 3, 3).mean(axis=(1, 3))
    encoded = np.where(mean <= 0.0031308, mean * 12.92, 1.055 * mean ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(smooth, encoded, atol=1.5 / 255)


def test_colors_are_seen_and_light_comes_from_above():
    mesh = cube()
    red = np.tile(np.array([200, 30, 30], np.uint8), (12, 1))
    picture = render_mesh(MeshQueries(mesh.replace(face_colors=red)), camera_around(-1.57, 0.6, size=32))
    seen = picture.image[picture.depth > 0]
    assert (seen[:, 0] > seen[:, 1]).all()
    top = picture.normals[..., 2] > 0.9
    front = picture.normals[..., 1] < -0.9
    assert picture.image[top][:, 0].mean() > picture.image[front][:, 0].mean()


def test_equal_arguments_give_equal_bytes():
    camera = sample_cameras(make_generator(4, "c"), 1, 24)[0]
    one, other = (render_mesh(MeshQueries(ball()), camera) for _ in range(2))
    assert one.image.tobytes() == other.image.tobytes()
    assert one.depth.tobytes() == other.depth.tobytes()


def test_random_cameras_spread_over_the_allowed_band():
    cameras = sample_cameras(make_generator(0, "many"), 400, 8)
    positions = np.array([camera.position for camera in cameras])
    distances = np.linalg.norm(positions, axis=1)
    assert distances.min() > 4 - 1e-9
    assert 4.9 < distances.max() < 5
    elevations = np.degrees(np.arcsin(positions[:, 2] / distances))
    assert -40 < elevations.min() < -35
    assert 60 < elevations.max() < 70


@pytest.mark.parametrize("samples", [0, 9])
def test_a_number_of_samples_out_of_range_is_refused(samples):
    with pytest.raises(ConfigError) as error:
        render_mesh(MeshQueries(cube()), camera_around(0.1, 0.0, size=8), samples_per_side=samples)
    assert str(error.value) == f"samples_per_side: {samples} is out of range; allowed is 1 to 8"
