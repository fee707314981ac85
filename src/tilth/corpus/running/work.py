"""The work folder of a stage: what a killed run left, if it belongs to the same work; scratch arrays on disk."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tilth.base.files import clear_leftovers, fingerprint, read_json, remove, write_json
from tilth.base.machine import keep_memory

UNREADABLE = "unreadable.jsonl"
"""The list of records that could not be read."""
CARD = "card.md"
"""The data card."""
OUTPUTS = (
    "documents",
    "holdout",
    "rejected",
    "edits",
    UNREADABLE,
    "contamination.jsonl",
    "report.json",
    CARD,
)
"""What the stages write below their output folder."""


def claim(work: Path, out: Path, key: dict[str, Any]) -> None:
    """Make both folders ready: keep what is there if it was made with the same key, else start from nothing."""
    for folder in (work, out):
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
    wanted = fingerprint(key)
    owner = work / "work.json"
    if owner.exists() and read_json(owner)["key"] == wanted:
        return
    for path in list(work.iterdir()):
        remove(path)
    for name in OUTPUTS:
        remove(out / name)
    write_json(owner, {"key": wanted})


_BLOCK, _HEAP = 2**25, 2**27
"""Of what a batch frees, blocks of up to 32 MiB and 128 MiB in all are kept for the next one."""


@contextlib.contextmanager
def batchwise() -> Iterator[None]:
    """A block, or a function that this decorates, works through batches: memory of one serves the next, and nobody
    looks for cycles: what is read makes none, and looking walks over every record and every module, again and again.
    """
    keep_memory(_BLOCK, _HEAP)
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True)
class Scratch:
    """Files that live as long as one step."""

    folder: Path

    def path(self, name: str) -> Path:
        """A file of that name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def array(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """A new memory-mapped array; its memory can be given back to the system at any time."""
        return np.lib.format.open_memmap(self.path(name), mode="w+", dtype=dtype, shape=shape)

    def clear(self) -> None:
        """Remove the files."""
        remove(self.folder)
