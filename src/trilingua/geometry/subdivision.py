"""Splitting the triangles of a mesh without opening it: along planes, and until no edge is too long.

An edge is split at a point that depends on the edge alone, so the triangles on both sides split it at the same
point, and a closed mesh stays closed. Corners may carry further numbers (such as texture coordinates), which are
blended along the edge. Knows no colours and no files.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_MAX_ROUNDS = 16


class Subdivided(NamedTuple):
    """Triangles after splitting."""

    corners: Float[np.ndarray, "vertex channel"]
    """Coordinates of the corners and what they carry; the given ones come first."""
    faces: Int[np.ndarray, "face 3"]
    parents: Int[np.ndarray, " face"]
    """Which given triangle each one is a part of."""


def split_along_plane(
    corners: Float[np.ndarray, "vertex channel"],
    faces: Int[np.ndarray, "face 3"],
    heights: Float[np.ndarray, " vertex"],
    among: Bool[np.ndarray, " face"],
) -> Subdivided:
    """Return the mesh with triangles split where they cross the plane, so that none lies on both sides.

    Args:
        corners: coordinates of the corners, and further numbers that are blended.
        faces: triangles.
        heights: signed distance of each corner from the plane, in any unit.
        among: triangles to split; their neighbours are split along shared edges.
    """
    edges, of_face = _edges(faces)
    first, second = heights[edges[:, 0]], heights[edges[:, 1]]
    crossing = (first * second < 0) & _touched(of_face, among, len(edges))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(crossing, first / (first - second), 0.5)
    return _split(corners, faces, edges, of_face, crossing, shares)


def split_long_edges(
    corners: Float[np.ndarray, "vertex channel"],
    faces: Int[np.ndarray, "face 3"],
    longest: float,
    *,
    among: Bool[np.ndarray, " face"],
    max_faces: int,
) -> Subdivided:
    """Return the mesh with edges halved until none of the chosen triangles has one longer than `longest`.

    Args:
        corners: coordinates of the corners, and further numbers that are blended.
        faces: triangles.
        longest: allowed length of an edge, in the coordinates' unit.
        among: triangles whose edges are to be short.
        max_faces: splitting ends before the mesh has more triangles than this.
    """
    done = Subdivided(corners, faces, np.arange(len(faces)))
    for _ in range(_MAX_ROUNDS if among.any() else 0):
        edges, of_face = _edges(done.faces)
        ends = done.corners[edges, :3]
        long = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) > longest
        long &= _touched(of_face, among[done.parents], len(edges))
        if not long.any() or len(done.faces) + int(long[of_face].sum()) > max_faces:
            break
        finer = _split(done.corners, done.faces, edges, of_face, long, np.full(len(edges), 0.5))
        done = Subdivided(finer.corners, finer.faces, done.parents[finer.parents])
    return done


def _edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges, smaller corner first, and for each triangle the edges behind its three corners."""
    pairs = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    pairs.sort(axis=1)
    keys = pairs[:, 0].astype(np.int64) * (int(faces.max()) + 1) + pairs[:, 1]
    _, index, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return pairs[index], inverse.reshape(-1, 3)


def _touched(of_face: np.ndarray, among: np.ndarray, num_edges: int) -> np.ndarray:
    touched = np.zeros(num_edges, bool)
    touched[of_face[among]] = True
    return touched


def _split(
    corners: np.ndarray,
    faces: np.ndarray,
    edges: np.ndarray,
    of_face: np.ndarray,
    marked: np.ndarray,
    shares: np.ndarray,
) -> Subdivided:
    """Split the marked edges at `shares` of the way from their smaller corner, and triangles accordingly."""
    new_index = np.full(len(edges), -1)
    new_index[marked] = len(corners) + np.arange(int(marked.sum()))
    start, end = corners[edges[marked, 0]], corners[edges[marked, 1]]
    share = shares[marked, None]
    corners = np.concatenate([corners, (1 - share) * start + share * end])
    middles = new_index[of_face]
    cut = middles >= 0
    count = cut.sum(axis=1)
    # Turned so that the first edge is cut when one is, and the last edge is whole when two are cut.
    turn = np.where(count == 1, cut.argmax(axis=1), np.where(count == 2, (~cut).argmax(axis=1) + 1, 0)) % 3
    order = (np.arange(3) + turn[:, None]) % 3
    a, b, c = np.take_along_axis(faces, order, axis=1).T
    ab, bc, ca = np.take_along_axis(middles, order, axis=1).T
    parts = {
        0: [(a, b, c)],
        1: [(a, ab, c), (ab, b, c)],
        2: [(ab, b, bc), (a, ab, bc), (a, bc, c)],
        3: [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)],
    }
    pieces, parents = [], []
    for number, triangles in parts.items():
        chosen = np.flatnonzero(count == number)
        for triangle in triangles:
            pieces.append(np.stack([column[chosen] for column in triangle], axis=1))
            parents.append(chosen)
    parent = np.concatenate(parents)
    by_parent = np.argsort(parent, kind="stable")
    return Subdivided(corners, np.concatenate(pieces)[by_parent], parent[by_parent])
