"""Plots as SVG, which opens anywhere and needs no plotting library. Knows figures, no models."""

from collections.abc import Mapping
from html import escape

from trilingua.metrics.calibration import Calibration

_SIZE, _MARGIN = 360, 48
_GRID = "#e6e8eb"
_COLORS = ("#8a8f98", "#1f6feb", "#d1242f", "#1a7f37")


def reliability_diagram(curves: Mapping[str, Calibration]) -> str:
    """Return the diagram of scores against how often they are right; the diagonal is perfect.

    A disc's area is its bin's share of all scores.

    Args:
        curves: by the name that the legend gives them, at most four.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{_SIZE}" height="{_SIZE}" fill="white"/>',
    ]
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x, y = _place(tick, 0.0)
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{tick:g}</text>')
        x, y = _place(0.0, tick)
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts += [_line((0.0, tick), (1.0, tick), _GRID), _line((tick, 0.0), (tick, 1.0), _GRID)]
    parts.append(_line((0.0, 0.0), (1.0, 1.0), "#444c56", dashed=True))
    for index, (name, calibration) in enumerate(curves.items()):
        color = _COLORS[index]
        places = [_place(item.score, item.accuracy) for item in calibration.bins]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        total = sum(item.count for item in calibration.bins)
        for (x, y), item in zip(places, calibration.bins, strict=True):
            radius = 14 * (item.count / total) ** 0.5
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{color}" fill-opacity="0.6"/>')
        parts.append(
            f'<text x="{_MARGIN + 10}" y="{_MARGIN + 6 + 16 * index}" fill="{color}">'
            f"{escape(name)}: error {calibration.error:.3f}</text>"
        )
    middle = _SIZE / 2
    parts.append(f'<text x="{middle}" y="{_SIZE - 10}" text-anchor="middle">score</text>')
    parts.append(
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">share that is right</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _place(score: float, accuracy: float) -> tuple[float, float]:
    """Return where a point lies in the drawing, in its units from the top left."""
    side = _SIZE - 2 * _MARGIN
    return _MARGIN + side * score, _SIZE - _MARGIN - side * accuracy


def _line(start: tuple[float, float], end: tuple[float, float], color: str, *, dashed: bool = False) -> str:
    (x1, y1), (x2, y2) = _place(*start), _place(*end)
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{dash}/>'
