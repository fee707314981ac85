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
from tilth.text.signs import (
    ALL_SIGNS,
    AT,
    COLONS,
    CUES,
    CUES_BEHIND,
    DOOR,
    DOTS,
    IBAN,
    LETTER,
    NUMBER,
    QQ,
    ROADS,
    SSN,
    STREET,
    STREETS,
    WECHAT,
)

if TYPE_CHECKING:
    import pyarrow as pa

_DIGIT, _HEX, _AT, _COLON, _JOIN, _LOCAL, _CUE = (1 << bit for bit in range(7))
_BEGIN = _DIGIT | _AT | _COLON | _CUE
"""What something may begin with."""
_GAP = 3
"""Joining bytes that may stand between two digits of a chain."""
_CONTEXT, _BEHIND, _ADDRESS = 96, 40, 160
"""Bytes kept around a chain: cue words in front, an extension behind; and around an address."""
_LOCAL_BYTES, _DOMAIN_BYTES = 72, 264
"""An e-mail's local part has at most 64 bytes, its domain at most 255."""
_CUE_BYTES, _CUE_BYTES_BEHIND = 90, 24


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
    tables = (_classes(), _cues(), _words(STREETS), _heads(ROADS))
    room = 1024
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


@functools.cache
def _cues() -> np.ndarray:
    """int64 [65536]: for the hash of three bytes the signs of the cues that begin so; bit 0 for those behind."""
    table = np.zeros(1 << 16, np.int64)
    for sign, words in [*CUES.items(), (1, CUES_BEHIND)]:
        for word in words.split():
            table[_hash(*word.encode()[:3])] |= sign
    table.flags.writeable = False
    return table


@functools.cache
def _words(words: str) -> np.ndarray:
    """int64 [words]: the first eight bytes of each word, the first byte lowest."""
    return np.array([int.from_bytes(word.encode()[:8], "little") for word in words.split()], np.int64)


@functools.cache
def _heads(characters: str) -> np.ndarray:
    """int64 [characters]: the three bytes of each, the first byte lowest."""
    return np.array([int.from_bytes(character.encode(), "little") for character in characters.split()], np.int64)


def _hash(a: int, b: int, c: int) -> int:
    """16 bits of three bytes; collisions cost time, not hits."""
    return (((a | b << 8 | c << 16) * 2654435761) >> 16) & 0xFFFF


_hash3 = helper(_hash)


@helper
def _lower(byte: Any) -> Any:
    return byte + 32 if 65 <= byte <= 90 else byte


@helper
def _is_letter(byte: Any) -> Any:
    return 97 <= byte <= 122 or 65 <= byte <= 90


@helper
def _is_digit(byte: Any) -> Any:
    return 48 <= byte <= 57


@helper
def _among(value: Any, values: Any) -> Any:
    found = False
    for i in range(len(values)):
        found = found or values[i] == value
    return found


@helper
def _told(data: Any, cues: Any, begin: Any, at: Any) -> Any:
    """Signs of the cue words before `at`, back to a digit, a line's end (but one at once) or _CUE_BYTES."""
    told = int64(0)
    left = max(begin, at - _CUE_BYTES)
    i = at - 1
    while i >= left and (data[i] != 10 or i == at - 1) and not _is_digit(data[i]):
        if i + 2 < at:
            told |= cues[_hash3(int64(_lower(data[i])), int64(_lower(data[i + 1])), int64(_lower(data[i + 2])))]
        if i + 1 < at and _lower(data[i]) == 113 and _lower(data[i + 1]) == 113:
            told |= QQ
        i -= 1
    return told & ~int64(1)


@helper
def _told_behind(data: Any, cues: Any, at: Any, end: Any) -> Any:
    """Whether a cue word begins in the _CUE_BYTES_BEHIND bytes from `at` on."""
    stop = min(end - 2, at + _CUE_BYTES_BEHIND)
    for i in range(at, stop):
        if cues[_hash3(int64(_lower(data[i])), int64(_lower(data[i + 1])), int64(_lower(data[i + 2])))] & 1:
            return True
    return False


@helper
def _iban(data: Any, begin: Any, end: Any, first: Any) -> Any:
    """Whether two letters and two digits at `first` - 2 begin 15 letters and digits, at most in groups of four."""
    if first - 2 < begin or first + 1 >= end or not _is_digit(data[first + 1]):
        return False
    if not _is_letter(data[first - 1]) or not _is_letter(data[first - 2]):
        return False
    if first - 3 >= begin and (_is_letter(data[first - 3]) or _is_digit(data[first - 3])):
        return False
    count, at = 4, first + 2
    while at < end and count < 15:
        if _is_letter(data[at]) or _is_digit(data[at]):
            count += 1
        elif data[at] != 32 or count % 4:
            return False
        at += 1
    return count == 15


@helper
def _street(data: Any, streets: Any, last: Any, end: Any) -> Any:
    """Whether capitalised words follow the number that ends at `last`, one of the first six a street's."""
    at = last + 1
    if at + 1 < end and _is_letter(data[at]):  # 221B, 5th
        at += 2 if _is_letter(data[at + 1]) else 1
    if at + 1 >= end or data[at] != 32 or not 65 <= data[at + 1] <= 90:
        return False
    at += 1
    for _ in range(6):
        packed, size = int64(0), 0
        while at < end and (_is_letter(data[at]) or data[at] >= 128):
            if size < 8:
                packed |= int64(_lower(data[at]) & 127) << (8 * size)
            size += 1
            at += 1
        if _among(packed, streets):
            return True
        skipped = 0
        while at < end and skipped < 2 and (data[at] == 32 or data[at] == 46 or data[at] == 39):
            at += 1
            skipped += 1
        if at >= end or skipped == 0:
            return False
    return False


@helper
def _door(data: Any, roads: Any, begin: Any, first: Any, last: Any, end: Any) -> Any:
    """Whether the chain's last number stands between a road and 号 or 號."""
    if last + 3 >= end:
        return False
    sign = int64(data[last + 1]) | int64(data[last + 2]) << 8 | int64(data[last + 3]) << 16
    if sign not in (0xB78FE5, 0x9F99E8):
        return False
    at = last
    while at > first and (_is_digit(data[at - 1]) or data[at - 1] == 45):
        at -= 1
    if at - 3 < begin:
        return False
    road = int64(data[at - 3]) | int64(data[at - 2]) << 8 | int64(data[at - 1]) << 16
    return _among(road, roads)


@helper
def _chain(data: Any, cues: Any, streets: Any, roads: Any, wanted: Any, span: Any, digits: Any, dots: Any) -> Any:
    """The signs of a chain of digits; `span` is its text's begin and end, its first and its last digit."""
    begin, end, first, last = span
    signs = int64(0)
    before = int64(data[first - 1]) if first > begin else int64(0)
    if digits >= 5:
        told = _told(data, cues, begin, first)
        signs |= told & QQ
        phone = digits >= 10 or before == 43 or (told & NUMBER) != 0 or _told_behind(data, cues, last + 1, end)
        if digits >= 7 and phone:
            signs |= NUMBER
        if digits == 9 and (told & SSN or (last - first == 10 and data[first + 3] == 45 and data[first + 6] == 45)):
            signs |= SSN
        if dots >= 3:
            signs |= DOTS
        if digits >= 6 and 65 <= before <= 90:
            signs |= LETTER
    if _is_letter(before) and _iban(data, begin, end, first):
        signs |= IBAN
    if wanted & STREET:
        box = first - 4 >= begin and data[first - 4] == 66 and data[first - 3] == 111 and data[first - 2] == 120
        if (box and before == 32) or _street(data, streets, last, end):
            signs |= STREET
    if wanted & DOOR and _door(data, roads, begin, first, last, end):
        signs |= DOOR
    return signs & wanted


@helper
def _wechat(data: Any, at: Any, end: Any) -> Any:
    """Whether `wx`, `vx`, `weixin`, `wechat`, 微信 or a V in front of 信 begins at `at`."""
    if at + 5 >= end:
        return False
    if data[at] == 0xE5:
        return data[at + 1] == 0xBE and data[at + 2] == 0xAE and data[at + 3] == 0xE4 and data[at + 4] == 0xBF
    second = _lower(data[at + 1])
    if second == 120:  # wx, vx
        return True
    if data[at + 1] == 0xE4:  # V信
        return data[at + 2] == 0xBF and data[at + 3] == 0xA1
    if second != 101:
        return False
    third, fourth = _lower(data[at + 2]), _lower(data[at + 3])
    return (third == 99 and fourth == 104) or (third == 105 and fourth == 120)


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


@jit(int64(BYTES, OFFSETS, READ_U8, READ_I64, READ_I64, READ_I64, int64, WRITE_I64_2D))
def _find(buffer: Any, offsets: Any, classes: Any, cues: Any, streets: Any, roads: Any, wanted: Any, found: Any) -> int:
    """Fill `found` with (row, start, core, stop, signs) in bytes; returns how many there are, perhaps more than fit."""
    data = pointer(buffer)
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
                    signs = _chain(data, cues, streets, roads, wanted, (begin, end, first, last), digits, dots)
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
            elif bits & _CUE and wanted & WECHAT and _wechat(data, at, end):
                window = (at - 8, at - 8, at + 96)
                total = _put(data, found, total, row, (begin, end), window, WECHAT)
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
