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
_PRIME, _ZERO = np.uint64(0x9E3779B97F4A7C15), np.uint64(0)
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
def _write_line(data: Any, start: int, stop: int, classes: Any, lines: Any, count: int) -> int:
    """Add the line of the bytes [start, stop); returns how many there are now."""
    starts, stops, firsts, lasts = lines
    starts[count], stops[count] = start, stop
    firsts[count], lasts[count] = strip(data, start, stop, classes)
    return count + 1


@helper
def cut_at_feeds(data: Any, start: int, stop: int, classes: Any, feeds: Any, newlines: int, lines: Any) -> int:
    """Write what stands between the line feeds, which are at the places `feeds`: one more than these.

    All arrays come as pointers; `lines` are, of each line, int64: where it starts and stops, and the same without white
    space at either end (two equal places where nothing else is in it).
    """
    count, at = 0, start
    for k in range(newlines):
        count = _write_line(data, at, feeds[k], classes, lines, count)
        at = feeds[k] + 1
    return _write_line(data, at, stop, classes, lines, count)


@helper
def cut_at_breaks(data: Any, start: int, stop: int, classes: Any, lines: Any) -> int:
    """Write the lines as `str.splitlines` cuts them; returns how many there are."""
    count, first, at = 0, start, start
    while at < stop:
        code, length = decode(data, at, stop)
        following = at + length
        if code < _SIZE and classes[code] & _BREAK:
            following += code == 13 and following < stop and data[following] == 10
            count = _write_line(data, first, at, classes, lines, count)
            first = following
        at = following
    return _write_line(data, first, stop, classes, lines, count) if first < stop else count


@helper
def measure_gopher_lines(data: Any, count: int, lines: Any, stop: int, out: Any) -> None:
    """out: lines as `str.splitlines` cuts them, those that start with a bullet, those that end in an ellipsis."""
    bullets, ellipses = 0, 0
    for k in range(count):
        first, last = lines[2][k], lines[3][k]
        if first == last:
            continue
        code, _ = decode(data, first, stop)
        bullets += code == 0x2022 or code == 45
        if last - first >= 3:  # three full stops, or the three bytes of an ellipsis
            ends = data[last - 3], data[last - 2], data[last - 1]
            ellipses += ends == (46, 46, 46) or ends == (0xE2, 0x80, 0xA6)
    out[0], out[1], out[2] = count, bullets, ellipses


@helper
def measure_lines(text: Any, count: int, lines: Any, classes: Any, hashes: Any, table: Any, out: Any) -> None:
    """out: pieces between newline runs, repeated ones, their characters; FineWeb's lines, terminal ones, short ones,
    characters in repeated ones. `hashes` are written, those of the `count` lines between line feeds."""
    data, (starts, stops, firsts, lasts), (keys, values) = text[0], lines, table
    size = clear(keys, count + 1)
    pieces, repeated, repeated_characters = 0, 0, 0
    filled, terminal, short, line_characters = 0, 0, 0, 0
    for k in range(count):
        at, end = starts[k], stops[k]
        if at == end:
            continue
        pieces += 1
        characters = count_code_points(data, at, end)
        hashes[k] = hash_bytes(text, at, end)
        seen = insert(keys, values, size, hashes[k], pieces) != pieces
        repeated += seen
        repeated_characters += characters if seen else 0
        if firsts[k] < lasts[k]:
            kind, _ = last_class(data, at, end, classes)
            filled += 1
            terminal += kind & _TERMINAL != 0
            short += characters <= _SHORT
            line_characters += characters if seen else 0
    # Empty pieces: before a newline that starts the text, after one that ends it; an empty text is one.
    edges = 1 if count == 1 and pieces == 0 else 0
    if count > 1:
        edges = (starts[0] == stops[0]) + (starts[count - 1] == stops[count - 1])
    out[0] = pieces + edges
    out[1] = repeated + (1 if edges == 2 else 0)
    out[2] = repeated_characters
    out[3], out[4], out[5], out[6] = filled, terminal, short, line_characters


@helper
def measure_paragraphs(text: Any, count: int, lines: Any, hashes: Any, table: Any, out: Any) -> None:
    """out: paragraphs of the stripped text, repeated ones, their characters.

    A paragraph's hash is made of its lines', which `hashes` has; the first and the last one are those of a stripped
    text, and so may differ from what stands between line feeds.
    """
    starts, stops, firsts, lasts = lines
    keys, values = table
    size = clear(keys, count + 1)
    top, end = 0, count - 1
    while top < end and firsts[top] == lasts[top]:
        top += 1
    while end > top and firsts[end] == lasts[end]:
        end -= 1
    paragraphs, repeated, repeated_characters = 0, 0, 0
    k = top
    while k <= end:
        value, begin, last = _ZERO, firsts[k] if k == top else starts[k], starts[k]
        while k <= end and starts[k] < stops[k]:
            first, last = firsts[k] if k == top else starts[k], lasts[k] if k == end else stops[k]
            own = hash_bytes(text, first, last) if k in (top, end) else hashes[k]
            value = (value + own) * _PRIME
            k += 1
        paragraphs += 1
        if insert(keys, values, size, value, paragraphs) != paragraphs:
            repeated += 1
            repeated_characters += count_code_points(text[0], begin, last)
        while k <= end and starts[k] == stops[k]:
            k += 1
    out[0], out[1], out[2] = max(paragraphs, 1), repeated, repeated_characters
