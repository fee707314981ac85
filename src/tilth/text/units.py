"""The units that near-duplicate detection and decontamination compare: lower-cased words, single Han characters.

A *unit* is one Han or kana character, or a maximal run of other letters, digits and combining marks, lower-cased.
All else (punctuation, spaces, symbols, emoji) separates and is ignored. So `Don't STOP` is don, t, stop
and 用GPU训练 is 用, gpu, 训, 练: Chinese and English go the same way, and no dictionary is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_U16,
    READ_U32,
    WRITE_I64,
    WRITE_I64_2D,
    WRITE_U64,
    helper,
    jit,
    pointer,
    read_eight,
    trailing_zeros,
    void,
)
from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.hashing import mix
from tilth.text.unicode import ALPHABETIC, MARK, NUMBER, SIZE, UNIT

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = types.Tuple((READ_U16, READ_U32))
"""What `split_units` cuts by: the classes, and the code point that each counts as (`unicode.lower`, `one_script`)."""
FOUND = types.Tuple((WRITE_U64, WRITE_I64, WRITE_I64))
"""Space for the units of one text: hashes, first bytes, ends."""
UNIT_TYPES = ("uint64", "int64", "int64")
"""Of its arrays."""
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)
_EACH = 0x0101010101010101  # one in each byte
_BYTE, _LOW_BITS, _HIGH_BITS, _CASE = (np.uint64(bits) for bits in (0xFF, 0x7F * _EACH, 0x80 * _EACH, 0x20 * _EACH))
_FROM_A, _BEHIND_Z, _FROM_0, _BEHIND_9 = (np.uint64((0x80 - code) * _EACH) for code in (0x61, 0x7B, 0x30, 0x3A))
_WORD, _UNIT, _SIZE = np.uint16(ALPHABETIC | NUMBER | MARK), np.uint16(UNIT), np.int64(SIZE)


@helper
def decode(data: Any, at: int, stop: int) -> Any:
    """The code point at `at` and its length in bytes; a malformed sequence gives some code point, never a fault."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    length = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if at + length > stop:
        return np.int64(0xFFFD), stop - at
    code = np.int64(data[at + 1]) & 0x3F
    if length == 2:
        return code | (first & 0x1F) << 6, length
    code = code << 6 | (np.int64(data[at + 2]) & 0x3F)
    if length == 3:
        return code | (first & 0x0F) << 12, length
    return code << 6 | (np.int64(data[at + 3]) & 0x3F) | (first & 0x07) << 18, length


@helper
def _ascii_run(value: Any, data: Any, at: int, stop: int) -> Any:
    """Take up to eight ASCII letters and digits from `at` on into a word's hash; returns it, and where they end.

    Without a branch a character: in English those would be guessed wrongly at the end of nearly every word.
    """
    if at + 8 > stop:
        return value, at
    eight = read_eight(data, at)
    low = eight & _LOW_BITS
    small = low | _CASE
    letters = (small + _FROM_A) & ~(small + _BEHIND_Z)  # the upper bit of each byte says whether it is one
    digits = (low + _FROM_0) & ~(low + _BEHIND_9)
    count = trailing_zeros(~((letters | digits) & ~eight) & _HIGH_BITS) >> 3
    for i in range(8):
        longer = (value ^ (small >> np.uint64(8 * i)) & _BYTE) * _PRIME
        value = longer if i < count else value
    return value, at + count


@helper
def split_units(data: Any, start: int, stop: int, tables: Any, found: Any) -> int:
    """Write the hash and the byte span of every unit of the bytes [start, stop); returns how many there are.

    All arrays come as pointers: `tables` are those of `TABLES`, `found` is written (hashes uint64, first bytes int64,
    ends int64) and holds stop - start items. The hash runs over what the code points count as (multiplicative, then
    mixed), so the same word hashes alike in any case and at any place.
    """
    classes, same = tables
    hashes, starts, stops = found
    count = 0
    at = start
    while at < stop:
        code, length = decode(data, at, stop)
        kind = classes[code] if code < _SIZE else np.uint16(0)
        if kind & _UNIT:
            hashes[count] = mix((_SEED ^ np.uint64(same[code])) * _PRIME)
            starts[count], stops[count] = at, at + length
            count += 1
            at += length
        elif kind & _WORD:
            starts[count] = at
            value = _SEED
            while kind & _WORD and not kind & _UNIT:
                value = (value ^ np.uint64(same[code])) * _PRIME
                value, at = _ascii_run(value, data, at + length, stop)
                if at >= stop:
                    break
                code, length = decode(data, at, stop)
                kind = classes[code] if code < _SIZE else np.uint16(0)
            hashes[count], stops[count] = mix(value), at
            count += 1
        else:
            at += length
    return count


@jit(void(BYTES, OFFSETS, READ_U16, WRITE_I64_2D))
def _unit_counts(buffer: Any, offsets: Any, class_table: Any, out: Any) -> None:
    data, classes = pointer(buffer), pointer(class_table)
    for row in range(len(out)):
        at, stop = offsets[row], offsets[row + 1]
        words, alone, inside = 0, 0, False
        while at < stop:
            code, length = decode(data, at, stop)
            kind = classes[code] if code < _SIZE else np.uint16(0)
            single = kind & _UNIT != 0
            word = not single and kind & _WORD != 0
            alone += single
            words += word and not inside
            inside = word
            at += length
        out[row, 0], out[row, 1] = words + alone, alone


def unit_counts(texts: pa.LargeStringArray) -> np.ndarray:
    """int64 [N, 2]: how many units each text has, and how many of them are single Han or kana characters."""
    buffers = strings(texts)
    out = np.zeros((len(buffers), 2), np.int64)
    _unit_counts(buffers.data, buffers.offsets, unicode.classes(), out)
    return out
