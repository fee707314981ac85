"""A chart as an SVG file of its own, with its legend and its style inside."""

from __future__ import annotations

import html
import unicodedata

from tilth.base.chart import Chart
from tilth.reports.svg import HEIGHT, LEFT, LETTER, NOTHING, WIDTH, colour, drawing

STYLE = (
    "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.mark{stroke:#999;stroke-dasharray:3 3}polyline{fill:none}"
)


def svg_file(chart: Chart) -> str:
    """The chart of reports/svg.py with a legend below it; a long legend goes on in the next line."""
    drawn = drawing(chart) or f'<text x="{LEFT}" y="{HEIGHT // 2}">{NOTHING}</text>'
    keys, x, y = [], LEFT, HEIGHT + 8
    for number, (name, _, _) in enumerate(chart.series):
        wide = 30 + _pixels(name)
        if x > LEFT and x + wide > WIDTH:
            x, y = LEFT, y + 18
        keys.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour(number)}"/>')
        keys.append(f'<text x="{x + 14}" y="{y + 9}">{html.escape(name)}</text>')
        x += wide
    head = f'<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff" viewBox="0 0 {WIDTH} {y + 16}" role="img" '
    head += f'aria-label="{html.escape(chart.y_label)}"><style>{STYLE}</style>'
    return f"{head}{drawn}{''.join(keys)}</svg>\n"


def _pixels(text: str) -> int:
    """About how wide a text of 12 px stands: a Chinese character is a square."""
    return sum(12 if unicodedata.east_asian_width(letter) in "WF" else LETTER for letter in text)
