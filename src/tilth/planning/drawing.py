"""Curves of the plans, as series of (name, x, y), and a chart made a file of its own."""

from __future__ import annotations

import html
import math
import re
import unicodedata

import numpy as np

from tilth.laws.chinchilla import optimum
from tilth.laws.kaplan import Allocation
from tilth.laws.repeated import repeated_loss
from tilth.planning import scaling
from tilth.planning.buy import Needs, break_even, ways

Series = tuple[str, list[float], list[float]]

LEFT = 62
STYLE = (
    "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.mark{stroke:#999;stroke-dasharray:3 3}polyline{fill:none}"
)


def loss_by_size(law_name: str, flops: float, unique: float | None) -> list[Series]:
    """Loss of every size for a budget: with fresh tokens alone, and with what there is, repeated."""
    law, _ = scaling.LAWS[law_name]
    middle = math.log10(optimum(law, flops).parameters)
    sizes = [middle - 1 + i / 40 for i in range(81)]
    tokens = [flops / 6 / 10**size for size in sizes]
    found = [("fresh tokens", sizes, [scaling.loss(law, 10**n, d) for n, d in zip(sizes, tokens, strict=True)])]
    if unique:
        losses = repeated_loss(law, 10 ** np.array(sizes), np.array(tokens), unique)
        found.append(("tokens that there are, repeated", sizes, losses.tolist()))
    return found


def life_by_size(law_name: str, one: Allocation, served: float, unique: float | None = None) -> list[Series]:
    """log10 FLOP of training, serving and both, of every size that reaches one model's loss."""
    law, _ = scaling.LAWS[law_name]
    wanted = scaling.loss_with(law, one.parameters, one.tokens, unique)
    sizes = one.parameters * 10 ** (np.arange(81) / 50 - 0.8)
    tokens = scaling.tokens_for_loss(law, sizes, wanted, unique)
    shown = tokens < 1e3 * one.tokens
    sizes, tokens = sizes[shown], tokens[shown]
    train, serve = 6 * sizes * tokens, 2 * sizes * served
    found = {"both": train + serve, "training": train, "serving": np.maximum(serve, 1.0)}
    return [(name, np.log10(sizes).tolist(), np.log10(flops).tolist()) for name, flops in found.items()]


def cost_by_volume(needs: Needs) -> list[Series]:
    """What each way costs over the months, by requests a month."""
    even = break_even(needs, "scratch")
    top = 1.5 * max(needs.requests_per_month, even if math.isfinite(even) else 0.0)
    volumes = [top * i / 60 for i in range(61)]
    points = [ways(needs.model_copy(update={"requests_per_month": round(volume)})) for volume in volumes]
    return [(points[0][key].name, volumes, [at[key].over(needs.months) for at in points]) for key in points[0]]


def standalone(chart: str) -> str:
    """A chart of reports/svg.py, whose legend is HTML, as one SVG file; a long legend goes on in the next line."""
    svg, _, legend = chart.partition("</svg>")
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
