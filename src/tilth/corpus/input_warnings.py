"""What a person should know of the files that were read: what is missing, what was taken otherwise than was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilth.base.errors import UserError
from tilth.corpus.document import SIGNAL
from tilth.corpus.settings import SourceSettings
from tilth.corpus.sources import InputFile

Read = tuple[int, dict[str, Any]]
"""The number of a unit's source, and the counts of the unit."""


def input_warnings(
    sources: Sequence[SourceSettings], files: Sequence[InputFile], read: Sequence[Read], unread: Mapping[str, str]
) -> list[str]:
    """A sentence each, of whole sources first: `unread` are the `unread_sources`."""
    whole = [f"sources.{i}: {why}" for i, why in unread.items()]
    return [*whole, *_lacking(sources, read), *_missing([result for _, result in read]), *_as_texts(files)]


def unread_sources(read: Sequence[Read]) -> dict[str, str]:
    """The sources of which nothing could be read, by their numbers, and why: other sources may hide it by theirs."""
    of_source: dict[int, list[dict[str, Any]]] = {}
    for source, result in read:
        of_source.setdefault(source, []).append(result)
    return {
        str(i): _why_unread(of_source[i])
        for i in sorted(of_source)
        if not any(result["documents_in"] for result in of_source[i])
    }


def nothing_read(records: int, files: int, results: Sequence[dict[str, Any]]) -> UserError:
    """No record was one: why, by the first of them, and which setting of a source might help."""
    if not records:
        return UserError(f"the files are empty: {files} of them, and no record")
    first = next(found for result in results for found in result["first_unreadable"])
    where = _place(first)
    settings = "in the recipe, or in the --config of tilth corpus"
    hint = None
    if first["kind"] == "no_field":
        hint = f"say which field holds the text: `fields: {{text: NAME}}` of the source, {settings}"
    elif first["kind"] in ("format", "file"):
        hint = f"if it is of another format, the source's `format` says so, {settings}"
    many = f"none of {records:,} records in {files:,} files could be read" if records > 1 else "no record could be read"
    return UserError(f"{many}; {first['reason']}", where=where, hint=hint)


_NAMED = 3
"""Files whose end is missing that a warning names each."""


def _as_texts(files: Sequence[InputFile]) -> list[str]:
    """Files of folders that may hold records and are read as one text each."""
    found = [file.name for file in files if file.taken_as_text]
    if not found:
        return []
    rest = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    hint = "with `fields: {text: NAME}` a source says where it is"
    return [f"{found[0]}{rest}: a text of its own, as its first records have no field for the text; {hint}"]


def _missing(results: Sequence[dict[str, Any]]) -> list[str]:
    """Files that end early or are damaged: one unreadable record stands for all that follows there."""
    found = [end for result in results for end in result["file_ends"]]
    said = [f"{_place(end)}: {end['reason']}; {_lost(end)} is missing" for end in found[:_NAMED]]
    more = len(found) - len(said)
    return [*said, f"{more:,} more files end early or are damaged"] if more else said


def _place(record: dict[str, Any]) -> str:
    """`file:line` of an unreadable record; the file where there is no line."""
    return f"{record['file']}:{record['line']}" if record["line"] else str(record["file"])


def _lost(end: dict[str, Any]) -> str:
    return "what follows there" if end["line"] else "all of it"


def _why_unread(results: Sequence[dict[str, Any]]) -> str:
    records = sum(result["unreadable"] for result in results)
    if not records:
        return "it is empty"
    first = next(found for result in results for found in result["first_unreadable"])
    many = f"none of its {records:,} records could" if records > 1 else "its one record could not"
    return f"{many} be read; {_place(first)}: {first['reason']}"


def _lacking(sources: Sequence[SourceSettings], read: Sequence[Read]) -> list[str]:
    """What the sources' settings name and no record of the source has: fields, and numbers in those that are there."""
    fields, numbers = (_of_all_units(read, what) for what in ("lacking", "numberless"))
    said = []
    for i in sorted(fields):
        field_of = sources[i].signals
        said += [f"sources.{i}: no record has the field {name!r}" for name in sorted(fields[i])]
        said += [
            f"sources.{i}: no record has a number in the field {field_of[name]!r}, so {SIGNAL + name} says nothing"
            for name in sorted(numbers[i])
            if field_of[name] not in fields[i]
        ]
    return said


def _of_all_units(read: Sequence[Read], what: str) -> dict[int, set[str]]:
    """By source, what stands under this name in the results of all its units that have documents."""
    left: dict[int, set[str]] = {}
    for source, result in read:
        if result["documents_in"]:
            names = set(result[what])
            left[source] = left.get(source, names) & names
    return left
