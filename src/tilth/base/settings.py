"""Typed, strict settings: YAML in, pydantic models out, errors with the line and the nearest known name."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, LiteralString, Self, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from tilth.base.errors import UserError, nearest
from tilth.base.mistakes import sentences

Path_ = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)
COMMAND_LINE = "on the command line"


class Settings(BaseModel):
    """Base of every section of a recipe: unknown keys are refused, values are never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    later: ClassVar[tuple[str, ...]] = ()
    """Settings that do nothing by default, and came when fingerprints were there: `canonical` tells them only where
    they are not at their default, so that what was made before keeps its fingerprint."""

    @model_validator(mode="before")
    @classmethod
    def _booleans_apart(cls, data: Any) -> Any:
        """`true` would pass for 1; 1, `yes` and `on` for true."""
        given = data if isinstance(data, dict) else {}
        wrong = [(name, expected) for name, value in given.items() if (expected := cls._instead(name, value))]
        if wrong:
            errors = [
                InitErrorDetails(type=PydanticCustomError("boolean", expected), loc=(name,), input=given[name])
                for name, expected in wrong
            ]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return data

    @classmethod
    def _instead(cls, name: str, value: Any) -> LiteralString | None:
        """What was expected instead of a boolean, or of what might be taken for one."""
        kinds = set(_plain_types(cls.model_fields[name].annotation)) if name in cls.model_fields else set()
        if isinstance(value, bool):
            return "expected a number" if bool not in kinds and kinds & {int, float} else None
        return "expected true or false" if bool in kinds <= {bool, types.NoneType} and value is not None else None

    def canonical(self) -> dict[str, Any]:
        """The settings as plain JSON values, defaults filled in but for `later` ones: what enters a fingerprint."""
        return self.model_dump(mode="json", context=_CANONICAL)

    @model_serializer(mode="wrap")
    def _told(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        silent = set(self.later) - set(self.changed(*self.later)) if info.context is _CANONICAL else set()
        return {name: value for name, value in values.items() if name not in silent}

    def changed(self, *names: str) -> list[str]:
        """Those of `names` that are not at their default."""
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]


_CANONICAL = {"for": "a fingerprint"}


def _plain_types(annotation: Any) -> Iterator[Any]:
    """The types that a value itself may have: `int | None` gives int and NoneType, `list[int]` only the list."""
    if isinstance(annotation, types.UnionType) or get_origin(annotation) in (Union, Annotated):
        for part in get_args(annotation):
            yield from _plain_types(part)
    else:
        yield annotation


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_COUNT = re.compile(r"\s*([-+]?[0-9][0-9_]*(?:\.[0-9]+)?)\s*([kmbgt]?)(i?)(b?)\s*", re.IGNORECASE)


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


def named(pattern: str, words: str) -> AfterValidator:
    """A check that a text matches the whole of a pattern; whoever is refused is told in words."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected {words}")
        return value

    return AfterValidator(check)


Name = Annotated[str, named(r"[A-Za-z0-9][A-Za-z0-9_-]*", "a name of letters, digits, _ and -")]
"""Of what becomes part of a file's name."""

PathText = Annotated[str, named(r"(?s).*\S.*", "a file, a glob or a folder")]
"""Not empty: that would stand for the folder itself from which paths are seen."""


class GivenOrGenerated(Settings):
    """Base of sections whose records stand in files (`path`), or are made (`generate`), then `count` of them."""

    counted: ClassVar[str]
    """What a record is called."""

    path: PathText | None = None
    generate: str | None = None
    count: Count = 1

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.generate is None):
            raise ValueError("give either path or generate")
        if self.path is not None and "count" in self.model_fields_set:
            raise ValueError(f"count says how many {self.counted} to generate; it does nothing with path")
        return self


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
    """The line of every key and item of a YAML file, by its path of keys and indices.

    `overrides` are the assignments that stand in place of what the file says, by the path that each one sets.
    """

    def __init__(self, lines: Mapping[Path_, int] | None = None) -> None:
        super().__init__(lines or {})
        self.overrides: dict[Path_, str] = {}

    def nearest(self, path: Path_) -> int | None:
        """The line of `path`, else of the nearest section around it."""
        while path:
            if path in self:
                return self[path]
            path = path[:-1]
        return None

    def is_override(self, path: Path_) -> bool:
        """Whether the command line set this very value."""
        return path in self.overrides

    def where(self, path: Path_, source: str) -> str:
        """What to blame for the value at `path`: the command line, or a line of the file called `source`."""
        around = [text for set_, text in self.overrides.items() if path[: len(set_)] == set_]
        if around:
            return f"{COMMAND_LINE}: {around[-1]}"
        line = self.nearest(path)
        place = f"{source}:{line}" if line else source
        inside = [text for set_, text in self.overrides.items() if path and set_[: len(path)] == path]
        return f"{place} with {' '.join(inside)} {COMMAND_LINE}" if inside else place


def load_yaml(path: Path) -> tuple[Any, Lines]:
    """Read a YAML file; returns its data and the line of every key."""
    text = _read(path)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = Lines()
        if node is None:
            raise UserError("the file is empty", where=str(path), hint="write settings into it, as KEY: VALUE")
        for key, line in _walk(node, str(path)):
            if key in lines:
                raise UserError(
                    f"{'.'.join(map(str, key))!r} is set twice, first in line {lines[key]}", where=f"{path}:{line}"
                )
            lines[key] = line
        return loader.construct_document(node), lines
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"not valid YAML: {_problem(error)}", where=where) from None


def _read(path: Path) -> str:
    where = str(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("there is no such file", where=where) from None
    except IsADirectoryError:
        inside = ", ".join(sorted(file.name for file in path.glob("*.yaml"))[:5])
        hint = f"give a file in it: {inside}" if inside else "give a YAML file"
        raise UserError("is a folder, not a file", where=where, hint=hint) from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}", where=where) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", where=where) from None


def _problem(error: Exception) -> str:
    """What is wrong with a piece of YAML, in one line."""
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    return "use spaces, not tabs" if r"'\t'" in problem else problem


def _walk(
    node: yaml.Node, source: str, path: Path_ = (), above: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[Path_, int]]:
    """The line of every key and item below a node; `above` are those that it stands in, and may not hold again."""
    if node in above:
        where = f"{source}:{node.start_mark.line + 1}"
        raise UserError("an anchor (&) that holds itself (*)", where=where, hint="write the value out")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield here, key.start_mark.line + 1
            yield from _walk(value, source, here, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*path, index)
            yield here, value.start_mark.line + 1
            yield from _walk(value, source, here, above)


def override(data: dict[str, Any], assignments: list[str], lines: Lines | None = None) -> dict[str, Any]:
    """Apply `a.b.0.c=VALUE` assignments (VALUE is YAML); the later wins.

    With the `lines` of the file, mistakes in what they set are the command line's, not the file's.
    """
    for assignment in assignments:
        dotted, sign, text = assignment.partition("=")
        if not sign or not dotted:
            raise UserError(f"expected KEY=VALUE, found {assignment!r}", hint="for example pretrain.0.tokens=1M")
        try:
            value = yaml.load(text, Loader=_Loader)
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"{assignment}: not valid YAML: {_problem(error)}", where=COMMAND_LINE) from None
        path = _assign(data, dotted.split("."), value, dotted)
        if lines is not None:
            lines.overrides.pop(path, None)
            lines.overrides[path] = assignment
    return data


def _assign(data: Any, keys: list[str], value: Any, dotted: str) -> Path_:
    """Set the value; returns its path, the items of lists by their numbers."""
    *parents, last = keys
    path: Path_ = ()
    for key in parents:
        step = _step(data, key, dotted)
        if isinstance(data, dict):
            data[step] = data.get(step) or {}
        data, path = data[step], (*path, step)
    step = _step(data, last, dotted)
    data[step] = value
    return (*path, step)


def _step(target: Any, key: str, dotted: str) -> Any:
    if isinstance(target, list):
        return _index(target, key, dotted)
    if not isinstance(target, dict):
        raise UserError(f"{dotted}: {key!r} stands under a plain value, not under a section", where=COMMAND_LINE)
    return key


def _index(items: list[Any], key: str, dotted: str) -> int:
    """A list item by its number, or by the `name` it carries (`pretrain.annealing.tokens`)."""
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if key in names:
        return names.index(key)
    if not key.isdigit() or int(key) >= len(items):
        known = [n for n in names if n] or [str(i) for i in range(len(items))]
        raise UserError(f"{dotted}: no item {key!r} in this list", where=COMMAND_LINE, hint=nearest(key, known))
    return int(key)


def validate(model: type[M], data: Any, *, source: str, lines: Lines | None = None) -> M:
    """Build `model` from plain data; each mistake becomes one clear sentence with its line."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = sentences(model, error, data, source, Lines() if lines is None else lines)
        raise UserError("; ".join(found)) from None
