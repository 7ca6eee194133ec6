"""Where tokens stand: one after the other, but for ids that have a place of their own.

Rotary attention sees how far two tokens are from each other and nothing else. If a segment opens at the same
position wherever it stands in its sequence, what corresponds to each other lies at a distance that never
changes, and looking it up is as easy to learn as looking at the token before. Knows ids alone.
"""

from collections.abc import Iterable, Mapping


def count_positions(ids: Iterable[int], places: Mapping[int, int], *, last: int = -1) -> list[int]:
    """Return the position of each id.

    Args:
        ids: what is read.
        places: ids that have a position of their own; every other stands one after the id before it.
        last: position of the id before the first; -1 at the start of a sequence.
    """
    positions = []
    for token in ids:
        last = places.get(token, last + 1)
        positions.append(last)
    return positions
