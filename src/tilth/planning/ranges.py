"""Numbers of settings inside sensible bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from tilth.base.ranges import in_bytes, outside
from tilth.base.settings import Count


def inside(low: float, high: float, unit: str, example: str) -> AfterValidator:
    """A check that a value lies in [low, high]."""

    def check(value: float) -> float:
        said = outside(value, low, high, unit)
        if said:
            raise ValueError(f"{said}, found {value!r} (for example {example})")
        return value

    checked: Callable[[float], float] = check
    return AfterValidator(checked)


def no_bytes(value: Any) -> Any:
    """Tokens, parameters and requests are no bytes."""
    if isinstance(value, str) and in_bytes(value):
        raise ValueError("these are bytes, expected a number such as 8B")
    return value


Number = Annotated[Count, BeforeValidator(no_bytes)]
"""A count of anything but bytes."""


Bytes = Annotated[Count, inside(1e9, 1e13, "bytes", "80G")]
Devices = Annotated[Number, inside(1, 1e7, "devices", "8")]
Speed = Annotated[float, inside(1e6, 1e15, "bytes a second", "25e9")]
Flops = Annotated[float, inside(1e9, 1e18, "FLOP/s", "312e12")]
Hours = Annotated[float, inside(0.1, 1e9, "hours", "50000")]
Price = Annotated[float, inside(0, 1e12, "of the currency", "2.5")]
Parameters = Annotated[Number, inside(1e4, 1e15, "parameters", "8B")]
Tokens = Annotated[Number, inside(0, 1e18, "tokens", "10B")]
Currency = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=12)]
