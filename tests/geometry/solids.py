"""Meshes that geometry's tests share."""

import numpy as np
import trimesh

from trilingua.geometry.meshes import Mesh


def as_mesh(solid: trimesh.Trimesh, **colors) -> Mesh:
    return Mesh(vertices=np.array(solid.vertices, np.float64), faces=np.array(solid.faces, np.int64), **colors)


def cube(half: float = 0.5) -> Mesh:
    """A cube with a colour for each of its twelve triangles."""
    colors = (np.arange(36).reshape(12, 3) * 7).astype(np.uint8)
    return as_mesh(trimesh.creation.box((2 * half,) * 3), face_colors=colors)


def torus() -> Mesh:
    return as_mesh(trimesh.creation.torus(0.6, 0.25, major_sections=16, minor_sections=10))


def ball(radius: float = 0.8) -> Mesh:
    return as_mesh(trimesh.creation.icosphere(3, radius=radius))


def open_box() -> Mesh:
    """A cube without its top."""
    mesh = cube()
    kept = mesh.triangles.mean(axis=1)[:, 2] < 0.49
    return mesh.replace(faces=mesh.faces[kept], face_colors=mesh.face_colors[kept])
