import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from trilingua.app import report
from trilingua.app.report import ReportRow, write_report
from trilingua.app.report_parts import image_uri, number
from trilingua.core.errors import DependencyError, InputError
from trilingua.scenes.palette import COLORS, HALF_SIZES
from trilingua.scenes.scene import Scene, SceneObject

VOID = {"meta", "img", "link", "br", "hr", "input"}
EVIL = "Remove </script><script>alert('x')</script> & \"the\" <b>cube</b> {{library}}"
SUMMARY = {
    "seed": 7,
    "num_scenes": 2,
    "recognition": {"jaccard": 0.5126, "jaccard_at": {"0.05": 0.111, "0.10": 0.222}},
    "rendering": {"ssim": 0.8812, "l2": float("nan"), "psnr": 24.31},
    "editing": {"jaccard": 0.61},
    "qa": {"accuracy": 0.625},
    "seconds": {"recognize": 4.1, "total": 28.61},
}


class Elements(HTMLParser):
    """The page as a list of (tag, attributes, text), with a check that every element is closed in order."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.found, self.open = [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        entry = [tag, dict(attrs), ""]
        self.found.append(entry)
        if tag not in VOID:
            self.open.append(entry)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for entry in self.open:
            entry[2] += data

    def all(self, tag, **wanted):
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [(a, text) for t, a, text in self.found if t == tag and wanted.items() <= a.items()]


def picture(value, size=(320, 240)):
    noise = np.random.default_rng(value).normal(value, 6, (size[1], size[0], 3))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def scene(seed, num_objects=10, **changes):
    generator = np.random.default_rng(seed)
    objects = tuple(
        SceneObject(
            shape=str(generator.choice(["cube", "sphere", "cylinder"])),
            size=str(generator.choice(["small", "large"])),
            color=str(generator.choice(list(COLORS))),
            material=str(generator.choice(["rubber", "metal"])),
            location=(float(generator.uniform(-3, 3)), float(generator.uniform(-3, 3)), 0.35),
            rotation_degrees=30.0,
            score=0.875,
        )
        for _ in range(num_objects)
    )
    return Scene(objects=objects, **changes)


def full_row(number, instruction="Remove the cube"):
    return ReportRow(
        name=f"scene {number}",
        picture=picture(10 * number + 1),
        truth=scene(1, extra={"view": {"camera": [7.0, -6.0, 5.0]}}),
        recognized=scene(2),
        rendered=picture(10 * number + 2, (256, 256)),
        instruction=instruction,
        edited_picture=picture(10 * number + 3, (256, 256)),
        edited_scene=scene(3, 9),
        edit_truth_picture=picture(10 * number + 4),
        edit_truth_scene=scene(4, 9),
        question="How many cubes?",
        answer="2",
        true_answer="2" if number else "3",
        program="scene\ncount",
        metrics={"Jaccard": 0.8312, "SSIM": None},
    )


def written(tmp_path, rows, summary=SUMMARY):
    write_report(tmp_path / "report.html", rows, summary)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    return html, Elements(html)


def test_eight_scenes_stay_below_six_megabytes_and_hold_the_library_once(tmp_path):
    rows = [full_row(index) for index in range(8)]
    html, page = written(tmp_path, rows)
    assert len(html.encode()) < 6_000_000
    assert html.count("Three.js Authors") == 1
    assert len(page.all("article")) == 8
    assert len(page.all("img")) == 8 * 4
    assert len(page.all("canvas")) == 8 * 2


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    html, page = written(tmp_path, [full_row(0)])
    for tag, attributes, _ in page.found:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/jpeg;base64,", "#")), value
    visible = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"https?:|@import|url\(", visible)
    ((policy, _),) = page.all("meta", http_equiv="Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; img-src data:;")


def test_pictures_are_there_as_given(tmp_path):
    row = full_row(0)
    _, page = written(tmp_path, [row])
    given = [row.picture, row.rendered, row.edited_picture, row.edit_truth_picture]
    for (attributes, _), image in zip(page.all("img"), given, strict=True):
        shown = Image.open(io.BytesIO(base64.b64decode(attributes["src"].split(",")[1])))
        assert shown.size == image.size
        assert np.abs(np.asarray(shown, dtype=float) - np.asarray(image, dtype=float)).mean() < 4
        assert attributes["src"] == image_uri(image)


def test_scenes_are_there_with_their_camera_and_each_view_names_its_own(tmp_path):
    row = full_row(0)
    _, page = written(tmp_path, [row])
    ((_, text),) = page.all("script", id="report-data")
    data = json.loads(text)
    assert data["half_sizes"] == dict(HALF_SIZES)
    assert {name: tuple(value) for name, value in data["colors"].items()} == dict(COLORS)
    views = page.all("div", class_="view3d")
    expected = [(row.recognized, row.truth), (row.edited_scene, row.edit_truth_scene)]
    for (attributes, _), scenes in zip(views, expected, strict=True):
        for index, wanted in zip((attributes["data-scene"], attributes["data-truth"]), scenes, strict=True):
            shown = data["scenes"][int(index)]
            assert shown["camera"] == [7.0, -6.0, 5.0]
            assert len(shown["objects"]) == len(wanted.objects)
            for drawn, item in zip(shown["objects"], wanted.objects, strict=True):
                for name in ("shape", "size", "color", "material", "rotation_degrees"):
                    assert drawn[name] == getattr(item, name)
                np.testing.assert_allclose(drawn["location"], item.location, atol=1e-4)
                assert drawn["words"].endswith("score 0.88")


def test_texts_are_escaped(tmp_path):
    row = full_row(0, EVIL)
    evil = ReportRow(
        name=EVIL,
        picture=row.picture,
        truth=row.truth,
        recognized=row.recognized,
        instruction=EVIL,
        question=EVIL,
        answer=EVIL,
        true_answer=EVIL,
        program=EVIL,
        metrics={EVIL: EVIL},
    )
    html, page = written(tmp_path, [evil])
    assert "alert('x')" not in html
    assert len(page.all("script")) == 3
    assert page.all("b") == [({}, EVIL)]  # the chip's value; none came from the text
    assert page.all("h2") == [({}, EVIL)]
    assert page.all("pre") == [({}, EVIL)]
    assert [text for _, text in page.all("p", class_="say")] == [f"“{EVIL}”", EVIL]


def test_summary_becomes_tiles(tmp_path):
    _, page = written(tmp_path, [full_row(0)])
    tiles = [text for _, text in page.all("section", class_="tile")]
    assert [re.sub(r"\s+", " ", tile) for tile in tiles] == [
        "Recognize0.513Jaccard index of objectswithin 0.05 m0.111within 0.10 m0.222",
        "Render0.881SSIML2—PSNR, dB24.310",
        "Edit0.610Jaccard index of edited scenes",
        "Answer62%correct answers",
        "Time28.6seconds in totalrecognize4.10",
    ]
    _, page = written(tmp_path, [full_row(0)], {"qa": {"accuracy": 1.0}})
    assert [text for _, text in page.all("section", class_="tile")] == ["Answer100%correct answers"]


def test_answers_are_marked(tmp_path):
    _, page = written(tmp_path, [full_row(0), full_row(1)])
    assert [text for _, text in page.all("dd", class_="no")] == ["2 ✗"]
    assert [text for _, text in page.all("dd", class_="yes")] == ["2 ✓"]


def test_missing_parts_and_empty_scenes_are_left_out(tmp_path):
    row = ReportRow(name="only", picture=picture(1), truth=scene(1), recognized=Scene(objects=()))
    _, page = written(tmp_path, [row], {})
    assert [text for _, text in page.all("h3")] == ["Recognize and render"]
    _, page = written(tmp_path, [], SUMMARY)
    assert page.all("article") == []


def test_number_shows_a_dash_for_nothing():
    assert [number(value) for value in (None, float("nan"), float("inf"), 0.5, 3, "<b>")] == [
        "—",
        "—",
        "—",
        "0.500",
        "3",
        "&lt;b&gt;",
    ]


def test_object_that_cannot_be_drawn_writes_nothing(tmp_path):
    item = SceneObject(shape="cone", size="small", color="red", material="metal", location=(0.0, 0.0, 0.35))
    row = ReportRow(name="x", picture=picture(1), truth=scene(1), recognized=Scene(objects=(item,)))
    message = r"^objects\[0\]\.shape: 'cone' cannot be drawn; allowed are cube, sphere, cylinder$"
    with pytest.raises(InputError, match=message):
        write_report(tmp_path / "report.html", [row], {})
    assert list(tmp_path.iterdir()) == []


def test_trimesh_without_three_js_is_named(monkeypatch):
    monkeypatch.setattr(report.zipfile, "ZipFile", _OtherViewer)
    report._three_js.cache_clear()
    with pytest.raises(DependencyError, match=r"^trimesh: its viewer carries no three\.js any more; install trimesh 5"):
        report._three_js()


class _OtherViewer:
    def __init__(self, stream):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def namelist(self):
        return ["viewer.html"]

    def read(self, name):
        return b"<script>/* another library */</script>"
