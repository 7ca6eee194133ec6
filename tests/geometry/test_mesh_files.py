"""Mesh files: there and back, textures as colours, frames, and every way in which a file can be unusable."""

import io

import numpy as np
import pytest
import trimesh
from PIL import Image
from tests.geometry.solids import cube, open_box, torus

from trilingua.core.errors import InputError
from trilingua.core.random import make_generator
from trilingua.geometry.mesh_files import parse_mesh, read_mesh, save_mesh
from trilingua.geometry.meshes import GRAY


def triangles_and_colors(mesh):
    """Every triangle with its colour, in an order of its own; each begins at its least corner."""
    rows = []
    for triangle, color in zip(mesh.triangles.round(6) + 0.0, mesh.face_colors, strict=True):
        first = min(range(3), key=lambda corner: tuple(triangle[corner]))
        rows.append((*np.roll(triangle, -first, axis=0).ravel().tolist(), *color.tolist()))
    return sorted(rows)


def test_glb_keeps_triangles_and_their_colors_exactly(tmp_path):
    mesh = torus()
    colors = make_generator(0, "colours").integers(0, 256, (len(mesh.faces), 3)).astype(np.uint8)
    mesh = mesh.replace(face_colors=colors, vertices=mesh.vertices + np.array([3.0, -2.0, 1.0]))
    save_mesh(mesh, tmp_path / "torus.glb")
    again = read_mesh(tmp_path / "torus.glb")
    assert triangles_and_colors(again) == triangles_and_colors(
        mesh.replace(vertices=mesh.vertices.astype(np.float32).astype(np.float64))
    )
    assert again.is_watertight
    assert again.volume == pytest.approx(mesh.volume, rel=1e-5)


def test_glb_is_y_up_and_its_colors_are_those_that_viewers_show(tmp_path):
    mesh = cube()
    tall = mesh.replace(vertices=mesh.vertices * (1.0, 2.0, 3.0), face_colors=np.full((12, 3), 90, np.uint8))
    save_mesh(tall, tmp_path / "tall.glb")
    scene = trimesh.load_scene(tmp_path / "tall.glb")
    np.testing.assert_allclose(scene.extents, (1, 3, 2), atol=1e-6)
    (geometry,) = scene.geometry.values()
    assert np.asarray(geometry.visual.material.baseColorTexture).max() == 90


def test_colors_of_corners_come_back_within_what_bytes_of_light_allow(tmp_path):
    mesh = cube().replace(face_colors=None)
    colors = make_generator(0, "corners").integers(40, 256, (8, 3)).astype(np.uint8)
    save_mesh(mesh.replace(vertex_colors=colors), tmp_path / "corners.glb")
    again = read_mesh(tmp_path / "corners.glb")
    by_place = {tuple(place.round(4)): color for place, color in zip(again.vertices, again.vertex_colors, strict=True)}
    for place, color in zip(mesh.vertices, colors, strict=True):
        assert np.abs(by_place[tuple(place.round(4))].astype(int) - color).max() <= 4
    save_mesh(mesh, tmp_path / "plain.glb")
    plain = read_mesh(tmp_path / "plain.glb")
    np.testing.assert_array_equal(plain.face_colors, np.tile(GRAY, (12, 1)))


@pytest.mark.parametrize("ending", ["obj", "ply"])
def test_obj_and_ply_are_read_as_they_are(tmp_path, ending):
    solid = trimesh.creation.box((1.0, 2.0, 3.0))
    solid.visual.vertex_colors = np.tile([10, 20, 30, 255], (8, 1))
    path = tmp_path / f"box.{ending}"
    path.write_bytes(solid.export(file_type=ending).encode() if ending == "obj" else solid.export(file_type=ending))
    mesh = read_mesh(path)
    np.testing.assert_allclose(np.ptp(mesh.bounds, axis=0), (1, 2, 3), atol=1e-6)
    np.testing.assert_array_equal(mesh.face_colors, np.tile([10, 20, 30], (12, 1)))


def textured_obj(folder, picture):
    """A square of two triangles in the plane y = 0 that shows a whole picture."""
    picture.save(folder / "picture.png")
    (folder / "square.mtl").write_text("newmtl painted\nKd 0.1 0.1 0.1\nmap_Kd picture.png\n")
    (folder / "square.obj").write_text(
        "mtllib square.mtl\nv 0 0 0\nv 1 0 0\nv 1 0 1\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        "usemtl painted\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    )
    return folder / "square.obj"


def test_a_texture_becomes_colors_of_small_triangles(tmp_path):
    cells = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 0]]], np.uint8)
    mesh = read_mesh(textured_obj(tmp_path, Image.fromarray(cells.repeat(32, axis=0).repeat(32, axis=1))))
    assert np.linalg.norm(mesh.area_vectors.sum(axis=0)) == pytest.approx(1.0)
    middles = mesh.triangles.mean(axis=1)
    right, high = middles[:, 0] > 0.5, middles[:, 2] > 0.5
    clear = (np.abs(middles[:, [0, 2]] - 0.5) > 1 / 64).all(axis=1)
    expected = cells[np.where(high, 0, 1), np.where(right, 1, 0)]
    np.testing.assert_array_equal(mesh.face_colors[clear], expected[clear])


def test_a_texture_of_one_color_splits_nothing_and_transparent_parts_are_left_out(tmp_path):
    plain = read_mesh(textured_obj(tmp_path, Image.new("RGB", (8, 8), (30, 60, 90))))
    np.testing.assert_array_equal(plain.face_colors, [[30, 60, 90]] * 2)
    leaf = np.full((64, 64, 4), 200, np.uint8)
    leaf[:, 32:, 3] = 0
    half = read_mesh(textured_obj(tmp_path, Image.fromarray(leaf)))
    assert half.triangles[..., 0].max() == pytest.approx(0.5, abs=1 / 32)
    assert np.linalg.norm(half.area_vectors, axis=1).sum() == pytest.approx(0.5, abs=1 / 32)


@pytest.mark.parametrize(("mode", "area"), [(None, 1.0), ("OPAQUE", 1.0), ("MASK", 0.5), ("BLEND", 0.5)])
def test_alphas_of_an_opaque_material_are_not_looked_at(mode, area):
    pixels = np.full((64, 64, 4), 200, np.uint8)
    pixels[:, 32:, 3] = 0
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(pixels), alphaMode=mode)
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    square = trimesh.Trimesh(
        np.pad(corners, ((0, 0), (0, 1))),
        [(0, 1, 2), (0, 2, 3)],
        visual=trimesh.visual.TextureVisuals(uv=corners, material=material),
        process=False,
    )
    mesh = parse_mesh(trimesh.Scene(square).export(file_type="glb"), ".glb", where="square.glb")
    assert np.linalg.norm(mesh.area_vectors, axis=1).sum() == pytest.approx(area, abs=1 / 32)


def test_a_triangle_without_area_does_no_harm(tmp_path):
    path = textured_obj(tmp_path, Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)))
    path.write_text(path.read_text() + "f 1/1 1/2 3/3\nf 1/1 3/3 3/2\n")
    mesh = read_mesh(path)
    assert np.linalg.norm(mesh.area_vectors, axis=1).sum() == pytest.approx(1.0)


def test_triangles_beside_a_texture_are_split_with_it_so_that_nothing_opens(tmp_path):
    textured_obj(tmp_path, Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)))
    tent = "v 0.5 2 0.5\nusemtl other\nf 2 1 5\nf 3 2 5\nf 4 3 5\nf 1 4 5\n"
    (tmp_path / "square.obj").write_text((tmp_path / "square.obj").read_text() + tent)
    mesh = read_mesh(tmp_path / "square.obj")
    assert len(mesh.faces) > 1000
    assert mesh.is_watertight


def test_parts_stand_in_their_places():
    scene = trimesh.Scene()
    box = trimesh.creation.box((1, 1, 1))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((5, 0, 0)))
    mirrored = np.diag([-2.0, 1.0, 1.0, 1.0])
    scene.add_geometry(box.copy(), transform=mirrored)
    mesh = parse_mesh(scene.export(file_type="glb"), ".glb", where="two")
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(3.0)
    np.testing.assert_allclose(mesh.bounds, [[-1, -0.5, -0.5], [5.5, 0.5, 0.5]], atol=1e-6)


def glb_bytes():
    return trimesh.Scene(trimesh.creation.box()).export(file_type="glb")


def ply_bytes():
    return trimesh.creation.box().export(file_type="ply")


BAD = {
    "empty.glb": (b"", "is empty; expected a mesh"),
    "empty.obj": (b"", "is empty; expected a mesh"),
    "comment.obj": (b"# nothing\n", "mesh is empty (0 vertices, 0 faces); expected triangles"),
    "points.obj": (b"v 0 0 0\nv 1 1 1\n", "mesh is empty (0 vertices, 0 faces); expected triangles"),
    "nan.obj": (
        b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "mesh has 1 vertices that are not finite numbers; repair the file",
    ),
    "line.obj": (
        b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",
        "mesh has no area (1 faces on a line or point); expected triangles",
    ),
    "huge.obj": (
        b"v 0 0 0\nv 1e30 0 0\nv 0 1e30 0\nf 1 2 3\n",
        "mesh has a coordinate of 1e+30; allowed are at most 1e+09, rescale it",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_mesh(tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: {message}"


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
@pytest.mark.parametrize(("ending", "content"), [(".glb", glb_bytes()), (".ply", ply_bytes())])
def test_a_truncated_file_is_called_so(tmp_path, ending, content, share):
    path = tmp_path / f"torn{ending}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError) as error:
        read_mesh(path)
    text = str(error.value)
    assert text.startswith(f"{path}: cannot be read as {ending[1:].upper()} (")
    assert text.endswith("); it may be truncated")
    assert "\n" not in text


def test_a_file_that_names_corners_that_are_not_there_is_refused(tmp_path):
    whole = trimesh.creation.box().export(file_type="obj")
    lines = [line for line in whole.splitlines() if not line.startswith("v ")]
    (tmp_path / "torn.obj").write_text("\n".join(["v 0 0 0", "v 1 0 0", *lines]))
    with pytest.raises(InputError) as error:
        read_mesh(tmp_path / "torn.obj")
    assert str(error.value).endswith("may be truncated")


def test_other_files_are_not_tried(tmp_path):
    (tmp_path / "model.stl").write_bytes(b"solid")
    with pytest.raises(InputError) as error:
        read_mesh(tmp_path / "model.stl")
    assert str(error.value) == f"{tmp_path / 'model.stl'}: cannot be read as a mesh; expected one of .glb, .obj, .ply"
    with pytest.raises(InputError) as error:
        read_mesh(tmp_path / "none.glb")
    assert str(error.value) == f"{tmp_path / 'none.glb'}: no such file; check the path"


def test_open_meshes_are_read_and_written(tmp_path):
    save_mesh(open_box(), tmp_path / "open.glb")
    assert not read_mesh(tmp_path / "open.glb").is_watertight


def test_what_cannot_be_used_is_not_written(tmp_path):
    with pytest.raises(InputError):
        save_mesh(cube().replace(vertices=cube().vertices * 0), tmp_path / "flat.glb")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_its_materials_is_gray():
    content = b"mtllib lost.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl lost\nf 1 2 3\n"
    mesh = parse_mesh(content, ".obj", where="lost", resolver=trimesh.resolvers.ZipResolver({"x": io.BytesIO()}))
    np.testing.assert_array_equal(mesh.face_colors, [GRAY])
