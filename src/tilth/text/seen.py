"""Which keys have been met before: the join behind duplicates of passages and substrings."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.text.jit import (
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


@helper
def _slot(keys: Any, values: Any, slots: int, key: Any, second: Any) -> Any:
    """Twice the number of the slot where a key stands, or of the free one where it would; arrays come as pointers."""
    last = slots - 1
    slot = np.int64(key & np.uint64(last))
    while values[2 * slot + 1] and (keys[2 * slot] != key or keys[2 * slot + 1] != second):
        slot = (slot + 1) & last
    return 2 * slot


@jit(void(READ_U64_2D, int64, int64, int64, boolean, WRITE_U64_2D, WRITE_I64_2D, WRITE_I64, WRITE_I64))
def _meet(
    records: Any, start: int, keep: int, apart: int, every: bool, table: Any, met: Any, state: Any, out: Any
) -> None:
    """Go through the records from `start` on until the table is half full.

    `table`: both halves of a key; `met`: its first place and how often it was met, 0 in a free slot; `state`: keys in
    the table, places written to `out`, and where it stopped.
    """
    keys, values, slots = pointer(table), pointer(met), len(table)
    used, written, at = state[0], state[1], start
    while at < len(records) and 2 * used < slots:
        key, second, place = records[at, 0], records[at, 1], np.int64(records[at, 2])
        slot = _slot(keys, values, slots, key, second)
        times = values[slot + 1]
        if times == 0:
            keys[slot], keys[slot + 1], values[slot] = key, second, place
            used += 1
        first = values[slot]
        overlaps = place >> 32 == first >> 32 and place - first < apart
        if times >= keep and not overlaps:
            if every and times == 1:
                out[written] = first
                written += 1
            out[written] = place
            written += 1
        values[slot + 1] = times + 1
        at += 1
    state[0], state[1], state[2] = used, written, at


@jit(void(WRITE_U64_2D, WRITE_I64_2D, WRITE_U64_2D, WRITE_I64_2D))
def _move(table: Any, met: Any, larger: Any, larger_met: Any) -> None:
    old, times, keys, values = pointer(table), pointer(met), pointer(larger), pointer(larger_met)
    for i in range(len(table)):
        if times[2 * i + 1]:
            slot = _slot(keys, values, len(larger), old[2 * i], old[2 * i + 1])
            keys[slot], keys[slot + 1] = old[2 * i], old[2 * i + 1]
            values[slot], values[slot + 1] = times[2 * i], times[2 * i + 1]


class Seen:
    """Meets records in the order of their priority and chooses the places of keys that stand more often than allowed.

    The first `keep` places of a key are not chosen, nor any in the row of the first one that is less than `apart`
    behind it. With `every` (and `keep` 1) the first place of a key that stands at several is chosen too.
    Memory: 64 to 128 bytes for each distinct key.
    """

    def __init__(self, keep: int = 1, apart: int = 0, *, every: bool = False) -> None:
        if keep < 1 or (every and keep > 1):
            raise ValueError(f"keep must be positive, and 1 with every; found {keep}")
        self._rule = (keep, apart, every)
        self._used = 0
        self._table, self._values = _empty(1 << 10)

    def meet(self, records: np.ndarray) -> np.ndarray:
        """Records uint64 [R, 3], a 128-bit key and a place (`row << 32 | offset`) each; returns places, int64 [C]."""
        records = np.ascontiguousarray(records, np.uint64)
        out = np.empty((2 if self._rule[2] else 1) * len(records), np.int64)
        state = np.array([self._used, 0, 0], np.int64)
        while True:
            _meet(records, int(state[2]), *self._rule, self._table, self._values, state, out)
            if state[2] == len(records):
                break
            larger = _empty(2 * len(self._table))
            _move(self._table, self._values, *larger)
            self._table, self._values = larger
        self._used = int(state[0])
        return out[: state[1]].copy()


def _empty(slots: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((slots, 2), np.uint64), np.zeros((slots, 2), np.int64)
