"""A chart as plain values: what is drawn, whatever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Series = tuple[str, Sequence[float], Sequence[float]]
"""Name, x and y."""


@dataclass(frozen=True)
class Chart:
    """Series over a common axis."""

    series: Sequence[Series]
    x_label: str
    y_label: str
    marks: Sequence[tuple[float, str]] = ()
    """Named places on the x axis."""
    points: Sequence[str] = ()
    """Names of series that are measurements, each by itself: drawn as points, not joined to a line."""
