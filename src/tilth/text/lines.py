"""Lines and paragraphs: bullets, ellipses, repeated lines, terminal punctuation, short lines.

Four definitions of a line are kept apart, because the published filters differ: Gopher's bullets and ellipses cut as
`str.splitlines` does; repetition counts what stands between runs of newlines; its paragraphs stand between runs of two
or more, in the stripped text; FineWeb takes what stands between single newlines and is not blank.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.text.hashing import hash_bytes
from tilth.text.jit import helper
from tilth.text.repetition import insert, slots
from tilth.text.unicode import BREAK, SIZE, SPACE, TERMINAL
from tilth.text.units import decode

_BREAK, _SPACE, _TERMINAL, _SIZE = np.uint16(BREAK), np.uint16(SPACE), np.uint16(TERMINAL), np.int64(SIZE)
_SHORT = 30  # characters; FineWeb's short line (arXiv:2406.17557)


@helper
def count_newlines(data: Any, start: int, stop: int) -> int:
    """Line feeds in the bytes [start, stop)."""
    count = 0
    for at in range(start, stop):
        count += data[at] == 10
    return count


@helper
def measure_gopher_lines(data: Any, start: int, stop: int, classes: Any, out: Any) -> None:
    """out: lines as `str.splitlines` cuts them, those that start with a bullet, those that end in an ellipsis."""
    lines, bullets, ellipses = 0, 0, 0
    at = start
    while at < stop:
        lines += 1
        first, last, dots, ended = np.int64(0), np.int64(0), 0, False
        while at < stop:
            code, length = decode(data, at, stop)
            kind = classes[code] if code < _SIZE else np.uint16(0)
            at += length
            if kind & _BREAK:
                if code == 13 and at < stop and data[at] == 10:
                    at += 1
                break
            if kind & _SPACE:
                ended = True
                continue
            if not first:
                first = code
            dots = 0 if ended or code != 46 else dots
            dots += code == 46
            last, ended = code, False
        bullets += first == 0x2022 or first == 45
        ellipses += dots >= 3 or last == 0x2026
    out[0], out[1], out[2] = lines, bullets, ellipses


@helper
def measure_lines(text: Any, start: int, stop: int, classes: Any, newlines: int, table: Any, out: Any) -> None:
    """out: pieces between newline runs, repeated ones, their characters; FineWeb's lines, terminal ones, short ones,
    characters in repeated ones."""
    data = text[0]
    keys, values = table
    size = slots(newlines + 2)
    for slot in range(size):
        keys[slot] = np.uint64(0)
    pieces, repeated, repeated_characters = 0, 0, 0
    lines, terminal, short, line_characters = 0, 0, 0, 0
    at = start
    # Empty pieces: before a newline that starts the text, after one that ends it; an empty text is one.
    edges = 1 if start == stop else (data[start] == 10) + (data[stop - 1] == 10)
    while at < stop:
        begin, characters, blank = at, 0, True
        kind = np.uint16(0)
        while at < stop and data[at] != 10:
            code, length = decode(data, at, stop)
            kind = classes[code] if code < _SIZE else np.uint16(0)
            blank = blank and kind & _SPACE != 0
            characters += 1
            at += length
        if at > begin:
            pieces += 1
            seen = insert(keys, values, size, hash_bytes(text, begin, at), pieces) != pieces
            if seen:
                repeated += 1
                repeated_characters += characters
            if not blank:
                lines += 1
                terminal += kind & _TERMINAL != 0
                short += characters <= _SHORT
                line_characters += characters if seen else 0
        at += 1
    out[0] = pieces + edges
    out[1] = repeated + (1 if edges == 2 else 0)
    out[2] = repeated_characters
    out[3], out[4], out[5], out[6] = lines, terminal, short, line_characters


@helper
def _strip(data: Any, start: int, stop: int, classes: Any) -> Any:
    """The bytes [start, stop) without white space at either end."""
    while start < stop:
        code, length = decode(data, start, stop)
        if code >= _SIZE or not classes[code] & _SPACE:
            break
        start += length
    while stop > start:
        at = stop - 1
        while at > start and data[at] & 0xC0 == 0x80:
            at -= 1
        code, _ = decode(data, at, stop)
        if code >= _SIZE or not classes[code] & _SPACE:
            break
        stop = at
    return start, stop


@helper
def measure_paragraphs(text: Any, start: int, stop: int, classes: Any, newlines: int, table: Any, out: Any) -> None:
    """out: paragraphs of the stripped text, repeated ones, their characters."""
    data = text[0]
    keys, values = table
    size = slots(newlines + 2)
    for slot in range(size):
        keys[slot] = np.uint64(0)
    start, stop = _strip(data, start, stop, classes)
    paragraphs, repeated, repeated_characters = 0, 0, 0
    at = start
    while at < stop:
        begin, characters = at, 0
        while at < stop and not (data[at] == 10 and data[at + 1] == 10):  # stripped: no newline is last
            characters += data[at] & 0xC0 != 0x80
            at += 1
        paragraphs += 1
        if insert(keys, values, size, hash_bytes(text, begin, at), paragraphs) != paragraphs:
            repeated += 1
            repeated_characters += characters
        while at < stop and data[at] == 10:
            at += 1
    out[0], out[1], out[2] = max(paragraphs, 1), repeated, repeated_characters
