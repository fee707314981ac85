"""Numbers of options, checked: a mistake is told by the option's name, with what was expected."""

from __future__ import annotations

import math
import re

from tilth.base.errors import UserError


def within(option: str, value: float, low: float, high: float, example: str, *, unit: str = "") -> float:
    """The value, if it lies in [low, high]; nan lies nowhere. `example` is what a user may type instead."""
    if not low <= value <= high:
        unit = f" {unit}" if unit else ""
        ends = f"at least {low:g}{unit}" if math.isinf(high) else f"between {low:g} and {high:g}{unit}"
        typed = f"{option} {example}" if option.startswith("--") else example
        raise UserError(f"{option} {value:g}: expected {ends}", hint=f"for example {typed}")
    return value


def count(
    option: str, text: str, *, low: float = 1.0, high: float = 1e18, example: str = "14B", unit: str = ""
) -> float:
    """A count such as 14B, 4Mi or 1e21, within sensible bounds."""
    from tilth.base.settings import parse_count

    if re.search(r"\d\s*[kmgt]i?b\s*$", text, re.IGNORECASE):
        hint = (
            "of tokens there are about a fifth to a quarter as many" if unit == "tokens" else f"for example {example}"
        )
        raise UserError(f"{option} {text}: these are bytes, expected {unit or 'a number'}", hint=hint)
    try:
        found = float(parse_count(text))
    except (ValueError, OverflowError):
        try:
            found = float(text)
        except ValueError:
            raise UserError(f"{option} {text!r}: expected a number such as 4096, 3.9M, 14B or 1.4e10") from None
    return within(option, found, low, high, example, unit=unit)
