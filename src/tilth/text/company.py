"""What the company of a place says that it may be: cue words before and behind a number, a street, a country's letters.

Cues are told by the first three bytes of words, streets by the first eight or the last three or four, both by a table
of their hashes: a collision costs a look, never a miss.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tilth.base.jit import helper, int64
from tilth.text.signs import (
    CUES,
    CUES_BEHIND,
    DOOR,
    DOTS,
    ENDINGS,
    FAR,
    IBAN,
    LETTER,
    NEAR,
    NUMBER,
    QQ,
    ROADS,
    SSN,
    STREET,
    STREETS,
)

_CUE_BYTES, _CUE_BYTES_BEHIND = 90, 24
_WORDS_BEFORE, _BYTES_BEFORE = 7, 120
IS_STREET, IS_NEAR, IS_FAR, IS_ENDING, IS_ROAD = (1 << bit for bit in range(5))


@functools.cache
def cue_table() -> np.ndarray:
    """int64 [65536]: for the hash of three bytes the signs of the cues that begin so; bit 0 for those behind."""
    table = np.zeros(1 << 16, np.int64)
    for sign, words in [*CUES.items(), (1, CUES_BEHIND)]:
        for word in words.split():
            table[_hash(*word.encode()[:3])] |= sign
    table.flags.writeable = False
    return table


@functools.cache
def word_table() -> np.ndarray:
    """uint8 [65536]: for the hash of a word's first eight bytes, or of its last three or four, what the word says."""
    table = np.zeros(1 << 16, np.uint8)
    for words, bit in (STREETS, IS_STREET), (NEAR, IS_NEAR), (FAR, IS_FAR), (ENDINGS, IS_ENDING), (ROADS, IS_ROAD):
        for word in words.split():
            for written in (word, word.capitalize()):
                small = written.encode().lower()  # of ASCII
                part = small[-4:] if bit == IS_ENDING else small[:8]
                table[_hash_word(int.from_bytes(bytes(byte & 127 for byte in part), "little"))] |= bit
    table.flags.writeable = False
    return table


def _hash(a: int, b: int, c: int) -> int:
    """16 bits of three bytes; collisions cost time, not hits."""
    return (((a | b << 8 | c << 16) * 2654435761) >> 16) & 0xFFFF


def _hash_word(packed: int) -> int:
    """16 bits of up to eight bytes; a product that wraps at 64 bits has the same ones."""
    return ((packed * 0x1E3779B97F4A7C15) >> 40) & 0xFFFF


_hash3 = helper(_hash)
_hash8 = helper(_hash_word)


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
def _street(data: Any, words: Any, last: Any, end: Any) -> Any:
    """Whether words follow the number that ends at `last`, one of the first six a street's; if the first begins small,
    it alone counts (`12 rue`).
    """
    at = last + 1
    if at + 1 < end and _is_letter(data[at]):  # 221B, 5th
        at += 2 if _is_letter(data[at + 1]) else 1
    if at + 1 < end and data[at] == 44:  # 12, rue
        at += 1
    if at + 1 >= end or data[at] != 32:
        return False
    at += 1
    for _ in range(6 if 65 <= data[at] <= 90 or data[at] >= 128 else 1):
        packed, size = int64(0), 0
        while at < end and (_is_letter(data[at]) or data[at] >= 128):
            if size < 8:
                packed |= int64(_lower(data[at]) & 127) << (8 * size)
            size += 1
            at += 1
        if words[_hash8(packed)] & IS_STREET:
            return True
        skipped = 0
        while at < end and skipped < 2 and (data[at] == 32 or data[at] == 46 or data[at] == 39):
            at += 1
            skipped += 1
        if at >= end or skipped == 0:
            return False
    return False


@helper
def _street_before(data: Any, words: Any, begin: Any, first: Any) -> Any:
    """Whether a word of NEAR, FAR or ENDINGS stands in front of the number at `first`, nothing but words between."""
    left = max(begin, first - _BYTES_BEFORE)
    at, count = first - 1, 0
    while at >= left and count < _WORDS_BEFORE:
        byte = data[at]
        if _is_letter(byte) or byte >= 128:
            packed, size = int64(0), 0
            while at >= left and (_is_letter(data[at]) or data[at] >= 128):
                packed = packed << 8 | int64(_lower(data[at]) & 127)
                size += 1
                at -= 1
                if count == 0 and (size == 3 or size == 4) and words[_hash8(packed)] & IS_ENDING:
                    return True
            told = words[_hash8(packed)]
            if told & IS_FAR or (count == 0 and told & IS_NEAR):
                return True
            count += 1
        elif byte == 32 or byte == 10 or byte == 13 or byte == 39 or 44 <= byte <= 46 or byte == 58 or byte == 63:
            at -= 1
        else:
            return False
    return False


@helper
def _postcode(data: Any, span: Any, digits: Any) -> Any:
    """Whether a chain stands like a postcode: `, NY 10118`, `, 80101 Joensuu`, `CH-6204 Sempach` on the next line."""
    begin, end, first, last = span
    if digits == 9 and last - first == 9 and data[first + 5] == 45:
        last = first + 4
    elif digits != 5 and (digits != 4 or first == begin or data[first - 1] != 45):
        return False
    at = first - 1
    if at - 4 >= begin and data[at] == 32 and data[at - 3] == 32 and data[at - 4] == 44:
        return 65 <= data[at - 2] <= 90 and 65 <= data[at - 1] <= 90
    if last + 2 >= end or data[last + 1] != 32 or not (65 <= data[last + 2] <= 90 or data[last + 2] >= 128):
        return False
    if at - 1 >= begin and data[at] == 45 and 65 <= data[at - 1] <= 90:
        at -= 2
        if at >= begin and 65 <= data[at] <= 90:
            at -= 1
    parts, stop = False, at - 8
    while at >= begin and at > stop and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 44):
        parts = parts or data[at] != 32
        at -= 1
    return parts


@helper
def _door(data: Any, words: Any, begin: Any, first: Any, last: Any, end: Any) -> Any:
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
    road = int64(data[at - 3] & 127) | int64(data[at - 2] & 127) << 8 | int64(data[at - 1] & 127) << 16
    return words[_hash8(road)] & IS_ROAD != 0


@helper
def signs_of_chain(data: Any, tables: Any, wanted: Any, span: Any, digits: Any, dots: Any) -> Any:
    """The signs of a chain of digits.

    `tables`: pointers to `cue_table` and `word_table`; `span`: its text's begin and end, its first and its last digit.
    """
    (cues, words), (begin, end, first, last) = tables, span
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
    if wanted & STREET and (
        _street(data, words, last, end) or _street_before(data, words, begin, first) or _postcode(data, span, digits)
    ):
        signs |= STREET
    if wanted & DOOR and _door(data, words, begin, first, last, end):
        signs |= DOOR
    return signs & wanted


@helper
def is_wechat(data: Any, at: Any, end: Any) -> Any:
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
