"""The items of a file that is one JSON array, one after another in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from tilth.corpus.sources.streams import Line, Stream

_OUTSIDE = re.compile(rb'[^"\[\]{},]*')
_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
"""Of a string, up to its end; or to a last backslash, where what it escapes is not there yet."""
_BLANK = b" \t\r\n" + codecs.BOM_UTF8


def array_items(stream: Stream, limit: int) -> Iterator[Line]:
    """Each item's bytes as they stand, numbered from 1. Memory is bounded by `limit` bytes an item.

    Brackets and commas outside of strings say where an item ends, so one that is no JSON costs nothing but itself; what
    stands behind the array is an item too. The last item of an array that does not end is not whole.
    """
    depth, number, size = 0, 1, 0
    held: list[bytes] = []
    for text, sign in _cut(stream):
        inner = depth > 1 or (depth == 1 and sign in (b"[", b"{"))
        part = text + sign if inner else text
        size += len(part)
        held.append(part)
        if size > limit:
            held = []
        ends = not inner and sign != b""
        if ends and (size > limit or (depth and sign == b",") or b"".join(held).strip(_BLANK)):
            yield Line(number, None if size > limit else b"".join(held), size)
            number += 1
        if ends:
            size, held = 0, []
        depth = max(0, depth + (sign in (b"[", b"{")) - (sign in (b"]", b"}")))
    if depth or b"".join(held).strip(_BLANK):
        yield Line(number, None if size > limit else b"".join(held), size, whole=depth == 0)


def _cut(stream: Stream) -> Iterator[tuple[bytes, bytes]]:
    """The stream, cut at every bracket and comma outside of strings: what stood before it, and which it is.

    None (an empty one) at the end of each of the stream's pieces.
    """
    quoted, kept = False, b""
    for piece in stream:
        data, begin, at = kept + piece, 0, 0
        kept = b""
        while at < len(data):
            run = (_INSIDE if quoted else _OUTSIDE).match(data, at)
            assert run is not None, "both match nothing too"
            at = run.end() + 1
            sign = data[at - 1 : at]
            if sign == b"\\":
                data, kept = data[: at - 1], sign
            elif sign == b'"':
                quoted = not quoted
            elif sign:
                yield data[begin : at - 1], sign
                begin = at
        yield data[begin:], b""
