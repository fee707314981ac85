"""What every plan is made of: figures that carry their formula, with the numbers put in, and their source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tilth.base.progress import duration

DAY = 86400.0
"""Seconds."""
CURRENCY = "USD"
"""Of prices, where nothing else is said."""


@dataclass(frozen=True)
class Figure:
    """One number of a plan."""

    name: str
    value: float | str
    unit: str = ""
    """`B` (bytes), `B/s`, `s`, `FLOP`, `tokens`, `parameters`, `share`, the name of a currency, or empty."""
    formula: str = ""
    """The formula with the numbers put in."""
    source: str = ""
    """Paper and equation, or what measured it."""
    of: str = ""
    """Of what else than what was asked, where it is so: `nearest cluster of such devices that can: …`."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; `of` only where it says something."""
        return {key: value for key, value in asdict(self).items() if key != "name" and (key != "of" or value)}


@dataclass(frozen=True)
class Table:
    """Rows of figures side by side."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    units: Mapping[str, str] = field(default_factory=dict)
    """Of columns whose name does not say it; for people, who see no other place of it."""


@dataclass(frozen=True)
class Report:
    """The answer of a planning command."""

    title: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    heading: str = ""
    """Above the figures, where they are not of what the title names."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For machines alone."""

    def value(self, name: str) -> Any:
        """Of the figure called `name`."""
        return next(figure.value for figure in self.figures if figure.name == name)

    def as_json(self) -> dict[str, Any]:
        """Plain values; figures by name, tables as lists of records."""
        figures = {figure.name: figure.as_json() for figure in self.figures}
        tables = {
            table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in self.tables
        }
        said = {"title": self.title, **self.facts}
        return said | {"figures": figures, "tables": tables, "notes": list(self.notes)}

    def as_text(self, *, explain: bool = False) -> str:
        """For people; with `explain` each figure's formula and source below it."""
        lines = [self.title, *(["", f"  {self.heading}"] if self.heading else []), *([""] if self.figures else [])]
        width = max((len(figure.name) for figure in self.figures), default=0)
        for figure in self.figures:
            lines.append(f"  {figure.name:<{width}}  {shown(figure.value, figure.unit)}")
            if explain and figure.formula:
                lines.append(f"  {'':<{width}}    = {figure.formula}")
            if explain and figure.source:
                lines.append(f"  {'':<{width}}    {figure.source}")
        for table in self.tables:
            lines += ["", f"  {table.title}", *_grid(table)]
        lines += ["", *(f"  {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines)


def shown(value: Any, unit: str = "") -> str:
    """A value for people: `6,738,415,616 parameters`, `107.81 GB`, `1.23e+21 FLOP`; infinity is `never`."""
    if isinstance(value, str):
        return value
    if value == math.inf:
        return "never"
    match unit:
        case "B":
            return bytes_shown(value)
        case "B/s":
            return f"{bytes_shown(value)}/s"
        case "s":
            return duration(value) if value < 2 * DAY else f"{value / DAY:,.1f} days"
        case "share":
            return f"{value:.1%}"
        case "parameters" if value == int(value):
            return f"{int(value):,} parameters"
        case "FLOP" | "FLOP/s" | "FLOP a token":
            return f"{value:.4g} {unit}"
    return f"{short(value)} {unit}".rstrip()


def bytes_shown(value: float) -> str:
    """In powers of ten: `107.81 GB`."""
    for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= size:
            return f"{value / size:,.2f} {name}"
    return f"{value:,.0f} B"


def short(value: float) -> str:
    """Three or four digits: `1.04 T`, `350.2 M`, `17.9`, `0.0312`."""
    for size, letter in ((1e12, " T"), (1e9, " B"), (1e6, " M")):
        if abs(value) >= size:
            return f"{value / size:,.4g}{letter}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _grid(table: Table) -> list[str]:
    heads = [f"{name}, {table.units[name]}" if name in table.units else name for name in table.columns]
    cells = [heads, *([_cell(cell) for cell in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    return ["    " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "-" if value is None else short(value)


def joined(parts: Iterable[tuple[str, float]] | Sequence[tuple[str, float]]) -> str:
    """`12.1 GB weights + 3.0 GB gradients`: a sum of bytes with the numbers put in."""
    return " + ".join(f"{bytes_shown(value)} {name}" for name, value in parts)
