"""Where personal data can stand at all: near an `@`, in chains of seven digits or more, between colons."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.text.buffers import strings
from tilth.text.jit import BYTES, OFFSETS, READ_I64_2D, READ_U8, WRITE_I64, WRITE_I64_2D, int64, jit, void

if TYPE_CHECKING:
    import pyarrow as pa

_DIGIT, _HEX, _AT, _COLON, _JOIN, _LOCAL = 1, 2, 4, 8, 16, 32
_BEFORE, _BEHIND = 72, 264
"""Bytes looked at on both sides: an e-mail's local part has at most 64, its domain at most 255."""
_DIGITS, _GAP = 7, 3


def personal_places(texts: pa.LargeStringArray) -> Iterator[tuple[int, str, int]]:
    """(row, window of its text, offset of the window in characters), in rising order and without overlap."""
    buffers = strings(texts)
    room = 1024
    while True:
        found = np.empty((room, 3), np.int64)
        total = _find(buffers.data, buffers.offsets, _classes(), found)
        if total <= room:
            break
        room = total
    windows = np.ascontiguousarray(_merged(found[:total]))
    offsets = np.zeros(len(windows), np.int64)
    _count(buffers.data, buffers.offsets, windows, offsets)
    for (row, start, stop), offset in zip(windows.tolist(), offsets.tolist(), strict=True):
        yield row, buffers.data[start:stop].tobytes().decode("utf-8"), offset


def _merged(found: np.ndarray) -> np.ndarray:
    """Sorted windows, those that touch joined into one."""
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    if not len(found):
        return found
    reach = np.maximum.accumulate(found[:, 2])  # offsets rise from row to row, so this holds across rows
    new = np.ones(len(found), bool)
    new[1:] = (found[1:, 0] != found[:-1, 0]) | (found[1:, 1] > reach[:-1])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(found)) - 1
    return np.column_stack([found[first, 0], found[first, 1], reach[last]])


@functools.cache
def _classes() -> np.ndarray:
    table = np.zeros(256, np.uint8)
    for characters, bit in (
        ("0123456789", _DIGIT | _HEX | _LOCAL),
        ("abcdefABCDEF", _HEX),
        ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._%+-'", _LOCAL),
        ("@", _AT),
        (":", _COLON),
        (" -.()/", _JOIN),
    ):
        for character in characters:
            table[ord(character)] |= bit
    table.flags.writeable = False
    return table


@jit(int64(BYTES, OFFSETS, READ_U8, WRITE_I64_2D))
def _find(data: Any, offsets: Any, classes: Any, found: Any) -> int:
    """Fill `found` with (row, start, stop) in bytes; returns how many there are, which may be more than fit."""
    total = 0
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        digits, first, last = 0, begin, begin - 1  # the chain of digits, with at most _GAP joining bytes between two
        run, colons = begin, 0  # the run of hexadecimal digits and colons
        for at in range(begin, end + 1):
            bits = classes[data[at]] if at < end else 0
            hit, left, right = False, at, at
            if bits & _DIGIT:
                if digits == 0:
                    first = at
                digits += 1
                last = at
            elif digits and (not (bits & _JOIN) or at - last > _GAP):
                hit, left, right = digits >= _DIGITS, first - 40, last + 32
                digits = 0
            if not hit and bits & _AT and at > begin and at + 1 < end:
                hit = (classes[data[at - 1]] & _LOCAL) != 0 and (classes[data[at + 1]] & _LOCAL) != 0
                left, right = at - _BEFORE, at + _BEHIND
            if bits & _COLON:
                colons += 1
            elif not (bits & _HEX):
                if colons >= 2 and at - run >= 6 and not hit:
                    hit, left, right = True, run - 4, at + 24
                run, colons = at + 1, 0
            if hit:
                left, right = max(left, begin), min(right, end)
                while left > begin and (data[left] & 0xC0) == 0x80:
                    left -= 1
                while right < end and (data[right] & 0xC0) == 0x80:
                    right += 1
                if total < len(found):
                    found[total, 0], found[total, 1], found[total, 2] = row, left, right
                total += 1
    return total


@jit(void(BYTES, OFFSETS, READ_I64_2D, WRITE_I64))
def _count(data: Any, offsets: Any, windows: Any, out: Any) -> None:
    """The offset in characters of each window in its text."""
    row, at, characters = -1, 0, 0
    for i in range(len(windows)):
        if windows[i, 0] != row:
            row = windows[i, 0]
            at, characters = offsets[row], 0
        while at < windows[i, 1]:
            characters += (data[at] & 0xC0) != 0x80
            at += 1
        out[i] = characters
