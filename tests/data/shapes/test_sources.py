"""Sources: files in folders, libraries, several of them; what is refused before anything is done."""

import pickle

import pytest
from tests.data.shapes.libraries import write_library
from tests.geometry.solids import cube

from trilingua.core.errors import InputError
from trilingua.data.shapes.sources import MeshFiles, open_sources
from trilingua.geometry.mesh_files import save_mesh


@pytest.fixture
def folder(tmp_path):
    save_mesh(cube(), tmp_path / "meshes" / "small_red-box.glb")
    (tmp_path / "meshes" / "toys").mkdir()
    (tmp_path / "meshes" / "toys" / "b.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "meshes" / "readme.txt").write_text("no mesh")
    return tmp_path / "meshes"


def test_a_folder_is_read_in_the_order_of_names(folder):
    source = open_sources([folder])
    assert [source.name(index) for index in range(len(source))] == ["small_red-box.glb", "toys/b.obj"]
    box, triangle = source.load(0), source.load(1)
    assert (box.caption, box.family, box.licence) == ("small red box", "unknown", "unknown")
    assert (triangle.caption, triangle.family) == ("b", "toys")
    with pytest.raises(IndexError):
        source.load(2)


def test_libraries_and_files_stand_one_after_the_other(folder, tmp_path):
    library = write_library(tmp_path / "tiny.sh3f")
    source = open_sources([folder / "toys" / "b.obj", library, folder])
    assert [source.name(index) for index in range(len(source))] == [
        "b.obj",
        "tiny.sh3f:tiny#crate",
        "tiny.sh3f:tiny#turned",
        "tiny.sh3f:tiny#torn",
        "small_red-box.glb",
        "toys/b.obj",
    ]
    assert source.load(2).caption == "Turned crate"
    assert len(open_sources([tmp_path])) == 5, "a folder's libraries come before its meshes"
    assert pickle.loads(pickle.dumps(source)).load(0).caption == "b"


def test_the_digest_follows_names_and_contents(folder):
    before = open_sources([folder]).digest()
    assert open_sources([folder]).digest() == before
    (folder / "toys" / "b.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 2 0\nf 1 2 3\n")
    changed = open_sources([folder]).digest()
    (folder / "toys" / "b.obj").rename(folder / "toys" / "c.obj")
    assert len({before, changed, open_sources([folder]).digest()}) == 3


def test_what_is_not_there_is_refused(tmp_path, folder):
    for path, message in (
        (tmp_path / "none", "no such file or folder; check the path"),
        (folder / "readme.txt", "is no library of shapes; expected .sh3f, .glb, .obj, .ply or a folder"),
    ):
        with pytest.raises(InputError) as error:
            open_sources([path])
        assert str(error.value) == f"{path}: {message}"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError) as error:
        MeshFiles.find(empty)
    assert str(error.value) == f"{empty}: holds no meshes; expected files that end in .glb, .obj, .ply"
