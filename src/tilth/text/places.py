"""Where personal data can stand at all, and which kinds: what a text's bytes rule out is never looked at again.

A kernel reads each text once. Next to nothing of a text is left over: near an `@`, chains of digits of a length and
in a company that some kind of number has, colons as in an IPv6 address, and what stands behind a few cue words. Each
place comes with *signs*, bits that say what it may be; patterns look for that and nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_I64,
    READ_I64_2D,
    READ_U8,
    WRITE_I64,
    WRITE_I64_2D,
    helper,
    int64,
    jit,
    pointer,
    void,
)
from tilth.text.buffers import strings
from tilth.text.company import cue_table, is_wechat, signs_of_chain, word_table
from tilth.text.lines import count_code_points
from tilth.text.signs import ALL_SIGNS, AT, COLONS, DOOR, STREET, WECHAT

if TYPE_CHECKING:
    import pyarrow as pa

_DIGIT, _HEX, _AT, _COLON, _JOIN, _LOCAL, _CUE = (1 << bit for bit in range(7))
_BEGIN = _DIGIT | _AT | _COLON | _CUE
"""What something may begin with."""
_GAP = 3
"""Joining bytes that may stand between two digits of a chain."""
_CONTEXT, _BEHIND, _ADDRESS = 96, 40, 256
"""Bytes kept around a chain: cue words in front, an extension behind; and around an address."""
_LOCAL_BYTES, _DOMAIN_BYTES = 72, 264
"""An e-mail's local part has at most 64 bytes, its domain at most 255."""


class Window(NamedTuple):
    """A part of a text where personal data may stand."""

    row: int
    text: str
    offset: int
    """Where it stands in the row's text, in characters."""
    core: int
    """Only context stands before this character of the window."""
    signs: int


def personal_places(texts: pa.LargeStringArray, wanted: int = ALL_SIGNS) -> Iterator[Window]:
    """Windows with any of the `wanted` signs, in rising order and without overlap."""
    buffers = strings(texts)
    tables = (_classes(), cue_table(), word_table())
    room = 1024 + len(buffers.data) // 256  # so that the texts are hardly ever gone through again
    while True:
        found = np.empty((room, 5), np.int64)
        total = _find(buffers.data, buffers.offsets, *tables, wanted, found)
        if total <= room:
            break
        room = total
    windows = _merged(found[:total])
    offsets = np.zeros(len(windows), np.int64)
    _count(buffers.data, buffers.offsets, windows, offsets)
    for (row, start, core, stop, signs), offset in zip(windows.tolist(), offsets.tolist(), strict=True):
        context = buffers.data[start:core].tobytes().decode("utf-8")
        rest = buffers.data[core:stop].tobytes().decode("utf-8")
        yield Window(row, context + rest, offset, len(context), signs)


def _merged(found: np.ndarray) -> np.ndarray:
    """Sorted windows (row, start, core, stop, signs), those that touch joined into one."""
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    if not len(found):
        return found
    reach = np.maximum.accumulate(found[:, 3])  # offsets rise from row to row, so this holds across rows
    new = np.ones(len(found), bool)
    new[1:] = (found[1:, 0] != found[:-1, 0]) | (found[1:, 1] > reach[:-1])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(found)) - 1
    core = np.minimum.reduceat(found[:, 2], first)
    signs = np.bitwise_or.reduceat(found[:, 4], first)
    return np.column_stack([found[first, 0], found[first, 1], core, reach[last], signs])


@functools.cache
def _classes() -> np.ndarray:
    """uint8 [256]: what each byte can be part of. The full-width parentheses join digits byte by byte."""
    table = np.zeros(256, np.uint8)
    for characters, bit in (
        (b"0123456789", _DIGIT | _HEX | _LOCAL),
        (b"abcdefABCDEF", _HEX),
        (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._%+-'", _LOCAL),
        (b"@", _AT),
        (b":", _COLON),
        (b" -.()/\xef\xbc\x88\x89", _JOIN),
        (b"wWvV\xe5", _CUE),
    ):
        for byte in characters:
            table[byte] |= bit
    table.flags.writeable = False
    return table


@helper
def _run(data: Any, classes: Any, begin: Any, at: Any) -> Any:
    """Where the hexadecimal digits in front of a colon begin."""
    while at > begin and classes[data[at - 1]] & _HEX:
        at -= 1
    return at


@helper
def _put(data: Any, found: Any, total: Any, row: Any, span: Any, window: Any, signs: Any) -> Any:
    """Write one window (start, core, stop) at whole characters inside its text; returns the new total."""
    begin, end = span
    left, core, right = max(window[0], begin), max(window[1], begin), min(window[2], end)
    while left > begin and (data[left] & 0xC0) == 0x80:
        left -= 1
    while core > left and (data[core] & 0xC0) == 0x80:
        core -= 1
    while right < end and (data[right] & 0xC0) == 0x80:
        right += 1
    if total < len(found):
        found[total, 0], found[total, 1], found[total, 2] = row, left, core
        found[total, 3], found[total, 4] = right, signs
    return total + 1


@jit(int64(BYTES, OFFSETS, READ_U8, READ_I64, READ_U8, int64, WRITE_I64_2D))
def _find(buffer: Any, offsets: Any, classes: Any, cues: Any, words: Any, wanted: Any, found: Any) -> int:
    """Fill `found` with (row, start, core, stop, signs) in bytes; returns how many there are, perhaps more than fit."""
    data, tables = pointer(buffer), (pointer(cues), pointer(words))
    total = 0
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        digits, dots, first, last = 0, 0, begin, begin - 1  # the chain of digits
        run, colons, double = begin, 0, False  # the run of hexadecimal digits and colons
        for at in range(begin, end + 1):
            bits = classes[data[at]] if at < end else 0
            if digits == 0 and colons == 0 and not (bits & _BEGIN):
                continue
            if bits & _DIGIT:
                if digits == 0:
                    first, dots = at, 0
                digits += 1
                last = at
            elif digits:
                if not (bits & _JOIN) or at - last > _GAP:
                    signs = signs_of_chain(data, tables, wanted, (begin, end, first, last), digits, dots)
                    if signs:
                        far = signs & (STREET | DOOR)
                        left = first - (_ADDRESS if far else _CONTEXT)
                        core = left if far else first - 4
                        right = last + (_ADDRESS if far else _BEHIND)
                        total = _put(data, found, total, row, (begin, end), (left, core, right), signs)
                    digits = 0
                elif at - last == 1 and data[at] == 46:
                    dots += 1
            if bits & _COLON:
                if colons == 0:
                    run, double = _run(data, classes, begin, at), False
                double = double or (at > run and data[at - 1] == 58)
                colons += 1
            elif colons and not (bits & _HEX):
                if colons >= 2 and at - run >= 6 and (double or colons >= 7) and wanted & COLONS:
                    window = (run - 4, run, at + 24)
                    total = _put(data, found, total, row, (begin, end), window, COLONS)
                colons = 0
            if bits & _AT and wanted & AT and at > begin and at + 1 < end:
                if classes[data[at - 1]] & _LOCAL and classes[data[at + 1]] & _LOCAL:
                    window = (at - _LOCAL_BYTES, at - _LOCAL_BYTES, at + _DOMAIN_BYTES)
                    total = _put(data, found, total, row, (begin, end), window, AT)
            elif bits & _CUE and wanted & WECHAT and is_wechat(data, at, end):
                window = (at - 8, at - 8, at + 96)
                total = _put(data, found, total, row, (begin, end), window, WECHAT)
    return total


@jit(void(BYTES, OFFSETS, READ_I64_2D, WRITE_I64))
def _count(buffer: Any, offsets: Any, windows: Any, out: Any) -> None:
    """The offset in characters of each window in its text."""
    data = pointer(buffer)
    row, at, characters = -1, 0, 0
    for i in range(len(windows)):
        if windows[i, 0] != row:
            row = windows[i, 0]
            at, characters = offsets[row], 0
        characters += count_code_points(data, at, windows[i, 1])
        at = max(at, windows[i, 1])
        out[i] = characters
