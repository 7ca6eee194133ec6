"""Places of tokens, and attention that fades with the distance between them."""

import torch

from trilingua.nn.patches import PatchBlock
from trilingua.nn.places import FASTEST, SLOWEST, DistanceFade, embed_places, spread_places, squared_distances
from trilingua.nn.sets import CrossBlock
from trilingua.nn.triplanes import PLANES, PlanePlaces, sample_triplanes


def test_places_fill_the_cube_and_neighbours_in_the_row_are_near():
    places = spread_places(256)
    assert places.shape == (256, 3)
    torch.testing.assert_close(spread_places(256), places, rtol=0, atol=0)
    assert places.min() >= -1
    assert places.max() <= 1
    octants = ((places >= 0) * torch.tensor([1, 2, 4])).sum(dim=1)
    assert octants.bincount().tolist() == [32] * 8
    distances = torch.cdist(places, places)
    steps = distances.diagonal(offset=1)
    assert steps.mean() < 0.5 * distances.mean()
    # Eight equal runs of the row are the eight halves of halves of halves of the cube.
    assert (octants.view(8, 32) == octants.view(8, 32)[:, :1]).all()


def test_distances_are_those_of_the_slow_loop():
    torch.manual_seed(0)
    places, others = torch.rand(5, 3) * 2 - 1, torch.rand(2, 7, 3) * 2 - 1
    axes, other_axes = (torch.rand(5, 3) > 0.4).float(), (torch.rand(7, 3) > 0.4).float()
    with torch.autocast("cpu", torch.bfloat16):
        plain = squared_distances(places, others)
        along = squared_distances(places, others, axes, other_axes)
    for batch in range(2):
        for i in range(5):
            for j in range(7):
                parts = (places[i] - others[batch, j]) ** 2
                torch.testing.assert_close(plain[batch, i, j], parts.sum(), atol=1e-5, rtol=1e-5)
                counted = (parts * axes[i] * other_axes[j]).sum()
                torch.testing.assert_close(along[batch, i, j], counted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(squared_distances(others, places), plain.transpose(1, 2))


def test_tokens_of_planes_stand_where_their_samples_are_read():
    side = 4
    standing = PlanePlaces(side)
    places, axes = standing.places, standing.axes
    assert axes.sum(dim=1).tolist() == [2.0] * 48
    planes = torch.arange(3 * side * side).view(1, 3, 1, side, side).float()
    found = sample_triplanes(planes, places[None])[0]
    for plane, spanned in enumerate(PLANES):
        own = slice(plane * side**2, (plane + 1) * side**2)
        torch.testing.assert_close(found[own, plane], torch.arange(own.start, own.stop).float())
        assert axes[own][:, list(spanned)].all()
    fade, points = DistanceFade(2), torch.rand(2, 5, 3) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(standing.among(fade), fade(places, places, axes, axes))
        torch.testing.assert_close(standing.towards(points, fade), fade(places, points, axes))


def test_near_tokens_begin_alike():
    torch.manual_seed(0)
    places = spread_places(128)
    vectors = torch.nn.functional.normalize(embed_places(places, 64), dim=1)
    alike, distances = vectors @ vectors.T, torch.cdist(places, places)
    assert alike[(distances < 0.3) & (distances > 0)].mean() > alike[distances > 1].mean() + 0.1


@torch.no_grad()
def test_heads_fade_at_rates_of_their_own_and_far_ones_are_not_seen():
    torch.manual_seed(0)
    fade = DistanceFade(2)
    places, others = torch.rand(3, 4, 3) * 2 - 1, torch.rand(3, 5, 3) * 2 - 1
    squared = torch.cdist(places, others).square()
    torch.testing.assert_close(fade(places, others), torch.stack([-SLOWEST * squared, -FASTEST * squared], dim=1))
    axes = torch.tensor([1.0, 0, 1]).expand(4, 3)
    torch.testing.assert_close(
        fade(places, others, axes)[:, 0], -SLOWEST * torch.cdist(places[..., ::2], others[..., ::2]).square()
    )
    block, reader = PatchBlock(128, 2, 256), CrossBlock(128)
    torch.nn.init.normal_(block.out.weight, std=0.1)
    x, near = torch.randn(1, 5, 128), torch.zeros(5, 3)
    near[4] = 1e3
    changed = x.clone()
    changed[:, 4] = torch.randn(128)
    bias = fade(near, near)
    torch.testing.assert_close(block(changed, bias)[:, :4], block(x, bias)[:, :4])
    torch.testing.assert_close(reader(x[:, :4], changed, bias[:, :4]), reader(x[:, :4], x, bias[:, :4]))
    assert not torch.allclose(block(changed)[:, :4], block(x)[:, :4])
    torch.testing.assert_close(block(x, torch.zeros(2, 5, 5)), block(x))
    torch.testing.assert_close(reader(x, x, torch.zeros(2, 5, 5)), reader(x, x))
