"""Vector quantization one vector at a time, in double precision."""

import numpy as np


def unit(vector):
    return vector / np.sqrt((vector**2).sum())


def nearest(vector, codebook):
    distances = [((unit(vector) - code) ** 2).sum() for code in codebook]
    return int(np.argmin(distances))


def follow(inputs, codebook, counts, decay, count_decay):
    """One training step without revival: new codebook, new average counts."""
    inputs, codebook, counts = (np.asarray(array, dtype=np.float64).copy() for array in (inputs, codebook, counts))
    chosen = [nearest(vector, codebook) for vector in inputs]
    new_codebook, new_counts = codebook.copy(), counts.copy()
    for code in range(len(codebook)):
        own = [unit(vector) for vector, index in zip(inputs, chosen, strict=True) if index == code]
        new_counts[code] = count_decay * counts[code] + (1 - count_decay) * len(own)
        if own:
            new_codebook[code] = unit(decay * counts[code] * codebook[code] + (1 - decay) * np.sum(own, axis=0))
    return new_codebook, new_counts
