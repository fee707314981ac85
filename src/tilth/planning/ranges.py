"""Numbers of settings inside sensible bounds: what lies outside is refused with the range, the unit and an example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from tilth.base.settings import Count


def inside(low: float, high: float, unit: str, example: str) -> AfterValidator:
    """A check that a value lies in [low, high]; nan lies nowhere."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"expected between {low:g} and {high:g} {unit}, for example {example}; found {value!r}")
        return value

    checked: Callable[[float], float] = check
    return AfterValidator(checked)


Bytes = Annotated[Count, inside(1e9, 1e13, "bytes", "80G")]
Speed = Annotated[float, inside(1e6, 1e15, "bytes a second", "25e9")]
Flops = Annotated[float, inside(1e9, 1e18, "FLOP/s", "312e12")]
Hours = Annotated[float, inside(0.1, 1e9, "hours", "50000")]
Price = Annotated[float, inside(0, 1e12, "of money", "2.5")]
Parameters = Annotated[Count, inside(1e4, 1e15, "parameters", "8B")]
Tokens = Annotated[Count, inside(0, 1e18, "tokens", "10B")]
