"""Line charts as inline SVG: no script, no outside file, readable in print and in the dark."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

COLOURS = ("#3b6fb6", "#c4553b", "#4a8c4f", "#8a5fa8", "#b8862b", "#3c9aa0", "#b5507c", "#6b7280", "#7a8f2e", "#a0522d")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 320, 62, 42, 14, 14

Series = tuple[str, Sequence[float], Sequence[float]]


def line_chart(series: Sequence[Series], x_label: str, y_label: str, marks: Sequence[tuple[float, str]] = ()) -> str:
    """An SVG of (name, x, y) series; `marks` are named vertical lines. Points that are not finite are left out."""
    clean = [(name, [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]) for name, xs, ys in series]
    points = [point for _, line in clean for point in line]
    if not points:
        return "<p>No points to draw.</p>"
    x_ticks = ticks(min(x for x, _ in points), max(x for x, _ in points))
    y_ticks = ticks(min(y for _, y in points), max(y for _, y in points))
    scale_x = _scale(x_ticks, LEFT, WIDTH - RIGHT)
    scale_y = _scale(y_ticks, HEIGHT - BOTTOM, TOP)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(y_label)}">']
    for tick in y_ticks:
        y = scale_y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in x_ticks:
        parts.append(
            f'<text x="{scale_x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(tick)}</text>'
        )
    for number, (at, name) in enumerate(marks):
        x = scale_x(at)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x + 4:.1f}" y="{TOP + 10 + 12 * (number % 2)}">{html.escape(name)}</text>')
    for number, (name, line) in enumerate(clean):
        path = " ".join(f"{scale_x(x):.1f},{scale_y(y):.1f}" for x, y in line)
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="5 3"' if number >= len(COLOURS) else ""
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.8"{dash} points="{path}">')
        parts.append(f"<title>{html.escape(name)}</title></polyline>")
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_label)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="rotate(-90 14 {middle})" x="14" y="{middle}" text-anchor="middle">')
    parts.append(f"{html.escape(y_label)}</text></svg>")
    return "".join(parts) + _legend([name for name, _ in clean])


def _legend(names: Sequence[str]) -> str:
    items = (
        f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{html.escape(name)}</span>'
        for i, name in enumerate(names)
    )
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
