"""The units that near-duplicate detection and decontamination compare: lower-cased words, single Han characters.

A *unit* is one Han or kana character, or a maximal run of other letters, digits and combining marks, lower-cased.
All else (punctuation, spaces, symbols, emoji) separates and is ignored. So `Don't STOP` is don, t, stop
and 用GPU训练 is 用, gpu, 训, 练: Chinese and English go the same way, and no dictionary is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.hashing import mix
from tilth.text.jit import (
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
    void,
)
from tilth.text.unicode import ALPHABETIC, MARK, NUMBER, SIZE, UNIT

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = types.Tuple((READ_U16, READ_U32))
"""What `split_units` cuts by: the classes and the lower-case letters."""
FOUND = types.Tuple((WRITE_U64, WRITE_I64, WRITE_I64))
"""Space for the units of one text: hashes, first bytes, ends."""
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)
_WORD, _UNIT, _SIZE = np.uint16(ALPHABETIC | NUMBER | MARK), np.uint16(UNIT), np.int64(SIZE)
_ASCII = np.array([ord(chr(code).lower()) if chr(code).isalnum() else 0 for code in range(128)], np.uint64)
"""The lower-case letter or the digit that an ASCII character is, else 0."""


@helper
def decode(data: Any, at: int, stop: int) -> Any:
    """The code point at `at` and its length in bytes; a malformed sequence gives some code point, never a fault."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        length, code = 2, first & 0x1F
    elif first < 0xF0:
        length, code = 3, first & 0x0F
    else:
        length, code = 4, first & 0x07
    if at + length > stop:
        return np.int64(0xFFFD), stop - at
    for i in range(1, length):
        code = (code << 6) | (np.int64(data[at + i]) & 0x3F)
    return code, length


@helper
def _read_word(data: Any, at: int, stop: int, tables: Any) -> Any:
    """The hash, not yet mixed, of the letters, digits and combining marks from `at` on, and where they end."""
    classes, lower = tables
    value = _SEED
    while at < stop:
        byte = data[at]
        if byte < 0x80:
            letter, length = _ASCII[byte], 1
            if not letter:
                break
        else:
            code, length = decode(data, at, stop)
            if code >= _SIZE or not classes[code] & _WORD or classes[code] & _UNIT:
                break
            letter = np.uint64(lower[code])
        value = (value ^ letter) * _PRIME
        at += length
    return value, at


@helper
def split_units(data: Any, start: int, stop: int, tables: Any, found: Any) -> int:
    """Write the hash and the byte span of every unit of the bytes [start, stop); returns how many there are.

    All arrays come as pointers: `tables` are the classes and the lower-case letters, `found` is written (hashes uint64,
    first bytes int64, ends int64) and holds stop - start items. The hash runs over lower-cased code points
    (multiplicative, then mixed), so the same word hashes alike in any case and at any place.
    """
    hashes, starts, stops = found
    count, at = 0, start
    while at < stop:
        value, end = _read_word(data, at, stop, tables)
        if end > at:
            hashes[count], starts[count], stops[count] = mix(value), at, end
            count += 1
            at = end
        if at < stop:  # what ends a word: a separator, or a unit of its own
            code, length = decode(data, at, stop)
            if code < _SIZE and tables[0][code] & _UNIT:
                hashes[count] = mix((_SEED ^ np.uint64(code)) * _PRIME)
                starts[count], stops[count] = at, at + length
                count += 1
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
