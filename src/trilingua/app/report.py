"""The demo's report: one HTML file that opens without a network, with every scene in interactive 3D.

The 3D views are drawn by three.js (MIT), taken from the copy inside the package trimesh, on which the
project depends anyway. Other ways were weighed: one glTF viewer page for each scene would repeat 0.7 MB
a scene and meet the browsers' limit of about sixteen WebGL contexts a page; packages that carry only
three.js are old or bring a notebook with them. Here the library is in the page once, as text that no
browser parses before the first view comes near the screen, all views share one context, and a scene is a
few hundred bytes of shapes, sizes, colours and places instead of a mesh.

This module gathers and writes; `report_parts.py` makes the HTML of each part, `page/` holds the page's
frame and its program. It knows no model and computes no metric.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image
from trimesh.resources import get_bytes

from trilingua.app.report_parts import Page, body
from trilingua.core.errors import DependencyError
from trilingua.core.io import write_bytes
from trilingua.scenes.palette import COLORS, HALF_SIZES
from trilingua.scenes.scene import Scene


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """What one scene's section shows. Parts that are None are left out."""

    name: str
    """The section's heading, for example the picture's name."""
    picture: Image.Image
    truth: Scene
    recognized: Scene
    rendered: Image.Image | None = None
    """The model's picture of the true scene."""
    instruction: str | None = None
    edited_picture: Image.Image | None = None
    edited_scene: Scene | None = None
    edit_truth_picture: Image.Image | None = None
    edit_truth_scene: Scene | None = None
    question: str | None = None
    answer: str | None = None
    true_answer: str | None = None
    program: str | None = None
    """The program that answered the question, as text to read."""
    metrics: Mapping[str, float | int | str | None] = field(default_factory=dict)
    """Label -> value, shown in this order beside the heading."""


@dataclass(frozen=True, kw_only=True)
class ShapeRow:
    """What one object's section shows."""

    name: str
    """The section's heading."""
    caption: str
    """What the object is, in words."""
    picture: Image.Image
    """The object itself."""
    decoded: Sequence[tuple[int, Image.Image]]
    """Number of scales, and the object as they decode to it."""
    codes: Sequence[Sequence[int | float]]
    """The ids of each scale, or the numbers of the latents."""
    metrics: Mapping[str, float | int | str | None] = field(default_factory=dict)
    """Label -> value, shown in this order beside the heading."""


def write_report(
    path: str | Path, rows: Sequence[ReportRow], summary: Mapping[str, Any], *, shapes: Sequence[ShapeRow] = ()
) -> None:
    """Write the report to `path`, atomically: one file, no reference to any other.

    Args:
        path: where the HTML file goes.
        rows: the scenes, in order.
        summary: the values of `summary.json`; its parts `recognition`, `rendering`, `editing`, `qa`, `shapes` and
            `seconds` become the tiles at the top, those that are missing are left out.
        shapes: objects to show behind the scenes.

    Raises:
        InputError: a scene has an object that cannot be drawn, or the file cannot be written.
        DependencyError: the installed trimesh carries no three.js.
    """
    page = Page()
    content = body(page, rows, summary, shapes)
    data = {"colors": dict(COLORS), "half_sizes": dict(HALF_SIZES), "scenes": page.scenes}
    frame = _resource("report.html")
    filled = {
        "title": "Trilingua report",
        "body": content,
        # "<" can only stand inside JSON strings; escaped, no text of a scene can end the element.
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "library": _three_js(),
        "viewer": _resource("report.js"),
    }
    # One pass, so that a text which looks like a slot stays a text.
    html = re.sub(r"\{\{(\w+)\}\}", lambda slot: filled[slot[1]], frame)
    write_bytes(path, html.encode())


def _resource(name: str) -> str:
    return (resources.files("trilingua.app") / "page" / name).read_text(encoding="utf-8")


@cache
def _three_js() -> str:
    """Return three.js with its licence comment, out of trimesh's own viewer."""
    with zipfile.ZipFile(io.BytesIO(get_bytes("templates/viewer.zip"))) as archive:
        template = archive.read(archive.namelist()[0]).decode()
    found = re.search(
        r"/\*\*\s+\* @license\s+\* Copyright [\d-]+ Three\.js Authors.*?\*/\s*[^\n]+\n", template, re.DOTALL
    )
    if found is None or "THREE={}" not in found[0] or "</script" in found[0]:
        raise DependencyError("trimesh: its viewer carries no three.js any more; install trimesh 5.2 for the report")
    return found[0]
