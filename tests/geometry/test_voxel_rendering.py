"""Pictures of volumes: those of a slow oracle, of geometry, and gradients of all that is seen."""

import math

import numpy as np
import pytest
import torch
from tests.geometry.solids import ball, cube
from tests.oracles.seen_volumes import see

from trilingua.geometry.mesh_pictures import camera_around, camera_rays, render_mesh
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.voxel_rendering import CUBE_RADIUS, Rays, parallel_rays, render_volume
from trilingua.geometry.voxels import voxelize


def random_rays(count, seed=0):
    """Rays from around the cube towards it, some of which miss it, with directions of several lengths."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(1, count, 3, generator=generator, dtype=torch.float64), dim=-1)
    targets = torch.rand(1, count, 3, generator=generator, dtype=torch.float64) * 3 - 1.5
    return Rays(3 * origins, (targets - 3 * origins) * torch.linspace(0.2, 2, count, dtype=torch.float64)[:, None])


def random_volume(size=4, channels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(1, size, size, size, generator=generator, dtype=torch.float64) * 3
    return density, torch.randn(1, channels, size, size, size, generator=generator, dtype=torch.float64)


def test_rays_see_what_the_oracle_sees():
    density, values = random_volume()
    density[density < 1.5] = 0
    rays = random_rays(24)
    axes = torch.eye(3, dtype=torch.float64)[None]
    rays = Rays(torch.cat([rays.origins, -2 * axes + 0.1], dim=1), torch.cat([rays.directions, axes], dim=1))
    picture = render_volume(density, values, rays, num_samples=7)
    for number in range(27):
        silhouette, depth, seen = see(
            density[0].numpy(), values[0].numpy(), rays.origins[0, number].tolist(),
            rays.directions[0, number].tolist(), 7,
        )  # fmt: skip
        assert picture.silhouette[0, number].item() == pytest.approx(silhouette, abs=1e-9)
        assert picture.depth[0, number].item() == pytest.approx(depth, abs=1e-9)
        np.testing.assert_allclose(picture.values[0, number].numpy(), seen, atol=1e-6)
    assert (picture.silhouette == 0).any()


def test_gradients_are_those_of_finite_differences():
    density, values = random_volume(size=3)
    rays = random_rays(5, seed=2)
    directions = torch.randn(1, 3, dtype=torch.float64)

    def pictures(density, values):
        together = Rays(*(torch.cat(pair, 1) for pair in zip(rays, parallel_rays(directions, size=2), strict=True)))
        return tuple(render_volume(density, values, together, num_samples=5))

    inputs = ((density + 0.1).requires_grad_(), values.requires_grad_())
    assert torch.autograd.gradcheck(pictures, inputs)


def solid_cube(size=32, half=0.5):
    """A cube of great density, whose faces lie between cells."""
    middles = (torch.arange(size) + 0.5) / size * 2 - 1
    within = middles.abs() < half
    inside = within[:, None, None] & within[:, None] & within
    return inside[None].float() * 400


def test_a_cube_is_as_far_and_as_large_as_it_is():
    density = solid_cube()
    middles = (torch.arange(32) + 0.5) / 16 - 1
    values = torch.stack(torch.meshgrid(middles, middles, middles, indexing="ij"))[None]
    for axis in range(3):
        for sign in (-1.0, 1.0):
            direction = torch.zeros(1, 3)
            direction[0, axis] = sign
            picture = render_volume(density, values, parallel_rays(direction, size=24, half_width=1.0), num_samples=128)
            shown = picture.silhouette > 0.5
            assert 12**2 <= int(shown.sum()) <= 14**2  # a square of side 1, whose edge fades over half a cell
            sure = picture.silhouette > 0.999
            assert int(sure.sum()) >= 10**2
            # The near face is half a unit before the middle; light ends within a cell of it.
            torch.testing.assert_close(
                picture.depth[sure], torch.full_like(picture.depth[sure], CUBE_RADIUS - 0.5), rtol=0, atol=1 / 16
            )
            near_face = picture.values[..., axis][sure]
            torch.testing.assert_close(near_face, torch.full_like(near_face, -0.5 * sign), rtol=0, atol=1 / 16)


def test_pictures_are_upright_and_not_mirrored():
    """Seen along +y, as from the front, +x is to the right and +z up."""
    density = torch.zeros(1, 4, 4, 4)
    density[0, 3, 2, 3] = 20
    picture = render_volume(
        density, density[:, None], parallel_rays(torch.tensor([[0.0, 1, 0]]), size=8, half_width=1.0), num_samples=32
    )
    rows, columns = np.nonzero(picture.silhouette.reshape(8, 8).numpy() > 0.9)
    assert (rows.mean(), columns.mean()) == (0.5, 6.5)
    # Straight down, +y is up.
    picture = render_volume(
        density, density[:, None], parallel_rays(torch.tensor([[0.0, 0, -1]]), size=8, half_width=1.0), num_samples=32
    )
    rows, columns = np.nonzero(picture.silhouette.reshape(8, 8).numpy() > 0.9)
    assert (rows.mean(), columns.mean()) == (2.5, 6.5)


def test_rays_of_views_are_unit_parallel_and_begin_before_the_cube():
    directions = torch.randn(5, 3, dtype=torch.float64)
    rays = parallel_rays(directions, size=6)
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(5, 36, dtype=torch.float64))
    forward = rays.directions[:, :1]
    torch.testing.assert_close(
        (rays.origins * forward).sum(dim=-1), torch.full((5, 36), -CUBE_RADIUS, dtype=torch.float64)
    )
    gaps = (rays.origins[:, 1:6] - rays.origins[:, :5]).norm(dim=-1)
    torch.testing.assert_close(gaps, torch.full_like(gaps, 2 * CUBE_RADIUS / 6))


@pytest.mark.parametrize("solid", [ball(0.8), cube(0.6)], ids=["ball", "cube"])
def test_voxels_seen_by_a_camera_look_as_their_mesh_does(solid):
    queries = MeshQueries(solid)
    grid = torch.from_numpy(voxelize(queries, 64).dense())
    camera = camera_around(math.radians(-60), math.radians(28), size=32)
    truth = render_mesh(queries, camera, samples_per_side=1)
    rows, columns = np.indices((32, 32)) + 0.5
    directions = torch.from_numpy(camera_rays(camera, columns, rows).reshape(1, -1, 3)).float()
    origins = torch.from_numpy(camera.position).float().expand_as(directions)
    picture = render_volume(
        grid[None, ..., 8] * 256, grid[None, ..., 1:4].movedim(-1, 1), Rays(origins, directions), num_samples=256
    )
    silhouette = picture.silhouette.reshape(32, 32)
    shown = torch.from_numpy(truth.depth) > 0
    assert ((silhouette > 0.5) != shown).float().mean() < 0.04
    sure = shown & (silhouette > 0.99)
    assert sure.sum() > 0.8 * shown.sum()
    depth = picture.depth.reshape(32, 32)[sure] - torch.from_numpy(truth.depth)[sure]
    assert depth.abs().median() < 1.5 / 32
    cosines = (picture.values.reshape(32, 32, 3)[sure] * torch.from_numpy(truth.normals)[sure]).sum(dim=-1)
    assert cosines.median() > 0.9
