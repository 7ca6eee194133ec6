"""Dual marching cubes with weights, one cell, one crossing and one quad at a time, by walking around faces."""

import itertools

import numpy as np

CORNERS = list(itertools.product((0, 1), repeat=3))


def face_lines(sdf, face_corners, ringed):
    """The lines in which the surface crosses a face, as pairs of edges; an edge is a frozen set of two samples."""
    ring = [frozenset((face_corners[i], face_corners[(i + 1) % 4])) for i in range(4)]
    inside = [sdf[corner] < 0 for corner in face_corners]
    crossed = [edge for edge in ring if len({sdf[corner] < 0 for corner in edge}) == 2]
    if len(crossed) == 4:
        return [(ring[i - 1], ring[i]) for i in range(4) if inside[i] == ringed]
    return [tuple(crossed)] if crossed else []


def cell_faces(cell):
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        for side in (0, 1):
            face = []
            for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
                corner = list(cell)
                corner[axis] += side
                corner[others[0]] += u
                corner[others[1]] += v
                face.append(tuple(corner))
            yield face


def sheets(sdf, cell, outer_faces=()):
    """Crossed edges of a cell, grouped by following lines from face to face until they return."""
    lines = [line for face in cell_faces(cell) for line in face_lines(sdf, face, frozenset(face) not in outer_faces)]
    left = sorted({edge for line in lines for edge in line}, key=sorted)
    groups = []
    while left:
        group, grown = {left[0]}, True
        while grown:
            grown = False
            for line in lines:
                if group & set(line) and not group >= set(line):
                    group |= set(line)
                    grown = True
        groups.append(frozenset(group))
        left = [edge for edge in left if edge not in group]
    return groups


def parted_faces(sdf):
    """Faces that the same sheet crosses twice in both cells beside them."""
    seen = {}
    for cell in itertools.product(*(range(length - 1) for length in sdf.shape)):
        for face in cell_faces(cell):
            lines = face_lines(sdf, face, True)
            if len(lines) == 2:
                twice = any({lines[0][0], lines[1][0]} <= group for group in sheets(sdf, cell))
                seen.setdefault(frozenset(face), []).append(twice)
    return {face for face, twice in seen.items() if twice == [True, True]}


def dual_vertices(sdf, places, edge_weight, corner_weight):
    """Position and deviation of each sheet's vertex.

    `edge_weight(cell, edge)` and `corner_weight(cell, corner)` give positive weights.
    """
    outer = parted_faces(sdf)
    made = []
    for cell in itertools.product(*(range(length - 1) for length in sdf.shape)):
        for group in sheets(sdf, cell, outer):
            points, weights = [], []
            for edge in group:
                i, j = sorted(edge)
                a, b = sdf[i] * corner_weight(cell, i), sdf[j] * corner_weight(cell, j)
                points.append((a * places[j] - b * places[i]) / (a - b))
                weights.append(edge_weight(cell, edge))
            vertex = np.average(points, axis=0, weights=weights)
            distances = [np.linalg.norm(vertex - point) for point in points]
            made.append((vertex, float(np.mean(np.abs(distances - np.mean(distances))))))
    return made


def sign_loss(sdf):
    """Mean over crossed edges of both ends' cross-entropies against the other's sign."""
    losses = []
    for index in itertools.product(*(range(length) for length in sdf.shape)):
        for axis in range(3):
            beside = tuple(step + (axis == other) for other, step in enumerate(index))
            if beside[axis] == sdf.shape[axis] or (sdf[index] < 0) == (sdf[beside] < 0):
                continue
            total = 0.0
            for first, second in ((index, beside), (beside, index)):
                outside = 1 / (1 + np.exp(-sdf[first]))
                total -= np.log(outside if sdf[second] >= 0 else 1 - outside)
            losses.append(total)
    return float(np.mean(losses))
