"""`trilingua demo` on a tiny run: one page without a network, and the summary's keys."""

import json
import re

import pytest

from trilingua.cli.main import run
from trilingua.scenes.scene import Scene


@pytest.fixture(scope="module")
def shown(tiny_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "shown"
    arguments = ["demo", "--out", str(out), "--seed", "5", "--num-scenes", "2", "--checkpoint", str(tiny_run)]
    assert run(arguments) == 0
    return out


def test_summary(shown):
    summary = json.loads((shown / "summary.json").read_text())
    assert {name: list(value) if isinstance(value, dict) else value for name, value in summary.items()} == {
        "seed": 5,
        "num_scenes": 2,
        "recognition": ["jaccard", "jaccard_at"],
        "rendering": ["ssim", "l2", "psnr"],
        "editing": ["jaccard"],
        "qa": ["accuracy"],
        "shapes": ["f_score_0.02", "bytes_per_object"],
        "seconds": ["recognize", "render", "edit", "ask", "shapes", "total"],
    }
    assert list(summary["recognition"]["jaccard_at"]) == ["0.05", "0.10", "0.15", "0.20", "0.25"]
    for part in ("recognition", "editing"):
        assert 0.0 <= summary[part]["jaccard"] <= 1.0
    seconds = summary["seconds"]
    assert sum(value for name, value in seconds.items() if name != "total") <= seconds["total"]


def test_the_page_is_one_file_that_loads_nothing(shown):
    html = (shown / "report.html").read_text()
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", html, flags=re.DOTALL)  # Its programs are text in the page.
    for load in (
        r"\ssrc=[\"']?(?!data:)[^\s\"'>]",
        r"<link\b",
        r"@import",
        r"url\([\"']?(?!data:|#)",
        r"<base\b",
        r"https?://",
    ):
        assert re.search(load, markup, re.IGNORECASE) is None, load
    assert html.count('<article class="scene" id="scene-') == 2
    assert html.count('<article class="scene" id="shape-') == 3
    summary = json.loads((shown / "summary.json").read_text())
    assert f"{summary['recognition']['jaccard']:.3f}" in html


def test_everything_shown_lies_beside_the_page(shown):
    names = {path.name for path in shown.iterdir()}
    parts = (".png", ".json", ".glb", "_truth.json", "_rendered.png", "_edited.png", "_edited.json")
    shape_parts = (".glb", ".json", ".png", "_decoded.glb", "_decoded.png")
    assert names == {"report.html", "summary.json"} | {f"scene_00{i}{part}" for i in (0, 1) for part in parts} | {
        f"shape_00{i}{part}" for i in (0, 1, 2) for part in shape_parts
    }
    found, true = (Scene.load(shown / f"scene_000{part}") for part in (".json", "_truth.json"))
    assert 3 <= len(true.objects) <= 10
    assert all(item.score is not None for item in found.objects)


def test_equal_seeds_give_equal_scenes(shown, tiny_model, tmp_path):
    from trilingua.app.demo import run_demo

    run_demo(tiny_model, tmp_path / "again", seed=5, num_scenes=1)
    for name in ("scene_000.png", "scene_000_truth.json"):
        assert (tmp_path / "again" / name).read_bytes() == (shown / name).read_bytes()
    run_demo(tiny_model, tmp_path / "other", seed=6, num_scenes=1)
    assert (tmp_path / "other" / "scene_000_truth.json").read_bytes() != (shown / "scene_000_truth.json").read_bytes()
