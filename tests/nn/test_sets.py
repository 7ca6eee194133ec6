"""Features of points by their formula, points that cover a set, attention by the framework's; order does not matter."""

import torch
import torch.nn.functional as F

from trilingua.nn.sets import CrossBlock, farthest_points, fourier_dim, fourier_features


def test_features_are_sines_and_cosines_of_doubled_coordinates():
    points = torch.rand(2, 5, 3) * 2 - 1
    found = fourier_features(points, 3)
    parts = [points]
    parts += [torch.sin(points * power) for power in (1, 2, 4)]
    parts += [torch.cos(points * power) for power in (1, 2, 4)]
    torch.testing.assert_close(found, torch.cat(parts, dim=-1))
    assert found.shape[-1] == fourier_dim(3)
    assert torch.equal(fourier_features(points, 0), points)


def slow_farthest(points, count):
    chosen = [max(range(len(points)), key=lambda index: float(points[index].norm()))]
    while len(chosen) < count:
        chosen.append(
            max(range(len(points)), key=lambda index: min(float((points[index] - points[i]).norm()) for i in chosen))
        )
    return chosen


def test_farthest_points_are_those_of_the_slow_search_in_any_order():
    points = torch.rand(3, 30, 3) * 2 - 1
    found = farthest_points(points, 7)
    assert found.tolist() == [slow_farthest(some, 7) for some in points]
    order = torch.randperm(30)
    again = farthest_points(points[:, order], 7)
    assert torch.equal(order[again], found)
    assert sorted(farthest_points(points, 30)[0].tolist()) == list(range(30))


def test_cross_attention_is_the_frameworks_and_forgets_the_order_of_its_context():
    block = CrossBlock(128).double()
    torch.nn.init.normal_(block.down.weight, std=0.1)
    queries, context = torch.randn(2, 3, 128).double(), torch.randn(2, 9, 128).double()
    found = block(queries, context)

    def heads(x):
        return x.unflatten(-1, (2, 64)).transpose(1, 2)

    key, value = block.key_value(block.context_norm(context)).chunk(2, dim=-1)
    mixed = F.scaled_dot_product_attention(heads(block.query(block.query_norm(queries))), heads(key), heads(value))
    x = queries + block.out(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(found, x + block.down(F.relu(block.up(block.mlp_norm(x))) ** 2))
    torch.testing.assert_close(block(queries, context[:, torch.randperm(9)]), found)
