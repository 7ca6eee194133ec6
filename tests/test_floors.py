"""The floors: imports point down, the tool that says so can also say no, and modules stay small."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "trilingua"
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package's modules without their weights, and the contract, in a folder of their own."""
    for path in MODULES:
        target = tmp_path / path.relative_to(PACKAGE.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def test_imports_point_down_and_the_tool_tells_when_they_do_not(copy: Path) -> None:
    kept = lint_imports(copy)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    wrong = {
        "core/errors.py": "trilingua.cli.console",  # upwards, over all floors
        "models/decoder.py": "trilingua.tokenizers.vocabulary",  # a sibling
        "training/window.py": "trilingua.data.packing",  # a sibling
        "app/report.py": "trilingua.cli.main",  # upwards by one
    }
    for module, imported in wrong.items():
        path = copy / "trilingua" / module
        path.write_text(f"{path.read_text()}\nimport {imported}\n")
    broken = lint_imports(copy)
    assert broken.returncode != 0
    for module, imported in wrong.items():
        importer = f"trilingua.{module.removesuffix('.py').replace('/', '.')}"
        assert f"{importer} -> {imported}" in broken.stdout, f"{importer} may import {imported}"


def test_the_floors_in_the_documentation_are_those_of_the_contract() -> None:
    diagram = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    drawn = [line.split("  ")[0].strip() for line in diagram.strip().splitlines()]
    assert drawn == [layer.replace("|", "│") for layer in LAYERS]


def test_every_floor_is_a_package_and_every_package_is_on_a_floor() -> None:
    named = {name.strip() for layer in LAYERS for name in layer.split("|")}
    assert named == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_small_and_says_what_it_holds(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500
    assert len((ast.get_docstring(ast.parse(text)) or "").split()) >= 4
