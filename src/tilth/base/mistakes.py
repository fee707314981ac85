"""What pydantic found wrong with settings, as sentences: where it stands, what was expected, the nearest known name."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from tilth.base.errors import nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from tilth.base.settings import Lines, Path_

_EXPECTED = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "string_too_short": "expected {min_length} or more characters",
    "string_too_long": "expected at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "finite_number": "must be finite",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "expected a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "expected a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected a section of settings"),
    "string_type": "expected text",
}
"""In place of pydantic's words, which speak of inputs, instances and validation."""


def sentences(model: type[BaseModel], error: ValidationError, data: Any, source: str, lines: Lines) -> list[str]:
    """One sentence for each mistake. A list is not called too short for items that were refused themselves."""
    items = error.errors(include_url=False)
    around = {item["loc"][:-1] for item in items}
    real = (item for item in items if item["type"] != "too_short" or item["loc"] not in around)
    return list(dict.fromkeys(_sentence(model, item, data, source, lines) for item in real))


def _sentence(model: type[BaseModel], item: ErrorDetails, data: Any, source: str, lines: Lines) -> str:
    path, context, given = _path(model, item["loc"], data), item.get("ctx", {}), item["input"]
    if item["type"].startswith("union_tag"):
        path = (*path, context["discriminator"].strip("'"))
    name = ".".join(_called(path, data))
    where = lines.where(path, source)
    match item["type"]:
        case "extra_forbidden":
            return f"{where}: unknown setting {name!r} ({nearest(str(path[-1]), _fields_at(model, path[:-1]))})"
        case "missing" | "union_tag_not_found":
            return f"{where}: {name!r} is missing"
        case "union_tag_invalid":
            message, given = _not_known(context["tag"], context["expected_tags"]), None
        case "literal_error" if isinstance(given, str):
            message, given = _not_known(given, context["expected"]), None
        case _:
            message = expectation(item)
    shown = given is not None and not isinstance(given, dict | list | tuple) and repr(given) not in message
    subject = f"{name}: " if name and not lines.is_override(path) else ""
    return f"{where}: {subject}{message}{f', found {_short(given)}' if shown else ''}"


def expectation(item: ErrorDetails) -> str:
    """What was expected of a value, in our words where there are any: `must be at least 1`, `expected a number`."""
    if item["type"] == "literal_error":
        return f"expected {item['ctx']['expected']}"
    if item["type"] not in _EXPECTED:
        return item["msg"].removeprefix("Value error, ").removesuffix(".")
    limits = {key: _plain(value) for key, value in item.get("ctx", {}).items()}
    return _EXPECTED[item["type"]].format(**limits)


def _not_known(given: str, expected: str) -> str:
    known = re.findall(r"'([^']*)'", expected)
    return f"{given!r} is not known ({nearest(given, known)})"


def _short(value: Any, most: int = 60) -> str:
    """A value as it was given; of a long one the beginning."""
    shown = repr(value)
    return shown if len(shown) <= most else f"{shown[:most]}…"


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _path(model: type[BaseModel], loc: Path_, data: Any) -> Path_:
    """Where in the data a mistake is: pydantic's location without the tags that it puts in for members of unions."""
    path: Path_ = ()
    for key in loc:
        inside = isinstance(data, dict) and key in data
        if isinstance(key, int) or inside or key in _fields_at(model, path):
            path = (*path, key)
            data = data[key] if inside or (isinstance(data, list) and key in range(len(data))) else None
    return path


def _called(path: Path_, data: Any) -> Iterator[str]:
    """The parts of a path, items of lists by their `name` where they have one, as on the command line."""
    for key in path:
        data = data[key] if isinstance(data, dict) and key in data else _item(data, key)
        name = data.get("name") if isinstance(key, int) and isinstance(data, dict) else None
        yield name if isinstance(name, str) else str(key)


def _item(data: Any, key: Any) -> Any:
    return data[key] if isinstance(data, list | tuple) and isinstance(key, int) and key < len(data) else None


def _fields_at(model: type[BaseModel], path: Path_) -> list[str]:
    """Names of the settings that may stand at `path`, through lists, mappings and unions."""
    candidates: list[Any] = [model]
    for key in path:
        following: list[Any] = []
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel) and key in candidate.model_fields:
                following += _members(candidate.model_fields[str(key)].annotation)
            else:  # a list index, a mapping's key, or the tag of a union: the models stay
                following.append(candidate)
        candidates = following
    return sorted(
        {name for c in candidates if isinstance(c, type) and issubclass(c, BaseModel) for name in c.model_fields}
    )


def _members(annotation: Any) -> Iterator[Any]:
    """The models inside an annotation such as `list[A | B] | None` or `dict[str, A]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _members(argument)
