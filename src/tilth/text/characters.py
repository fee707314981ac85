"""Counts of characters by kind, and sentences, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.text.jit import helper
from tilth.text.unicode import (
    ALPHABETIC,
    BREAK,
    HAN,
    MARK,
    NUMBER,
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
)
"""What `count_characters` fills, in this order."""

_ALPHABETIC, _BREAK, _HAN, _MARK, _NUMBER = map(np.uint16, (ALPHABETIC, BREAK, HAN, MARK, NUMBER))
_SIMPLIFIED, _TRADITIONAL = np.uint16(SIMPLIFIED), np.uint16(TRADITIONAL)
_SPACE, _SYMBOL, _TERMINAL, _WIDE = map(np.uint16, (SPACE, SYMBOL, TERMINAL, WIDE))
_SIZE = np.int64(SIZE)


@helper
def count_characters(data: Any, start: int, stop: int, classes: Any, out: Any) -> None:
    """Fill `out` with the counts named in COUNTS.

    A sentence is a stretch with a letter or digit in it, up to a terminal mark of any script, a Chinese semicolon or a
    line break; a full stop ends it only before white space or at the end. Ellipses are … and every three dots on end.
    """
    characters, spaces, newlines, letters, han, latin, digits, marks, symbols, punctuation = (
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    )
    wide, traditional, simplified, brackets, hashes, ellipses, curly, sentences = 0, 0, 0, 0, 0, 0, 0, 0
    dots = 0
    filled = False
    at = start
    while at < stop:
        code, length = decode(data, at, stop)
        kind = classes[code] if code < _SIZE else np.uint16(0)
        at += length
        characters += 1
        ends = False
        if kind & _ALPHABETIC:
            letters += 1
            filled = True
            if code < 0x250:
                latin += 1
            elif kind & _HAN:
                han += 1
                traditional += kind & _TRADITIONAL != 0
                simplified += kind & _SIMPLIFIED != 0
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
            punctuation += 1
            wide += kind & _WIDE != 0
            hashes += code == 35
            curly += code == 123
            brackets += code == 0x3010 or code == 0x3011
            ellipses += code == 0x2026
            ends = code == 0xFF1B or (kind & _TERMINAL != 0)
            if code == 46:
                dots += 1
                if dots == 3:
                    ellipses += 1
                    dots = 0
                if at < stop:
                    following, _ = decode(data, at, stop)
                    ends = following < _SIZE and classes[following] & _SPACE != 0
        if code != 46:
            dots = 0
        if ends and filled:
            sentences += 1
            filled = False
    sentences += filled
    out[0], out[1], out[2], out[3], out[4], out[5] = characters, spaces, newlines, letters, han, latin
    out[6], out[7], out[8], out[9], out[10], out[11] = digits, marks, symbols, punctuation, wide, traditional
    out[12], out[13], out[14], out[15], out[16], out[17] = simplified, brackets, hashes, ellipses, curly, sentences
