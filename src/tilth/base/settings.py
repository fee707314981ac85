"""Typed, strict settings: YAML in, pydantic models out, errors with the line and the nearest known name."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from tilth.base.errors import UserError, nearest

Path_ = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


class Settings(BaseModel):
    """Base of every section of a recipe: unknown keys are refused, values are never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def canonical(self) -> dict[str, Any]:
        """The settings as plain JSON values, defaults filled in: what enters a fingerprint."""
        return self.model_dump(mode="json")


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_COUNT = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([kmbgt]?)(i?)(b?)\s*", re.IGNORECASE)


def parse_count(value: Any) -> Any:
    """`3.9M` -> 3_900_000, `2GiB` -> 2_147_483_648; integers pass unchanged."""
    if not isinstance(value, str):
        return value
    match = _COUNT.fullmatch(value)
    if not match:
        raise ValueError(f"expected a number such as 4096, 3.9M or 2GiB, found {value!r}")
    number, unit, binary, _ = match.groups()
    power = {"": 0, "k": 1, "m": 2, "b": 3, "g": 3, "t": 4}[unit.lower()]
    return round(float(number.replace("_", "")) * (1024**power if binary else _UNITS[unit.lower()]))


Count = Annotated[int, BeforeValidator(parse_count)]
"""A number of tokens, documents or bytes; `3.9M`, `1.5B` (10^9) and `2GiB` (2^30) are read too."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain values: `1e-3` is a number, `on` and `off` are words, only `true` and `false` are booleans."""


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)$|^[-+]?[0-9][0-9_]*\.[0-9_]*$"),
    list("-+0123456789"),
)


class Lines(dict[Path_, int]):
    """The line of every key and item of a YAML file, by its path of keys and indices."""

    def nearest(self, path: Path_) -> int | None:
        """The line of `path`, else of the nearest section around it."""
        while path:
            if path in self:
                return self[path]
            path = path[:-1]
        return None


def load_yaml(path: Path) -> tuple[Any, Lines]:
    """Read a YAML file; returns its data and the line of every key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("there is no such file", where=str(path)) from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise UserError(f"not a readable UTF-8 file: {error}", where=str(path)) from None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = Lines()
        if node is None:
            return {}, lines
        for key, line, first in _walk(node):
            if key in lines:
                raise UserError(
                    f"{'.'.join(map(str, key))!r} is set twice, first in line {lines[key]}", where=f"{path}:{first}"
                )
            lines[key] = line
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"not valid YAML: {getattr(error, 'problem', error)}", where=where) from None


def _walk(node: yaml.Node, path: Path_ = ()) -> Iterator[tuple[Path_, int, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            yield here, key.start_mark.line + 1, key.start_mark.line + 1
            yield from _walk(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*path, index)
            yield here, value.start_mark.line + 1, value.start_mark.line + 1
            yield from _walk(value, here)


def override(data: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Apply `a.b.0.c=VALUE` assignments (VALUE is YAML); the later wins."""
    for assignment in assignments:
        dotted, sign, text = assignment.partition("=")
        if not sign or not dotted:
            raise UserError(f"expected KEY=VALUE, found {assignment!r}", hint="for example pretrain.0.tokens=1M")
        try:
            value = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            raise UserError(f"{dotted}: {text!r} is not valid YAML: {error}") from None
        _assign(data, dotted.split("."), value, dotted)
    return data


def _assign(target: Any, keys: list[str], value: Any, dotted: str) -> None:
    *parents, last = keys
    for key in parents:
        target = target[_index(target, key, dotted)] if isinstance(target, list) else target.setdefault(key, {})
    if isinstance(target, list):
        target[_index(target, last, dotted)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise UserError(f"{dotted}: {last!r} stands under a plain value, not under a section")


def _index(items: list[Any], key: str, dotted: str) -> int:
    """A list item by its number, or by the `name` it carries (`pretrain.annealing.tokens`)."""
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if key in names:
        return names.index(key)
    if not key.isdigit() or int(key) >= len(items):
        known = [n for n in names if n] or [str(i) for i in range(len(items))]
        raise UserError(f"{dotted}: no item {key!r} in this list", hint=nearest(key, known))
    return int(key)


def validate(model: type[M], data: Any, *, source: str, lines: Lines | None = None) -> M:
    """Build `model` from plain data; each mistake becomes one clear sentence with its line."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError("; ".join(_sentences(model, error, source, lines or Lines()))) from None


def _sentences(model: type[BaseModel], error: ValidationError, source: str, lines: Lines) -> Iterator[str]:
    for item in error.errors():
        path = tuple(item["loc"])
        line = lines.nearest(path)
        where = f"{source}:{line}" if line else source
        name = ".".join(map(str, path)) or "recipe"
        if item["type"] == "extra_forbidden":
            known = _fields_at(model, path[:-1])
            yield f"{where}: unknown setting {name!r} ({nearest(str(path[-1]), known)})"
        elif item["type"] == "missing":
            yield f"{where}: {name!r} is missing"
        else:
            message = item["msg"].removeprefix("Value error, ")
            found = (
                ""
                if isinstance(item["input"], dict | list) or repr(item["input"]) in message
                else (f", found {item['input']!r}")
            )
            yield f"{where}: {name}: {message}{found}"


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


def _members(annotation: Any) -> list[Any]:
    """The models inside an annotation such as `list[A | B] | None` or `dict[str, A]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _members(argument)]
