import json
import math
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from tests.oracles.random_scenes import scenes

from trilingua.core.errors import InputError
from trilingua.scenes.gltf import load_glb, save_glb, scene_mesh
from trilingua.scenes.palette import COLORS
from trilingua.scenes.scene import Scene, SceneObject

# The type checks of test runs draw which item of a tuple to check; that is no randomness of ours.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

CUBE = SceneObject(
    shape="cube", size="large", color="red", material="metal", location=(1.1, -2.3, 0.7), rotation_degrees=30.0
)
BALL = SceneObject(shape="sphere", size="small", color="cyan", material="rubber", location=(-1.7, 0.3, 0.35))
DRUM = SceneObject(
    shape="cylinder", size="small", color="cyan", material="rubber", location=(2.0, 2.9, 0.35), score=0.1
)
SCENE = Scene(objects=(CUBE, BALL, DRUM, CUBE))


def read_json_chunk(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    return json.loads(content[20 : 20 + length])


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_reads_back_to_the_same_scene(scene):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scene.glb")
        save_glb(scene, path)
        again = load_glb(path)
        assert again == scene
        assert again.to_json() == scene.to_json()
        assert Scene.load(path) == scene


def test_equal_scenes_give_equal_bytes_and_leave_no_other_file(tmp_path):
    SCENE.save(tmp_path / "a.glb")
    SCENE.save(tmp_path / "b.glb")
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.glb", "b.glb"]


def test_another_reader_finds_the_shapes_where_they_are(tmp_path):
    """In the peer's eyes: a point (x, y, z) of ours lies at (x, z, -y) of a y-up world."""
    save_glb(SCENE, tmp_path / "scene.glb")
    peer = trimesh.load_scene(tmp_path / "scene.glb")
    assert len(peer.graph.nodes_geometry) == 5
    for index, item in enumerate(SCENE.objects):
        name = f"object_{index:02d}_{item.size}_{item.color}_{item.material}_{item.shape}"
        matrix, geometry = peer.graph[name]
        mesh = peer.geometry[geometry].copy().apply_transform(matrix)
        x, y, z = item.location
        half = 0.7 if item.size == "large" else 0.35
        reach = half * (math.cos(math.radians(30)) + math.sin(math.radians(30))) if item.shape == "cube" else half
        centre, extent = np.array([x, z, -y]), np.array([reach, half, reach])
        np.testing.assert_allclose(mesh.bounds, [centre - extent, centre + extent], atol=2e-3)
        volume = {"cube": (2 * half) ** 3, "sphere": 4 / 3 * math.pi * half**3, "cylinder": 2 * math.pi * half**3}
        mesh.merge_vertices(merge_norm=True)
        assert mesh.is_watertight
        assert mesh.volume == pytest.approx(volume[item.shape], rel=0.02)
    ground, geometry = peer.graph["ground"]
    np.testing.assert_allclose(peer.geometry[geometry].copy().apply_transform(ground).bounds[:, 1], 0, atol=1e-6)


def test_a_turn_is_about_the_vertical_axis_against_the_clock():
    mesh = scene_mesh(Scene(objects=(CUBE,)))
    name = next(name for name in mesh.graph.nodes_geometry if name.startswith("object"))
    matrix, _ = mesh.graph[name]
    side = matrix[:3, :3] @ np.array([1.0, 0.0, 0.0]) / 0.7  # the cube's own x axis, in the y-up world
    np.testing.assert_allclose(side, [math.cos(math.radians(30)), 0.0, -math.sin(math.radians(30))], atol=1e-12)


def test_materials_and_normals(tmp_path):
    save_glb(SCENE, tmp_path / "scene.glb")
    header = read_json_chunk(tmp_path / "scene.glb")
    materials = {item["name"]: item["pbrMetallicRoughness"] for item in header["materials"]}
    for name, color, metallic in (("red_metal", "red", 1.0), ("cyan_rubber", "cyan", 0.0)):
        assert materials[name]["metallicFactor"] == metallic
        np.testing.assert_allclose(materials[name]["baseColorFactor"], [*(np.array(COLORS[color]) / 255), 1])
    assert materials["red_metal"]["roughnessFactor"] < 0.4 < 0.7 < materials["cyan_rubber"]["roughnessFactor"]
    assert all("NORMAL" in part["attributes"] for mesh in header["meshes"] for part in mesh["primitives"])
    assert len(header["meshes"]) == 4  # ground, cube, sphere, cylinder: the second cube shares the first one's


def test_the_cube_has_flat_sides_and_the_sphere_a_smooth_one():
    meshes = scene_mesh(SCENE).geometry
    cube, ball = meshes["red_metal_cube"], meshes["cyan_rubber_sphere"]
    assert {tuple(row) for row in np.abs(cube.vertex_normals).round(6).tolist()} == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    np.testing.assert_allclose(ball.vertex_normals, ball.vertices, atol=0.02)


def test_a_full_scene_stays_small(tmp_path):
    balls = tuple(
        SceneObject(shape="sphere", size="large", color=color, material=material, location=(0.0, 0.0, 0.7))
        for color in list(COLORS)[:5]
        for material in ("metal", "rubber")
    )
    save_glb(Scene(objects=balls), tmp_path / "scene.glb")
    assert (tmp_path / "scene.glb").stat().st_size < 64_000


def change(path, edit):
    """Rewrite the file's JSON chunk."""
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    header = json.loads(content[20 : 20 + length])
    edit(header)
    chunk = json.dumps(header).encode()
    rest = content[20 + length :]
    path.write_bytes(
        struct.pack("<4sIIII", b"glTF", 2, 20 + len(chunk) + len(rest), len(chunk), 0x4E4F534A) + chunk + rest
    )


def first_extras(header):
    return next(node["extras"] for node in header["nodes"] if "extras" in node)


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (
            lambda header: header["scenes"][0].pop("extras"),
            "has no Trilingua scene in it; only .glb files that Trilingua wrote can be read",
        ),
        (
            lambda header: header["scenes"][0]["extras"]["trilingua_scene"].update(version=3),
            "version 3 of the format is unknown; allowed is 2; update Trilingua, or save the scene again",
        ),
        (
            lambda header: header.pop("nodes"),
            "holds 0 objects where 4 were written; it was changed by another program",
        ),
        (
            lambda header: first_extras(header).update(trilingua_index=7),
            "holds 4 objects where 4 were written; it was changed by another program",
        ),
        (
            lambda header: [
                node["extras"]["trilingua_object"].update(color="pink") for node in header["nodes"] if "extras" in node
            ],
            "objects[0].color: 'pink' is unknown; allowed are gray, red, blue, green, brown, purple, cyan, yellow",
        ),
        (
            lambda header: [
                node["extras"]["trilingua_object"].pop("shape") for node in header["nodes"] if "extras" in node
            ],
            "objects[0].shape: is missing; every object needs it",
        ),
    ],
    ids=["foreign", "newer", "no nodes", "indices", "color", "shape"],
)
def test_a_changed_file_is_refused_in_words(tmp_path, edit, text):
    path = tmp_path / "scene.glb"
    save_glb(SCENE, path)
    change(path, edit)
    with pytest.raises(InputError) as caught:
        load_glb(path)
    assert str(caught.value) == f"{path}: {text}"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty; expected a .glb file"),
        (b"{}", "is not binary glTF; expected a .glb file that Trilingua wrote"),
        (b"glTF", "is truncated or damaged; expected a .glb file that Trilingua wrote"),
    ],
)
def test_what_is_no_glb_is_refused_in_words(tmp_path, content, text):
    path = tmp_path / "scene.glb"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_glb(path)
    assert str(caught.value) == f"{path}: {text}"


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "scene.glb"
    save_glb(SCENE, path)
    content = path.read_bytes()
    for length in [*range(1, 40), 500, len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            load_glb(path)


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(InputError) as caught:
        load_glb(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is a folder; expected a file"
    with pytest.raises(InputError) as caught:
        load_glb(tmp_path / "none.glb")
    assert str(caught.value) == f"{tmp_path / 'none.glb'}: no such file; check the path"


def test_what_cannot_be_drawn_or_written_leaves_nothing(tmp_path):
    path = tmp_path / "scene.glb"
    teapot = SceneObject(shape="teapot", size="small", color="red", material="metal", location=(0.0, 0.0, 0.35))
    with pytest.raises(InputError) as caught:
        save_glb(Scene(objects=(teapot,)), path)
    assert str(caught.value) == "objects[0].shape: 'teapot' cannot be drawn; allowed are cube, sphere, cylinder"
    lost = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.0, math.nan, 0.35))
    with pytest.raises(InputError, match="every number must be finite"):
        save_glb(Scene(objects=(lost,)), path)
    assert list(tmp_path.iterdir()) == []
