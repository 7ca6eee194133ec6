"""The stream of batches, drawn scene by scene: each into the fullest row with room, until one fits nowhere."""

from trilingua.core.random import make_generator


def batches_of(shards, builder, *, seed, count):
    """Return for each of the first batches its rows of (number of the scene, tree), and the number after it."""
    found, number = [], 0
    for _ in range(count):
        rows = [[] for _ in range(builder.config.rows_per_batch)]
        while True:
            epoch, place = number // len(shards), number % len(shards)
            order = make_generator(seed, "order", epoch).permutation(len(shards))
            tree, _ = builder.tree(shards[int(order[place])], make_generator(seed, "sequences", number))
            room = [builder.config.row_length - sum(len(other.ids) for _, other in row) for row in rows]
            fitting = sorted((left, row) for row, left in enumerate(room) if left >= len(tree.ids))
            if not fitting:
                break
            rows[fitting[0][1]].append((int(order[place]), tree))
            number += 1
        found.append((rows, number))
    return found
