"""A value that an option cannot take, told by the option's name, with what was expected and an example."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError

from tilth.base.mistakes import expectation


def mistaken_value(error: typer.BadParameter) -> str | None:
    """One sentence for an option's value of the wrong type or out of its range; None for any other mistake.

    Typer's parser knows the value and the limits; its words speak of inputs and of parsing.
    """
    cause, option = error.__cause__, getattr(error, "param", None)
    if not isinstance(cause, ValidationError) or option is None:
        return None
    item = cause.errors(include_url=False)[0]
    name = max(option.opts, key=len) if option.opts and option.opts[0].startswith("-") else option.name.upper()
    typed = f"{name} {_example(option.default, item)}" if name.startswith("-") else _example(option.default, item)
    return f"{name} {item['input']}: {expectation(item)} (for example {typed})"


def _example(default: Any, item: Any) -> str:
    """The default where there is one that fits; else a value of the type, inside the limits."""
    if isinstance(default, str | int | float) and not isinstance(default, bool):
        return str(default)
    context = item.get("ctx", {})
    if item["type"] == "literal_error":
        return str(context["expected"]).split(",")[0].split(" or ")[0].strip("'")
    for limit in ("ge", "le"):
        if limit in context:
            return str(context[limit])
    return "8" if item["type"].startswith("int") else "2.5"
