"""What the documentation says is true: commands parse, Python runs, links and names exist, figures agree."""

import functools
import importlib
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

import trilingua
from trilingua.cli.main import VERBS, run
from trilingua.core import presets
from trilingua.data.clevr.views import VIEW_FIELD, view_of
from trilingua.data.shapes.files import ShapesConfig
from trilingua.data.shapes.generate import generate_shapes
from trilingua.scenes.scene import Scene

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "src").rglob("*.md"),
        *(ROOT / "benchmarks").glob("README.md"),
    ]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS_MORE = {"docs/howto/blender.md"}
"""Pages whose Python needs a package that tests go without; it is compiled and not run."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(path.read_text()) if language in languages]


def commands(path: Path) -> list[list[str]]:
    """Every command of the page's shell blocks, as words."""
    lines = "\n".join(blocks(path, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


COMMANDS = [
    pytest.param(words, id=f"{name(path)}: {' '.join(words)[:60]}") for path in PAGES for words in commands(path)
]
PYTHON = [path for path in PAGES if blocks(path, "python")]


@pytest.fixture
def parsed_only(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes every verb parse its arguments and do nothing; the list holds the verbs that got as far."""
    reached: list[str] = []

    def stop(module: Any, attribute: str, verb: str) -> None:
        function = getattr(module, attribute)

        @functools.wraps(function)
        def reach(*_: Any, **__: Any) -> None:
            reached.append(verb)

        monkeypatch.setattr(module, attribute, reach)

    for verb in VERBS:
        module = importlib.import_module(f"trilingua.cli.{verb}")
        inner = {"data": ("clevr", "shapes"), "shape": ("encode", "decode", "evaluate"), "train": ("_train",)}
        for attribute in inner.get(verb, (verb,)):
            stop(module, attribute, verb)
    return reached


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_exists_with_its_options(
    words: list[str], parsed_only: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if words[:2] == ["accelerate", "launch"]:
        from accelerate.commands.launch import launch_command_parser

        launched = launch_command_parser().parse_args(words[2:])
        assert launched.no_python
        words = [launched.training_script, *launched.training_script_args]
    if words[0] != "trilingua":
        known = ("pip", "python3.11", ".venv/bin/python", "export", "ray", "blender-env/bin/pip")
        assert words[0] in known, f"who knows what {words} does?"
        return
    status = run(words[1:])
    assert status == 0, capsys.readouterr().err
    assert parsed_only == ([] if "--help" in words else [words[1]])


def test_the_readme_shows_every_verb() -> None:
    shown = {words[1] for words in commands(ROOT / "README.md") if words[0] == "trilingua"}
    assert shown == set(VERBS)


def test_a_wrong_option_would_be_noticed(parsed_only: list[str]) -> None:
    assert run(["recognize", "a.png", "--out", "scenes", "--colour", "red"]) == 2
    assert run(["train", "kyvo-clevr", "--trainer.max-stepz", "3"]) == 2
    assert not parsed_only


def test_what_make_is_told_to_do_exists() -> None:
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {
        found
        for path in PAGES
        for found in re.findall(r"(?:^    |`)(?:\w+=\S+ )*make ([a-z-]+)", path.read_text(), re.M)
    }
    assert {"demo", "test", "bench", "train-default"} <= told
    assert told <= rules


@pytest.fixture
def workplace(tmp_path: Path, clevr_folder: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages name, where the shipped model is one that was trained in seconds."""
    picture, scene = (
        clevr_folder / "images" / "CLEVR_tiny_000000.png",
        clevr_folder / "scenes" / "CLEVR_tiny_000000.json",
    )
    for target in ("photo.png", "photos/0.png", "photos/1.png", "my/pictures/0.png"):
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, tmp_path / target)
    for target in ("scene.json", "scenes/a.json", "truth/a.json"):
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scene, tmp_path / target)
    shutil.copytree(clevr_folder, tmp_path / "data" / "small")
    trimesh.creation.box((0.5, 0.5, 0.9)).export(tmp_path / "chair.glb")
    few = ShapesConfig(num_objects=1, num_random_views=0, view_size=16, voxel_resolution=16)
    generate_shapes(tmp_path / "data" / "shapes" / "val", few)
    shutil.copytree(clevr_folder / "scenes", tmp_path / "my" / "data" / "scenes")
    load = trilingua.load
    monkeypatch.setattr(trilingua, "load", lambda *_, **__: load(tiny_run))
    monkeypatch.setattr(presets, "_PRESETS", dict(presets._PRESETS))
    monkeypatch.chdir(tmp_path)
    assert run(["export", str(tiny_run), "--out", "exported"]) == 0
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # of transformers, which is not ours to mend
@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_python_runs(path: Path, workplace: Path) -> None:
    texts = blocks(path, "python")
    assert texts
    for text in texts:
        code = compile(text, name(path), "exec")
        if name(path) not in NEEDS_MORE:
            exec(code, {"__name__": "__main__"})


def test_a_view_is_found_again_from_pixel_coordinates(workplace: Path) -> None:
    paths = sorted((workplace / "my" / "data" / "scenes").glob("*.json"))
    known = [view_of(Scene.load(path)) for path in paths]
    for path in paths:
        scene = Scene.load(path)
        scene.replace(extra={key: value for key, value in scene.extra.items() if key != VIEW_FIELD}).save(path)
    exec(blocks(ROOT / "docs" / "howto" / "own_data.md", "python")[0], {"__name__": "__main__"})
    for path, view in zip(paths, known, strict=True):
        assert np.linalg.norm(np.subtract(view_of(Scene.load(path)).camera, view.camera)) < 0.25


def test_an_image_tokenizer_trains_on_pictures_alone(workplace: Path) -> None:
    from trilingua.core.config import replace_dotted
    from trilingua.systems.kyvo.config import kyvo_tiny_tokenizers
    from trilingua.systems.kyvo.train import train_tokenizers

    for index in range(5):
        pixels = np.random.default_rng(index).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(workplace / "my" / "pictures" / f"more_{index}.png")
    exec(blocks(ROOT / "docs" / "howto" / "own_data.md", "python")[2], {"__name__": "__main__"})
    settings = {"losses.code_probe": 0.0, "losses.feature_probe": 0.0, "trainer.max_steps": 1}
    config = replace_dotted(kyvo_tiny_tokenizers(), {"data": "my/pictures-only", **settings})
    assert train_tokenizers(config, workplace / "run").reason == "finished"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        target, _, heading = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        assert found.is_relative_to(ROOT), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, link


def test_a_figure_says_the_same_everywhere() -> None:
    said: dict[str, dict[str, str]] = {}
    for path in PAGES:
        for figure, value in re.findall(r"<!-- figure:(\w+) -->([^\s|,;]+)", path.read_text()):
            said.setdefault(figure, {})[name(path)] = value
    assert "recognition_jaccard" in said
    for figure, values in said.items():
        assert len(set(values.values())) == 1, f"{figure}: {values}"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    tables = (ROOT / "docs" / "architecture.md").read_text().split("## Dependencies")[1]
    first_columns = "\n".join(line.rpartition(" | ")[0] for line in tables.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`([\w-]+)`", first_columns))
    required = {re.split(r"[=<> ;\[]", item)[0] for item in wanted}
    assert required <= named
    assert named - required <= set(project["optional-dependencies"]) | {"linear_sum_assignment"}


def test_extras_that_are_named_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for path in PAGES for extra in re.findall(r"(?:\.|trilingua)\[(\w+)\]", path.read_text())}
    assert named
    assert named <= set(known)
