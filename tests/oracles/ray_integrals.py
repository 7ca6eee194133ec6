"""What a ray gathers, one sample at a time; by the definitions, with loops."""

import math


def gather(densities, colors, depths, length, background, far):
    """Colour, alpha and depth of one ray, from lists along it."""
    through = 1.0
    color, depth = [0.0, 0.0, 0.0], 0.0
    for index in range(len(depths) - 1):
        density = (densities[index] + densities[index + 1]) / 2
        stopped = 1 - math.exp(-density * (depths[index + 1] - depths[index]) * length)
        for channel in range(3):
            mean = (colors[index][channel] + colors[index + 1][channel]) / 2
            color[channel] += through * stopped * mean
        depth += through * stopped * (depths[index] + depths[index + 1]) / 2
        through *= 1 - stopped
    return [c + through * b for c, b in zip(color, background, strict=True)], 1 - through, depth + through * far


def cube_span(origin, direction, steps=200_000, limit=10.0):
    """First and last depth at which a ray is in [-1, 1]^3, by walking along it; None if it never is."""
    inside = [
        index * limit / steps
        for index in range(steps)
        if all(abs(o + index * limit / steps * d) <= 1 for o, d in zip(origin, direction, strict=True))
    ]
    return (inside[0], inside[-1]) if inside else None
