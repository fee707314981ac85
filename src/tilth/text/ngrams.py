"""Finding the n-grams of benchmark items in documents, with spans: the search behind decontamination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_I32,
    READ_I64,
    READ_I64_2D,
    READ_U8,
    READ_U64,
    WRITE_I64,
    WRITE_I64_2D,
    WRITE_U64,
    helper,
    inlined,
    int64,
    jit,
    pointer,
    pointers,
    trailing_zeros,
    void,
)
from tilth.text import unicode
from tilth.text.buffers import scratch, strings
from tilth.text.hashing import mix
from tilth.text.lines import count_code_points
from tilth.text.ngram_index import index_keys, map_blocks, slot_of
from tilth.text.spans import grow_spans
from tilth.text.units import FOUND, TABLES, UNIT_TYPES, decode, split_units

if TYPE_CHECKING:
    import pyarrow as pa

_PRIME, _ZERO, _ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0), np.uint64(1)
_THREE, _SEVEN = np.uint64(3), np.uint64(7)
_UNIT, _SIZE = np.uint16(unicode.UNIT), np.int64(unicode.SIZE)
_INDEX = types.Tuple((READ_U64, READ_U8, READ_U64, READ_I32, READ_I64))
"""What is looked for: powers of the hash's base, bitmaps of blocks, slots of keys and their ids, sizes of n-grams."""
_SPACE = types.Tuple((WRITE_U64, WRITE_I64, WRITE_I64))
"""For one text: sums over its units, and two lists of units."""


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


@helper
def _sum_units(count: int, units: Any, sums: Any) -> None:
    """sums[i]: the hash of the units before i, from which that of any units on end follows."""
    sums[0] = _ZERO
    for i in range(count):
        sums[i + 1] = sums[i] * _PRIME + units[i]


@jit(void(BYTES, OFFSETS, TABLES, FOUND, WRITE_U64, READ_U64, READ_I64, READ_I64, WRITE_U64, WRITE_U64))
def _item_grams(
    buffer: Any,
    offsets: Any,
    table_arrays: Any,
    unit_arrays: Any,
    sum_array: Any,
    powers: Any,
    lengths: Any,
    begins: Any,
    item_units: Any,
    keys: Any,
) -> None:
    """Hash the units of every item, item after item from `begins` on, and its n-grams (keys)."""
    data, tables, units = pointer(buffer), pointers(table_arrays), pointers(unit_arrays)
    hashes, sums, total = units[0], pointer(sum_array), 0
    for item in range(len(lengths)):
        n = lengths[item]
        count = split_units(data, offsets[item], offsets[item + 1], tables, units)
        for i in range(count):
            item_units[begins[item] + i] = hashes[i]
        _sum_units(count, hashes, sums)
        for first in range(count - n + 1 if n else 0):
            keys[total] = mix(sums[first + n] - sums[first] * powers[n] + np.uint64(n))
            total += 1


@helper
def _match(place: Any, sums: Any, units: Any, index: Any, table: Any, sizes: Any, out: Any, found: int) -> int:
    """Write the matches of these sizes at `place` (row, unit, units of the row); returns how many there are now."""
    row, first, count = place
    _, starts, stops = units
    powers, _, keys, ids, lengths = index
    for k in range(sizes[0], sizes[1]):
        n = lengths[k]
        if first + n > count:
            break
        key = mix(sums[first + n] - sums[first] * powers[n] + np.uint64(n))
        slot = slot_of(keys, key, table[0], table[1])
        if keys[slot] == key:
            if found < len(out):
                out[found, 0], out[found, 1] = row, ids[slot]
                out[found, 2], out[found, 3] = starts[first], stops[first + n - 1]
            found += 1
    return found


@inlined
def _is_held(at: int, sums: Any, index: Any, rule: Any) -> Any:
    """1 where the map has the block at unit `at`: an item may hold it; else 0."""
    _, block, base, shift, _, _ = rule
    bit = (sums[at + block] - sums[at] * index[0][block]) >> np.uint64(shift)
    return np.int64(index[1][base + np.int64(bit >> _THREE)] >> np.uint8(bit & _SEVEN)) & 1


@inlined
def _missing_block(first: int, sums: Any, index: Any, rule: Any) -> int:
    """How far in the head at unit `first` the last block is that no item has; -1 where items have all."""
    at = first + rule[0] - rule[1]
    while at >= first and _is_held(at, sums, index, rule):
        at -= 1
    return at - first


@helper
def _hold_blocks(count: int, sums: Any, index: Any, rule: Any, places: Any) -> int:
    """Write those of every so many units at which stands a block that items have; returns how many they are.

    Of the blocks of a head, as many as its units less a block's and one more, exactly one stands at such a unit. What
    is found at one place has no say in where the next look is, so that many are under way at once.
    """
    step = rule[0] - rule[1] + 1
    held = 0
    for at in range(step - 1, count - rule[1] + 1, step):
        places[held] = at
        held += _is_held(at, sums, index, rule)
    return held


@helper
def _hold_heads(count: int, sums: Any, index: Any, rule: Any, places: Any, held: int, heads: Any) -> int:
    """Write the units at which stand heads all of whose blocks items have, around these places; returns how many.

    A block that no item has rules out every head over it: the next to look at is behind its first unit, as in the
    search of Boyer and Moore (1977).
    """
    step, found = rule[0] - rule[1] + 1, 0
    for k in range(held):
        at, last = places[k] - step + 1, min(places[k], count - rule[0])
        while at <= last:
            missing = _missing_block(at, sums, index, rule)
            heads[found] = at
            found += missing < 0
            at += max(missing, 0) + 1
    return found


@jit(types.UniTuple(int64, 2)(BYTES, OFFSETS, TABLES, FOUND, _SPACE, _INDEX, READ_I64_2D, int64, WRITE_I64_2D))
def _probe(
    buffer: Any,
    offsets: Any,
    table_arrays: Any,
    unit_arrays: Any,
    space: Any,
    index_arrays: Any,
    rules: Any,
    begin: int,
    out: Any,
) -> Any:
    """Write (row, gram, first byte, last byte + 1) of every match in the rows from `begin` on, as long as `out` has
    room for all of a row; returns the row behind the last one, and how many matches there are.

    `rules`: what `map_blocks` says. `space` is for one row: sums, places, heads.
    """
    data, tables, units = pointer(buffer), pointers(table_arrays), pointers(unit_arrays)
    (sums, places, heads), index, slots = pointers(space), pointers(index_arrays), len(index_arrays[2])
    table = slots - 1, np.uint64(64 - trailing_zeros(np.uint64(slots)))
    done = 0
    for row in range(begin, len(offsets) - 1):
        found = done
        count = split_units(data, offsets[row], offsets[row + 1], tables, units)
        _sum_units(count, units[0], sums)
        for f in range(len(rules)):
            rule = rules[f, 0], rules[f, 1], rules[f, 2], rules[f, 3], rules[f, 4], rules[f, 5]
            held = _hold_blocks(count, sums, index, rule, places)
            for k in range(_hold_heads(count, sums, index, rule, places, held, heads)):
                found = _match((row, heads[k], count), sums, units, index, table, rule[4:], out, found)
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
        self._owners = index_keys(keys, grams)
        sizes = np.unique(lengths[lengths > 0])
        powers = _powers(int(lengths.max(initial=0)))
        seen, self._rules = map_blocks(sizes, lengths, *units, whole)
        self._index = (powers, seen, self._owners.keys, self._owners.ids, sizes)
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
        (sums,) = scratch("ngrams.space", ["uint64"], buffers.longest + 1)
        powers = _powers(int(lengths.max(initial=0)))
        _item_grams(buffers.data, buffers.offsets, tables, units, sums, powers, lengths, begins, item_units, keys)
        return cls(lengths, grams, keys, (item_units, begins), (words, characters))

    def __len__(self) -> int:
        return len(self.lengths)

    def hits(self, texts: pa.LargeStringArray) -> Hits:
        """Every stretch of the texts that consists of n-grams of an item, with its place and the item's coverage."""
        buffers = strings(texts)
        tables, units = _scratch(buffers.longest)
        space = scratch("ngrams.space", ["uint64", "int64", "int64"], buffers.longest + 1)
        parts, row, room = [np.empty((0, 4), np.int64)], 0, 1 << 14
        while row < len(buffers):
            out, begin = np.empty((room, 4), np.int64), row
            row, found = _probe(buffers.data, buffers.offsets, tables, units, space, self._index, self._rules, row, out)
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
        match, item = self._owners.items.read(matches[:, 1])
        row, start, end = (matches[match, column] for column in (0, 2, 3))
        # An item's matches are found in rising order, so that only rows and items are left to be sorted.
        order = np.argsort(row * len(self) + item, kind="stable")
        return np.stack([row, item, start, end], axis=1)[order]


def _powers(longest: int) -> np.ndarray:
    """uint64 [longest + 1]: of the hash's base."""
    return np.array([pow(int(_PRIME), n, 2**64) for n in range(longest + 1)], np.uint64)


def _scratch(room: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The tables of the units and space for those of one text."""
    tables = unicode.classes(), unicode.one_script()
    return tables, scratch("units", UNIT_TYPES, room)
