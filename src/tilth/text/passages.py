"""Lines, paragraphs and sentences: where each stands, and a hash of it.

Passages tile a text: white space behind one belongs to it. Compared, and measured, is what stands between that at its
two ends. A *line* ends behind each line feed, a *paragraph* behind two or more. A *sentence* ends

- behind a line feed,
- behind a full-width end mark (。！？｡) and the marks and closing quotes or brackets that follow it,
- behind . ! ? and such followers where white space comes next (so not in 3.14 or tilth.org; `Mr. Hill` is cut in two).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import BYTES, OFFSETS, READ_U16, WRITE_I64_2D, WRITE_U64_2D, helper, int64, jit, pointer
from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.hashing import hash_twice
from tilth.text.substrings import WIDE
from tilth.text.unicode import SIZE, SPACE
from tilth.text.units import decode

if TYPE_CHECKING:
    import pyarrow as pa

UNITS = ("line", "paragraph", "sentence")
_LINE, _PARAGRAPH = 0, 1
_SPACE, _SIZE = np.uint16(SPACE), np.int64(SIZE)
_INSIDE, _MARK, _WIDE_MARK, _OVER = 0, 1, 2, 3
"""Inside a sentence; behind an end mark that counts before white space only; behind one that counts; behind its end."""


@helper
def _closes(code: int) -> bool:
    """Closing quotes and brackets: \"')]}’”〉》」』】）"""
    if code < 0x80:
        return code == 0x22 or code == 0x27 or code == 0x29 or code == 0x5D or code == 0x7D
    return (
        code == 0x2019
        or code == 0x201D
        or code == 0x3009
        or code == 0x300B
        or code == 0x300D
        or code == 0x300F
        or code == 0x3011
        or code == 0xFF09
    )


@helper
def _sentence(state: int, code: int, space: bool) -> Any:
    """Whether a new sentence begins at this character, and the state behind it."""
    if space:
        return False, _OVER if state != _INSIDE or code == 10 else _INSIDE
    wide = code == 0x3002 or code == 0xFF01 or code == 0xFF1F or code == 0xFF61
    mark = code == 0x21 or code == 0x2E or code == 0x3F
    begins = state == _OVER or (state == _WIDE_MARK and not (wide or mark or _closes(code)))
    if begins:
        state = _INSIDE
    if wide:
        state = _WIDE_MARK
    elif mark:
        state = max(state, _MARK)
    elif not _closes(code):
        state = _INSIDE
    return begins, state


@helper
def _begins(unit: int, state: int, code: int, space: bool) -> Any:
    """Whether a new passage begins at this character, and the state behind it."""
    if unit == _LINE:
        return state == 1, 1 if code == 10 else 0
    if unit == _PARAGRAPH:
        return state == 2 and code != 10, min(state + 1, 2) if code == 10 else 0
    return _sentence(state, code, space)


@jit(int64(BYTES, OFFSETS, READ_U16, int64, int64, WRITE_U64_2D, WRITE_I64_2D))
def _passages(buffer: Any, offsets: Any, class_table: Any, unit: int, shortest: int, keys: Any, spans: Any) -> int:
    """Write the keys and (row, first character, last character + 1) of the passages; returns how many."""
    text, classes = (pointer(buffer), len(buffer)), pointer(class_table)
    found = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        character, begin, state = 0, 0, 0
        inner, inner_stop, column, inner_width = at, at, 0, 0  # without the white space at both ends
        while at <= stop:
            code, size, space, begins = 0, 1, False, True
            if at < stop:
                code, size = decode(text[0], at, stop)
                space = code < _SIZE and classes[code] & _SPACE != 0
                begins, state = _begins(unit, state, code, space)
            if begins:
                if inner_width >= shortest:
                    keys[found, 0], keys[found, 1] = hash_twice(text, inner, inner_stop)
                    spans[found, 0], spans[found, 1], spans[found, 2] = row, begin, character
                    found += 1
                begin, column, inner_width = character, 0, 0
            if column or not space:
                if not column:
                    inner = at
                column += 2 if code >= WIDE else 1
                if not space:
                    inner_stop, inner_width = at + size, column
            at += size
            character += 1
    return found


@dataclass(frozen=True)
class Passages:
    """Passages of at least a width, one entry each, by row and start.

    `keys` uint64 [P, 2]: 128-bit hash of the passage without the white space at its ends; `row`, `start`, `end` int64
    [P]: its text, and its characters with the white space behind it.
    """

    keys: np.ndarray
    row: np.ndarray
    start: np.ndarray
    end: np.ndarray


def split_passages(texts: pa.LargeStringArray, unit: str, shortest: int = 1) -> Passages:
    """The passages of every text that are at least `shortest` wide; `unit` is one of `UNITS`.

    Widths are as in `tilth.text.substrings`: a Chinese character counts two. Raises `ValueError` for another unit.
    """
    if unit not in UNITS or shortest < 1:
        raise ValueError(f"unit must be one of {', '.join(UNITS)} and shortest positive, found {unit!r}, {shortest}")
    buffers = strings(texts)
    room = int(buffers.offsets[-1] - buffers.offsets[0])  # at most one a byte; what is not written takes no memory
    keys, spans = np.empty((room, 2), np.uint64), np.empty((room, 3), np.int64)
    table = unicode.classes()
    count = _passages(buffers.data, buffers.offsets, table, UNITS.index(unit), shortest, keys, spans)
    row, start, end = np.ascontiguousarray(spans[:count].T)
    return Passages(keys[:count].copy(), row, start, end)
