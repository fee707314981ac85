"""Substrings that stand at several places: found by anchors that equal stretches of text share.

Lengths are *widths*: a character counts one, from U+2E80 on (Chinese, Japanese, Korean, full-width forms, emoji) two,
so that one length means about as much text in English as in Chinese. The *window* at a character is the shortest
stretch from there on whose width is at least `length`; its *column* is the width of the text before it. Two windows of
one document overlap if and only if their columns are less than `length` apart.

The *anchor* of a window is, among the shorter stretches inside it, the leftmost one with the smallest hash (Schleimer,
Wilkerson and Aiken, "Winnowing", 2003; Roberts et al., minimizers, 2004). It follows from the window's text alone, so
equal windows have equal anchors, and neighbouring windows mostly share theirs: about one character in 26 is an anchor
at `length` 100. A window can stand twice only where its anchor does.

A *place* is `row << 32 | column`, int64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_I64,
    READ_U64,
    WRITE_I64,
    WRITE_U64,
    WRITE_U64_2D,
    int64,
    jit,
    pointer,
    pointers,
)
from tilth.text.buffers import strings
from tilth.text.hashing import hash_twice, mix
from tilth.text.units import decode

if TYPE_CHECKING:
    import pyarrow as pa

WIDE = 0x2E80
"""Characters from this code point on count two."""
_BASE, _ZERO = np.uint64(0x9E3779B97F4A7C15), np.uint64(0)
_ROW = np.int64(1) << 32
_QUEUE = types.Tuple((WRITE_U64, WRITE_I64))


@jit(int64(BYTES, OFFSETS, READ_I64, READ_I64, int64, int64, READ_U64, _QUEUE, WRITE_U64_2D, WRITE_I64))
def _scan(
    buffer: Any,
    offsets: Any,
    bases: Any,
    marks: Any,
    length: int,
    gram: int,
    power_array: Any,
    queue: Any,
    keys: Any,
    places: Any,
) -> int:
    """Write the anchors, or, where anchors are marked, the windows that have one of these; returns how many.

    `bases`: the place at which each row starts; `queue`: a ring for the stretches that may become an anchor yet.
    """
    text, powers = (pointer(buffer), len(buffer)), pointer(power_array)
    data = text[0]
    hashes, columns = pointers(queue)
    ring, count, mark, found = len(queue[0]) - 1, len(marks), 0, 0
    for row in range(len(bases)):
        start, stop, base = offsets[row], offsets[row + 1], bases[row]
        while mark < count and marks[mark] < base:
            mark += 1
        if stop - start < length or (count and (mark == count or marks[mark] - base >= _ROW)):
            continue  # a width is never more than the bytes; none is marked here
        at, column = start, 0
        gram_at, gram_column, size, value = start, 0, 0, _ZERO
        window_at, window_column, last = start, 0, -1
        head, tail = 0, 0
        while at < stop:
            code, step = decode(data, at, stop)
            at += step
            column += 2 if code >= WIDE else 1
            value = value * _BASE + np.uint64(code)
            size += 1
            while column - gram_column >= gram:
                key = mix(value)
                while tail > head and hashes[(tail - 1) & ring] > key:
                    tail -= 1
                hashes[tail & ring], columns[tail & ring] = key, gram_column
                tail += 1
                code, step = decode(data, gram_at, stop)
                size -= 1
                value -= np.uint64(code) * powers[size]
                gram_at += step
                gram_column += 2 if code >= WIDE else 1
            while column - window_column >= length:
                while columns[head & ring] < window_column:
                    head += 1
                anchor = columns[head & ring]
                if count:
                    while mark < count and marks[mark] < base + anchor:
                        mark += 1
                    if mark < count and marks[mark] == base + anchor:
                        keys[found, 0], keys[found, 1] = hash_twice(text, window_at, at)
                        places[found] = base + window_column
                        found += 1
                elif anchor != last:
                    last = anchor
                    keys[found, 0], keys[found, 1] = mix(hashes[head & ring]), _ZERO  # minima are small numbers
                    places[found] = base + anchor
                    found += 1
                code, step = decode(data, window_at, stop)
                window_at += step
                window_column += 2 if code >= WIDE else 1
    return found


def anchors(texts: pa.LargeStringArray, rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys uint64 [A, 2] and places int64 [A] of all anchors; `rows` int64 [N], rising, number the texts.

    Equal anchors have equal keys; unequal ones hardly ever.
    """
    return _found(texts, rows, length, np.empty(0, np.int64))


def windows(
    texts: pa.LargeStringArray, rows: np.ndarray, length: int, marks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """128-bit keys uint64 [W, 2] and places int64 [W], rising, of the windows whose anchors stand at `marks` (rising).

    Equal windows have equal keys (MurmurHash3 of their bytes); among 10^12 different ones the chance of any collision
    is about 10^-15.
    """
    if not len(marks):
        return np.empty((0, 2), np.uint64), np.empty(0, np.int64)
    return _found(texts, rows, length, np.ascontiguousarray(marks, np.int64))


def _found(
    texts: pa.LargeStringArray, rows: np.ndarray, length: int, marks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if length < 1:
        raise ValueError(f"length must be positive, found {length}")
    buffers, gram = strings(texts), length - length // 2
    powers = np.array([pow(int(_BASE), n, 2**64) for n in range(gram + 1)], np.uint64)
    ring = 1 << (length + 4).bit_length()
    queue = np.empty(ring, np.uint64), np.empty(ring, np.int64)
    room = int(buffers.offsets[-1] - buffers.offsets[0])  # at most one a byte; what is not written takes no memory
    keys, places = np.empty((room, 2), np.uint64), np.empty(room, np.int64)
    bases = np.ascontiguousarray(rows, np.int64) << 32
    count = _scan(buffers.data, buffers.offsets, bases, marks, length, gram, powers, queue, keys, places)
    return keys[:count].copy(), places[:count].copy()
