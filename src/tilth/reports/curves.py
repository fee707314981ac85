"""Journals of metrics as curves: thinned, smoothed, by group."""

from __future__ import annotations

import math
from typing import Any

Curve = tuple[list[float], list[float]]
"""x and y."""


def number(value: float | str | None) -> float:
    """A metric that was not finite stands in the journal as null or as text; charts leave it out."""
    return math.nan if value is None else float(value)


def thin(records: list[dict[str, Any]], points: int = 600) -> list[dict[str, Any]]:
    """At most about `points` records, evenly spread."""
    return records[:: max(1, len(records) // points)]


def curves_by_group(records: list[dict[str, Any]]) -> dict[str, Curve]:
    """Loss of each group by tokens: means over windows of a fiftieth of the phase."""
    window = max(1, len(records) // 50)
    result: dict[str, Curve] = {}
    for first in range(0, len(records), window):
        part = records[first : first + window]
        for group in {group for record in part for group in record["groups"]}:
            values = [number(record["groups"][group]) for record in part if group in record["groups"]]
            xs, ys = result.setdefault(group, ([], []))
            xs.append(part[-1]["tokens"])
            ys.append(sum(values) / len(values))
    return dict(sorted(result.items()))
