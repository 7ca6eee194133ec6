"""Resampling and multi-scale residual quantization one number at a time, in double precision. Channels come last."""

import itertools
import math

import numpy as np
from tests.oracles import vq


def area(x, size):
    """Mean over the cells that each of `size` equal stretches touches, along every axis but the last."""
    for axis in range(x.ndim - 1):
        length = x.shape[axis]
        cuts = [
            np.take(x, range(i * length // size, math.ceil((i + 1) * length / size)), axis).mean(axis)
            for i in range(size)
        ]
        x = np.stack(cuts, axis)
    return x


def cubic(t, a=-0.75):
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def interpolate(x, size, kernel):
    """Values between cells' centres, along every axis but the last; the border's cells go on beyond it."""
    for axis in range(x.ndim - 1):
        length, rows = x.shape[axis], []
        for i in range(size):
            place = (i + 0.5) * length / size - 0.5
            if kernel == "linear":
                place, weigh = max(place, 0.0), lambda t: max(0.0, 1 - abs(t))
            else:
                weigh = cubic
            row = 0.0
            for near in range(math.floor(place) - 1, math.floor(place) + 3):
                row = row + weigh(place - near) * np.take(x, min(max(near, 0), length - 1), axis)
            rows.append(row)
        x = np.stack(rows, axis)
    return x


def refine(x, weight, share):
    """Cross-correlation with a kernel of width 3, padded by zeros, mixed with its input. weight: (out, in, 3 ...)."""
    mixed = np.zeros_like(x)
    spots = list(itertools.product(*(range(length) for length in x.shape[:-1])))
    for spot in spots:
        for shift in itertools.product(range(3), repeat=x.ndim - 1):
            near = tuple(place + step - 1 for place, step in zip(spot, shift, strict=True))
            if all(0 <= place < length for place, length in zip(near, x.shape[:-1], strict=True)):
                mixed[spot] += weight[(slice(None), slice(None), *shift)] @ x[near]
    return (1 - share) * x + share * mixed


def quantize(latents, sizes, codebook, gains, kernel, weights, share):
    """Codes and running sums of one object's one grid. weights: a kernel for each scale, or None."""
    full, total = latents.shape[0], np.zeros_like(latents)
    codes, sums = [], []
    for scale, size in enumerate(sizes):
        left = latents - total
        small = left if size == full else area(left, size)
        chosen = np.array([vq.nearest(vector, codebook) for vector in small.reshape(-1, small.shape[-1])])
        vectors = codebook[chosen].reshape(small.shape)
        step = vectors if size == full else interpolate(vectors, full, kernel)
        if weights is not None:
            step = refine(step, weights[scale], share)
        total = total + gains[scale] * step
        codes.append(chosen.reshape(small.shape[:-1]))
        sums.append(total)
    return codes, sums
