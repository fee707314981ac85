"""A chart as an SVG file of its own, with its legend and its style inside."""

from __future__ import annotations

import html
import re
import unicodedata

from tilth.base.chart import Chart
from tilth.reports.svg import line_chart

LEFT = 62
STYLE = (
    "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.mark{stroke:#999;stroke-dasharray:3 3}polyline{fill:none}"
)


def svg_file(chart: Chart) -> str:
    """The chart of reports/svg.py, whose legend is HTML, as one SVG; a long legend goes on in the next line."""
    drawn = line_chart(chart.series, chart.x_label, chart.y_label, chart.marks, chart.points)
    svg, _, legend = drawn.partition("</svg>")
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())  # type: ignore[union-attr]
    keys, x, y = [], LEFT, height + 8
    for colour, name in re.findall(r'background:(#[0-9a-f]{6})"></i>([^<]*)</span>', legend):
        wide = 30 + _pixels(html.unescape(name))
        if x > LEFT and x + wide > width:
            x, y = LEFT, y + 18
        keys.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
        keys.append(f'<text x="{x + 14}" y="{y + 9}">{name}</text>')
        x += wide
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff" ', 1)
    svg = svg.replace(f'viewBox="0 0 {width} {height}"', f'viewBox="0 0 {width} {y + 16}"', 1)
    return svg.replace(">", f"><style>{STYLE}</style>", 1) + "".join(keys) + "</svg>\n"


def _pixels(text: str) -> int:
    """About how wide a text of 12 px stands: a Chinese character is a square."""
    return sum(12 if unicodedata.east_asian_width(letter) in "WF" else 7 for letter in text)
