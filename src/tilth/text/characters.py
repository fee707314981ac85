"""Counts of characters by kind, sentences, and where the lines end.

ASCII is counted block by block: a byte's comparisons and a counter of a byte for each kind run in vector registers. The
same goes for `marks`, which say of each byte what the walk through the text stops at; so the walk steps over eight
bytes at once in which nothing ends, and looks at single characters where one ends something or is not ASCII.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tilth.base.jit import helper, read_eight, trailing_zeros
from tilth.text import unicode
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
    "breaks",
)
"""What `count_characters` fills, in this order."""

_INSIDE, _END, _BREAK = 1, 2, 4
"""Marks of a byte: an ASCII letter or digit, a full stop, question or exclamation mark, a break; 128 where it is not
ASCII."""
_EACH = 0x0101010101010101
_INSIDES, _STOPS = (np.uint64(bits * _EACH) for bits in (_INSIDE, _END | _BREAK | 128))
_ONE = np.uint64(1)
_KINDS = len(COUNTS)
_CHARACTERS, _SPACES, _NEWLINES, _LETTERS, _LATIN, _DIGITS, _SYMBOLS, _PUNCTUATION, _HASHES, _ELLIPSES, _CURLY = (
    COUNTS.index(name)
    for name in ("characters", "spaces", "newlines", "letters", "latin", "digits", "symbols", "punctuation", "hashes",
                 "ellipses", "curly_brackets")
)  # fmt: skip
_SENTENCES, _ENDED, _BREAKS = (COUNTS.index(name) for name in ("sentences", "sentence_marks", "breaks"))
_BLOCK = 192
"""Bytes whose counts fit into a byte each; whole vector registers."""
_SIZE, _SPACE = np.int64(SIZE), np.uint16(SPACE)


@functools.cache
def profiles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code points that count alike have one profile: uint8 [SIZE], that of every code point.

    And by profile what a character of it adds to each of COUNTS, int64 [profiles, COUNTS], and its marks, uint8
    [profiles]. Profile 0 is that of code points from SIZE on.
    """
    code, kinds, traits = np.arange(SIZE), unicode.classes().astype(np.int64), unicode.traits().astype(np.int64)

    def has(bit: int) -> np.ndarray:
        return (kinds & bit) != 0

    left = np.ones(SIZE, bool)
    counts = {name: np.zeros(SIZE, bool) for name in COUNTS} | {"characters": np.ones(SIZE, bool)}
    for name, bit in (
        ("letters", ALPHABETIC),
        ("spaces", SPACE),
        ("digits", NUMBER),
        ("marks", MARK),
        ("symbols", SYMBOL),
    ):
        counts[name] = left & has(bit)
        left &= ~has(bit)
    letter, punctuation = counts["letters"], left & (code >= 160)
    counts |= {
        "latin": letter & (code < 0x250),
        "han": letter & (code >= 0x250) & has(HAN),
        "punctuation": punctuation,
        "wide_punctuation": punctuation & has(WIDE),
        "brackets": punctuation & ((code == 0x3010) | (code == 0x3011)),
        "ellipses": punctuation & (code == 0x2026),
        "rare": (traits & RARE) != 0,
        "function": (traits & FUNCTION) != 0,
        "garbled": (traits & GARBLED) != 0,
    }
    counts |= {"traditional": counts["han"] & has(TRADITIONAL), "simplified": counts["han"] & has(SIMPLIFIED)}
    ends = punctuation & (has(TERMINAL) | (code == 0xFF1B))
    marks = (letter | counts["digits"]) * _INSIDE + ends * _END + has(BREAK) * _BREAK
    every = np.stack([*counts.values(), *((marks & bit) != 0 for bit in (_INSIDE, _END, _BREAK))])
    packed = (every << np.arange(len(every))[:, None]).sum(axis=0)
    _, first, found = np.unique(packed, return_index=True, return_inverse=True)
    assert len(first) < 256, "a profile is a byte"
    added = np.stack([counts[name][first] for name in COUNTS], axis=1).astype(np.int64)
    unknown = np.array([[name == "characters" for name in COUNTS]], np.int64)
    return (
        (found + 1).astype(np.uint8),
        np.concatenate([unknown, added]),
        np.concatenate([[0], marks[first]]).astype(np.uint8),
    )


@helper
def _mark_bytes(data: Any, start: int, stop: int, marks: Any) -> None:
    """Write the marks of the bytes [start, stop), and eight empty ones behind."""
    for i in range(stop - start):
        byte = data[start + i]
        small = byte | 32
        inside = ((small >= 97) & (small <= 122)) | ((byte >= 48) & (byte <= 57))
        ends = (byte == 46) | (byte == 63) | (byte == 33)
        breaks = ((byte >= 10) & (byte <= 13)) | ((byte >= 28) & (byte <= 30))
        marks[i] = np.uint8(inside | ends << 1 | breaks << 2 | byte & 128)
    for i in range(stop - start, stop - start + 8):
        marks[i] = 0


@helper
def _count_block(data: Any, first: int, last: int) -> Any:
    """Of at most _BLOCK bytes how many are ASCII, letters, digits, spaces, line feeds, symbols, visible, hashes, and
    opening curly brackets."""
    zero = np.uint8(0)
    plain, letters, digits, spaces, newlines = zero, zero, zero, zero, zero
    symbols, visible, hashes, curly = zero, zero, zero, zero
    for i in range(first, last):
        byte = data[i]
        small = byte | 32
        plain = np.uint8(plain + (byte < 128))
        letters = np.uint8(letters + ((small >= 97) & (small <= 122)))
        digits = np.uint8(digits + ((byte >= 48) & (byte <= 57)))
        spaces = np.uint8(spaces + (((byte >= 9) & (byte <= 13)) | ((byte >= 28) & (byte <= 32))))
        newlines = np.uint8(newlines + (byte == 10))
        equals, strokes = (byte >= 60) & (byte <= 62), (byte == 124) | (byte == 126)
        accents = (byte == 94) | (byte == 96)
        symbols = np.uint8(symbols + (equals | strokes | accents | (byte == 36) | (byte == 43)))
        visible = np.uint8(visible + ((byte >= 33) & (byte <= 126)))
        hashes = np.uint8(hashes + (byte == 35))
        curly = np.uint8(curly + (byte == 123))
    return plain, letters, digits, spaces, newlines, symbols, visible, hashes, curly


@helper
def _count_ascii(data: Any, start: int, stop: int, out: Any) -> None:
    """Fill `out` with what ASCII has part in, as if there were nothing else."""
    plain, letters, digits, spaces, newlines, symbols, visible, hashes, curly = 0, 0, 0, 0, 0, 0, 0, 0, 0
    at = start
    while at < stop:
        last = min(stop, at + _BLOCK)
        n = _count_block(data, at, last)
        plain, letters, digits, spaces = plain + n[0], letters + n[1], digits + n[2], spaces + n[3]
        newlines, symbols, visible, hashes, curly = (
            newlines + n[4],
            symbols + n[5],
            visible + n[6],
            hashes + n[7],
            curly + n[8],
        )
        at = last
    out[_CHARACTERS], out[_SPACES], out[_NEWLINES] = plain, spaces, newlines
    out[_LETTERS], out[_LATIN], out[_DIGITS], out[_SYMBOLS] = letters, letters, digits, symbols
    out[_PUNCTUATION], out[_HASHES], out[_CURLY] = visible - letters - digits - symbols, hashes, curly


@helper
def _ends(code: int, data: Any, at: int, stop: int, classes: Any) -> bool:
    """Whether the ASCII mark in front of `at` ends a sentence: a full stop does before white space and at the end."""
    if code != 46 or at >= stop:
        return True
    following, _ = decode(data, at, stop)
    return following < _SIZE and classes[following] & _SPACE != 0


@helper
def _walk(data: Any, start: int, stop: int, classes: Any, spread: Any, marks: Any, lines: Any) -> Any:
    """Go through the characters that are not ASCII, and through ends of sentences and lines.

    Counts the profiles of the former, writes to `lines` where the line feeds stand, and returns how many sentences
    there are, those that a mark ends, breaks, and how often three full stops on end were complete.
    """
    table, of_profiles, found = spread
    sentences, ended, breaks, dots, threes, newlines = 0, 0, 0, 0, 0, 0
    filled = False  # the sentence has a letter or digit
    at = start
    while at < stop:
        eight = read_eight(marks, at - start)
        busy = eight & _STOPS
        if not busy:
            filled |= eight & _INSIDES != 0
            at += 8
            continue
        free = trailing_zeros(busy) & 0x38
        filled |= eight & _INSIDES & ((_ONE << np.uint64(free)) - _ONE) != 0
        at += free >> 3
        while at < stop and data[at] >= 0x80:
            code, length = decode(data, at, stop)
            profile = table[code] if code < _SIZE else np.uint8(0)
            found[profile] += 1
            at += length
            mark = of_profiles[profile]
            filled |= mark & _INSIDE != 0
            if mark & (_END | _BREAK):
                sentences += filled
                ended += filled and not mark & _BREAK
                breaks += mark & _BREAK != 0
                filled = False
        if at >= stop or not marks[at - start] & (_END | _BREAK):
            continue
        byte = data[at]
        lines[newlines] = at
        newlines += byte == 10
        if byte == 46:
            dots = dots + 1 if at > start and data[at - 1] == 46 else 1
            threes += dots % 3 == 0
        line = marks[at - start] & _BREAK != 0
        at += 1
        if _ends(byte, data, at, stop, classes):
            sentences += filled
            ended += filled and not line
            breaks += line
            filled = False
    return sentences + filled, ended, breaks, threes


@helper
def count_characters(data: Any, start: int, stop: int, classes: Any, spread: Any, scratch: Any, out: Any) -> None:
    """Fill `out` with the counts named in COUNTS, and `scratch` with where the line feeds are.

    A sentence is a stretch with a letter or digit in it, up to a terminal mark of any script, a Chinese semicolon or a
    line break; a full stop ends it only before white space or at the end. Ellipses are … and every three dots on end.
    `spread`: of code points the profile; of profiles what is counted, their marks, how many they are, and space to
    count them in, int64. `scratch`: bytes for the marks, eight more than the text's, and int64 for the line feeds, one
    more than there are.
    """
    table, added, of_profiles, sorts, found = spread
    marks, lines = scratch
    for i in range(sorts):
        found[i] = 0
    for i in range(len(out)):
        out[i] = 0.0
    _count_ascii(data, start, stop, out)
    _mark_bytes(data, start, stop, marks)
    sentences, ended, breaks, threes = _walk(data, start, stop, classes, (table, of_profiles, found), marks, lines)
    for profile in range(sorts):
        if found[profile]:
            for i in range(_KINDS):
                out[i] += found[profile] * added[profile * _KINDS + i]
    out[_ELLIPSES] += threes
    out[_SENTENCES], out[_ENDED], out[_BREAKS] = sentences, ended, breaks
