"""Tables that a command reads: a CSV with a header line, whose mistakes are told by file, line and column."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError, nearest


def header_of(file: Path) -> list[str]:
    """Names of the columns."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines), [])
    except FileNotFoundError:
        raise UserError("there is no such file", where=str(file)) from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text: a CSV with a header line is expected", where=str(file)) from None


def read_rows(file: Path, numbers: list[str], words: list[str]) -> list[dict[str, Any]]:
    """Rows of a CSV; a mistake is told by file, line and column."""
    header = header_of(file)
    for name in [*numbers, *words]:
        if name not in header:
            raise UserError(f"has no column {name!r}", where=f"{file}:1", hint=nearest(name, header))
    rows = []
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            where = f"{file}:{reader.line_num}"
            found: dict[str, Any] = {name: row[name] for name in words}
            for name in numbers:
                try:
                    found[name] = float(row[name] or "")
                except ValueError:
                    raise UserError(f"column {name!r}: expected a number, found {row[name]!r}", where=where) from None
            rows.append(found)
    if not rows:
        raise UserError("holds no rows", where=str(file), hint="one line a run below the header")
    return rows


def assignments(text: str, names: list[str]) -> dict[str, float]:
    """NAME=VALUE, … as numbers; every name must be given."""
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in names:
            raise UserError(f"--predict: {name!r} is unknown", hint=nearest(name, names))
        try:
            found[name] = float(value)
        except ValueError:
            raise UserError(f"--predict {part}: expected NAME=NUMBER") from None
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"--predict: {', '.join(missing)} is missing")
    return found
