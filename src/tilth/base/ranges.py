"""Bounds and units of numbers: one check and one wording for options, settings and files."""

from __future__ import annotations

import math
import re


def outside(value: float, low: float, high: float, unit: str = "") -> str | None:
    """What was expected instead of a value outside [low, high], with the unit; None inside. nan lies nowhere."""
    if low <= value <= high:
        return None
    unit = f" {unit}" if unit else ""
    return f"expected at least {low:g}{unit}" if math.isinf(high) else f"expected between {low:g} and {high:g}{unit}"


def in_bytes(text: str) -> bool:
    """Whether a number is said in bytes, as 7GB and 2GiB are, where it may be meant for tokens or parameters."""
    return re.search(r"\d\s*[kmgt]i?b\s*$", text, re.IGNORECASE) is not None
