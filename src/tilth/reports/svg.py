"""Line charts as inline SVG: no script, no outside file, readable in print and in the dark."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from tilth.base.chart import Chart, Series

COLOURS = ("#3b6fb6", "#c4553b", "#4a8c4f", "#8a5fa8", "#b8862b", "#3c9aa0", "#b5507c", "#6b7280", "#7a8f2e", "#a0522d")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 320, 62, 42, 14, 14
LETTER = 7
"""About how wide a letter of 12 px stands."""
NOTHING = "No points to draw."
MARK_ROWS = 3
"""Names of marks that stand side by side go below each other."""


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, str]] = (),
    points: Sequence[str] = (),
) -> str:
    """A chart of (name, x, y) series as inline SVG with an HTML legend, for a page whose style it takes on."""
    chart = Chart(series, x_label, y_label, marks, points)
    drawn = drawing(chart)
    if not drawn:
        return f"<p>{NOTHING}</p>"
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(y_label)}">'
    return f"{head}{drawn}</svg>{_legend([name for name, _, _ in series])}"


def drawing(chart: Chart) -> str:
    """What stands inside an SVG of WIDTH x HEIGHT, without a legend; empty where no point is finite.

    `marks` are named vertical lines, `points` the names of series that are dots; points that are not finite are left
    out.
    """
    clean = [(name, [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]) for name, xs, ys in chart.series]
    every = [point for _, line in clean for point in line]
    if not every:
        return ""
    x_ticks = ticks(min(x for x, _ in every), max(x for x, _ in every))
    y_ticks = ticks(min(y for _, y in every), max(y for _, y in every))
    scale_x = _scale(x_ticks, LEFT, WIDTH - RIGHT)
    scale_y = _scale(y_ticks, HEIGHT - BOTTOM, TOP)
    parts = []
    for tick in y_ticks:
        y = scale_y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in x_ticks:
        parts.append(
            f'<text x="{scale_x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(tick)}</text>'
        )
    places = [scale_x(at) for at, _ in chart.marks]
    for number, (x, (_, name)) in enumerate(zip(places, chart.marks, strict=True)):
        parts.append(_mark(x, TOP + 10 + 12 * (number % MARK_ROWS), name, places))
    dots = chart.points
    for number, (name, line) in sorted(enumerate(clean), key=lambda one: one[1][0] in dots):  # points above lines
        path = [(f"{scale_x(x):.1f}", f"{scale_y(y):.1f}") for x, y in line]
        parts += _dots(number, path) if name in dots else [_line(number, name, path)]
    parts.append(_label(chart.x_label, f'x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}"'))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(_label(chart.y_label, f'transform="rotate(-90 14 {middle})" x="14" y="{middle}"'))
    return "".join(parts)


def colour(number: int) -> str:
    """Of the series with this number."""
    return COLOURS[number % len(COLOURS)]


def _label(name: str, place: str) -> str:
    return f'<text {place} text-anchor="middle">{html.escape(name)}</text>'


def _line(number: int, name: str, places: Sequence[tuple[str, str]]) -> str:
    dash = ' stroke-dasharray="5 3"' if number >= len(COLOURS) else ""
    path = " ".join(",".join(place) for place in places)
    drawn = f'<polyline fill="none" stroke="{colour(number)}" stroke-width="1.8"{dash} points="{path}">'
    return f"{drawn}<title>{html.escape(name)}</title></polyline>"


def _dots(number: int, places: Sequence[tuple[str, str]]) -> list[str]:
    return [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour(number)}"/>' for x, y in places]


def _mark(x: float, y: int, name: str, marks: Sequence[float]) -> str:
    """A named vertical line; near the right edge, and where another of the `marks` would cross it, its name stands
    before it."""
    wide = LETTER * len(name)
    crossed = any(x < other < x + wide for other in marks) and x - wide > LEFT
    line = f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    end = crossed or x > WIDTH - RIGHT - wide
    place = f'x="{x - 4:.1f}" y="{y}" text-anchor="end"' if end else f'x="{x + 4:.1f}" y="{y}"'
    return f"{line}<text {place}>{html.escape(name)}</text>"


def _legend(names: Sequence[str]) -> str:
    items = (f'<span><i style="background:{colour(i)}"></i>{html.escape(name)}</span>' for i, name in enumerate(names))
    return f'<div class="legend">{"".join(items)}</div>'


def _scale(steps: Sequence[float], start: float, stop: float):  # type: ignore[no-untyped-def]
    low, high = steps[0], steps[-1]
    return lambda value: start + (value - low) / ((high - low) or 1.0) * (stop - start)


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that enclose [low, high]."""
    span = (high - low) or abs(high) or 1.0
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def short(value: float) -> str:
    """1500 -> 1.5k, 2000000 -> 2M; small numbers with as many digits as they need."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
