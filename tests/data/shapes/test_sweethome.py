"""Furniture libraries: names, sizes, axes, colours, licences, and what is wrong with a torn one."""

import zipfile

import numpy as np
import pytest
from tests.data.shapes.libraries import CATALOGUE, write_library

from trilingua.core.errors import InputError
from trilingua.data.shapes import sweethome
from trilingua.data.shapes.sweethome import FurnitureLibrary, parse_properties


def test_a_model_has_its_size_axes_colors_and_papers(tmp_path):
    library = FurnitureLibrary.open(write_library(tmp_path / "tiny.sh3f"))
    assert len(library) == 3
    crate = library.load(0)
    assert (crate.name, crate.caption, crate.family) == ("tiny.sh3f:tiny#crate", "Crate é", "Storage")
    assert (crate.creator, crate.licence) == ("Ann", "CC-BY 3.0 by somebody")
    assert crate.facts == {
        "library": "Tiny library",
        "model": "/tiny/crate/crate.obj",
        "tags": ["Wood", "Box"],
        "size_metres": [0.8, 0.4, 1.205],
    }
    np.testing.assert_allclose(crate.mesh.bounds, [[-0.4, -0.2, 0], [0.4, 0.2, 1.205]], atol=1e-12)
    assert crate.mesh.is_watertight
    assert crate.mesh.volume == pytest.approx(0.8 * 0.4 * 1.205)
    middles = crate.mesh.triangles.mean(axis=1)
    front = middles[:, 1] < -0.2 + 1e-9
    high = middles[:, 2] > 1.205 / 2
    assert (crate.mesh.face_colors[front & high] == (250, 0, 0)).all()
    assert (crate.mesh.face_colors[front & ~high] == (0, 0, 250)).all()
    assert (crate.mesh.face_colors[~front] == (0, 204, 0)).all()


def test_a_model_is_turned_as_the_catalogue_says(tmp_path):
    turned = FurnitureLibrary.open(write_library(tmp_path / "tiny.sh3f")).load(1)
    np.testing.assert_allclose(turned.mesh.bounds, [[-0.2, -0.4, 0], [0.2, 0.4, 1.2]], atol=1e-12)
    # The rotation takes +z to +x, so the picture looks to the right.
    middles = turned.mesh.triangles.mean(axis=1)
    right = middles[:, 0] > 0.2 - 1e-9
    assert (turned.mesh.face_colors[right, 1] == 0).all()
    assert (turned.mesh.face_colors[~right] == (0, 204, 0)).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/tiny/crate/crate.obj", "/tiny/lost.obj", "/tiny/lost.obj: is not in the library; it may be truncated"),
        ("width#1=80", "width#1=wide", "/tiny/crate/crate.obj: width 'wide' is no size; expected centimetres above 0"),
        ("width#1=80", "width#1=-8", "/tiny/crate/crate.obj: width '-8' is no size; expected centimetres above 0"),
        ("width#1=80", "", "/tiny/crate/crate.obj: width None is no size; expected centimetres above 0"),
        (
            "creator#1=Ann",
            "modelRotation#1=1 0 0",
            "/tiny/crate/crate.obj: modelRotation '1 0 0' is not nine numbers; repair the catalogue",
        ),
        (
            "/tiny/crate/crate.obj",
            "/tiny/crate/front.png",
            "/tiny/crate/front.png: is of a kind that cannot be read; expected .obj",
        ),
    ],
)
def test_a_model_that_cannot_be_used_says_why(tmp_path, old, new, message):
    path = write_library(tmp_path / "tiny.sh3f", CATALOGUE.replace(old, new))
    with pytest.raises(InputError) as error:
        FurnitureLibrary.open(path).load(0)
    assert str(error.value) == f"{path}: {message}"


def test_a_torn_model_leaves_the_others(tmp_path):
    library = FurnitureLibrary.open(write_library(tmp_path / "tiny.sh3f"))
    with pytest.raises(InputError) as error:
        library.load(2)
    assert str(error.value).startswith(f"{tmp_path / 'tiny.sh3f'}: /tiny/torn/torn.obj: ")
    assert str(error.value).endswith("may be truncated")


def test_a_member_that_cannot_be_unpacked_is_refused_wherever_it_is_hurt(tmp_path):
    path = tmp_path / "packed.sh3f"
    with (
        zipfile.ZipFile(write_library(tmp_path / "tiny.sh3f")) as archive,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
        member = packed.getinfo("tiny/turned/crate.obj")
    library, whole = FurnitureLibrary.open(path), path.read_bytes()
    start = member.header_offset + 30 + len(member.filename)
    for place in range(start, start + member.compress_size, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with pytest.raises(InputError, match="the library may be truncated"):
            library.load(1)


def test_a_model_beside_the_catalogue_has_its_colors(tmp_path):
    path = tmp_path / "flat.sh3f"
    with zipfile.ZipFile(write_library(tmp_path / "tiny.sh3f")) as archive, zipfile.ZipFile(path, "w") as flat:
        for name in archive.namelist():
            if name != sweethome.CATALOGUE:
                flat.writestr(name.removeprefix("tiny/crate/"), archive.read(name))
        flat.writestr(sweethome.CATALOGUE, CATALOGUE.replace("/tiny/crate/crate.obj", "/crate.obj").encode("latin-1"))
    colors = FurnitureLibrary.open(path).load(0).mesh.face_colors
    assert {(250, 0, 0), (0, 0, 250), (0, 204, 0)} <= set(map(tuple, colors.tolist()))


def test_what_is_no_library_is_refused(tmp_path):
    expected = "is no furniture library, or is truncated; expected a zip with PluginFurnitureCatalog.properties"
    path = tmp_path / "tiny.sh3f"
    whole = write_library(path).read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            FurnitureLibrary.open(path)
        assert str(error.value) == f"{path}: {expected}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(InputError) as error:
        FurnitureLibrary.open(path)
    assert str(error.value) == f"{path}: {expected}"
    write_library(path, "name=Nothing\n")
    with pytest.raises(InputError) as error:
        FurnitureLibrary.open(path)
    assert str(error.value) == (
        f"{path}: PluginFurnitureCatalog.properties names no models; expected keys such as model#1"
    )


def test_properties_are_read_as_java_reads_them():
    text = "# no\n! no\na=1\n  b : two words \nc\\\n  ontinued=x\\\n   y\nd=\\u0041\\t\\=\\\\\ne\n\nf=ä\n"
    expected = {"a": "1", "b": "two words", "continued": "xy", "d": "A\t=\\", "e": "", "f": "ä"}
    assert parse_properties(text.encode("utf-8")) == expected
    assert parse_properties(text.encode("latin-1")) == expected
    assert parse_properties(text.replace("\n", "\r\n").encode()) == expected
