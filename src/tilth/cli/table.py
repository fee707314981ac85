"""Tables that a command reads: a CSV with a header line, whose mistakes are told by file, line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError, nearest
from tilth.cli.numbers import number

EXPECTED = "a CSV is expected: a header line with the names of the columns, then one line a run"


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A CSV reader; what is wrong with the file as a whole is told."""
    where = str(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield csv.reader(lines, strict=True)
    except FileNotFoundError:
        raise UserError("there is no such file", where=where, hint=EXPECTED) from None
    except IsADirectoryError:
        inside = ", ".join(sorted(one.name for one in file.glob("*.csv"))[:5])
        raise UserError(
            "is a folder", where=where, hint=f"give a file in it: {inside}" if inside else EXPECTED
        ) from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text", where=where, hint=f"save it as UTF-8; {EXPECTED}") from None
    except csv.Error as error:
        said = "a quotation mark is never closed" if "end of data" in str(error) else str(error)
        raise UserError(f"is no CSV: {said}", where=where, hint=EXPECTED) from None


def header_of(file: Path) -> list[str]:
    """Names of the columns."""
    with _opened(file) as lines:
        header = [name.strip() for name in next(lines, [])]
    if not any(header):
        empty = "its first line is empty" if file.read_bytes().strip() else "the file is empty"
        raise UserError(empty, where=str(file), hint=EXPECTED)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"names the column {twice[0]!r} twice", where=f"{file}:1", hint="rename or remove one of them")
    return header


def _place(file: Path, header: list[str], name: str) -> int:
    """Where a column stands."""
    if name in header:
        return header.index(name)
    hint = nearest(name, header)
    if header[0][:1] in ("{", "["):
        hint = f"this looks like JSON; {EXPECTED}"
    for sign, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and sign in header[0]:
            hint = f"the header is separated by {called}: commas are expected"
    raise UserError(f"has no column {name!r}", where=f"{file}:1", hint=hint)


def read_rows(
    file: Path, numbers: list[str], words: list[str], most: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Rows of a CSV; a mistake is told by file, line and column. Empty lines are left out.

    The numbers of the columns in `most` must be above 0, and at most so large.
    """
    header = header_of(file)
    places = {name: _place(file, header, name) for name in [*numbers, *words]}
    rows = []
    with _opened(file) as lines:
        next(lines)
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{file}:{lines.line_num}"
            if len(cells) != len(header):
                hint = "write numbers without commas" if len(cells) > len(header) else "every column needs a value"
                raise UserError(f"holds {len(cells)} values for {len(header)} columns", where=where, hint=hint)
            found: dict[str, Any] = {name: cells[places[name]].strip() for name in words}
            found |= {name: _number(cells[places[name]], name, where) for name in numbers}
            for name, limit in (most or {}).items():
                if not 0 < found[name] <= limit:
                    expected = f"expected above 0 and at most {limit:g}"
                    raise UserError(f"column {name!r} is {found[name]:g}: {expected}", where=where)
            rows.append(found)
    if not rows:
        raise UserError("holds no rows", where=str(file), hint="one line a run below the header")
    return rows


def line_of(file: Path, row: int) -> int:
    """The line on which a row of `read_rows` (from 0) ends."""
    with _opened(file) as lines:
        next(lines)
        ends = (lines.line_num for cells in lines if any(cell.strip() for cell in cells))
        return next(line for at, line in enumerate(ends) if at == row)


def _number(cell: str, name: str, where: str) -> float:
    try:
        value = number(cell)
    except (ValueError, OverflowError):
        raise UserError(f"column {name!r}: expected a number, found {cell!r}", where=where) from None
    if not math.isfinite(value):
        raise UserError(f"column {name!r}: expected a finite number, found {cell!r}", where=where)
    return value


def assignments(text: str, names: list[str], option: str = "--predict") -> dict[str, float]:
    """NAME=VALUE, … as numbers such as 0.3, 1e9 or 7B; every name must be given."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in names:
            raise UserError(f"{option}: {name!r} is unknown", hint=nearest(name, names))
        if name in found:
            raise UserError(f"{option}: {name} is given twice")
        try:
            found[name] = number(value)
        except (ValueError, OverflowError):
            raise UserError(f"{option} {part}: expected NAME=NUMBER", hint="a number such as 0.3, 1e9 or 7B") from None
        if not math.isfinite(found[name]):
            raise UserError(f"{option} {part}: expected a finite number")
    missing = [name for name in names if name not in found]
    if missing:
        expected = ",".join(f"{name}=…" for name in names)
        raise UserError(f"{option}: {', '.join(missing)} is missing", hint=f"expected {option} {expected}")
    return found


def names_of(text: str, option: str, example: str = "web,code,books") -> list[str]:
    """Names separated by commas, none twice."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise UserError(f"{option} {text or repr(text)}: a name is empty", hint=f"for example {option} {example}")
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise UserError(f"{option}: {twice[0]!r} stands twice")
    return found
