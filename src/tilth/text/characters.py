"""Counts of characters by kind, and sentences, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.text.jit import helper
from tilth.text.unicode import (
    ALPHABETIC,
    BREAK,
    FUNCTION,
    GARBLED,
    HAN,
    MARK,
    NUMBER,
    RARE,
    SIMPLIFIED,
    SIZE,
    SPACE,
    SYMBOL,
    TERMINAL,
    TRADITIONAL,
    WIDE,
)
from tilth.text.units import decode

COUNTS = (
    "characters",
    "spaces",
    "newlines",
    "letters",
    "han",
    "latin",
    "digits",
    "marks",
    "symbols",
    "punctuation",
    "wide_punctuation",
    "traditional",
    "simplified",
    "brackets",
    "hashes",
    "ellipses",
    "curly_brackets",
    "sentences",
    "rare",
    "function",
    "garbled",
    "sentence_marks",
)
"""What `count_characters` fills, in this order."""

_ALPHABETIC, _BREAK, _HAN, _MARK, _NUMBER = map(np.uint16, (ALPHABETIC, BREAK, HAN, MARK, NUMBER))
_SIMPLIFIED, _TRADITIONAL = np.uint16(SIMPLIFIED), np.uint16(TRADITIONAL)
_SPACE, _SYMBOL, _TERMINAL, _WIDE = map(np.uint16, (SPACE, SYMBOL, TERMINAL, WIDE))
_SIZE = np.int64(SIZE)
_RARE, _FUNCTION, _GARBLED = map(np.uint8, (RARE, FUNCTION, GARBLED))


@helper
def _count_letter(code: int, kind: Any, counts: Any) -> Any:
    """`counts` of letters, Han, Latin, traditional and simplified characters, with this letter."""
    letters, han, latin, traditional, simplified = counts
    if code < 0x250:
        return letters + 1, han, latin + 1, traditional, simplified
    if not kind & _HAN:
        return letters + 1, han, latin, traditional, simplified
    old, new = kind & _TRADITIONAL != 0, kind & _SIMPLIFIED != 0
    return letters + 1, han + 1, latin, traditional + old, simplified + new


@helper
def _count_punctuation(code: int, kind: Any, counts: Any) -> Any:
    """`counts` of punctuation, of wide marks, lenticular brackets, hashes, ellipses (…) and {, with this mark."""
    punctuation, wide, brackets, hashes, ellipses, curly = counts
    wide += kind & _WIDE != 0
    brackets += code == 0x3010 or code == 0x3011
    return punctuation + 1, wide, brackets, hashes + (code == 35), ellipses + (code == 0x2026), curly + (code == 123)


@helper
def _ends_sentence(code: int, kind: Any, data: Any, at: int, stop: int, classes: Any) -> bool:
    """Whether the mark in front of `at` ends a sentence: a full stop does only before white space, or at the end."""
    if code == 46 and at < stop:
        following, _ = decode(data, at, stop)
        return following < _SIZE and classes[following] & _SPACE != 0
    return code == 0xFF1B or kind & _TERMINAL != 0


@helper
def count_characters(data: Any, start: int, stop: int, classes: Any, traits: Any, out: Any) -> None:
    """Fill `out` with the counts named in COUNTS.

    A sentence is a stretch with a letter or digit in it, up to a terminal mark of any script, a Chinese semicolon or a
    line break; a full stop ends it only before white space or at the end. Ellipses are … and every three dots on end.
    """
    characters, spaces, newlines, digits, marks, symbols, sentences = 0, 0, 0, 0, 0, 0, 0
    letters, punctuation = (0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0)
    dots, dotted, filled = 0, 0, False
    rare, function, garbled, ending = 0, 0, 0, 0
    at = start
    while at < stop:
        code, length = decode(data, at, stop)
        kind = classes[code] if code < _SIZE else np.uint16(0)
        at += length
        characters += 1
        ends = False
        if code >= 0x80 and code < _SIZE:
            trait = traits[code]
            rare += trait & _RARE != 0
            function += trait & _FUNCTION != 0
            garbled += trait & _GARBLED != 0
        if kind & _ALPHABETIC:
            letters = _count_letter(code, kind, letters)
            filled = True
        elif kind & _SPACE:
            spaces += 1
            newlines += code == 10
            ends = kind & _BREAK != 0
        elif kind & _NUMBER:
            digits += 1
            filled = True
        elif kind & _MARK:
            marks += 1
        elif kind & _SYMBOL:
            symbols += 1
        elif code >= 32 and (code < 127 or code >= 160) and code < _SIZE:
            punctuation = _count_punctuation(code, kind, punctuation)
            ends = _ends_sentence(code, kind, data, at, stop, classes)
            ending += ends and filled
        dots = dots + 1 if code == 46 else 0
        dotted += dots > 0 and dots % 3 == 0
        if ends and filled:
            sentences += 1
            filled = False
    out[0], out[1], out[2], out[3], out[4], out[5] = characters, spaces, newlines, letters[0], letters[1], letters[2]
    out[6], out[7], out[8], out[9], out[10] = digits, marks, symbols, punctuation[0], punctuation[1]
    out[11], out[12], out[13], out[14] = letters[3], letters[4], punctuation[2], punctuation[3]
    out[15], out[16], out[17] = punctuation[4] + dotted, punctuation[5], sentences + filled
    out[18], out[19], out[20], out[21] = rare, function, garbled, ending
