"""The index behind the search for n-grams: a table of their keys with the items that have each, and maps of blocks.

The table is small because a key stands in it once, however many items have it: keys are first brought together by the
part of the table that they belong to, so that filling it looks at little memory at a time. The maps say of nearly every
place of a text that no item can stand there.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from tilth.base.jit import (
    READ_I32,
    READ_I64,
    READ_U64,
    WRITE_I32,
    WRITE_I64,
    WRITE_U8,
    WRITE_U64,
    inlined,
    int64,
    jit,
    void,
)
from tilth.base.lists import Lists

_PRIME, _ZERO = np.uint64(0x9E3779B97F4A7C15), np.uint64(0)
_THREE, _SEVEN = np.uint64(3), np.uint64(7)
_LEAST_BLOCK = 3
_PART_BITS = 8
_PARTS, _PART_SHIFT = 1 << _PART_BITS, np.uint64(64 - _PART_BITS)
_BITS_A_BLOCK = 2, 32
"""Of a map, least and most; blocks that several items have are counted several times, so that there are more."""
_CACHED_BITS = 1 << 23
"""Of a map that stays in a processor's own cache: within these two it has as many."""


class Owners(NamedTuple):
    """Distinct keys in an open-addressing table, and the items that have each.

    `keys` uint64 [slots] (0: free) and `ids` int32 [slots]: a key's slot is its upper bits, or the next free one behind
    them, round the end. List i of `items` are the items that have key i: int32, as memory that is touched for the first
    time takes longer than what is done in it.
    """

    keys: np.ndarray
    ids: np.ndarray
    items: Lists


@inlined
def slot_of(keys: Any, key: Any, last: int, shift: Any) -> Any:
    """Where `key` stands in the table whose last slot is `last`, or the free slot where it would."""
    slot = np.int64(key >> shift)
    while keys[slot] != _ZERO and keys[slot] != key:
        slot = (slot + 1) & last
    return slot


def index_keys(keys: np.ndarray, grams: np.ndarray) -> Owners:
    """The table of the keys (uint64, none of them 0) of the items, `grams` of each item, item after item."""
    ends = np.zeros(_PARTS, np.int64)
    ordered, owners = np.empty_like(keys), np.empty(len(keys), np.int32)
    _spread(keys, grams, ends, ordered, owners)
    largest = int(np.diff(ends, prepend=0).max(initial=0))
    distinct = _count_distinct(ordered, ends, np.zeros(1 << max(3, (2 * largest).bit_length()), np.uint64))
    bits = max(3, (3 * distinct // 2).bit_length())
    slot_keys, ids = np.zeros(1 << bits, np.uint64), np.zeros(1 << bits, np.int32)
    of_keys, counts = np.empty(len(keys), np.int32), np.zeros(distinct, np.int32)
    _number(ordered, owners, 64 - bits, slot_keys, ids, of_keys, counts, np.full(distinct, -1, np.int32))
    first = np.cumsum(counts, dtype=np.int64) - counts
    items = np.empty(int(counts.sum()), np.int32)
    _list_owners(owners, of_keys, first, np.zeros(distinct, np.int32), items)
    return Owners(slot_keys, ids, Lists(first, counts, items))


@jit(void(READ_U64, READ_I64, WRITE_I64, WRITE_U64, WRITE_I32))
def _spread(keys: Any, grams: Any, ends: Any, ordered: Any, owners: Any) -> None:
    """Bring the keys of each part together, with the items that have them; within a part they stay in order."""
    for key in keys:
        ends[np.int64(key >> _PART_SHIFT)] += 1
    total = 0
    for part in range(len(ends)):
        total, ends[part] = total + ends[part], total
    at = 0
    for item in range(len(grams)):
        for key in keys[at : at + grams[item]]:
            place = np.int64(key >> _PART_SHIFT)
            ordered[ends[place]], owners[ends[place]] = key, item
            ends[place] += 1
        at += grams[item]


@jit(int64(READ_U64, READ_I64, WRITE_U64))
def _count_distinct(ordered: Any, ends: Any, table: Any) -> int:
    """How many different keys there are, part by part, in a table that has room for any part."""
    distinct, start, last = 0, 0, len(table) - 1
    for part in range(len(ends)):
        table[:] = _ZERO
        for key in ordered[start : ends[part]]:
            slot = np.int64(key & np.uint64(last))
            while table[slot] != _ZERO and table[slot] != key:
                slot = (slot + 1) & last
            distinct += table[slot] != key
            table[slot] = key
        start = ends[part]
    return distinct


@jit(void(READ_U64, READ_I32, int64, WRITE_U64, WRITE_I32, WRITE_I32, WRITE_I32, WRITE_I32))
def _number(keys: Any, owners: Any, shift: int, slot_keys: Any, ids: Any, of_keys: Any, counts: Any, last: Any) -> None:
    """Number the distinct keys (slots, `ids`; `of_keys` of each key) and count the items that have each.

    `owners` int32: the item of each key, rising among equal ones; `last` is -1.
    """
    top, distinct = len(slot_keys) - 1, 0
    for at in range(len(keys)):
        slot = slot_of(slot_keys, keys[at], top, np.uint64(shift))
        if slot_keys[slot] == _ZERO:
            slot_keys[slot], ids[slot] = keys[at], distinct
            distinct += 1
        found = ids[slot]
        of_keys[at] = found
        counts[found] += last[found] != owners[at]
        last[found] = owners[at]


@jit(void(READ_I32, READ_I32, READ_I64, WRITE_I32, WRITE_I32))
def _list_owners(owners: Any, of_keys: Any, first: Any, filled: Any, out: Any) -> None:
    """The items that have each key, key after key: those of key k stand from `first[k]` on. `filled` is 0."""
    for at in range(len(of_keys)):
        found = of_keys[at]
        place = first[found] + filled[found]
        if not filled[found] or out[place - 1] != owners[at]:
            out[place] = owners[at]
            filled[found] += 1


def map_blocks(
    sizes: np.ndarray, lengths: np.ndarray, units: np.ndarray, begins: np.ndarray, whole: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Bitmaps of the blocks in the heads of the n-grams, one after another, and for each a rule.

    Each range of sizes (`_ranges`) has a map of its own. The head of an n-gram is its first units, as many as the
    shortest in the range has; its blocks are the stretches of half as many in it: few texts have all blocks of a head.
    A rule: units of a head and of a block, first byte of the map, how far a hash is shifted to give its bit, range of
    sizes by their numbers.
    """
    maps, rules = [np.zeros(0, np.uint8)], []
    for first, last in _ranges(sizes, whole):
        head = int(sizes[first])
        block = min(head, max(_LEAST_BLOCK, head // 2))
        items = (lengths >= head) & (lengths <= sizes[last - 1])
        count = int((np.diff(begins)[items] - lengths[items] + 1 + head - block).sum())
        least, most = _BITS_A_BLOCK
        power = max(6, (max(least * count, min(most * count, _CACHED_BITS)) - 1).bit_length())
        bitmap = np.zeros(1 << (power - 3), np.uint8)
        _mark_blocks(units, begins, np.where(items, lengths, 0), head, block, 64 - power, bitmap)
        rules.append((head, block, sum(map(len, maps)), 64 - power, first, last))
        maps.append(bitmap)
    return np.concatenate(maps), np.array(rules, np.int64).reshape(-1, 6)


def _ranges(sizes: np.ndarray, whole: tuple[int, ...]) -> list[tuple[int, int]]:
    """Cut the sizes, in order, in front of and behind each one that most items have; by their numbers."""
    cuts = {0, len(sizes)}
    for size in whole:
        cuts |= {int(np.searchsorted(sizes, size)), int(np.searchsorted(sizes, size, "right"))}
    borders = sorted(cuts)
    return list(itertools.pairwise(borders))


@jit(void(READ_U64, READ_I64, READ_I64, int64, int64, int64, WRITE_U8))
def _mark_blocks(units: Any, begins: Any, lengths: Any, head: int, block: int, shift: int, bitmap: Any) -> None:
    """Set the bits of the blocks in the heads of the n-grams of every item whose length is not 0."""
    for item in range(len(lengths)):
        if not lengths[item]:
            continue
        for first in range(begins[item], begins[item + 1] - lengths[item] + 1 + head - block):
            value = _ZERO
            for i in range(first, first + block):
                value = value * _PRIME + units[i]
            bit = value >> np.uint64(shift)
            bitmap[np.int64(bit >> _THREE)] |= np.uint8(1) << np.uint8(bit & _SEVEN)
