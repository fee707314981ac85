"""Which keys have been met before: the join behind duplicates of passages and substrings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilth.base.jit import (
    READ_I64,
    READ_U8,
    READ_U64_2D,
    WRITE_I64,
    WRITE_I64_2D,
    WRITE_U64_2D,
    boolean,
    helper,
    int64,
    jit,
    pointer,
    void,
)

_48 = np.uint64(48)


@helper
def _slot(keys: Any, values: Any, slots: int, key: Any, second: Any) -> Any:
    """Twice the number of the slot where a key stands, or of the free one where it would; arrays come as pointers."""
    last = slots - 1
    slot = np.int64(key & np.uint64(last))
    while values[2 * slot + 1] and (keys[2 * slot] != key or keys[2 * slot + 1] != second):
        slot = (slot + 1) & last
    return 2 * slot


@jit(int64(READ_U64_2D, int64, int64, boolean, WRITE_U64_2D, WRITE_I64_2D, WRITE_I64))
def _meet(records: Any, keep: int, apart: int, every: bool, table: Any, met: Any, out: Any) -> int:
    """Go through the records; returns how many places were written to `out`.

    `table`: both halves of a key; `met`: its first place and how often it was met, 0 in a free slot.
    """
    keys, values, slots, written = pointer(table), pointer(met), len(table), 0
    for at in range(len(records)):
        key, second, place = records[at, 0], records[at, 1], np.int64(records[at, 2])
        slot = _slot(keys, values, slots, key, second)
        times = values[slot + 1]
        if times == 0:
            keys[slot], keys[slot + 1], values[slot] = key, second, place
        first = values[slot]
        overlaps = place >> 32 == first >> 32 and place - first < apart
        if times >= keep and not overlaps:
            if every and times == 1:
                out[written] = first
                written += 1
            out[written] = place
            written += 1
        values[slot + 1] = times + 1
    return written


class Seen:
    """Meets records in the order of their priority and chooses the places of keys that stand more often than allowed.

    The first `keep` places of a key are not chosen, nor any in the row of the first one that is less than `apart`
    behind it. With `every` (and `keep` 1) the first place of a key that stands at several is chosen too.
    Memory: 64 to 128 bytes for each of the `room` records, all that will be met.
    """

    def __init__(self, room: int, keep: int = 1, apart: int = 0, *, every: bool = False) -> None:
        if keep < 1 or (every and keep > 1):
            raise ValueError(f"keep must be positive, and 1 with every; found {keep}")
        self._rule, self._room = (keep, apart, every), room
        slots = 1 << (2 * room).bit_length()  # never more than half full
        self._table, self._values = np.empty((slots, 2), np.uint64), np.zeros((slots, 2), np.int64)

    def meet(self, records: np.ndarray) -> np.ndarray:
        """Records uint64 [R, 3], a 128-bit key and a place (`row << 32 | offset`) each; returns places, int64 [C]."""
        records = np.ascontiguousarray(records, np.uint64)
        self._room -= len(records)
        if self._room < 0:
            raise ValueError(f"{-self._room} more records than there is room for")
        out = np.empty((2 if self._rule[2] else 1) * len(records), np.int64)
        return out[: _meet(records, *self._rule, self._table, self._values, out)].copy()


@helper
def _part(key: Any, first: Any, parts: int) -> Any:
    """The upper sixteen bits of a key choose its part; those that do not go first stand behind all that do."""
    part = np.int64(key >> _48) * parts >> 16
    return part if first else part + parts


@jit(void(READ_U64_2D, READ_U8, int64, WRITE_I64))
def _count(keys: Any, first: Any, parts: int, counts: Any) -> None:
    for i in range(len(keys)):
        counts[_part(keys[i, 0], first[i], parts)] += 1


@jit(void(READ_U64_2D, READ_I64, READ_U8, int64, WRITE_I64, WRITE_U64_2D))
def _scatter(keys: Any, places: Any, first: Any, parts: int, ends: Any, out: Any) -> None:
    for i in range(len(keys)):
        part = _part(keys[i, 0], first[i], parts)
        at = ends[part]
        out[at, 0], out[at, 1], out[at, 2] = keys[i, 0], keys[i, 1], np.uint64(places[i])
        ends[part] = at + 1


def by_part(batches: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Records uint64 [R, 3] for `Seen`, by the part of their key, else in the order given; and where each part starts.

    `batches`: keys uint64 [K, 2], places int64 [K] and whether each goes first, bool [K]. `parts` is a power of two up
    to 2^15; there are twice as many, those of records that go first in front: int64 [2 parts + 1].
    """
    counts = np.zeros(2 * parts, np.int64)
    for keys, _, first in batches:
        _count(keys, first.view(np.uint8), parts, counts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    ends, records = starts[:-1].copy(), np.empty((int(starts[-1]), 3), np.uint64)
    for keys, places, first in batches:
        _scatter(keys, places, first.view(np.uint8), parts, ends, records)
    return records, starts
