"""Random streams that depend on names alone, never on the order or number of workers."""

import hashlib

import numpy as np


def make_generator(seed: int, *keys: str | int) -> np.random.Generator:
    """Return a generator that is a pure function of `seed` and `keys`.

    Two calls with equal arguments give equal streams in any process; any other key gives an
    independent stream. `make_generator(0, "scene", 17)` is scene 17's own stream, whichever worker
    draws it.
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(key).__name__}:{key}" for key in keys)])
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
