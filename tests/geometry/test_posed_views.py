"""Pixels as networks read them lead back to the mesh; rays are drawn from the pixels that they say."""

import numpy as np
import pytest
import torch
import trimesh

from trilingua.core.errors import ConfigError
from trilingua.geometry.mesh_pictures import fixed_cameras, render_mesh, sample_cameras
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.meshes import Mesh
from trilingua.geometry.posed_views import (
    PosedViews,
    draw_rays,
    passed_points,
    picture_rays,
    render_fixed_views,
    seen_points,
    view_channels,
)


@pytest.fixture(scope="module")
def box():
    made = trimesh.creation.box((1.6, 1.0, 0.8))
    return Mesh(
        vertices=made.vertices, faces=made.faces, face_colors=np.full((len(made.faces), 3), (200, 90, 30), np.uint8)
    )


@pytest.fixture(scope="module")
def views(box):
    return render_fixed_views(box, num_views=6, size=24)


def test_fixed_views_are_what_the_fixed_cameras_see(box, views):
    queries = MeshQueries(box)
    for camera, own, picture in zip(fixed_cameras(24), views.cameras, views.pictures, strict=True):
        np.testing.assert_array_equal(own.world_from_camera, camera.world_from_camera)
        np.testing.assert_array_equal(picture.image, render_mesh(queries, camera).image)
    assert len(render_fixed_views(box, num_views=2, size=8).cameras) == 2


def test_channels_lead_back_to_the_surface(box, views):
    channels = view_channels(views)
    assert channels.shape == (6, 24, 24, 10)
    for view, (camera, picture) in enumerate(zip(views.cameras, views.pictures, strict=True)):
        moment, direction = channels[view, ..., 4:7], channels[view, ..., 7:]
        np.testing.assert_allclose(np.linalg.norm(direction, axis=-1), 1, rtol=1e-6)
        np.testing.assert_allclose(moment, np.cross(camera.position, direction), atol=1e-5)
        np.testing.assert_allclose(channels[view, ..., :3], picture.image / 127.5 - 1, atol=1e-6)
    points, met = seen_points(torch.from_numpy(channels))
    covered = np.stack([picture.depth > 0 for picture in views.pictures])
    np.testing.assert_array_equal(met[..., 0].numpy() > 0, covered)
    assert (channels[~covered][:, 3] == 2).all()
    assert 0.05 < covered.mean() < 0.6
    assert np.abs(MeshQueries(box).distance(points.numpy()[covered])).max() < 1e-4


def test_rays_pass_the_origin_where_they_are_nearest_to_it(views):
    channels = view_channels(views)
    passed = passed_points(torch.from_numpy(channels)).numpy()
    for view, camera in enumerate(views.cameras):
        direction = channels[view, ..., 7:]
        along = passed[view] - camera.position
        np.testing.assert_allclose(np.cross(along, direction), 0, atol=1e-4)  # on the ray
        np.testing.assert_allclose((passed[view] * direction).sum(-1), 0, atol=1e-5)  # and square to it


def test_rays_are_those_of_pixels_half_of_which_show_the_object(box, views):
    rays = draw_rays(views, 41, np.random.default_rng(0))
    assert [part.shape for part in rays] == [(41, 3), (41, 3), (41, 3), (41,), (41, 3)]
    seen = rays.depths > 0
    assert seen.sum() >= 20
    ends = rays.origins + rays.depths[:, None] * rays.directions
    assert np.abs(MeshQueries(box).distance(ends[seen])).max() < 1e-4
    assert (np.einsum("rd,rd->r", rays.normals[seen], rays.directions[seen]) < 0).all()
    # Every ray is that of a pixel, whose colour and depth it has.
    for ray in range(41):
        view = next(i for i, camera in enumerate(views.cameras) if np.allclose(camera.position, rays.origins[ray]))
        column, row, _ = views.cameras[view].project(rays.origins[ray] + rays.directions[ray])
        pixel = int(row), int(column)
        np.testing.assert_allclose((column % 1, row % 1), 0.5, atol=1e-4)
        assert views.pictures[view].depth[pixel] == rays.depths[ray]
        np.testing.assert_allclose(views.pictures[view].image[pixel] / 255, rays.colors[ray], atol=1e-6)


def test_rays_depend_on_the_generator_alone(views):
    one, again = (draw_rays(views, 10, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one.directions, draw_rays(views, 10, np.random.default_rng(4)).directions)


def test_pictures_of_nothing_have_rays_too(box):
    far_away = box.replace(vertices=box.vertices + 100)
    nothing = render_fixed_views(far_away, num_views=1, size=8)
    assert not (draw_rays(nothing, 6, np.random.default_rng(0)).depths > 0).any()


def test_pictures_of_several_sizes_are_drawn_from(box):
    cameras = [*fixed_cameras(8)[:1], *sample_cameras(np.random.default_rng(0), 1, 16)]
    queries = MeshQueries(box)
    views = PosedViews(cameras=cameras, pictures=[render_mesh(queries, camera) for camera in cameras])
    rays = draw_rays(views, 60, np.random.default_rng(0))
    assert len(np.unique(rays.origins, axis=0)) == 2


def test_a_picture_has_a_ray_a_pixel_in_raster_order():
    (camera, *_) = fixed_cameras(6)
    origins, directions = picture_rays(camera)
    places = camera.project(origins + directions)
    rows, columns = np.indices((6, 6)) + 0.5
    np.testing.assert_allclose(places[:, 0], columns.ravel(), atol=1e-4)
    np.testing.assert_allclose(places[:, 1], rows.ravel(), atol=1e-4)
    np.testing.assert_allclose(places[:, 2], 1, atol=1e-5)


def test_fewer_views_than_are_wanted_are_refused(views):
    with pytest.raises(ConfigError) as caught:
        views.first(7)
    assert str(caught.value) == "num_views: 7; there are 6 pictures of the object"
    assert len(views.first(2).pictures) == 2
