"""What rays see of a volume, ray by ray and sample by sample, with scipy's interpolation: slow, in plain numbers."""

import math

import numpy as np
from scipy.ndimage import map_coordinates


def look_up(volume, point):
    """Return what a cubic volume over [-1, 1]^3 holds at a point; zeros lie around it."""
    place = [[(coordinate + 1) / 2 * len(volume) - 0.5] for coordinate in point]
    return float(map_coordinates(volume, place, order=1, mode="grid-constant", cval=0.0)[0])


def see(density, values, origin, direction, num_samples):
    """Return silhouette, depth and values of one ray; values (channel, x, y, z)."""
    near, far = 0.0, math.inf
    for axis in range(3):
        if direction[axis] == 0:
            if abs(origin[axis]) > 1:
                return 0.0, 0.0, np.zeros(len(values))
            continue
        ends = sorted(((side - origin[axis]) / direction[axis]) for side in (-1, 1))
        near, far = max(near, ends[0]), min(far, ends[1])
    silhouette, depth, seen = 0.0, 0.0, np.zeros(len(values))
    if far <= near:
        return silhouette, depth, seen
    light = 1.0
    stretch = (far - near) / num_samples
    for number in range(num_samples):
        distance = near + (number + 0.5) * stretch
        point = np.array(origin) + distance * np.array(direction)
        there = look_up(density, point)
        stopped = light * (1 - math.exp(-there * stretch * float(np.linalg.norm(direction))))
        light -= stopped
        silhouette += stopped
        depth += stopped * distance
        if there > 0:
            seen += stopped * np.array([look_up(density * channel, point) for channel in values]) / there
    return silhouette, depth, seen
