"""Finding the n-grams of benchmark items in documents, with spans: the search behind decontamination."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.hashing import mix
from tilth.text.jit import (
    BYTES,
    OFFSETS,
    READ_I64,
    READ_I64_2D,
    READ_U8,
    READ_U64,
    WRITE_I64,
    WRITE_I64_2D,
    WRITE_U8,
    WRITE_U64,
    helper,
    int64,
    jit,
    pointer,
    pointers,
    uint64,
    void,
)
from tilth.text.lines import count_code_points
from tilth.text.spans import grow_spans, slot_of
from tilth.text.units import FOUND, TABLES, decode, split_units

if TYPE_CHECKING:
    import pyarrow as pa

_PRIME, _ZERO, _ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0), np.uint64(1)
_LEAST_BLOCK = 3
_PARTS = 256
_THREE, _SEVEN = np.uint64(3), np.uint64(7)
_UNIT, _SIZE = np.uint16(unicode.UNIT), np.int64(unicode.SIZE)
_INDEX = types.Tuple((READ_U64, READ_U8, READ_U64, READ_I64, READ_I64))
"""What is looked for: powers of the hash's base, bitmaps of blocks, slots of keys and their ids, sizes of n-grams."""


@dataclass(frozen=True)
class Hits:
    """Where items were found, one entry a span, sorted by row, item and start; all arrays have one length.

    `row` int64: the document; `item` int64: the benchmark item; `start`, `end` int64: characters (code points) of the
    document, on the borders of units; a span grows from an n-gram of the item across small changes
    (`tilth.text.spans`). `coverage` float32: the share of the item's units that stand in this document's spans, at
    least k in a row, the same for all spans of a pair.
    """

    row: np.ndarray
    item: np.ndarray
    start: np.ndarray
    end: np.ndarray
    coverage: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


@jit(void(BYTES, OFFSETS, TABLES, FOUND, int64, int64, WRITE_I64_2D))
def _item_lengths(
    buffer: Any, offsets: Any, table_arrays: Any, unit_arrays: Any, words: int, characters: int, out: Any
) -> None:
    """For every item: n and how many n-grams it has, both 0 where it is too short to test; how many units it has."""
    data, tables, units = pointer(buffer), pointers(table_arrays), pointers(unit_arrays)
    classes, starts, stops = tables[0], units[1], units[2]
    for item in range(len(out)):
        count = split_units(data, offsets[item], offsets[item + 1], tables, units)
        alone = 0
        for i in range(count):
            code, _ = decode(data, starts[i], stops[i])
            alone += code < _SIZE and classes[code] & _UNIT != 0
        chinese = 2 * alone > count
        longest = characters if chinese else words
        n = min(longest, count)
        if 2 * n < longest or n == 0:
            n = 0
        out[item, 0], out[item, 1], out[item, 2] = n, count - n + 1 if n else 0, count


@jit(void(BYTES, OFFSETS, TABLES, FOUND, READ_I64, READ_I64, WRITE_U64, WRITE_U64))
def _item_grams(
    buffer: Any,
    offsets: Any,
    table_arrays: Any,
    unit_arrays: Any,
    lengths: Any,
    begins: Any,
    item_units: Any,
    keys: Any,
) -> None:
    """Hash the units of every item, item after item from `begins` on, and its n-grams (keys)."""
    data, tables, units = pointer(buffer), pointers(table_arrays), pointers(unit_arrays)
    hashes = units[0]
    total = 0
    for item in range(len(lengths)):
        n = lengths[item]
        count = split_units(data, offsets[item], offsets[item + 1], tables, units)
        for i in range(count):
            item_units[begins[item] + i] = hashes[i]
        for first in range(count - n + 1 if n else 0):
            value = _ZERO
            for i in range(first, first + n):
                value = value * _PRIME + hashes[i]
            keys[total] = mix(value + np.uint64(n))
            total += 1


@helper
def _match(place: Any, sums: Any, units: Any, index: Any, last_slot: Any, sizes: Any, out: Any, found: int) -> int:
    """Write the matches of these sizes at `place` (row, unit, units of the row); returns how many there are now."""
    row, first, count = place
    _, starts, stops = units
    powers, _, keys, ids, lengths = index
    for k in range(sizes[0], sizes[1]):
        n = lengths[k]
        if first + n > count:
            break
        key = mix(sums[first + n] - sums[first] * powers[n] + np.uint64(n))
        slot = slot_of(keys, key, last_slot)
        if keys[slot] == key:
            if found < len(out):
                out[found, 0], out[found, 1] = row, ids[slot]
                out[found, 2], out[found, 3] = starts[first], stops[first + n - 1]
            found += 1
    return found


@helper
def _missing_block(first: int, sums: Any, index: Any, rule: Any) -> int:
    """How far in the head at unit `first` the last block is that no item has; -1 where items have all."""
    head, block, base, shift, _, _ = rule
    powers, seen = index[0], index[1]
    at = first + head - block
    while at >= first:
        bit = (sums[at + block] - sums[at] * powers[block]) >> np.uint64(shift)
        if not (seen[base + np.int64(bit >> _THREE)] >> np.int64(bit & _SEVEN)) & 1:
            break
        at -= 1
    return at - first


@jit(types.UniTuple(int64, 2)(BYTES, OFFSETS, TABLES, FOUND, WRITE_U64, _INDEX, READ_I64_2D, int64, WRITE_I64_2D))
def _probe(
    buffer: Any,
    offsets: Any,
    table_arrays: Any,
    unit_arrays: Any,
    sum_array: Any,
    index_arrays: Any,
    rules: Any,
    begin: int,
    out: Any,
) -> Any:
    """Write (row, gram, first byte, last byte + 1) of every match in the rows from `begin` on, as long as `out` has
    room for all of a row; returns the row behind the last one, and how many matches there are.

    `rules`: what `_blocks` says. A block that no item has rules out every n-gram over it: the next place to look at
    is behind its first unit, as in the search of Boyer and Moore (1977).
    """
    data, tables, units = pointer(buffer), pointers(table_arrays), pointers(unit_arrays)
    sums, index, last_slot = pointer(sum_array), pointers(index_arrays), np.uint64(len(index_arrays[2]) - 1)
    done = 0
    for row in range(begin, len(offsets) - 1):
        found = done
        count = split_units(data, offsets[row], offsets[row + 1], tables, units)
        sums[0] = _ZERO
        for i in range(count):
            sums[i + 1] = sums[i] * _PRIME + units[0][i]
        for f in range(len(rules)):
            rule = rules[f, 0], rules[f, 1], rules[f, 2], rules[f, 3], rules[f, 4], rules[f, 5]
            i = 0
            while i + rule[0] <= count:
                missing = _missing_block(i, sums, index, rule)
                if missing < 0:
                    found = _match((row, i, count), sums, units, index, last_slot, rule[4:], out, found)
                i += max(missing, 0) + 1
        if found > len(out):
            return row, done
        done = found
    return len(offsets) - 1, done


@jit(void(BYTES, OFFSETS, WRITE_I64_2D))
def _to_characters(buffer: Any, offsets: Any, spans: Any) -> None:
    """Turn the places of spans (row, item, first byte, last byte + 1) into characters of their rows."""
    data = pointer(buffer)
    row, at, characters = -1, 0, 0
    for i in range(len(spans)):
        for side in range(2, 4):
            if spans[i, 0] != row or spans[i, side] < at:
                row, at, characters = spans[i, 0], offsets[spans[i, 0]], 0
            characters += count_code_points(data, at, spans[i, side])
            at, spans[i, side] = spans[i, side], characters


class Ngrams:
    """The n-grams of benchmark items, ready to be looked for.

    `lengths` int64 [items]: the n of each item, in units (`tilth.text.units`), 0 for items too short to test;
    `too_short` int64: those items. Matches are of 64-bit hashes: among 10^9 n-grams of documents and 10^6 of items, a
    false match is expected once in some 20,000 runs, so the text is not compared again.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        grams: np.ndarray,
        keys: np.ndarray,
        units: tuple[np.ndarray, np.ndarray],
        whole: tuple[int, ...],
    ) -> None:
        self.lengths = lengths
        self.too_short = np.flatnonzero(lengths == 0)
        slots = 1 << max(3, (3 * len(keys) // 2).bit_length())
        slot_keys, ids = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
        keys, owners = _by_slot(keys, grams, slots)
        of_keys, counts = np.empty(len(keys), np.int64), np.zeros(len(keys), np.int64)
        unique = _number(keys, owners, slot_keys, ids, of_keys, counts, np.full(len(keys), -1))
        self._owner_counts = counts[:unique].copy()
        self._first = np.cumsum(self._owner_counts) - self._owner_counts
        self._owners = np.empty(int(self._owner_counts.sum()), np.int64)
        _list_owners(owners, of_keys, self._first, np.zeros(unique, np.int64), self._owners)
        sizes = np.unique(lengths[lengths > 0])
        powers = np.array([pow(int(_PRIME), n, 2**64) for n in range(int(lengths.max(initial=0)) + 1)], np.uint64)
        seen, self._rules = _blocks(_ranges(sizes, whole), sizes, lengths, *units)
        self._index = (powers, seen, slot_keys, ids, sizes)
        self._items = (*units, lengths)

    @classmethod
    def build(cls, items: pa.LargeStringArray, words: int = 8, characters: int = 16) -> Ngrams:
        """Index the n-grams of the items: of `words` units, or of `characters` where most units are Han or kana.

        An item shorter than n is one n-gram of all its units; shorter than n / 2 it would match by chance and is
        listed in `too_short`. The default of 8 words is that of Llama 2's contamination study and of OLMo's filter;
        13 and 50-character spans are older (GPT-3, GPT-4).
        """
        if words < 1 or characters < 1:
            raise ValueError(f"words and characters must be positive, found {words} and {characters}")
        buffers = strings(items)
        tables, units = _scratch(buffers.longest)
        sizes = np.zeros((len(buffers), 3), np.int64)
        _item_lengths(buffers.data, buffers.offsets, tables, units, words, characters, sizes)
        lengths, grams, counts = np.ascontiguousarray(sizes.T)
        begins = np.concatenate([[0], np.cumsum(counts)])
        keys, item_units = np.zeros(grams.sum(), np.uint64), np.zeros(begins[-1], np.uint64)
        _item_grams(buffers.data, buffers.offsets, tables, units, lengths, begins, item_units, keys)
        return cls(lengths, grams, keys, (item_units, begins), (words, characters))

    def __len__(self) -> int:
        return len(self.lengths)

    def hits(self, texts: pa.LargeStringArray) -> Hits:
        """Every stretch of the texts that consists of n-grams of an item, with its place and the item's coverage."""
        buffers = strings(texts)
        tables, units = _scratch(buffers.longest)
        sums = np.empty(buffers.longest + 1, np.uint64)
        parts, row, room = [np.empty((0, 4), np.int64)], 0, 1 << 14
        while row < len(buffers):
            out, begin = np.empty((room, 4), np.int64), row
            row, found = _probe(buffers.data, buffers.offsets, tables, units, sums, self._index, self._rules, row, out)
            parts.append(out[:found])
            room *= 2 if row == begin else 1
        given = self._of_items(np.concatenate(parts))
        spans, coverage = np.empty_like(given), np.empty(len(given))
        slots = 1 << max(3, int(2 * np.diff(self._items[1]).max(initial=0)).bit_length())
        kgrams = np.empty(slots, np.uint64), np.empty(slots, np.int64)
        count = grow_spans(buffers.data, buffers.offsets, tables, units, self._items, kgrams, given, spans, coverage)
        _to_characters(buffers.data, buffers.offsets, spans[:count])
        row, item, start, end = np.ascontiguousarray(spans[:count].T)
        return Hits(row, item, start, end, coverage[:count].astype(np.float32))

    def _of_items(self, matches: np.ndarray) -> np.ndarray:
        """Each match once for every item that has its n-gram: (row, item, start, end), sorted."""
        gram = matches[:, 1]
        times = self._owner_counts[gram]
        place = np.repeat(self._first[gram] - np.cumsum(times) + times, times) + np.arange(times.sum())
        row, start, end = (np.repeat(matches[:, column], times) for column in (0, 2, 3))
        item = self._owners[place]
        return np.stack([row, item, start, end], axis=1)[np.lexsort((start, item, row))]


def _blocks(
    ranges: list[tuple[int, int]], sizes: np.ndarray, lengths: np.ndarray, units: np.ndarray, begins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bitmaps of the blocks in the heads of the n-grams, one after another, and for each a rule.

    Each of the `ranges` of sizes has a map of its own. The head of an n-gram is its first units, as many as the
    shortest in the range has; its blocks are the stretches of half as many in it: few texts have all blocks of a head.
    A rule: units of a head and of a block, first byte of the map, how far a hash is shifted to give its bit, range of
    sizes by their numbers. 16 bits or more for a block.
    """
    maps, rules = [np.zeros(0, np.uint8)], []
    for first, last in ranges:
        head = int(sizes[first])
        block = min(head, max(_LEAST_BLOCK, head // 2))
        items = (lengths >= head) & (lengths <= sizes[last - 1])
        count = int((np.diff(begins)[items] - lengths[items] + 1 + head - block).sum())
        power = max(6, (16 * count - 1).bit_length())
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


def _by_slot(keys: np.ndarray, grams: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """The keys and the items that have them, brought together by the part of the table that they belong to.

    Within a part they stay in order. So whoever fills the table looks at little memory at a time.
    """
    parts = min(slots, _PARTS)
    ends, ordered, owners = np.zeros(parts, np.int64), np.empty_like(keys), np.empty(len(keys), np.int64)
    _spread(keys, grams, np.uint64(slots - 1), (slots // parts).bit_length() - 1, ends, ordered, owners)
    return ordered, owners


@jit(void(READ_U64, READ_I64, uint64, int64, WRITE_I64, WRITE_U64, WRITE_I64))
def _spread(keys: Any, grams: Any, last: Any, shift: int, ends: Any, ordered: Any, owners: Any) -> None:
    for key in keys:
        ends[np.int64((key & last) >> np.uint64(shift))] += 1
    total = 0
    for part in range(len(ends)):
        total, ends[part] = total + ends[part], total
    at = 0
    for item in range(len(grams)):
        for key in keys[at : at + grams[item]]:
            place = np.int64((key & last) >> np.uint64(shift))
            ordered[ends[place]], owners[ends[place]] = key, item
            ends[place] += 1
        at += grams[item]


@jit(int64(READ_U64, READ_I64, WRITE_U64, WRITE_I64, WRITE_I64, WRITE_I64, WRITE_I64))
def _number(keys: Any, owners: Any, slot_keys: Any, ids: Any, of_keys: Any, counts: Any, last: Any) -> int:
    """Number the distinct keys (slots, `ids`; `of_keys` of each key) and count the items that have each; returns how
    many there are. `owners` int64: the item of each key, rising among equal ones; `last` is -1.
    """
    top, distinct = np.uint64(len(slot_keys) - 1), 0
    for at in range(len(keys)):
        slot = slot_of(slot_keys, keys[at], top)
        if slot_keys[slot] == _ZERO:
            slot_keys[slot], ids[slot] = keys[at], distinct
            distinct += 1
        found = ids[slot]
        of_keys[at] = found
        counts[found] += last[found] != owners[at]
        last[found] = owners[at]
    return distinct


@jit(void(READ_I64, READ_I64, READ_I64, WRITE_I64, WRITE_I64))
def _list_owners(owners: Any, of_keys: Any, first: Any, filled: Any, out: Any) -> None:
    """The items that have each key, key after key: those of key k stand from `first[k]` on. `filled` is 0."""
    for at in range(len(of_keys)):
        found = of_keys[at]
        place = first[found] + filled[found]
        if not filled[found] or out[place - 1] != owners[at]:
            out[place] = owners[at]
            filled[found] += 1


def _scratch(room: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The tables of the units and space for those of one text."""
    tables = unicode.classes(), unicode.lower()
    return tables, (np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64))
