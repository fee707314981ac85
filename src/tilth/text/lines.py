"""Lines and paragraphs: bullets, ellipses, repeated lines, terminal punctuation, short lines.

Four definitions of a line are kept apart, because the published filters differ: Gopher's bullets and ellipses cut as
`str.splitlines` does; repetition counts what stands between runs of newlines; its paragraphs stand between runs of two
or more, in the stripped text; FineWeb takes what stands between single newlines and is not blank.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.base.jit import helper, trailing_zeros
from tilth.text.hashing import hash_bytes, load
from tilth.text.repetition import clear, insert
from tilth.text.unicode import BREAK, SIZE, SPACE, TERMINAL
from tilth.text.units import decode

_BREAK, _SPACE, _TERMINAL, _SIZE = np.uint16(BREAK), np.uint16(SPACE), np.uint16(TERMINAL), np.int64(SIZE)
_SHORT = 30  # characters; FineWeb's short line (arXiv:2406.17557)
_X01, _X0A, _X80 = (np.uint64(0x0101010101010101 * byte) for byte in (0x01, 0x0A, 0x80))


@helper
def find_newline(text: Any, at: int, stop: int) -> int:
    """The first line feed from the byte `at` on, or `stop`: eight bytes a step."""
    while at < stop:
        value = load(text, at, stop) ^ _X0A
        zero = (value - _X01) & ~value & _X80  # of the bits set here the lowest is that of the first zero byte
        if zero:
            return at + (trailing_zeros(zero) >> 3)
        at += 8
    return stop


@helper
def next_line(text: Any, at: int, stop: int, classes: Any, plain: bool) -> Any:
    """Where the line from `at` on ends, as `str.splitlines` cuts, and where the next one starts.

    `plain` says that the text has no breaks but line feeds.
    """
    data = text[0]
    if plain:
        end = find_newline(text, at, stop)
        return end, end + 1
    while at < stop:
        code, length = decode(data, at, stop)
        if code < _SIZE and classes[code] & _BREAK:
            pair = code == 13 and at + 1 < stop and data[at + 1] == 10
            return at, at + length + pair
        at += length
    return stop, stop


@helper
def count_code_points(data: Any, start: int, stop: int) -> int:
    """Characters of the bytes [start, stop)."""
    count = 0
    for at in range(start, stop):
        count += data[at] & 0xC0 != 0x80
    return count


@helper
def last_class(data: Any, start: int, stop: int, classes: Any) -> Any:
    """The class of the last character of the bytes [start, stop), which are some, and where it starts."""
    at = stop - 1
    while at > start and data[at] & 0xC0 == 0x80:
        at -= 1
    code, _ = decode(data, at, stop)
    return classes[code] if code < _SIZE else np.uint16(0), at


@helper
def strip(data: Any, start: int, stop: int, classes: Any) -> Any:
    """The bytes [start, stop) without white space at either end."""
    while start < stop:
        code, length = decode(data, start, stop)
        if code >= _SIZE or not classes[code] & _SPACE:
            break
        start += length
    while stop > start:
        kind, at = last_class(data, start, stop, classes)
        if not kind & _SPACE:
            break
        stop = at
    return start, stop


@helper
def measure_gopher_lines(text: Any, start: int, stop: int, classes: Any, plain: bool, out: Any) -> None:
    """out: lines as `str.splitlines` cuts them, those that start with a bullet, those that end in an ellipsis."""
    data = text[0]
    lines, bullets, ellipses = 0, 0, 0
    at = start
    while at < stop:
        lines += 1
        end, following = next_line(text, at, stop, classes, plain)
        first, last = strip(data, at, end, classes)
        at = following
        if first == last:
            continue
        code, _ = decode(data, first, last)
        bullets += code == 0x2022 or code == 45
        if last - first >= 3:  # three full stops, or the three bytes of an ellipsis
            ends = data[last - 3], data[last - 2], data[last - 1]
            ellipses += ends == (46, 46, 46) or ends == (0xE2, 0x80, 0xA6)
    out[0], out[1], out[2] = lines, bullets, ellipses


@helper
def measure_lines(text: Any, start: int, stop: int, classes: Any, newlines: int, table: Any, out: Any) -> None:
    """out: pieces between newline runs, repeated ones, their characters; FineWeb's lines, terminal ones, short ones,
    characters in repeated ones."""
    data = text[0]
    keys, values = table
    size = clear(keys, newlines + 2)
    pieces, repeated, repeated_characters = 0, 0, 0
    lines, terminal, short, line_characters = 0, 0, 0, 0
    at = start
    # Empty pieces: before a newline that starts the text, after one that ends it; an empty text is one.
    edges = 1 if start == stop else (data[start] == 10) + (data[stop - 1] == 10)
    while at < stop:
        end = find_newline(text, at, stop)
        if end > at:
            pieces += 1
            characters = count_code_points(data, at, end)
            seen = insert(keys, values, size, hash_bytes(text, at, end), pieces) != pieces
            repeated += seen
            repeated_characters += characters if seen else 0
            first, last = strip(data, at, end, classes)
            if first < last:
                kind, _ = last_class(data, at, end, classes)
                lines += 1
                terminal += kind & _TERMINAL != 0
                short += characters <= _SHORT
                line_characters += characters if seen else 0
        at = end + 1
    out[0] = pieces + edges
    out[1] = repeated + (1 if edges == 2 else 0)
    out[2] = repeated_characters
    out[3], out[4], out[5], out[6] = lines, terminal, short, line_characters


@helper
def measure_paragraphs(text: Any, start: int, stop: int, classes: Any, newlines: int, table: Any, out: Any) -> None:
    """out: paragraphs of the stripped text, repeated ones, their characters."""
    data = text[0]
    keys, values = table
    size = clear(keys, newlines + 2)
    start, stop = strip(data, start, stop, classes)
    paragraphs, repeated, repeated_characters = 0, 0, 0
    at = start
    while at < stop:
        end = find_newline(text, at, stop)
        while end < stop and data[end + 1] != 10:  # stripped: no newline is last
            end = find_newline(text, end + 1, stop)
        paragraphs += 1
        if insert(keys, values, size, hash_bytes(text, at, end), paragraphs) != paragraphs:
            repeated += 1
            repeated_characters += count_code_points(data, at, end)
        at = end
        while at < stop and data[at] == 10:
            at += 1
    out[0], out[1], out[2] = max(paragraphs, 1), repeated, repeated_characters
