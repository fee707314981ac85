"""JSON that is no JSON Lines: one array, or objects that span lines, one item after another in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from typing import Literal

from tilth.corpus.sources.json_lines import parse_json
from tilth.corpus.sources.streams import Line, Stream

_OUTSIDE = re.compile(rb'[^"\[\]{},]*')
_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
"""Of a string, up to its end; or to a last backslash, where what it escapes is not there yet."""
_BLANK = b" \t\r\n" + codecs.BOM_UTF8


_ARRAY = re.compile(rb"\s*\[\s*(\{|$)")
_OPEN_ENDS = (b"{", b"[", b",", b":")
"""What a first line ends with behind which an object goes on ..."""
_GOES_ON = re.compile(rb'\s*["}]')
"""... and how the next line begins then: with the next field's name, or with the end. No record begins so."""


def json_layout(begin: Sequence[Line]) -> Literal["lines", "array", "objects"]:
    """How a file is laid out that begins with these lines (the first two that are not blank, if it has so many).

    An array is one of objects; objects that span lines are a document printed for people, or many of them, as `jq`
    prints them.
    """
    if not begin:
        return "lines"
    first = (begin[0].head if begin[0].data is None else begin[0].data).removeprefix(codecs.BOM_UTF8)
    if _ARRAY.match(first):
        return "array" if len(begin) == 1 or begin[0].data is None or not _is_json(first) else "lines"
    opens = first.lstrip().startswith(b"{") and first.rstrip().endswith(_OPEN_ENDS)
    if len(begin) == 1 or begin[0].data is None or not opens:
        return "lines"
    second = begin[1].head if begin[1].data is None else begin[1].data
    return "objects" if _GOES_ON.match(second) else "lines"


def _is_json(data: bytes) -> bool:
    try:
        parse_json(data)
    except (ValueError, RecursionError):
        return False
    return True


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


def spread_objects(stream: Stream, limit: int) -> Iterator[Line]:
    """Each object's bytes as they stand, numbered from 1, however many lines it takes; memory is bounded as above.

    A last one that does not end is not whole, and so is what stands in front of a tear.
    """
    depth, number, size = 0, 1, 0
    held: list[bytes] = []
    for text, sign in _cut(stream):
        size += len(text) + len(sign)
        held.append(text + sign)
        if size > limit:
            held = []
        depth = max(0, depth + (sign in (b"[", b"{")) - (sign in (b"]", b"}")))
        if depth == 0 and sign in (b"]", b"}"):
            yield Line(number, None if size > limit else b"".join(held), size)
            number, size, held = number + 1, 0, []
    if depth or stream.torn or b"".join(held).strip(_BLANK):
        whole = depth == 0 and stream.torn is None
        yield Line(number, None if size > limit else b"".join(held), size, whole=whole)


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
