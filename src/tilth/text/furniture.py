"""Lines that are no prose: mostly capitals, figures alone, one word, perhaps a counter ("3 likes").

What RefinedWeb takes out of web pages (Penedo et al., 2023, arXiv:2306.01116, appendix G.2), with what corresponds
to it in Chinese: Chinese numerals alone, and up to four characters without a mark that ends a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import BYTES, OFFSETS, READ_U16, WRITE_I64_2D, helper, int64, jit, pointer
from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.unicode import ALPHABETIC, MARK, NUMBER, SIZE, SPACE, TERMINAL, UNIT, UPPER
from tilth.text.units import decode

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = ("upper", "number", "word", "counter?")
"""What a line can be; the last is no finding: a figure among at most `_COUNTER` words, for a closer look."""
NUMERALS = "〇零一二三四五六七八九十百千万萬第"

_UPPER, _NUMBER, _WORD, _CANDIDATE = range(4)
_COUNTER, _CHINESE_WORD = 12, 4
_NUMERALS = np.array([ord(c) for c in NUMERALS], np.int64)
_ALPHABETIC_BIT, _DIGIT_BIT, _UPPER_BIT, _UNIT_BIT = map(np.uint16, (ALPHABETIC, NUMBER, UPPER, UNIT))
_INNER_BIT, _SPACE_BIT, _TERMINAL_BIT = map(np.uint16, (ALPHABETIC | NUMBER | MARK, SPACE, TERMINAL))
_SIZE = np.int64(SIZE)


@helper
def _numeral(code: int) -> bool:
    found = False
    for i in range(len(_NUMERALS)):
        found = found or _NUMERALS[i] == code
    return found


@helper
def _kind(letters: int, upper: int, digits: int, numerals: int, words: int, alone: int, ended: bool) -> int:
    """The index into KINDS of a line with these counts, -1 for none of them."""
    if letters == numerals and digits + numerals > 0:
        return _NUMBER
    if words + alone == 1 or (words == 0 and 0 < alone <= _CHINESE_WORD and not ended):
        return _WORD
    if letters > 1 and 2 * upper > letters:
        return _UPPER
    return _CANDIDATE if digits > 0 and words + alone <= _COUNTER else -1


@jit(int64(BYTES, OFFSETS, READ_U16, WRITE_I64_2D))
def _find(buffer: Any, offsets: Any, class_table: Any, found: Any) -> int:
    """Fill `found` with (row, first character, end, kind); returns how many there are, perhaps more than fit."""
    data, classes = pointer(buffer), pointer(class_table)
    total = 0
    for row in range(len(offsets) - 1):
        at, stop, place = offsets[row], offsets[row + 1], 0
        while at < stop:
            first = place
            letters, upper, digits, numerals, words, alone = 0, 0, 0, 0, 0, 0
            inside, ended = False, False
            while at < stop:
                code, length = decode(data, at, stop)
                at += length
                place += 1
                if code == 10:
                    break
                kind = classes[code] if code < _SIZE else np.uint16(0)
                single = kind & _UNIT_BIT != 0
                inner = kind & _INNER_BIT != 0 and not single
                alone += single
                words += inner and not inside
                inside = inner
                letters += kind & _ALPHABETIC_BIT != 0
                upper += kind & _UPPER_BIT != 0
                digits += kind & _DIGIT_BIT != 0
                numerals += single and _numeral(code)
                if not kind & _SPACE_BIT:
                    ended = kind & _TERMINAL_BIT != 0
            what = _kind(letters, upper, digits, numerals, words, alone, ended)
            if what >= 0:
                if total < len(found):
                    found[total, 0], found[total, 1], found[total, 2], found[total, 3] = row, first, place, what
                total += 1
    return total


def web_lines(texts: pa.LargeStringArray) -> np.ndarray:
    """int64 [M, 4]: row, first character, end (behind the line end) and index into KINDS, in rising order."""
    buffers = strings(texts)
    room = 1024
    while True:
        found = np.empty((room, 4), np.int64)
        total = _find(buffers.data, buffers.offsets, unicode.classes(), found)
        if total <= room:
            return found[:total]
        room = total
