"""Numbers of options, checked: a mistake is told by the option's name, with what was expected."""

from __future__ import annotations

from collections.abc import Callable

from tilth.base.errors import UserError
from tilth.base.ranges import in_bytes, outside


def within(option: str, value: float, low: float, high: float, example: str, *, unit: str = "") -> float:
    """The value, if it lies in [low, high]. `example` is what a user may type instead."""
    said = outside(value, low, high, unit)
    if said:
        typed = f"{option} {example}" if option.startswith("--") else example
        raise UserError(f"{option} {value:g}: {said}", hint=f"for example {typed}")
    return value


def number(text: str) -> float:
    """`3e10`, `7B`, `4Mi`, `1_000`; ValueError for all else, `7GB` among it: these are bytes."""
    from tilth.base.settings import parse_count

    if in_bytes(text):
        raise ValueError(text)
    try:
        return float(text)
    except ValueError:
        return float(parse_count(text))


def count(
    option: str, text: str, *, low: float = 1.0, high: float = 1e18, example: str = "14B", unit: str = ""
) -> float:
    """A count such as 14B, 4Mi or 1e21, within sensible bounds."""
    if in_bytes(text):
        hint = (
            "of tokens there are about a fifth to a quarter as many" if unit == "tokens" else f"for example {example}"
        )
        raise UserError(f"{option} {text}: these are bytes, expected {unit or 'a number'}", hint=hint)
    try:
        found = number(text)
    except (ValueError, OverflowError):
        raise UserError(f"{option} {text!r}: expected a number such as 4096, 3.9M, 14B or 1.4e10") from None
    return within(option, found, low, high, example, unit=unit)


def whole(option: str, text: str, *, low: int = 1, high: float = 1e18, example: str = "8", unit: str = "") -> int:
    """A count that has no half: devices, sequences, tokens of one."""
    found = count(option, text, low=low, high=high, example=example, unit=unit)
    if not found.is_integer():
        raise UserError(f"{option} {text}: expected a whole number", hint=f"for example {option} {example}")
    return int(found)


def wholes(option: str, low: int, high: float, example: str = "1k") -> Callable[[str | int], int]:
    """A parser of an option that is a whole number; its default is one already."""
    return lambda text: whole(option, str(text), low=low, high=high, example=example)
