"""Append-only JSON Lines files: what happened, what was decided, what was measured."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """A JSON Lines file that survives being killed: each record is one write; a torn last line is cut at opening."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_tail(path)
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, record: dict[str, Any], *, durable: bool = False) -> None:
        """Add one record; `durable` waits until it is on the disk (for decisions)."""
        os.write(self._handle, (json.dumps(record, ensure_ascii=False) + "\n").encode())
        if durable:
            os.fsync(self._handle)

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The whole records of a journal; a torn last line is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def rewind_journal(path: Path, keep: Any) -> None:
    """Drop the records from the first one for which `keep(record)` is false (those after a checkpoint)."""
    if not path.exists():
        return
    size = 0
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n") or not keep(json.loads(line)):
                break
            size += len(line)
    os.truncate(path, size)


def _cut_torn_tail(path: Path) -> None:
    if path.exists() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)
