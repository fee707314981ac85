"""Counts of characters by kind, and sentences, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.base.jit import helper
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
    classes,
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
    "breaks",
)
"""What `count_characters` fills, in this order."""

_ALPHABETIC, _BREAK, _HAN, _MARK, _NUMBER = map(np.uint16, (ALPHABETIC, BREAK, HAN, MARK, NUMBER))
_SIMPLIFIED, _TRADITIONAL = np.uint16(SIMPLIFIED), np.uint16(TRADITIONAL)
_SPACE, _SYMBOL, _TERMINAL, _WIDE = map(np.uint16, (SPACE, SYMBOL, TERMINAL, WIDE))
_SIZE = np.int64(SIZE)
_RARE, _FUNCTION, _GARBLED = map(np.uint8, (RARE, FUNCTION, GARBLED))


_BLOCK = 255
"""ASCII characters whose counts fit into a byte each."""
_BYTE, _FIELDS = np.uint64(255), tuple(np.uint64(8 * i) for i in range(8))


def _packed() -> np.ndarray:
    """uint64 [128]: what an ASCII character adds to eight counts of a byte each.

    From the lowest on: letters and digits, digits, spaces, line feeds, symbols, punctuation, hashes, opening curly
    brackets.
    """
    table = np.zeros((128, 8), np.uint8)
    letter, space, digit, symbol = ((classes()[:128] & bit) != 0 for bit in (ALPHABETIC, SPACE, NUMBER, SYMBOL))
    table[:, 0], table[:, 1], table[:, 2], table[:, 4] = letter | digit, digit, space, symbol
    table[32:127, 5] = ~(letter | digit | space | symbol)[32:127]
    table[10, 3] = table[35, 6] = table[123, 7] = 1
    return table.view("<u8")[:, 0].astype(np.uint64)


_PACKED = _packed()
_MAY_END = (classes()[:128] & (BREAK | TERMINAL)) != 0


@helper
def _count_letter(code: int, kind: Any, counts: Any) -> Any:
    """`counts` of Han, Latin, traditional and simplified characters, with this letter."""
    han, latin, traditional, simplified = counts
    if code < 0x250:
        return han, latin + 1, traditional, simplified
    old, new = kind & _TRADITIONAL != 0, kind & _SIMPLIFIED != 0
    return (han + 1, latin, traditional + old, simplified + new) if kind & _HAN else counts


@helper
def _count_trait(trait: Any, counts: Any) -> Any:
    """`counts` of rare, grammatical and garbled characters, with one of this trait."""
    rare, function, garbled = counts
    return rare + (trait & _RARE != 0), function + (trait & _FUNCTION != 0), garbled + (trait & _GARBLED != 0)


@helper
def _count_punctuation(code: int, kind: Any, counts: Any) -> Any:
    """`counts` of punctuation, of wide marks, lenticular brackets and ellipses (…), with this mark."""
    punctuation, wide, brackets, ellipses = counts
    wide += kind & _WIDE != 0
    return punctuation + 1, wide, brackets + (code == 0x3010 or code == 0x3011), ellipses + (code == 0x2026)


@helper
def _ends_sentence(code: int, kind: Any, data: Any, at: int, stop: int, classes: Any) -> bool:
    """Whether the mark in front of `at` ends a sentence: a full stop does only before white space, or at the end."""
    if code == 46 and at < stop:
        following, _ = decode(data, at, stop)
        return following < _SIZE and classes[following] & _SPACE != 0
    return code == 0xFF1B or kind & _TERMINAL != 0


@helper
def _count_end(data: Any, at: int, span: Any, classes: Any, code: int, kind: Any, inner: int, ends: Any) -> Any:
    """`ends` with the mark or break in front of `at`, which has `inner` letters and digits before it.

    `ends`: sentences, those that a mark ends, line breaks, how many letters and digits stood before the last end, full
    stops on end in front of the last place with one, and how often three of them were complete.
    """
    sentences, marks, breaks, before, dots, threes = ends
    if code == 46:
        dots = dots + 1 if at - 2 >= span[0] and data[at - 2] == 46 else 1
        threes += dots % 3 == 0
    line = kind & _BREAK != 0
    if not line and not _ends_sentence(code, kind, data, at, span[1], classes):
        return sentences, marks, breaks, before, dots, threes
    filled = inner > before
    return sentences + filled, marks + (filled and not line), breaks + line, inner, dots, threes


@helper
def _count_ascii(data: Any, at: int, span: Any, classes: Any, inner: int, ends: Any) -> Any:
    """Where the next ASCII characters from `at` on end, at most _BLOCK; their counts as `_packed` says; `ends`."""
    counts = np.uint64(0)
    last = min(span[1], at + _BLOCK)
    while at < last and data[at] < 0x80:
        byte = data[at]
        counts += _PACKED[byte]
        at += 1
        if _MAY_END[byte]:
            here = inner + np.int64(counts & _BYTE)
            ends = _count_end(data, at, span, classes, np.int64(byte), classes[byte], here, ends)
    return at, counts, ends


@helper
def _add_packed(sums: Any, packed: Any) -> Any:
    inner, digits, spaces, newlines, symbols, punctuation, hashes, curly = sums
    n = (
        np.int64(packed & _BYTE),
        np.int64(packed >> _FIELDS[1] & _BYTE),
        np.int64(packed >> _FIELDS[2] & _BYTE),
        np.int64(packed >> _FIELDS[3] & _BYTE),
        np.int64(packed >> _FIELDS[4] & _BYTE),
        np.int64(packed >> _FIELDS[5] & _BYTE),
        np.int64(packed >> _FIELDS[6] & _BYTE),
        np.int64(packed >> _FIELDS[7]),
    )
    first = inner + n[0], digits + n[1], spaces + n[2], newlines + n[3]
    return (*first, symbols + n[4], punctuation + n[5], hashes + n[6], curly + n[7])


@helper
def count_characters(data: Any, start: int, stop: int, classes: Any, traits: Any, out: Any) -> None:
    """Fill `out` with the counts named in COUNTS.

    A sentence is a stretch with a letter or digit in it, up to a terminal mark of any script, a Chinese semicolon or a
    line break; a full stop ends it only before white space or at the end. Ellipses are … and every three dots on end.
    """
    ascii_characters, ascii_counts, ends = 0, (0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0)
    characters, letters, digits, spaces, marks, symbols = 0, 0, 0, 0, 0, 0
    scripts, punctuation, trait = (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0)
    at, span = start, (start, stop)
    while at < stop:
        inner = ascii_counts[0] + letters + digits
        if data[at] < 0x80:
            begin = at
            at, packed, ends = _count_ascii(data, at, span, classes, inner, ends)
            ascii_characters += at - begin
            ascii_counts = _add_packed(ascii_counts, packed)
            continue
        code, length = decode(data, at, stop)
        known = code < _SIZE
        kind = classes[code] if known else np.uint16(0)
        at += length
        characters += 1
        if known:
            trait = _count_trait(traits[code], trait)
        if kind & _ALPHABETIC:
            letters += 1
            scripts = _count_letter(code, kind, scripts)
        elif kind & _SPACE:
            spaces += 1
        elif kind & _NUMBER:
            digits += 1
        elif kind & _MARK:
            marks += 1
        elif kind & _SYMBOL:
            symbols += 1
        elif known and code >= 160:
            punctuation = _count_punctuation(code, kind, punctuation)
            ends = _count_end(data, at, span, classes, code, kind, inner, ends)
        if kind & _BREAK:
            ends = _count_end(data, at, span, classes, code, kind, inner, ends)
    letters += ascii_counts[0] - ascii_counts[1]
    latin = scripts[1] + ascii_counts[0] - ascii_counts[1]
    digits += ascii_counts[1]
    out[0], out[1], out[2] = ascii_characters + characters, ascii_counts[2] + spaces, ascii_counts[3]
    out[3], out[4], out[5], out[6], out[7] = letters, scripts[0], latin, digits, marks
    out[8], out[9], out[10] = ascii_counts[4] + symbols, ascii_counts[5] + punctuation[0], punctuation[1]
    out[11], out[12], out[13] = scripts[2], scripts[3], punctuation[2]
    out[14], out[15], out[16] = ascii_counts[6], punctuation[3] + ends[5], ascii_counts[7]
    out[17], out[18], out[19], out[20] = ends[0] + (letters + digits > ends[3]), trait[0], trait[1], trait[2]
    out[21], out[22] = ends[1], ends[2]
