"""Ray casting of CLEVR's solids by marching along signed distances: slow, and with no formula of the renderer's."""

import numpy as np


def distance_to_solid(shape, size, angle_degrees, center, points):
    """Signed distance of points to a solid; angles turn anticlockwise seen from above."""
    local = points - center
    turn = np.radians(angle_degrees)
    x = np.cos(turn) * local[:, 0] + np.sin(turn) * local[:, 1]
    y = -np.sin(turn) * local[:, 0] + np.cos(turn) * local[:, 1]
    z = local[:, 2]
    if shape == "sphere":
        return np.linalg.norm(local, axis=1) - size
    if shape == "cylinder":
        excess = np.stack([np.hypot(x, y) - size, np.abs(z) - size], axis=1)
    else:
        excess = np.abs(np.stack([x, y, z], axis=1)) - size
    return np.minimum(excess.max(axis=1), 0) + np.linalg.norm(np.maximum(excess, 0), axis=1)


def cast(solids, camera, steps=300):
    """Return the index of the first solid that each pixel's centre sees, -1 for none, and its depth."""
    rows, columns = np.indices((camera.height, camera.width)) + 0.5
    x = (columns - camera.width / 2) / camera.focal_length
    y = (camera.height / 2 - rows) / camera.focal_length
    rays = np.stack([x, y, -np.ones_like(x)], axis=-1).reshape(-1, 3) @ camera.rotation.T
    lengths = np.linalg.norm(rays, axis=1)
    rays = rays / lengths[:, None]
    travelled = np.zeros(len(rays))
    nearest = np.zeros(len(rays), int)
    active = np.arange(len(rays))
    for _ in range(steps):
        points = camera.position + travelled[active, None] * rays[active]
        distances = np.stack([distance_to_solid(*solid, points) for solid in solids])
        travelled[active] += distances.min(axis=0)
        nearest[active] = distances.argmin(axis=0)
        active = active[(distances.min(axis=0) > 1e-6) & (travelled[active] < 50.0)]
    index = np.where(travelled < 50.0, nearest, -1)
    depth = travelled / lengths
    return index.reshape(rows.shape), depth.reshape(rows.shape)
