"""From a record (a mapping of names to values) to the columns of a document."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from tilth.corpus.document import LABELS, record_id
from tilth.corpus.settings import SourceSettings, template_field
from tilth.corpus.sources.json_lines import parse_json

TEXT_NAMES = ("text", "content", "raw_content")
"""Fields under which published data sets keep the text."""
_ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "text": TEXT_NAMES,
    "domain": ("domain",),
    "language": ("language", "lang"),
    "source": ("source",),
    "url": ("url",),
    "date": ("date", "timestamp", "created"),
    "license": ("license",),
}
"""Names under which published data sets (C4, RefinedWeb, Dolma, the Pile, SlimPajama, Wikipedia) keep a column."""


_LISTED = 8
_KNOWN = 4096
"""Sets of field names that a mapper remembers."""


Kind = Literal["record", "no_field", "too_long", "format", "file", "end"]
"""What is wrong where something cannot be read: with one record, as such; that it has no field for the text; that it is
longer than the limit; that it is not in the file's format; that the whole file is not; or that all that follows in the
file is lost."""


class Unusable(ValueError):
    """A record cannot become a document; the message is the reason."""

    def __init__(self, reason: str, kind: Kind = "record") -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(slots=True)
class Row:
    """One document as read: the values of the columns of `document.COLUMNS` and the source's own numbers."""

    id: str
    text: bytes
    """In UTF-8."""
    labels: list[str]
    parent: str
    meta: str
    signals: tuple[float, ...]

    @property
    def bytes(self) -> int:
        """Of the text."""
        return len(self.text)


def named_fields(settings: SourceSettings) -> set[str]:
    """The fields of records that a source's settings name."""
    labels = (settings.domain, settings.default_domain, settings.language, settings.source, settings.license)
    return {*settings.fields.values(), *settings.signals.values(), *filter(None, map(template_field, labels))}


class _Taken(NamedTuple):
    """Fields of a record: those of the text and the id, or None, and those that no column takes. Of the labels the
    values that no record changes; by their numbers those that are a field as it is, each with what stands for an empty
    one; and those that are made otherwise."""

    text: str | None
    id: str | None
    rest: list[str]
    labels: list[str]
    plain: list[tuple[int, str, str]]
    made: list[tuple[int, _Source]]


class Mapper:
    """Builds rows for one input file: field names, templates for labels, unknown fields into `meta`.

    What a record has is taken out of `lacking`, so that in the end the fields are left that none has.
    """

    def __init__(self, settings: SourceSettings, file: str, signals: tuple[str, ...], lacking: set[str]) -> None:
        self.file, self.lacking = file, lacking
        self.names = {c: tuple(filter(None, (settings.fields.get(c), *_ALIASES[c]))) for c in _ALIASES}
        fixed = {
            label: _template(value, file)
            for label in ("domain", "language", "source", "license")
            if (value := getattr(settings, label))
        }
        defaults = {"domain": _template(settings.default_domain, file)}
        self.labels = [(self.names[label], fixed.get(label), defaults.get(label)) for label in LABELS]
        self.signals = [settings.signals.get(name, "") for name in signals]
        self.dotted = any("." in name for names in self.names.values() for name in names)
        self._known: dict[tuple[str, ...], _Taken] = {}

    def row(self, record: Any, number: int) -> Row:
        """The document of record `number` (from 1); raises `Unusable` with the reason."""
        if not isinstance(record, dict):
            raise Unusable(f"not an object but {_kind(record)}")
        if self.lacking:
            self.lacking -= {name for name in self.lacking if lookup(record, name) is not None}
        taken = self._taken(record)
        text = None if taken.text is None else lookup(record, taken.text)
        if text is None:
            raise self._without_text(record)
        if not isinstance(text, str):
            raise Unusable(f"the text is not a string but {_kind(text)}")
        if not text or text.isspace():
            raise Unusable("no text: it is empty")
        labels = taken.labels.copy()
        for i, name, default in taken.plain:
            value = record[name]
            labels[i] = (value if type(value) is str else _plain(value)) or default
        for i, source in taken.made:
            labels[i] = source.value(record)
        own = _plain(lookup(record, taken.id)) if taken.id is not None else ""
        numbers = tuple([_number(lookup(record, name)) if name else float("nan") for name in self.signals])
        parent = _plain(record.get("parent"))
        meta = _meta(record, taken.rest)
        utf8 = encodable(text, "the text")
        if not (own.isascii() and parent.isascii() and "".join(labels).isascii()):
            for name, value in (("id", own), ("parent", parent), *zip(LABELS, labels, strict=True)):
                encodable(value, name)
        return Row(own or record_id(self.file, number), utf8, labels, parent, meta, numbers)

    def _taken(self, record: dict[str, Any]) -> _Taken:
        """Which field serves which column: most records of a file have the same ones, so that is found once.

        Not so where a field is null, or may be a dotted one: there the next name counts.
        """
        if self.dotted or None in record.values():
            return self._choose(record)
        names = tuple(record)
        taken = self._known.get(names)
        if taken is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            taken = self._known[names] = self._choose(record)
        return taken

    def _choose(self, record: dict[str, Any]) -> _Taken:
        used: set[str] = set()
        text = _find(record, self.names["text"], used)
        labels = [
            _Source(_find(record, names, used) if fixed is None else None, fixed, default)
            for names, fixed, default in self.labels
        ]
        asking = [(i, source) for i, source in enumerate(labels) if source.asks]
        own = _find(record, self.names["id"], used)
        rest = [
            name
            for name in record
            if name not in used and name not in ("parent", "repeat") and not name.startswith("signal.")
        ]
        return _Taken(
            text=text,
            id=own,
            rest=rest,
            labels=["" if source.asks else source.value({}) for source in labels],
            plain=[(i, name, source.value({})) for i, source in asking if (name := source.plain(record)) is not None],
            made=[(i, source) for i, source in asking if source.plain(record) is None],
        )

    def _without_text(self, record: dict[str, Any]) -> Unusable:
        wanted = self.names["text"]
        null = next((name for name in wanted if name in record), None)
        if null:
            return Unusable(f"no text: the field {null!r} is null")
        there = [repr(name) for name in record]
        more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
        fields = f"the fields are {', '.join(there[:_LISTED])}{more}" if there else "the record is empty"
        return Unusable(f"no text: there is no field {' or '.join(map(repr, wanted))}; {fields}", "no_field")


@dataclass(frozen=True)
class _Template:
    text: str
    field: str = ""

    def value(self, record: dict[str, Any]) -> str:
        return _plain(lookup(record, self.field)) if self.field else self.text


class _Source(NamedTuple):
    """Where a label comes from: what is fixed, else the record's own in this field, else the default."""

    field: str | None
    fixed: _Template | None
    default: _Template | None

    @property
    def asks(self) -> bool:
        """Whether a record has a say in it."""
        return self.field is not None or any(template and template.field for template in (self.fixed, self.default))

    def plain(self, record: dict[str, Any]) -> str | None:
        """The field, where such records have it by this name, and nothing but a default that is the same for all stands
        beside it; else None."""
        alone = self.field in record and self.fixed is None and not (self.default and self.default.field)
        return self.field if alone else None

    def value(self, record: dict[str, Any]) -> str:
        """Of this record."""
        own = "" if self.field is None else _plain(lookup(record, self.field))
        own = own if self.fixed is None else self.fixed.value(record)
        return own or (self.default.value(record) if self.default else "")


def _find(record: dict[str, Any], names: tuple[str, ...], used: set[str]) -> str | None:
    """The first of these fields that the record has; it is added to `used`."""
    for name in names:
        if record.get(name) is not None or ("." in name and lookup(record, name) is not None):
            used.add(name)
            return name
    return None


def _template(value: str, file: str) -> _Template:
    if field := template_field(value):
        return _Template("", field)
    return _Template(value.replace("{stem}", stem(file)))


def stem(file: str) -> str:
    """A file's name without its extensions: `a/zh_law.jsonl.zst` gives `zh_law`."""
    name = PurePosixPath(file).name
    return name.split(".", 1)[0] or name


def lookup(record: dict[str, Any], name: str) -> Any:
    """A field by its name, else by dotted steps (`meta.pile_set_name`); None where absent."""
    if name in record or "." not in name:
        return record.get(name)
    value: Any = record
    for step in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def encodable(value: str, name: str) -> bytes:
    """UTF-8 of a string; raises `Unusable` for a lone surrogate, which no file can hold."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise Unusable(f"{name} holds a lone surrogate U+{code:04X} at character {error.start}") from None


def _meta(record: dict[str, Any], names: list[str]) -> str:
    """JSON of the fields that no column took; a `meta` object is spread into it, so a corpus can be read again."""
    rest: dict[str, Any] = {}
    for name in names:
        value = record[name]
        if value is None:
            continue
        if name == "meta":
            if isinstance(value, str):
                value = _object(value)
            if isinstance(value, dict):
                rest.update(value)
                continue
            if value == "":
                continue
        rest[name] = value
    if not rest:
        return ""
    text = _json(rest, _plain_json)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _json(rest, _escaped_json)  # surrogates stay as \uXXXX, exactly as they came
    return text


def _encoder(*, ascii: bool) -> Callable[[dict[str, Any]], str]:
    """What `json.JSONEncoder.encode` does, which builds this encoder anew for every value."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(ensure_ascii=ascii, default=str, allow_nan=False).encode
    strings = json.encoder.encode_basestring_ascii if ascii else json.encoder.encode_basestring
    encode = make(None, str, strings, None, ": ", ", ", False, False, False)
    return lambda fields: "".join(encode(fields, 0))


_plain_json, _escaped_json = _encoder(ascii=False), _encoder(ascii=True)


def _json(fields: dict[str, Any], encode: Callable[[dict[str, Any]], str]) -> str:
    """Valid JSON; raises `Unusable` for a number that it has no form for."""
    try:
        return encode(fields)
    except ValueError:
        if len(fields) > 1:
            for name, value in fields.items():
                _json({name: value}, encode)
        raise Unusable(f"the field {min(fields)!r} holds NaN or infinity, which JSON has no form for") from None


def _object(text: str) -> Any:
    try:
        value = parse_json(text.encode())
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true/false", bytes: "bytes", type(None): "null"}
    return names.get(type(value), "a number")
