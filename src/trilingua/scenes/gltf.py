"""Scenes as binary glTF 2.0 (`.glb`): a 3D file for any viewer that still holds the exact scene.

The geometry is for the eye. The facts ride beside it as `extras`: each object's JSON on its own node, the rest
of the scene's on the glTF scene. Reading takes the facts alone, so every float comes back as it was, and a file
of another program is refused. Nothing here knows cameras, lights or pixels.
"""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from trimesh.visual.material import PBRMaterial

from trilingua.core.errors import InputError
from trilingua.core.io import existing_file, write_bytes
from trilingua.scenes.palette import COLORS, HALF_SIZES
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR, Schema

SCENE_KEY = "trilingua_scene"
OBJECT_KEY = "trilingua_object"
INDEX_KEY = "trilingua_index"
FORMAT_VERSION = 2

GROUND_HALF_SIDE = 8.0
"""Half the side of the ground square, in metres: it reaches past the corners of CLEVR's 6 m square."""

_GROUND_COLOR = (190, 190, 190)
_SURFACES = {"metal": (1.0, 0.2), "rubber": (0.0, 0.85)}  # metallic factor, roughness factor
_SHARP_EDGE_RADIANS = math.radians(30)
_MAGIC = b"glTF"
_JSON_CHUNK = 0x4E4F534A


def scene_mesh(scene: Scene) -> trimesh.Scene:
    """Return the scene as meshes: a ground square and one node for each object, y up as glTF demands.

    The node `world_from_z_up` turns our axes (z up) into glTF's; below it lie `ground` and the objects, named
    `object_00_large_red_metal_cube`. Objects that look the same share one mesh of unit half-size, which their
    node's matrix scales, turns about z and moves. Colours are CLEVR's values as linear factors, as CLEVR's
    own renderer takes them.

    Raises:
        InputError: a shape, size, colour or material that has no look here.
    """
    meshes = trimesh.Scene(metadata={SCENE_KEY: _facts(scene)})
    graph = meshes.graph
    z_up = "world_from_z_up"
    graph.update(
        frame_to=z_up, frame_from="world", matrix=trimesh.transformations.rotation_matrix(-math.pi / 2, (1, 0, 0))
    )
    side = GROUND_HALF_SIDE
    ground = trimesh.Trimesh(
        vertices=[(-side, -side, 0), (side, -side, 0), (side, side, 0), (-side, side, 0)],
        faces=[(0, 1, 2), (0, 2, 3)],
        process=False,
    )
    ground.visual = _look("ground", _GROUND_COLOR, "rubber")
    meshes.add_geometry(ground, geom_name="ground", node_name="ground", parent_node_name=z_up)
    for index, item in enumerate(scene.objects):
        _check_look(item, index)
        mesh_name = f"{item.color}_{item.material}_{item.shape}"
        if mesh_name not in meshes.geometry:
            mesh = _unit_mesh(item.shape)
            mesh.visual = _look(f"{item.color}_{item.material}", COLORS[item.color], item.material)
            meshes.geometry[mesh_name] = mesh
        graph.update(
            frame_to=f"object_{index:02d}_{item.size}_{mesh_name}",
            frame_from=z_up,
            matrix=_world_from_unit(item),
            geometry=mesh_name,
            metadata={OBJECT_KEY: item.to_json(), INDEX_KEY: index},
        )
    return meshes


def save_glb(scene: Scene, path: str | Path) -> None:
    """Write the scene to `path` as binary glTF, atomically; `load_glb` gives back an equal scene.

    Raises:
        InputError: the scene holds a number that is not finite, an attribute that has no look, or the file
            cannot be written.
    """
    try:
        json.dumps(scene.to_json(), allow_nan=False)
    except ValueError as error:
        raise InputError(f"{path}: cannot save the scene: {error}; every number must be finite") from error
    write_bytes(path, scene_mesh(scene).export(file_type="glb", include_normals=True))


def load_glb(path: str | Path, schema: Schema = CLEVR) -> Scene:
    """Read the scene that `save_glb` wrote to `path`.

    Only the facts in `extras` are read; a node that was moved in another program keeps its old place here.

    Args:
        path: a `.glb` file.
        schema: which values each attribute may take.

    Raises:
        InputError: no such file, not binary glTF, truncated, not ours, or with a field that is wrong.
    """
    path = existing_file(path)
    header = _read_header(path)
    scenes = header.get("scenes")
    extras = scenes[0].get("extras") if isinstance(scenes, list) and scenes and isinstance(scenes[0], dict) else None
    facts = extras.get(SCENE_KEY) if isinstance(extras, dict) else None
    if not isinstance(facts, dict):
        raise InputError(f"{path}: has no Trilingua scene in it; only .glb files that Trilingua wrote can be read")
    if facts.get("version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: version {facts.get('version')!r} of the format is unknown; allowed is {FORMAT_VERSION}; "
            "update Trilingua, or save the scene again"
        )
    nodes = header.get("nodes")
    found = [
        (node["extras"].get(INDEX_KEY), node["extras"][OBJECT_KEY])
        for node in (nodes if isinstance(nodes, list) else [])
        if isinstance(node, dict) and isinstance(node.get("extras"), dict) and OBJECT_KEY in node["extras"]
    ]
    by_index = {index: item for index, item in found if type(index) is int}
    if facts.get("num_objects") != len(found) or set(by_index) != set(range(len(found))):
        raise InputError(
            f"{path}: holds {len(found)} objects where {facts.get('num_objects')!r} were written; "
            "it was changed by another program"
        )
    rest = facts.get("scene")
    value = {
        **(rest if isinstance(rest, dict) else {}),
        "objects": [by_index[index] for index in range(len(found))],
    }
    return Scene.from_json(value, schema=schema, where=str(path))


def _facts(scene: Scene) -> dict[str, Any]:
    rest = scene.to_json()
    num_objects = len(rest.pop("objects"))
    return {"version": FORMAT_VERSION, "num_objects": num_objects, "scene": rest}


def _check_look(item: SceneObject, index: int) -> None:
    for name, value, allowed in (
        ("shape", item.shape, ("cube", "sphere", "cylinder")),
        ("size", item.size, tuple(HALF_SIZES)),
        ("color", item.color, tuple(COLORS)),
        ("material", item.material, tuple(_SURFACES)),
    ):
        if value not in allowed:
            raise InputError(f"objects[{index}].{name}: {value!r} cannot be drawn; allowed are {', '.join(allowed)}")


def _look(name: str, color: tuple[int, int, int], material: str) -> trimesh.visual.TextureVisuals:
    metallic, roughness = _SURFACES[material]
    surface = PBRMaterial(name=name, baseColorFactor=(*color, 255), metallicFactor=metallic, roughnessFactor=roughness)
    return trimesh.visual.TextureVisuals(material=surface)


def _unit_mesh(shape: str) -> trimesh.Trimesh:
    if shape == "sphere":
        # 642 corners: round at any size on a screen, 31 kB in the file.
        return trimesh.creation.icosphere(subdivisions=3, radius=1.0)
    if shape == "cylinder":
        mesh = trimesh.creation.cylinder(radius=1.0, height=2.0, sections=48)
    else:
        mesh = trimesh.creation.box(extents=(2.0, 2.0, 2.0))
    # Corners are doubled along sharp edges, so that each side has its own normals.
    return trimesh.graph.smooth_shade(mesh, angle=_SHARP_EDGE_RADIANS)


def _world_from_unit(item: SceneObject) -> Float[np.ndarray, "4 4"]:
    matrix = trimesh.transformations.rotation_matrix(math.radians(item.rotation_degrees or 0.0), (0, 0, 1))
    matrix[:3, :3] *= HALF_SIZES[item.size]
    matrix[:3, 3] = item.location
    return matrix


def _read_header(path: Path) -> dict[str, Any]:
    """Return the JSON chunk of a binary glTF file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a .glb file") from error
    if not content:
        raise InputError(f"{path}: is empty; expected a .glb file")
    if content[:4] != _MAGIC:
        raise InputError(f"{path}: is not binary glTF; expected a .glb file that Trilingua wrote")
    truncated = InputError(f"{path}: is truncated or damaged; expected a .glb file that Trilingua wrote")
    if len(content) < 20:
        raise truncated
    length, chunk_length, chunk_type = struct.unpack("<8xIII", content[:20])
    if length != len(content) or chunk_type != _JSON_CHUNK or 20 + chunk_length > length:
        raise truncated
    try:
        header = json.loads(content[20 : 20 + chunk_length])
    except (ValueError, RecursionError) as error:
        raise truncated from error
    if not isinstance(header, dict):
        raise truncated
    return header
