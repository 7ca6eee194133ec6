"""The HTML of the report, part by part: tiles, sections, figures, tables.

Every text that comes from outside goes through `html.escape`. Pictures become data URIs; scenes are put
into a list that the page's program draws, and a view names its scene by its index there.
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from PIL import Image

from trilingua.core.errors import InputError
from trilingua.data.renderers.views import REFERENCE_VIEW
from trilingua.scenes.palette import COLORS
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR

if TYPE_CHECKING:
    from trilingua.app.report import ReportRow, ShapeRow

_JPEG_QUALITY = 92


class Page:
    """Collects the scenes that the page's program draws."""

    def __init__(self) -> None:
        self.scenes: list[dict[str, Any]] = []

    def add(self, scene: Scene, seen_from: Scene) -> int:
        """Return the index of `scene` in the page's data; it is first shown as the picture of `seen_from` is."""
        view = seen_from.extra.get("view")
        camera = view["camera"] if isinstance(view, Mapping) and "camera" in view else REFERENCE_VIEW.camera
        objects = [_drawn(item, index) for index, item in enumerate(scene.objects)]
        self.scenes.append({"camera": [round(value, 3) for value in camera], "objects": objects})
        return len(self.scenes) - 1


def body(page: Page, rows: Sequence["ReportRow"], summary: Mapping[str, Any], shapes: Sequence["ShapeRow"] = ()) -> str:
    """Return the visible part of the page."""
    seed = f", seed {escape(str(summary['seed']))}" if "seed" in summary else ""
    count = f"{len(rows)} scene{'' if len(rows) == 1 else 's'}{seed}"
    links = "".join(f'<a href="#scene-{index}">{index + 1}</a>' for index in range(len(rows)))
    sections = "".join(_section(page, index, row) for index, row in enumerate(rows))
    sections += "".join(_shape(index, row) for index, row in enumerate(shapes))
    shape_links = "".join(f'<a href="#shape-{index}">{index + 1}</a>' for index in range(len(shapes)))
    if shapes:
        shape_links = f'<span class="soft">Shapes</span>{shape_links}'
    return f"""<header>
<h1>Trilingua</h1>
<p class="soft">One model that recognizes, draws, edits and answers. {count}.</p>
<div class="tiles">{_tiles(summary)}</div>
<nav aria-label="Scenes"><span class="soft">Scenes</span>{links}{shape_links}</nav>
</header>
<main>{sections}</main>
<footer class="soft">Drag a 3D view to turn it, click it and use the wheel to come nearer, double-click to go back;
point at an object to read what it is.</footer>"""


def number(value: Any, digits: int = 3) -> str:
    """Return a value for people: `digits` decimals for a float, a dash for what is missing or not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "—"
    return f"{value:.{digits}f}" if isinstance(value, float) else escape(str(value))


def image_uri(image: Image.Image) -> str:
    """Return the picture as a data URI of JPEG at full colour resolution."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _tiles(summary: Mapping[str, Any]) -> str:
    tiles = []
    for key, title, name, main in (
        ("recognition", "Recognize", "Jaccard index of objects", "jaccard"),
        ("rendering", "Render", "SSIM", "ssim"),
        ("editing", "Edit", "Jaccard index of edited scenes", "jaccard"),
        ("qa", "Answer", "correct answers", "accuracy"),
        ("shapes", "Shapes", "F-score at 0.02 of codes decoded", "f_score_0.02"),
        ("seconds", "Time", "seconds in total", "total"),
    ):
        values = summary.get(key)
        if not isinstance(values, Mapping):
            continue
        big = values.get(main)
        if key == "qa" and isinstance(big, float) and math.isfinite(big):
            shown = f"{100 * big:.0f}%"
        else:
            shown = number(big, 1 if key == "seconds" else 3)
        digits = 2 if key == "seconds" else 3
        lines = [(label, number(value, digits)) for label, value in _flat(values) if label != main]
        tiles.append(
            f'<section class="tile"><h3>{title}</h3><div class="big">{shown}</div>'
            f'<div class="name">{name}</div>{_terms(lines)}</section>'
        )
    return "".join(tiles)


def _flat(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if key == "jaccard_at" and isinstance(value, Mapping):
            for threshold, score in value.items():
                yield f"within {threshold} m", score
        elif not isinstance(value, Mapping | list | tuple):
            yield {"l2": "L2", "psnr": "PSNR, dB"}.get(key, key.replace("_", " ")), value


def _terms(lines: Sequence[tuple[str, str]]) -> str:
    if not lines:
        return ""
    return "<dl>" + "".join(f"<dt>{escape(label)}</dt><dd>{value}</dd>" for label, value in lines) + "</dl>"


def _section(page: Page, index: int, row: "ReportRow") -> str:
    count = len(row.truth.objects)
    return f"""<article class="scene" id="scene-{index}">
{_head(row.name, f"{count} object{'' if count == 1 else 's'}", row.metrics)}
{_see(page, row)}{_edit(page, row)}{_ask(row)}</article>"""


def _head(name: str, about: str, metrics: Mapping[str, Any]) -> str:
    chips = "".join(
        f'<span class="chip">{escape(label)}<b>{number(value)}</b></span>' for label, value in metrics.items()
    )
    return (
        f'<div class="head"><h2>{escape(name)}</h2><span class="soft">{escape(about)}</span>'
        f'<div class="chips">{chips}</div></div>'
    )


def _shape(index: int, row: "ShapeRow") -> str:
    figures = [_figure(row.picture, "The object")]
    for count, picture in row.decoded:
        ids = sum(map(len, row.codes[:count]))
        figures.append(_figure(picture, f"From {count} scale{'' if count == 1 else 's'}, {ids} codes"))
    codes = "\n".join(f"{number + 1}: {' '.join(map(str, scale))}" for number, scale in enumerate(row.codes))
    return f"""<article class="scene" id="shape-{index}">
{_head(row.name, row.caption, row.metrics)}
<section class="part square"><h3>To codes and back</h3>{_row(figures)}
<details><summary>Codes by scale</summary><pre>{escape(codes)}</pre></details></section></article>"""


def _see(page: Page, row: "ReportRow") -> str:
    figures = [
        _figure(row.picture, "Given picture"),
        _view(page, row.recognized, row.truth, row.truth, "Recognized scene"),
    ]
    if row.rendered is not None:
        figures.append(_figure(row.rendered, "The true scene, drawn by the model"))
    tables = _table("Recognized", row.recognized) + _table("True", row.truth)
    return (
        f'<section class="part"><h3>Recognize and render</h3>{_row(figures)}'
        f'<details><summary>Objects as numbers</summary><div class="tables">{tables}</div></details></section>'
    )


def _edit(page: Page, row: "ReportRow") -> str:
    if row.instruction is None:
        return ""
    figures = []
    if row.edited_picture is not None:
        figures.append(_figure(row.edited_picture, "Edited picture"))
    if row.edited_scene is not None:
        figures.append(_view(page, row.edited_scene, row.edit_truth_scene, row.truth, "Edited scene"))
    if row.edit_truth_picture is not None:
        figures.append(_figure(row.edit_truth_picture, "True result"))
    return f'<section class="part"><h3>Edit</h3><p class="say">“{escape(row.instruction)}”</p>{_row(figures)}</section>'


def _ask(row: "ReportRow") -> str:
    if row.question is None:
        return ""
    right = row.true_answer is None or row.answer == row.true_answer
    mark = "" if row.true_answer is None else f' class="{"yes" if right else "no"}"'
    sign = "" if row.true_answer is None else " ✓" if right else " ✗"
    terms = f"<dt>Answer</dt><dd{mark}>{number(row.answer)}{sign}</dd>"
    if row.true_answer is not None:
        terms += f"<dt>Truth</dt><dd>{escape(row.true_answer)}</dd>"
    program = (
        "" if row.program is None else f"<details><summary>Program</summary><pre>{escape(row.program)}</pre></details>"
    )
    return (
        f'<section class="part"><h3>Ask</h3><p class="say">{escape(row.question)}</p>'
        f'<dl class="answers">{terms}</dl>{program}</section>'
    )


def _row(figures: Sequence[str]) -> str:
    return f'<div class="row" style="--count:{max(len(figures), 3)}">{"".join(figures)}</div>' if figures else ""


def _figure(image: Image.Image, caption: str) -> str:
    # The box is 4:3, CLEVR's own; a square picture of the model was squeezed from it and is stretched back.
    return (
        f'<figure><img src="{image_uri(image)}" alt="{escape(caption)}" width="{image.width}" height="{image.height}" '
        f'loading="lazy"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _view(page: Page, scene: Scene, truth: Scene | None, seen_from: Scene, caption: str) -> str:
    index = page.add(scene, seen_from)
    compare, switch = "", ""
    if truth is not None:
        compare = f' data-truth="{page.add(truth, seen_from)}"'
        switch = (
            '<div class="switch" role="group" aria-label="Which scene">'
            '<button type="button" data-mode="model" aria-pressed="true">Model</button>'
            '<button type="button" data-mode="truth" aria-pressed="false">True</button>'
            '<button type="button" data-mode="both" aria-pressed="false">Both</button></div>'
        )
    count = len(scene.objects)
    return (
        f'<figure><div class="view3d" data-scene="{index}"{compare}>'
        f'<canvas tabindex="0" role="img" aria-label="{escape(caption)}: {count} objects in 3D"></canvas>'
        f'<div class="wait">3D view</div><div class="badge">3D</div>{switch}<div class="tip" hidden></div></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _table(caption: str, scene: Scene) -> str:
    scored = any(item.score is not None for item in scene.objects)
    lines = []
    for item in scene.objects:
        red, green, blue = COLORS[item.color]
        cells = "".join(f'<td class="n">{number(float(value), 2)}</td>' for value in item.location)
        score = f'<td class="n">{number(item.score, 2)}</td>' if scored else ""
        dot = f'<span class="dot" style="background:rgb({red},{green},{blue})"></span>'
        lines.append(f"<tr><td>{dot}{escape(_words(item))}</td>{cells}{score}</tr>")
    head = '<th>Object</th><th class="n">x</th><th class="n">y</th><th class="n">z</th>'
    head += '<th class="n">score</th>' if scored else ""
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _words(item: SceneObject) -> str:
    return f"{item.size} {item.color} {item.material} {item.shape}"


def _drawn(item: SceneObject, index: int) -> dict[str, Any]:
    for category in CLEVR.categories:
        if (value := getattr(item, category.name)) not in category.values:
            allowed = ", ".join(category.values)
            raise InputError(f"objects[{index}].{category.name}: {value!r} cannot be drawn; allowed are {allowed}")
    score = "" if item.score is None else f", score {item.score:.2f}"
    return {
        "words": _words(item) + score,
        "shape": item.shape,
        "size": item.size,
        "color": item.color,
        "material": item.material,
        "location": [round(value, 4) for value in item.location],
        "rotation_degrees": round(item.rotation_degrees or 0.0, 2),
    }
