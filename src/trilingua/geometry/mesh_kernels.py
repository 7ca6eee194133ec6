# mypy: ignore-errors
# ruff: noqa: UP018 - warp tells variables from constants by these calls
"""Distances to a mesh and rays against it, as warp kernels for CPU and CUDA.

One thread answers one query; nothing is shared between threads, so equal queries give equal bytes.
"""

import warp as wp

wp.set_module_options({"enable_backward": False})

FAR = wp.constant(1.0e9)


@wp.kernel
def find_closest(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    accuracy: float,
    want_sign: bool,
    distances: wp.array(dtype=float),
    faces: wp.array(dtype=int),
    weights: wp.array(dtype=wp.vec3),
) -> None:
    """Write the distance to the surface (negative inside where the sign is wanted), and the closest place."""
    i = wp.tid()
    point = points[i]
    sign = float(1.0)
    if want_sign:
        found = wp.mesh_query_point_sign_winding_number(mesh, point, FAR, accuracy, 0.5)
        sign = found.sign
    else:
        found = wp.mesh_query_point_no_sign(mesh, point, FAR)
    if found.result:
        place = wp.mesh_eval_position(mesh, found.face, found.u, found.v)
        distances[i] = sign * wp.length(point - place)
        faces[i] = found.face
        weights[i] = wp.vec3(found.u, found.v, 1.0 - found.u - found.v)
    else:
        distances[i] = FAR
        faces[i] = -1
        weights[i] = wp.vec3(0.0)


@wp.kernel
def cast_rays(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    distances: wp.array(dtype=float),
    faces: wp.array(dtype=int),
    weights: wp.array(dtype=wp.vec3),
) -> None:
    """Write how far along its ray the first triangle lies, and where it is hit; face -1 for none."""
    i = wp.tid()
    hit = wp.mesh_query_ray(mesh, origins[i], directions[i], FAR)
    if hit.result:
        distances[i] = hit.t
        faces[i] = hit.face
        weights[i] = wp.vec3(hit.u, hit.v, 1.0 - hit.u - hit.v)
    else:
        distances[i] = FAR
        faces[i] = -1
        weights[i] = wp.vec3(0.0)
