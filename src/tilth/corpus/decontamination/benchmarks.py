"""Benchmark files as items, and items as the texts that a document must not hold."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.base.errors import UserError, nearest
from tilth.corpus.settings import DecontaminateSettings
from tilth.corpus.sources import InputFile
from tilth.corpus.sources.formats import json_records, too_long
from tilth.corpus.sources.json_lines import parse_json
from tilth.corpus.sources.records import lookup

_SHARED_ITEMS, _SHARED_PART = 10, 0.05
_LONGEST = 1 << 24


@dataclass(frozen=True)
class Item:
    """One question, exercise or passage. `name` is `FILE#LINE`; `texts` are its fields' strings, in order."""

    name: str
    benchmark: str
    texts: tuple[str, ...]


def load_items(files: Sequence[InputFile], settings: DecontaminateSettings) -> list[Item]:
    """Every item of the files. Raises `UserError` with file and line for what cannot be read: a benchmark that is
    silently skipped would be a contamination that nobody sees.
    """
    check_benchmarks(files, settings)
    return [item for file in files for item in _without_shared(list(_items_of(file, settings.fields)))]


def check_benchmarks(files: Sequence[InputFile], settings: DecontaminateSettings) -> None:
    """Read the first item of each file: most of what is wrong with a benchmark is told by it."""
    for file in files:
        where = str(file.path)
        if file.format != "jsonl":
            raise UserError("not a JSON Lines file", where=where, hint="decontaminate.against reads JSON Lines")
        if next(_items_of(file, settings.fields), None) is None:
            raise UserError("the benchmark holds no item", where=where, hint="give its questions, or leave it out")


def _items_of(file: InputFile, fields: Sequence[str]) -> Iterator[Item]:
    stream, found = json_records(file.path, _LONGEST)
    for line in found:
        where = f"{file.path}:{line.number}"
        if line.data is None or not line.whole:
            reason = (
                stream.torn.reason if stream.torn else too_long(_LONGEST) if line.whole else "the array does not end"
            )
            raise UserError(f"the benchmark cannot be read to its end: {reason}", where=where)
        try:
            record = _chosen(parse_json(line.data.removeprefix(codecs.BOM_UTF8)), fields, where)
            texts = tuple(dict.fromkeys(_strings(record)))
        except ValueError as error:
            raise UserError(f"not a benchmark item: {error}", where=where) from None
        except RecursionError:
            raise UserError("not a benchmark item: JSON that is nested too deeply", where=where) from None
        yield Item(f"{file.name}#{line.number}", file.name, texts)


def _chosen(record: Any, fields: Sequence[str], where: str) -> Any:
    """The values of the fields that count; without any named, the whole record."""
    if not fields or not isinstance(record, dict):
        return record
    missing = [name for name in fields if lookup(record, name) is None]
    if len(missing) == len(fields):
        named = " or ".join(map(repr, fields))
        raise UserError(f"the item has no field {named}", where=where, hint=nearest(missing[0], record))
    return [lookup(record, name) for name in fields]


def _strings(value: Any) -> list[str]:
    """Every string inside a value that UTF-8 can hold, in its order."""
    if isinstance(value, str):
        if not value or value.isspace():
            return []
        return [value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


def _without_shared(items: list[Item]) -> list[Item]:
    """Leave out texts that stand in many items of a file: instructions, names of sources, licences. They tell no item
    from another, and documents may well hold them.
    """
    counts = Counter(text for item in items for text in item.texts)
    limit = max(_SHARED_ITEMS, _SHARED_PART * len(items))
    return [Item(item.name, item.benchmark, tuple(t for t in item.texts if counts[t] <= limit)) for item in items]
