"""The Blender renderer: its errors everywhere, its pictures where Blender's package is installed."""

import importlib.util
import math
import os
import sys

import numpy as np
import pytest

from trilingua.core.errors import ConfigError, DependencyError, WorkerError
from trilingua.data.renderers import blender
from trilingua.data.renderers.blender import PYTHON_VARIABLE, BlenderRenderer
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.renderers.views import REFERENCE_VIEW
from trilingua.scenes.scene import Scene, SceneObject

SCENE = Scene(
    objects=(
        SceneObject(
            shape="cube",
            size="large",
            color="cyan",
            material="metal",
            location=(-1.0, 0.5, 0.7),
            rotation_degrees=25.0,
        ),
        SceneObject(shape="sphere", size="large", color="red", material="rubber", location=(1.0, 1.0, 0.7)),
        SceneObject(shape="cylinder", size="small", color="yellow", material="rubber", location=(1.2, -1.2, 0.35)),
    )
)

HAS_BLENDER = PYTHON_VARIABLE in os.environ or importlib.util.find_spec("bpy") is not None


@pytest.fixture(scope="module")
def renderer():
    if not HAS_BLENDER:
        pytest.skip(f"Blender's package is not installed and {PYTHON_VARIABLE} is not set")
    with BlenderRenderer(samples_per_pixel=16) as made:
        yield made


def test_picture_agrees_with_the_builtin_renderer(renderer):
    ours = BuiltinRenderer(samples_per_pixel=16).render(SCENE, REFERENCE_VIEW, width=96, height=72)
    theirs = renderer.render(SCENE, REFERENCE_VIEW, width=96, height=72)
    np.testing.assert_array_equal(theirs.object_index, ours.object_index)
    np.testing.assert_array_equal(theirs.depth, ours.depth)
    difference = np.abs(theirs.image.astype(int) - ours.image)
    assert difference.mean() < 4.5
    for index in range(3):
        shown = ours.object_index == index
        np.testing.assert_allclose(theirs.image[shown].mean(axis=0), ours.image[shown].mean(axis=0), atol=15)
    # A picture moved by two pixels fits clearly worse, so that camera and places agree.
    moved = np.roll(ours.image, 2, axis=1).astype(int)
    assert np.abs(theirs.image - moved).mean() > 1.3 * difference.mean()


def test_equal_arguments_give_equal_bytes(renderer):
    pictures = [renderer.render(SCENE, REFERENCE_VIEW, width=48, height=36).image.tobytes() for _ in range(2)]
    assert pictures[0] == pictures[1]


def test_absent_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(blender.importlib.util, "find_spec", lambda name: None)
    message = r"needs the package 'bpy', which is not here; install Blender's package with `pip install trilingua"
    with pytest.raises(DependencyError, match=message):
        BlenderRenderer()


def test_interpreter_without_the_package_says_so(tmp_path):
    (tmp_path / "bpy.py").write_text("raise ImportError('no Blender here')\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    with pytest.raises(DependencyError, match=r"cannot start Blender \(ImportError: no Blender here\); install"):
        BlenderRenderer(python=str(python))


def test_missing_interpreter_is_named(tmp_path):
    with pytest.raises(DependencyError, match=r"nowhere: cannot be started \(No such file or directory\); install"):
        BlenderRenderer(python=str(tmp_path / "nowhere"))


def make_stand_in(folder, body):
    """An interpreter that ignores the worker and answers as `body` says."""
    program = folder / "program.py"
    program.write_text(f"import sys\nprint('{{}}', flush=True)\n{body}\n")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}"\n')
    python.chmod(0o755)
    return str(python)


def test_failure_inside_blender_is_told(tmp_path):
    body = 'for line in sys.stdin: print(\'{"error": "RuntimeError: out of paint"}\', flush=True)'
    with (
        BlenderRenderer(python=make_stand_in(tmp_path, body)) as renderer,
        pytest.raises(WorkerError, match=r"could not draw the scene: RuntimeError: out of paint"),
    ):
        renderer.render(SCENE, REFERENCE_VIEW, width=16, height=12)


def test_death_of_the_process_is_told(tmp_path):
    body = "sys.stdin.readline(); sys.exit('killed by a dragon')"
    with (
        BlenderRenderer(python=make_stand_in(tmp_path, body)) as renderer,
        pytest.raises(WorkerError, match=r"process ended \(killed by a dragon\); make a new renderer"),
    ):
        renderer.render(SCENE, REFERENCE_VIEW, width=16, height=12)


def test_lamps_are_told_in_watts():
    request = blender._describe(SCENE, REFERENCE_VIEW, 320, 240)
    assert [lamp["watts"] for lamp in request["lamps"]] == pytest.approx([25 * math.pi, 7.5 * math.pi, 12.5 * math.pi])
    assert request["camera"]["focal_per_side"] == pytest.approx(35 / 32)
    assert [solid["size"] for solid in request["solids"]] == [0.7, 0.7, 0.35]


@pytest.mark.parametrize(("name", "value"), [("samples_per_pixel", 0), ("num_threads", -1)])
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name}: {value} is out of range"):
        BlenderRenderer(**{name: value})
