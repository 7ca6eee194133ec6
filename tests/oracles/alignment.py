"""The order of an edited scene's objects, found by trying every order."""

import itertools


def facts(item):
    return item.size, item.color, item.material, item.shape, item.location


def best_orders(source, target):
    """Return every order of the target's objects that changes least about the source's, which are in order."""
    before = [facts(item) for item in source]
    after = [facts(item) for item in target]
    if len(after) < len(before):  # what is left, with nothing else out of its place
        return [
            [before[index] for index in kept]
            for kept in itertools.combinations(range(len(before)), len(after))
            if sorted(before[index] for index in kept) == sorted(after)
        ]
    costs = {}
    for order in itertools.permutations(after):
        pairs = zip(before, order, strict=False)  # a new object behind the others is compared with nothing
        costs[order] = sum(a != b for one, other in pairs for a, b in zip(one, other, strict=True))
    return [list(order) for order, cost in costs.items() if cost == min(costs.values())]
