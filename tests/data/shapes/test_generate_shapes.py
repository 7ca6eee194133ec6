"""The data directory: what it holds, that it can be resumed, equal bytes, and that nothing bad ends the work."""

import json
import shutil

import numpy as np
import pytest
from tests.data.shapes.libraries import write_library
from tests.geometry.solids import cube, open_box

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import digest_file
from trilingua.core.random import make_generator
from trilingua.data.shapes.files import DEPTH_STEP, ShapeArrays, ShapeFolder, ShapesConfig
from trilingua.data.shapes.generate import generate_shapes, measure
from trilingua.data.shapes.procedural import ProceduralShapes
from trilingua.data.shapes.sources import open_sources
from trilingua.geometry.mesh_files import save_mesh
from trilingua.geometry.mesh_pictures import fixed_cameras, render_mesh
from trilingua.geometry.mesh_queries import MeshQueries
from trilingua.geometry.voxels import voxelize

SMALL = {
    "num_points": 60,
    "num_uniform": 50,
    "num_near": 40,
    "num_random_views": 1,
    "view_size": 16,
    "voxel_resolution": 16,
}


def small(num_objects=3, **changes):
    return ShapesConfig(**{"num_objects": num_objects, "seed": 2, "split": "tiny", **SMALL, **changes})


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("shapes") / "data"
    return out, generate_shapes(out, small())


@pytest.fixture
def folder(tmp_path):
    """Two meshes that can be used and six that cannot."""
    meshes = tmp_path / "meshes"
    save_mesh(cube(), meshes / "a_cube.glb")
    save_mesh(open_box(), meshes / "open.glb")
    (meshes / "empty.ply").write_bytes(b"")
    (meshes / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    (meshes / "huge.obj").write_text("v 0 0 0\nv 1e20 0 0\nv 0 1e20 0\nf 1 2 3\n")
    (meshes / "nan.obj").write_text("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (meshes / "sliver.obj").write_text("v 0 0 0\nv 1 0 0\nv .5 1e-6 0\nf 1 2 3\n")
    (meshes / "torn.glb").write_bytes((meshes / "a_cube.glb").read_bytes()[:300])
    return meshes


def test_the_manifest_tells_all_and_its_digests_are_right(made):
    out, manifest = made
    assert manifest == json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["objects"] == manifest["counts"]["watertight"] == 3
    assert manifest["counts"]["skipped"] == 0
    assert sum(manifest["counts"]["families"].values()) == 3
    assert len(manifest["files"]) == 6
    assert all(digest_file(out / name) == digest for name, digest in manifest["files"].items())
    source = ProceduralShapes(num_objects=3, seed=2, split="tiny")
    for index, record in enumerate(manifest["objects"]):
        shape = source.load(index)
        assert record["caption"] == shape.caption
        assert (record["creator"], record["licence"], record["family"]) == ("trilingua", "CC0-1.0", shape.family)
        assert 0 <= record["inside_share"] < 1


def test_arrays_are_those_of_the_mesh(made):
    out, _ = made
    folder = ShapeFolder(out)
    source = ProceduralShapes(num_objects=3, seed=2, split="tiny")
    assert len(folder) == 3
    for index in range(3):
        arrays, shape = folder.arrays(index), source.load(index)
        restored = folder.frame(index).restore(arrays.mesh)
        np.testing.assert_allclose(restored.vertices, shape.mesh.vertices, atol=1e-6 * np.ptp(restored.bounds))
        assert np.abs(arrays.mesh.vertices).max() == pytest.approx(0.95, abs=1e-6)
        queries = MeshQueries(arrays.mesh)
        assert arrays.points.points.shape == (60, 3)
        # The nearest place is not looked for on slivers, so a point of one is as far as the sliver is wide.
        distances = queries.distance(arrays.points.points)
        assert np.median(distances) < 1e-6
        assert distances.max() < 5e-4
        assert arrays.distances.points.shape == (90, 3)
        np.testing.assert_array_equal(queries.signed_distance(arrays.distances.points), arrays.distances.distances)
        voxels = voxelize(queries, 16)
        np.testing.assert_array_equal(voxels.coords, arrays.voxels.coords)
        np.testing.assert_allclose(voxels.features, arrays.voxels.features, atol=1e-3)
        assert len(arrays.cameras) == len(arrays.pictures) == 7
        for camera, fixed in zip(arrays.cameras, fixed_cameras(16), strict=False):
            np.testing.assert_array_equal(camera.world_from_camera, fixed.world_from_camera)
        for camera, picture in zip(arrays.cameras, arrays.pictures, strict=True):
            drawn = render_mesh(queries, camera)
            np.testing.assert_array_equal(picture.image, drawn.image)
            np.testing.assert_allclose(picture.depth, drawn.depth, atol=DEPTH_STEP / 2 * 1.01)
            np.testing.assert_allclose(picture.normals, drawn.normals, atol=0.51 / 127)


def test_bytes_do_not_depend_on_workers_or_interruptions(made, tmp_path):
    out, _ = made
    whole = bytes_of(out)
    generate_shapes(tmp_path / "two", small(), num_workers=2)
    assert bytes_of(tmp_path / "two") == whole
    generate_shapes(tmp_path / "grown", small(1))
    generate_shapes(tmp_path / "grown", small(3))
    assert bytes_of(tmp_path / "grown") == whole
    shutil.copytree(out, tmp_path / "hurt")
    (tmp_path / "hurt" / "manifest.json").unlink()
    (tmp_path / "hurt" / "objects" / "SHAPE_tiny_000001.npz").unlink()
    (tmp_path / "hurt" / "objects" / "SHAPE_tiny_000002.json").unlink()
    generate_shapes(tmp_path / "hurt", small())
    assert bytes_of(tmp_path / "hurt") == whole


def test_what_was_lost_or_changed_since_is_made_again(made, tmp_path):
    out, manifest = made
    shutil.copytree(out, tmp_path / "data")
    torn = tmp_path / "data" / "objects" / "SHAPE_tiny_000000.npz"
    torn.write_bytes(torn.read_bytes()[:100])
    (tmp_path / "data" / "objects" / "SHAPE_tiny_000002.json").write_text("{}")
    assert generate_shapes(tmp_path / "data", small()) == manifest
    assert bytes_of(tmp_path / "data") == bytes_of(out)


def test_a_bad_mesh_costs_only_itself(folder, tmp_path):
    source = open_sources([folder])
    manifest = generate_shapes(tmp_path / "data", small(len(source)), source=source)
    assert [record["name"] for record in manifest["objects"]] == ["a_cube.glb", "open.glb"]
    assert [record["watertight"] for record in manifest["objects"]] == [True, False]
    assert manifest["counts"]["skipped"] == 6
    assert list(manifest["skipped"]) == [f"SHAPE_tiny_{index:06d}" for index in (1, 2, 3, 4, 6, 7)]
    reasons = dict(reason.removeprefix(f"{folder}/").split(": ", 1) for reason in manifest["skipped"].values())
    torn = reasons.pop("torn.glb")
    assert torn.startswith("cannot be read as GLB (")
    assert torn.endswith("); it may be truncated")
    assert reasons == {
        "empty.ply": "is empty; expected a mesh",
        "flat.obj": "mesh has no area (1 faces on a line or point); expected triangles",
        "huge.obj": "mesh has a coordinate of 1e+20; allowed are at most 1e+09, rescale it",
        "nan.obj": "mesh has 1 vertices that are not finite numbers; repair the file",
        "sliver.obj": "mesh has triangles too thin to be measured alone; repair it",
    }
    again = bytes_of(tmp_path / "data")
    assert generate_shapes(tmp_path / "data", small(len(source)), source=source) == manifest
    assert bytes_of(tmp_path / "data") == again
    assert len(ShapeFolder(tmp_path / "data")) == 2


def test_when_nothing_can_be_used_the_first_reason_is_told(folder, tmp_path):
    source = open_sources([folder / "flat.obj", folder / "nan.obj"])
    with pytest.raises(InputError) as error:
        generate_shapes(tmp_path / "data", small(2), source=source)
    assert str(error.value) == (
        f"none of 2 shapes could be used; the first: {folder / 'flat.obj'}: mesh has no area "
        "(1 faces on a line or point); expected triangles"
    )


def test_libraries_keep_their_papers(tmp_path):
    source = open_sources([write_library(tmp_path / "tiny.sh3f")])
    manifest = generate_shapes(tmp_path / "data", small(3), source=source)
    first = manifest["objects"][0]
    assert (first["caption"], first["creator"], first["licence"]) == ("Crate é", "Ann", "CC-BY 3.0 by somebody")
    assert first["frame"]["scale"] == pytest.approx(1.205 / 2 / 0.95)
    (reason,) = manifest["skipped"].values()
    assert reason.startswith(f"tiny.sh3f:tiny#torn: {tmp_path / 'tiny.sh3f'}: /tiny/torn/torn.obj: ")


def test_meshes_of_one_name_from_two_folders_are_both_counted(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "nan.obj", other)
    shutil.copy(folder / "a_cube.glb", other)
    source = open_sources([folder / "nan.obj", other])
    assert generate_shapes(tmp_path / "data", small(3), source=source)["counts"]["skipped"] == 2


def test_an_open_mesh_is_measured_alike_wherever_it_stands(tmp_path):
    box = open_box()
    for number, height in enumerate((0.0, 30.0, -30.0)):
        save_mesh(box.replace(vertices=box.vertices + np.array([0, 0, height])), tmp_path / "in" / f"{number}.glb")
    generate_shapes(tmp_path / "data", small(3), source=open_sources([tmp_path / "in"]))
    faces = [ShapeFolder(tmp_path / "data").arrays(index).mesh.faces.tolist() for index in range(3)]
    assert faces[0] == faces[1] == faces[2]


def test_an_object_inside_out_is_turned_before_it_is_measured(tmp_path):
    mesh = cube()
    save_mesh(mesh.replace(faces=mesh.faces[:, ::-1].copy()), tmp_path / "in" / "cube.glb")
    manifest = generate_shapes(tmp_path / "data", small(1, num_uniform=400), source=open_sources([tmp_path / "in"]))
    assert manifest["objects"][0]["inside_share"] == pytest.approx(0.95**3, abs=0.05)


def test_other_settings_are_refused_and_a_larger_number_is_not(made, folder, tmp_path):
    out, _ = made
    with pytest.raises(InputError) as error:
        generate_shapes(out, small(seed=3))
    assert str(error.value) == f"{out}: was begun with seed 2, not 3; keep it or choose another --out"
    with pytest.raises(InputError) as error:
        generate_shapes(out, small(2))
    assert str(error.value) == f"{out}: was begun with num_objects 3, not 2; keep it or choose another --out"
    with pytest.raises(InputError) as error:
        generate_shapes(out, small(), source=open_sources([folder]))
    assert "was begun with source " in str(error.value)
    with pytest.raises(InputError) as error:
        generate_shapes(tmp_path / "new", small(9), source=open_sources([folder]))
    assert str(error.value) == "num_objects: 9 is too many; there are 8 shapes"
    assert not (tmp_path / "new").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    with pytest.raises(InputError) as error:
        generate_shapes(tmp_path / "other", small())
    assert str(error.value) == (
        f"{tmp_path / 'other'}: is not empty and was not begun by `trilingua data shapes`; choose another --out"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_objects": 0}, "num_objects: 0 is not allowed; give a whole number of at least 1"),
        ({"num_points": 0}, "num_points: 0 is not allowed; give a whole number of at least 1"),
        ({"num_near": -1}, "num_near: -1 is not allowed; give a whole number of at least 0"),
        ({"view_size": 7}, "view_size: 7 is not allowed; give a whole number of at least 8"),
        ({"view_size": 4096}, "view_size: 4096 is not allowed; expected 8 to 1024"),
        ({"split": "a/b"}, "split: 'a/b' is not allowed; use letters, digits, '-' and '_'"),
        ({"voxel_resolution": 30}, "voxel_resolution: 30 is not allowed; give a multiple of 4 from 8 to 256"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        small(**changes)
    assert str(error.value) == message


def test_a_folder_that_is_not_finished_or_torn_is_refused(made, tmp_path):
    with pytest.raises(InputError) as error:
        ShapeFolder(tmp_path)
    assert str(error.value) == f"{tmp_path}: has no manifest.json; finish it with `trilingua data shapes`"
    path = tmp_path / "x.npz"
    whole = (made[0] / "objects" / "SHAPE_tiny_000000.npz").read_bytes()
    for content in (b"", whole[:500], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            ShapeArrays.load(path)
        assert str(error.value) == f"{path}: cannot be read, or is truncated; make it again"
    np.savez(path, other=np.zeros(3))
    with pytest.raises(InputError) as error:
        ShapeArrays.load(path)
    assert "holds no object (" in str(error.value)
    with pytest.raises(InputError) as error:
        ShapeArrays.load(tmp_path / "none.npz")
    assert str(error.value) == f"{tmp_path / 'none.npz'}: no such file; check the path"


def test_saving_is_deterministic_and_reading_gives_the_same(tmp_path):
    arrays = measure(cube(0.95), small(1), make_generator(0, "x"))
    for name in ("one", "two"):
        arrays.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = ShapeArrays.load(tmp_path / "one.npz")
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()
