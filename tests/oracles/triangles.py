"""Distances, winding numbers and ray hits by looking at every triangle: slow and obvious, in float64."""

import numpy as np
import trimesh


def winding_numbers(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Sum of the solid angles of all triangles over 4 pi. Source: van Oosterom and Strackee 1983."""
    a, b, c = (triangles[None, :, corner] - points[:, None] for corner in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    top = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
    low = (
        la * lb * lc
        + np.einsum("pfi,pfi->pf", a, b) * lc
        + np.einsum("pfi,pfi->pf", b, c) * la
        + np.einsum("pfi,pfi->pf", c, a) * lb
    )
    return (2 * np.arctan2(top, low)).sum(axis=1) / (4 * np.pi)


def closest_points(triangles: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to, and place of, the nearest point of any triangle."""
    places = np.stack(
        [trimesh.triangles.closest_point(triangles, np.tile(point, (len(triangles), 1))) for point in points]
    )
    distances = np.linalg.norm(places - points[:, None], axis=-1)
    best = distances.argmin(axis=1)
    rows = np.arange(len(points))
    return distances[rows, best], places[rows, best]


def first_hits(triangles: np.ndarray, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance along each ray to the first triangle, and its index; infinite and -1 for none."""
    distances = np.full(len(origins), np.inf)
    faces = np.full(len(origins), -1)
    for ray, (origin, direction) in enumerate(zip(origins, directions, strict=True)):
        for index, (a, b, c) in enumerate(triangles):
            matrix = np.stack([b - a, c - a, -direction], axis=1)
            if abs(np.linalg.det(matrix)) < 1e-14:
                continue
            u, v, t = np.linalg.solve(matrix, origin - a)
            if u >= 0 and v >= 0 and u + v <= 1 and 0 < t < distances[ray]:
                distances[ray], faces[ray] = t, index
    return distances, faces
