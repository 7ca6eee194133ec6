"""A picture's view (camera and lights) inside its scene's JSON, so that any picture can be drawn again.

The view is the field `view` beside CLEVR's own fields; a program that does not know it reads the file
as an ordinary CLEVR scene. A scene that was recognized has the camera alone; lights that a view does not name are the
reference ones. This module knows the field's form and nothing of how a view is chosen.
"""

import dataclasses
import math
from typing import Any

from trilingua.core.errors import InputError
from trilingua.data.renderers.protocol import View
from trilingua.data.renderers.views import REFERENCE_VIEW
from trilingua.scenes.scene import Scene, Vector

VIEW_FIELD = "view"


def view_to_json(view: View) -> dict[str, list[float]]:
    """Return the view as a JSON value: one 3-vector in world metres for the camera and for each light."""
    return {name: list(vector) for name, vector in dataclasses.asdict(view).items()}


def view_from_json(value: Any, *, where: str = "view") -> View:
    """Check a JSON value that `view_to_json` made, or part of one with the camera, and return the view.

    Raises:
        InputError: the camera is missing, or a field is unknown or not three finite numbers.
    """
    camera, *lights = (field.name for field in dataclasses.fields(View))
    if not isinstance(value, dict) or camera not in value or not {*value} <= {camera, *lights}:
        found = ", ".join(sorted(value)) if isinstance(value, dict) else type(value).__name__
        raise InputError(
            f"{where}: expected the field {camera} and, where known, {', '.join(lights)}; got {found or 'none'}"
        )
    return dataclasses.replace(REFERENCE_VIEW, **{name: _vector(value[name], f"{where}.{name}") for name in value})


def view_of(scene: Scene, *, where: str = "scene") -> View:
    """Return the view that `scene` was drawn from.

    Raises:
        InputError: the scene records no view, as CLEVR's own files do not.
    """
    if VIEW_FIELD not in scene.extra:
        raise InputError(f"{where}: has no field {VIEW_FIELD!r}; only scenes of `trilingua data clevr` can be redrawn")
    return view_from_json(scene.extra[VIEW_FIELD], where=f"{where}: {VIEW_FIELD}")


def with_view(scene: Scene, view: View) -> Scene:
    """Return `scene` with `view` recorded in it."""
    return scene.replace(extra={**scene.extra, VIEW_FIELD: view_to_json(view)})


def with_camera(scene: Scene, camera: Vector) -> Scene:
    """Return `scene` with where its camera stands recorded in it, in metres."""
    return scene.replace(extra={**scene.extra, VIEW_FIELD: {"camera": list(camera)}})


def _vector(value: Any, where: str) -> Vector:
    if not (isinstance(value, list) and len(value) == 3 and all(_is_finite_number(item) for item in value)):
        raise InputError(f"{where}: expected three finite numbers, got {value!r}")
    x, y, z = value
    return float(x), float(y), float(z)


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
