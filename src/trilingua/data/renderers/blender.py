"""The Blender renderer: the same studio, path-traced by Cycles, as CLEVR's pictures were made.

Blender's package pins an old numpy, so it runs in a process of its own under an interpreter that may belong to
another environment. This module talks to that process; what a pixel's centre shows is found by the built-in
renderer's rays.
"""

import contextlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from trilingua.core.errors import ConfigError, DependencyError, InputError, WorkerError
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.renderers.protocol import Rendering, View
from trilingua.data.renderers.views import (
    FLOOR_ACROSS,
    FLOOR_AXIS,
    FLOOR_PROFILE,
    FLOOR_SIDES,
    FLOOR_START,
    LAMPS,
    SUN_DIRECTION,
    SUN_IRRADIANCE,
    SUN_RADIUS,
    camera_for_view,
)
from trilingua.scenes.palette import COLORS, HALF_SIZES
from trilingua.scenes.scene import Scene

PYTHON_VARIABLE = "TRILINGUA_BLENDER_PYTHON"
"""Environment variable that names the interpreter that has Blender's package."""

_HINT = (
    f"install Blender's package with `pip install trilingua[blender]`, or put `bpy` into an environment of its own "
    f"and set {PYTHON_VARIABLE} to that environment's python"
)
# Radius of a rounded edge over the half size. Source: CLEVR generator, `SmoothCube_v2.blend`, `SmoothCylinder.blend`.
_BEVELS = {"cube": 0.18, "cylinder": 0.054}


class BlenderRenderer:
    """Draws scenes with Cycles on the CPU, in a process that lives as long as this object.

    Equal arguments give equal pixels on one machine; another processor may round differently.

    Args:
        python: interpreter that has `bpy`; default is what TRILINGUA_BLENDER_PYTHON names, else this interpreter.
        samples_per_pixel: paths traced through each pixel before denoising, at least 1.
        num_threads: processor threads; 0 for all.

    Raises:
        ConfigError: a number out of range.
        DependencyError: no interpreter with `bpy` is found, or it does not start; says how to install it.
    """

    name = "blender"

    def __init__(self, *, python: str | None = None, samples_per_pixel: int = 64, num_threads: int = 0) -> None:
        if samples_per_pixel < 1:
            raise ConfigError(f"samples_per_pixel: {samples_per_pixel} is out of range; allowed is 1 and more")
        if num_threads < 0:
            raise ConfigError(f"num_threads: {num_threads} is out of range; allowed is 0 (all) and more")
        self.samples_per_pixel = samples_per_pixel
        self.num_threads = num_threads
        self._python = _find_python(python)
        self._surfaces = BuiltinRenderer(samples_per_pixel=1)
        self._folder = Path(tempfile.mkdtemp(prefix="trilingua-blender-"))
        try:
            self._process = self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        # Runs at `close`, when this object is forgotten or when the program ends, whichever is first.
        self._finish = weakref.finalize(self, _finish, self._process, self._folder)

    def render(self, scene: Scene, view: View, *, width: int = 320, height: int = 240) -> Rendering:
        """Draw `scene` from `view`.

        Args:
            scene: objects; one without a rotation is drawn unturned.
            view: camera and lamps.
            width: of the picture, in pixels.
            height: of the picture, in pixels.

        Raises:
            InputError: an object has a word that cannot be drawn.
            WorkerError: Blender failed; says what it said.
        """
        index, depth = self._surfaces.find_surfaces(scene, view, width=width, height=height)
        picture = self._folder / "picture.png"
        picture.unlink(missing_ok=True)
        request = _describe(scene, view, width, height)
        request |= {"samples": self.samples_per_pixel, "threads": self.num_threads, "picture": str(picture)}
        answer = self._ask(request)
        if "error" in answer or not picture.exists():
            raise WorkerError(f"Blender could not draw the scene: {answer.get('error', 'it wrote no picture')}")
        with Image.open(picture) as image:
            pixels = np.array(image.convert("RGB"))
        return Rendering(image=pixels, object_index=index, depth=depth)

    def count_visible_pixels(self, scene: Scene, view: View, *, width: int = 320, height: int = 240) -> list[int]:
        """Return for each object of `scene` how many pixels show it, without asking Blender."""
        return self._surfaces.count_visible_pixels(scene, view, width=width, height=height)

    def close(self) -> None:
        """End Blender's process. Safe to call twice."""
        self._finish()

    def __enter__(self) -> "BlenderRenderer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _chatter(self) -> Path:
        return self._folder / "blender.log"

    def _start(self) -> "subprocess.Popen[str]":
        worker = Path(__file__).with_name("blender_worker.py")
        with self._chatter.open("wb") as chatter:
            try:
                process = subprocess.Popen(
                    [self._python, str(worker)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=chatter,
                    text=True,
                    # Another environment's interpreter must not find this one's packages.
                    env={key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")},
                )
            except OSError as error:
                raise DependencyError(f"{self._python}: cannot be started ({error.strerror}); {_HINT}") from None
        assert process.stdout is not None
        if not process.stdout.readline():
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()
            raise DependencyError(f"{self._python}: cannot start Blender ({self._last_words()}); {_HINT}")
        return process

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:
            raise WorkerError(f"Blender's process ended ({self._last_words()}); make a new renderer to go on")
        return json.loads(line)

    def _last_words(self) -> str:
        lines = self._chatter.read_text(errors="replace").strip().splitlines() if self._chatter.exists() else []
        return lines[-1] if lines else "it said nothing"


def _finish(process: "subprocess.Popen[str]", folder: Path) -> None:
    """End the process, first by closing its input, and remove its folder."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _find_python(python: str | None) -> str:
    chosen = python or os.environ.get(PYTHON_VARIABLE)
    if chosen:
        return chosen
    if importlib.util.find_spec("bpy") is not None:
        return sys.executable
    raise DependencyError(f"the Blender renderer needs the package 'bpy', which is not here; {_HINT}")


def _describe(scene: Scene, view: View, width: int, height: int) -> dict[str, Any]:
    """Return the studio as numbers, in metres, degrees and linear light."""
    camera = camera_for_view(view, width=width, height=height)
    solids = []
    for index, item in enumerate(scene.objects):
        if item.size not in HALF_SIZES or item.color not in COLORS:
            raise InputError(f"objects[{index}]: {item.size!r}, {item.color!r} cannot be drawn")
        size = HALF_SIZES[item.size]
        solids.append(
            {
                "shape": item.shape,
                "material": item.material,
                "size": size,
                "bevel": _BEVELS.get(item.shape, 0.0),
                "center": (item.location[0], item.location[1], size),
                "turn_degrees": item.rotation_degrees or 0.0,
                "color": [value / 255.0 for value in COLORS[item.color]],
            }
        )
    places = (view.key_light, view.fill_light, view.back_light)
    return {
        "solids": solids,
        "camera": {
            "world_from_camera": camera.world_from_camera.tolist(),
            "focal_per_side": camera.focal_length / max(width, height),
        },
        # A lamp's watts are pi times radiance times area.
        "lamps": [
            {"place": place, "edge": edge, "watts": math.pi * power, "color": color}
            for place, (edge, power, color) in zip(places, LAMPS, strict=True)
        ],
        "sun": {"direction": SUN_DIRECTION, "irradiance": SUN_IRRADIANCE, "angle": 2 * math.asin(SUN_RADIUS)},
        "floor": {
            "axis": FLOOR_AXIS,
            "across": FLOOR_ACROSS,
            "start": FLOOR_START,
            "sides": FLOOR_SIDES,
            "profile": FLOOR_PROFILE,
        },
        "width": width,
        "height": height,
    }
