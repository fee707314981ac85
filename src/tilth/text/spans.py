"""From matching n-grams to spans: where a document holds an item, small changes included, and how much of it.

A span starts at an n-gram of the item and grows to both sides over k-grams of the item, k = ⌈n / 3⌉, across at most n
units that match nothing. So a text in which one word in twenty was replaced is still found in one piece, while
the words that it shares with every other text do not count: they do not come k in a row near an n-gram.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_I64,
    READ_I64_2D,
    READ_U64,
    WRITE_F64,
    WRITE_I64,
    WRITE_I64_2D,
    WRITE_U64,
    helper,
    int64,
    jit,
    pointer,
    pointers,
)
from tilth.text.hashing import mix
from tilth.text.units import FOUND, TABLES, split_units

_PRIME, _ZERO = np.uint64(0x9E3779B97F4A7C15), np.uint64(0)
_ITEMS = types.Tuple((READ_U64, READ_I64, READ_I64))
"""Of all items the hashes of their units, one item after another; where each begins; the n of each."""
_KGRAMS = types.Tuple((WRITE_U64, WRITE_I64))
"""Space for one item's k-grams: slots of keys, and whether the document has each."""


@helper
def slot_of(keys: Any, key: Any, last: Any) -> Any:
    """Where `key` stands in the table whose last slot is `last`, or the free slot where it would."""
    slot = np.int64(key & last)
    while keys[slot] != _ZERO and keys[slot] != key:
        slot = np.int64(np.uint64(slot + 1) & last)
    return slot


@helper
def _kgram(hashes: Any, first: int, k: int) -> Any:
    value = _ZERO
    for i in range(first, first + k):
        value = value * _PRIME + hashes[i]
    return mix(value)


@helper
def _index_item(hashes: Any, first: int, last: int, k: int, table: Any) -> Any:
    """Put the k-grams of the units [first, last) into the table, all unseen; returns its last slot."""
    keys, seen = table
    slots = 8
    while slots < 2 * (last - first):
        slots *= 2
    for slot in range(slots):
        keys[slot], seen[slot] = _ZERO, 0
    top = np.uint64(slots - 1)
    for i in range(first, last - k + 1):
        key = _kgram(hashes, i, k)
        keys[slot_of(keys, key, top)] = key
    return top


@helper
def _see(hashes: Any, at: int, k: int, table: Any, top: Any) -> bool:
    """Whether the k-gram at `at` is one of the item's; if so it is marked."""
    key = _kgram(hashes, at, k)
    slot = slot_of(table[0], key, top)
    if table[0][slot] != key:
        return False
    table[1][slot] = 1
    return True


@helper
def _grow(hashes: Any, count: int, first: int, sizes: Any, table: Any, top: Any) -> Any:
    """The units [low, high) of the span around the n-gram at `first`, of a document of `count` units."""
    n, k = sizes
    low, high = first, first + n
    at = first
    while at + k <= count and at - high <= n:
        if _see(hashes, at, k, table, top):
            high = max(high, at + k)
        at += 1
    at = first - 1
    while at >= 0 and low - (at + k) <= n:
        if _see(hashes, at, k, table, top):
            low = at
        at -= 1
    return low, high


@helper
def _covered(hashes: Any, first: int, last: int, k: int, table: Any, top: Any) -> float:
    """Share of the units [first, last) that lie in a k-gram that was seen."""
    covered, until = 0, first
    for i in range(first, last - k + 1):
        if table[1][slot_of(table[0], _kgram(hashes, i, k), top)]:
            covered += i + k - max(until, i)
            until = i + k
    return covered / (last - first)


@helper
def _unit_at(starts: Any, count: int, byte: int) -> int:
    """Number of the unit that begins at `byte`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if starts[middle] < byte:
            low = middle + 1
        else:
            high = middle
    return low


@jit(int64(BYTES, OFFSETS, TABLES, FOUND, _ITEMS, _KGRAMS, READ_I64_2D, WRITE_I64_2D, WRITE_F64))
def grow_spans(
    buffer: Any,
    offsets: Any,
    table_arrays: Any,
    unit_arrays: Any,
    item_arrays: Any,
    kgram_arrays: Any,
    matches: Any,
    spans: Any,
    coverage: Any,
) -> int:
    """Spans (row, item, first byte, last byte + 1) and their coverage, from matches; returns how many.

    `matches` are the same four of n-grams, sorted by row, item and first byte; `spans` has room for as many.
    """
    data, tables, units = pointer(buffer), pointers(table_arrays), pointers(unit_arrays)
    items, table = pointers(item_arrays), pointers(kgram_arrays)
    hashes, starts, stops = units
    row, count, total, at = -1, 0, 0, 0
    while at < len(matches):
        item = matches[at, 1]
        if matches[at, 0] != row:
            row = matches[at, 0]
            count = split_units(data, offsets[row], offsets[row + 1], tables, units)
        first, last, n = items[1][item], items[1][item + 1], items[2][item]
        k = (n + 2) // 3
        top = _index_item(items[0], first, last, k, table)
        begin, end = total, -1
        while at < len(matches) and matches[at, 0] == row and matches[at, 1] == item:
            unit = _unit_at(starts, count, matches[at, 2])
            if unit >= end:  # else it lies in the last span, which would grow from it as from its own n-gram
                low, high = _grow(hashes, count, unit, (n, k), table, top)
                if total == begin or low > end:
                    spans[total, 0], spans[total, 1], spans[total, 2] = row, item, starts[low]
                    total += 1
                spans[total - 1, 3] = stops[high - 1]
                end = high
            at += 1
        share = _covered(items[0], first, last, k, table, top)
        for span in range(begin, total):
            coverage[span] = share
    return total
