"""The kinds of thing a page is made of, as plain dictionaries for the template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilth.base.chart import Series
from tilth.reports.svg import line_chart

Block = dict[str, Any]
Section = dict[str, Any]
Folders = dict[str, Path]
"""A run's stages by name, in their order, and where each one's artifact is."""


def text(content: str) -> Block:
    """A paragraph."""
    return {"kind": "text", "text": content}


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> Block:
    """A table; the first column is left-aligned, numbers stand under each other."""
    return {"kind": "table", "title": title, "columns": list(columns), "rows": [list(map(cell, row)) for row in rows]}


def chart(title: str, series: Sequence[Series], x_label: str, y_label: str, **options: Any) -> Block:
    """A line chart of (name, x, y) series."""
    return {"kind": "chart", "title": title, "svg": line_chart(series, x_label, y_label, **options)}


def examples(title: str, items: Sequence[dict[str, str]]) -> Block:
    """Texts (`title`, `text`) that open on a click."""
    return {"kind": "examples", "title": title, "entries": list(items)}


def samples(items: Sequence[dict[str, str]]) -> Block:
    """What a model wrote: `prompt`, `text`."""
    return {"kind": "samples", "entries": list(items)}


def code(title: str, content: str) -> Block:
    """Text that opens on a click, set as it is."""
    return {"kind": "code", "title": title, "text": content}


def section(title: str, *blocks: Block) -> Section:
    """A headed part of the page."""
    return {"id": title.lower().replace(" ", "-"), "title": title, "blocks": list(blocks)}


def cell(value: Any) -> str:
    """A number or text as a table shows it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) < 1 else f"{value:.3f}"
    return str(value)
