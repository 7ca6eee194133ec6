"""What is drawn of an object is a function of seed, epoch and object; places keep their distances and their kinds."""

import numpy as np
import pytest
import torch

from trilingua.core.errors import ConfigError
from trilingua.data.shapes.files import ShapeFolder
from trilingua.data.shapes.streams import ShapeStream
from trilingua.geometry.mesh_queries import MeshQueries


def read(folder, index, generator):
    points = folder.points(index).points
    return points[:16] if generator is None else points[generator.permutation(len(points))[:16]]


def stream(folder, **changes):
    arguments = {"batch_size": 2, "num_uniform": 20, "num_near": 12, "seed": 4} | changes
    return ShapeStream(ShapeFolder(folder), read, **arguments)


def test_parts_are_read_as_the_whole_is(shape_folder):
    folder = ShapeFolder(shape_folder)
    whole = folder.arrays(3)
    for part, again in zip((*folder.points(3), *folder.distances(3)), (*whole.points, *whole.distances), strict=True):
        assert part.dtype == again.dtype
        np.testing.assert_array_equal(part, again)


def test_views_are_read_as_the_whole_is(shape_folder):
    folder = ShapeFolder(shape_folder)
    whole, views = folder.arrays(3), folder.views(3)
    assert len(views.cameras) == len(views.pictures) == 7
    for camera, again in zip(whole.cameras, views.cameras, strict=True):
        np.testing.assert_array_equal(camera.world_from_camera, again.world_from_camera)
    for picture, again in zip(whole.pictures, views.pictures, strict=True):
        np.testing.assert_array_equal(picture.image, again.image)
        np.testing.assert_array_equal(picture.depth, again.depth)


def test_rays_end_on_the_surface_and_depend_on_seed_epoch_and_object_alone(shape_folder):
    first = stream(shape_folder, num_rays=20).make([2, 6], epoch=1)
    again = stream(shape_folder, num_rays=20).make([6, 2], epoch=1)
    assert [part.shape[:2] for part in first.rays] == [(2, 20)] * 5
    for part, other in zip(first.rays, again.rays, strict=True):
        assert torch.equal(part, other.flip(0))
    assert not torch.equal(first.rays.depths, stream(shape_folder, num_rays=20).make([2, 6], epoch=2).rays.depths)
    plain = stream(shape_folder).make([2, 6], epoch=1)
    assert plain.rays is None
    assert torch.equal(plain.places, first.places)  # rays are drawn apart, and change nothing else
    for row, index in enumerate((2, 6)):
        rays = [part[row].numpy() for part in first.rays]
        ends = (rays[0] + rays[3][:, None] * rays[1])[rays[3] > 0]
        assert np.abs(MeshQueries(ShapeFolder(shape_folder).arrays(index).mesh).distance(ends)).max() < 1e-3


def test_places_are_those_that_were_measured(shape_folder):
    folder = ShapeFolder(shape_folder)
    batch = stream(shape_folder).make([5, 1], epoch=0)
    assert batch.inputs.shape == (2, 16, 3)
    for row, index in enumerate((5, 1)):
        known = folder.distances(index)
        places = {tuple(place): number for number, place in enumerate(known.points.tolist())}
        numbers = [places[tuple(place)] for place in batch.places[row].tolist()]
        assert len(set(numbers)) == 32
        assert max(numbers[:20]) < 256 <= min(numbers[20:])
        np.testing.assert_array_equal(batch.distances[row].numpy(), known.distances[numbers])


def test_batches_depend_on_seed_epoch_and_object_alone(shape_folder):
    one = stream(shape_folder)
    first, again = one.make([2, 6], epoch=1), stream(shape_folder).make([6, 2], epoch=1)
    for part, other in zip(first[:3], again[:3], strict=True):
        assert torch.equal(part, other.flip(0))
    assert not torch.equal(first.places, one.make([2, 6], epoch=2).places)
    assert not torch.equal(first.inputs, stream(shape_folder, seed=5).make([2, 6], epoch=1).inputs)
    held_out = one.held_out([2, 6])
    assert held_out.places.shape == (2, 512, 3)
    for part, other in zip(held_out[:3], stream(shape_folder, seed=9).held_out([2, 6])[:3], strict=True):
        assert torch.equal(part, other)


def test_more_places_than_there_are_are_refused(shape_folder):
    with pytest.raises(ConfigError) as caught:
        stream(shape_folder, num_near=257)
    assert str(caught.value) == f"num_near: 257; {shape_folder} holds 256 such places of each object"
