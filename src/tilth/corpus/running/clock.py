"""CPU time by step, for whoever asks: a forecast is made of it."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import TypeVar

READ, WRITE, BOOKS = "read", "write", "bookkeeping"
"""What is no step: reading and unpacking, writing and packing, what one process does before and behind the passes."""

Item = TypeVar("Item")

_asked: defaultdict[str, float] | None = None
_open = False


@contextlib.contextmanager
def timed() -> Iterator[dict[str, float]]:
    """CPU-seconds that this process spends in the blocks of each name, until the end of the `with`."""
    global _asked
    _asked = defaultdict(float)
    try:
        yield _asked
    finally:
        _asked = None


@contextlib.contextmanager
def spent(name: str) -> Iterator[None]:
    """Count the block's CPU time as `name`'s, blocks inside it included; costs nothing where nobody asks."""
    global _open
    if _asked is None or _open:
        yield
        return
    _open, counted, started = True, _asked, time.process_time()
    try:
        yield
    finally:
        counted[name] += time.process_time() - started
        _open = False


def each(name: str, items: Iterator[Item]) -> Iterator[Item]:
    """The items; the time that making them takes counts as `name`'s."""
    while True:
        with spent(name):
            item = next(items, None)
        if item is None:
            return
        yield item
