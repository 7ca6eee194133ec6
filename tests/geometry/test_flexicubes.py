"""FlexiCubes against a slow oracle; closed and manifold on anything; gradients, and what they can reach."""

import numpy as np
import pytest
import torch
import trimesh
from tests.oracles import dual_cubes as oracle

from trilingua.geometry import flexicubes
from trilingua.geometry.fields import Grid
from trilingua.geometry.flexicubes import extract_flexicubes, sign_loss, surface_cells


def ball(points):
    return (points - points.new_tensor([0.1, 0.0, -0.05])).norm(dim=-1) - 0.6


def torus(points):
    ring = points[..., :2].norm(dim=-1) - 0.55
    return torch.stack([ring, points[..., 2]], dim=-1).norm(dim=-1) - 0.25


def box(points):
    beyond = points.abs() - points.new_tensor([0.6, 0.45, 0.3])
    return beyond.clamp_min(0).norm(dim=-1) + beyond.amax(dim=-1).clamp_max(0)


def samples(grid):
    axis = grid.coordinates()
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)


def as_trimesh(surface):
    return trimesh.Trimesh(surface.vertices.detach().numpy(), surface.faces.numpy(), process=False)


def is_manifold_at_vertices(faces):
    """Whether the faces around each vertex make one fan: every neighbour is reached by walking over shared edges."""
    around = {}
    for face in faces.tolist():
        for i in range(3):
            around.setdefault(face[i], []).append((face[(i + 1) % 3], face[(i + 2) % 3]))
    for steps in around.values():
        following = dict(steps)
        if len(following) != len(steps):
            return False
        start = place = steps[0][0]
        for _ in steps[1:]:
            place = following[place]
            if place == start:
                return False
        if following[place] != start:
            return False
    return True


@pytest.mark.parametrize(("shape", "euler_number"), [(ball, 2), (torus, 0), (box, 2)])
@pytest.mark.parametrize("fans", [False, True])
def test_meshes_of_shapes_are_closed_and_near_the_surface(shape, euler_number, fans):
    grid = Grid(resolution=32)
    surface = extract_flexicubes(shape(samples(grid)), grid, fans=fans)
    mesh = as_trimesh(surface)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert mesh.euler_number == euler_number
    assert is_manifold_at_vertices(surface.faces)
    # Half a cell at the box's edges, which no dual vertex meets by chance; far less where it is smooth.
    limit = 0.5 * grid.spacing if shape is box else 0.1 * grid.spacing
    assert float(shape(surface.vertices).abs().max()) < limit


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("fans", [False, True])
def test_noise_gives_a_closed_manifold_too(seed, fans):
    grid = Grid(resolution=9)
    sdf, deformation = (
        torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for shape in ((10,) * 3, (10,) * 3 + (3,))
    )
    weights = torch.randn(len(surface_cells(sdf)), 21)
    surface = extract_flexicubes(sdf, grid, deformation=deformation, weights=weights, fans=fans)
    mesh = as_trimesh(surface)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert is_manifold_at_vertices(surface.faces)


def test_without_parting_sheets_noise_is_not_manifold(monkeypatch):
    tables = flexicubes._tables()
    monkeypatch.setattr(flexicubes, "_tables", lambda: tables._replace(pinched=torch.full((256,), -1)))
    sdf = torch.randn(10, 10, 10, generator=torch.Generator().manual_seed(0))
    assert not as_trimesh(extract_flexicubes(sdf, Grid(resolution=9))).is_watertight


@pytest.mark.parametrize("seed", range(3))
def test_vertices_and_deviations_equal_the_oracles(seed):
    grid = Grid(resolution=6, lower=-0.5, upper=1.0)
    generator = torch.Generator().manual_seed(seed)
    sdf = torch.randn(7, 7, 7, generator=generator)
    sdf[[0, -1]], sdf[:, [0, -1]], sdf[:, :, [0, -1]] = 0.5, 0.5, 0.5
    deformation = torch.randn(7, 7, 7, 3, generator=generator)
    cells = surface_cells(sdf)
    weights = torch.randn(len(cells), 21, generator=generator)
    made = extract_flexicubes(sdf, grid, deformation=deformation, weights=weights)

    row_of = {tuple(cell): row for row, cell in enumerate(cells.tolist())}
    places = (samples(grid) + grid.spacing / 2 * torch.tanh(deformation)).numpy().astype(np.float64)
    positive = 1 + 0.99 * np.tanh(weights.numpy().astype(np.float64))

    def edge_weight(cell, edge):
        i, j = sorted(edge)
        axis = next(axis for axis in range(3) if i[axis] != j[axis])
        u, v = (i[other] - cell[other] for other in range(3) if other != axis)
        return positive[row_of[cell], 4 * axis + u + 2 * v]

    def corner_weight(cell, corner):
        x, y, z = np.subtract(corner, cell)
        return positive[row_of[cell], 12 + x + 2 * y + 4 * z]

    expected = oracle.dual_vertices(sdf.numpy().astype(np.float64), places, edge_weight, corner_weight)
    assert len(made.vertices) == len(made.deviations) == len(expected) > 200
    ours = torch.cat([made.vertices, made.deviations[:, None]], dim=-1).numpy()
    theirs = np.array([[*vertex, deviation] for vertex, deviation in expected])
    distance = np.abs(ours[:, None] - theirs[None]).max(-1)
    assert distance.min(1).max() < 2e-4
    assert len(set(distance.argmin(1))) == len(theirs)


def test_gradients_equal_finite_differences():
    generator = torch.Generator().manual_seed(4)
    sdf = torch.randn(4, 4, 4, generator=generator, dtype=torch.float64)
    sdf = (sdf + 0.2 * sdf.sign()).requires_grad_()  # no sample changes sign by a small step
    num_cells = len(surface_cells(sdf))
    deformation = torch.randn(4, 4, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(num_cells, 21, generator=generator, dtype=torch.float64, requires_grad=True)
    pull = torch.randn(1000, 3, generator=generator, dtype=torch.float64)
    inner = torch.zeros(4, 4, 4, dtype=torch.bool)
    inner[1:-1, 1:-1, 1:-1] = True

    def figure(inner_sdf, deformation, weights):
        # Inside samples of the border are closed without a gradient, so only the others are varied.
        varied = torch.where(inner, inner_sdf, inner_sdf.detach())
        made = extract_flexicubes(varied, Grid(resolution=3), deformation=deformation, weights=weights, fans=True)
        return (made.vertices * pull[: len(made.vertices)]).sum() + made.deviations.sum()

    figure(sdf, deformation, weights).backward()
    steps = torch.Generator().manual_seed(5)
    for tensor in (sdf, deformation, weights):
        assert tensor.grad.abs().sum() > 0
        step = torch.randn(tensor.shape, generator=steps, dtype=torch.float64)
        if tensor is sdf:
            step = step * inner
        along = []
        for sign in (1, -1):
            moved = [
                other.detach() + sign * 1e-6 * step if other is tensor else other.detach()
                for other in (sdf, deformation, weights)
            ]
            along.append(float(figure(*moved)))
        assert float((tensor.grad * step).sum()) == pytest.approx((along[0] - along[1]) / 2e-6, rel=1e-4)


def test_gradients_are_finite_where_all_crossings_are_equally_far():
    # A single inside sample in a regular cell: distances from the vertex have no spread.
    sdf = torch.ones(5, 5, 5)
    sdf[2, 2, 2] = -1
    sdf.requires_grad_()
    made = extract_flexicubes(sdf, Grid(resolution=4), fans=True)
    (made.deviations.sum() + made.vertices.square().sum()).backward()
    assert sdf.grad.isfinite().all()
    assert float(made.deviations.detach().max()) < 1e-6


def test_steps_against_the_distance_turn_a_ball_into_a_box():
    grid = Grid(resolution=16)
    sdf = ball(samples(grid)).requires_grad_()
    deformation = torch.zeros(17, 17, 17, 3, requires_grad=True)
    weights = torch.zeros(16, 16, 16, 21, requires_grad=True)
    optimizer = torch.optim.Adam([sdf, deformation, weights], lr=0.01)
    distances = []
    for _ in range(60):
        cells = surface_cells(sdf.detach())
        surface = extract_flexicubes(sdf, grid, deformation=deformation, weights=weights[tuple(cells.T)], fans=True)
        distance = box(surface.vertices).abs().mean()
        optimizer.zero_grad()
        (distance + 0.1 * surface.deviations.mean() + 0.01 * sign_loss(sdf)).backward()
        assert all(float(tensor.grad.abs().sum()) > 0 for tensor in (sdf, deformation, weights))
        optimizer.step()
        distances.append(float(distance.detach()))
    assert distances[-1] < 0.15 * distances[0]
    assert as_trimesh(surface).is_watertight


def test_a_shape_that_leaves_the_grid_is_closed_within_it():
    grid = Grid(resolution=12)
    sdf = (samples(grid) - torch.tensor([0.7, 0.0, 0.0])).norm(dim=-1) - 0.8
    mesh = as_trimesh(extract_flexicubes(sdf, grid))
    assert mesh.is_watertight
    assert mesh.bounds[1, 0] <= 1
    assert as_trimesh(extract_flexicubes(-torch.ones(13, 13, 13), grid)).is_watertight


def test_no_inside_is_no_surface():
    grid = Grid(resolution=3)
    for fans in (False, True):
        surface = extract_flexicubes(torch.ones(4, 4, 4), grid, weights=torch.zeros(0, 21), fans=fans)
        assert surface.vertices.shape == surface.faces.shape == (0, 3)
    assert len(surface_cells(torch.ones(4, 4, 4))) == 0


def test_a_fan_leans_to_the_diagonal_along_which_quads_are_split():
    grid = Grid(resolution=8)
    sdf = ball(samples(grid))
    raw = torch.zeros(len(surface_cells(sdf)), 21)
    raw[:, 20] = torch.where(torch.arange(len(raw)) % 2 == 0, 9.0, -9.0)
    flat, fanned = (extract_flexicubes(sdf, grid, weights=raw, fans=fans) for fans in (False, True))
    assert len(flat.vertices) == len(raw)  # one sheet a cell, so vertices are numbered as cells are
    torch.testing.assert_close(fanned.vertices[: len(raw)], flat.vertices)
    corners = fanned.faces.reshape(-1, 4, 3)[:, :, 0]
    assert len(corners) == len(flat.faces) // 2
    weight = raw[:, 20].sigmoid()[corners]
    first, second = weight[:, 0] * weight[:, 2], weight[:, 1] * weight[:, 3]
    decided = torch.maximum(first, second) > 1000 * torch.minimum(first, second)
    assert (first > second)[decided].unique().tolist() == [False, True]
    diagonal = flat.vertices[flat.faces.reshape(-1, 6)[:, [0, 2]]]
    middles = fanned.vertices[len(raw) :]
    torch.testing.assert_close(middles[decided], diagonal.mean(1)[decided], atol=1e-3, rtol=0)


def test_sign_loss_equals_the_oracle_and_is_0_without_a_crossing():
    sdf = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(2))
    assert float(sign_loss(sdf)) == pytest.approx(oracle.sign_loss(sdf.numpy().astype(np.float64)), rel=1e-5)
    assert float(sign_loss(sdf.abs() + 1)) == 0


def test_sign_loss_removes_a_floating_sample():
    sdf = torch.full((5, 5, 5), 0.5)
    sdf[2, 2, 2] = -0.1
    sdf.requires_grad_()
    sign_loss(sdf).backward()
    assert float(sdf.grad[2, 2, 2]) < 0  # a step against the gradient raises it to the outside
