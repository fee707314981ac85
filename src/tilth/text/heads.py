"""Lines in which one of some phrases may stand, by how the phrases begin: a cheap test before an expensive one.

The heads of the phrases are dealt out to 64 groups. For each of the first three bytes a table says of every value
in which groups it stands there; where they have no group in common, nothing begins. That is the filter of Teddy
(Hyperscan: Wang et al., 2019, NSDI), which asks the same of 16 places at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_U64,
    READ_U64_2D,
    WRITE_I64_2D,
    inlined,
    int64,
    jit,
    pointer,
    trailing_zeros,
)
from tilth.text.buffers import strings
from tilth.text.hashing import load
from tilth.text.lines import count_code_points, find_newline

if TYPE_CHECKING:
    import pyarrow as pa

_GROUPS, _TESTED = 64, 3
_EACH = 0x0101010101010101
_LOW_BITS, _HIGH_BITS, _FROM_A, _BEHIND_Z = (
    np.uint64(bits * _EACH) for bits in (0x7F, 0x80, 0x80 - ord("A"), 0x7F - ord("Z"))
)
_ONE, _TWO, _NUL = np.uint64(1), np.uint64(2), np.uint8(0)


class Heads:
    """Beginnings of phrases, 2 to 8 bytes each in UTF-8; ASCII letters count in either case."""

    def __init__(self, heads: Sequence[str]) -> None:
        found = sorted({head.encode().lower() for head in heads})
        if any(not 2 <= len(head) <= 8 for head in found):
            raise ValueError("a head has 2 to 8 bytes")
        size = -(-len(found) // _GROUPS)
        self._tables = np.zeros(_TESTED * 256, np.uint64)
        self._groups = np.full((_GROUPS * size, 2), 2**64 - 1, np.uint64)
        for i, head in enumerate(found):
            group = np.uint64(1 << i // size)
            for at in range(_TESTED):
                here = head[at : at + 1]
                values = [*here, *here.upper()] if here else range(256)
                for value in values:
                    self._tables[256 * at + value] |= group
            self._groups[i] = int.from_bytes(head, "little"), (1 << 8 * len(head)) - 1

    def lines(self, texts: pa.LargeStringArray, longest: int) -> tuple[np.ndarray, list[str]]:
        """The lines of at most `longest` characters in which a head stands, and int64 [M] their rows, rising."""
        buffers = strings(texts)
        room = 1024 + len(buffers.data) // 256  # so that the texts are hardly ever gone through again
        while True:
            found = np.empty((room, 3), np.int64)
            total = _find(buffers.data, buffers.offsets, self._tables, self._groups, longest, found)
            if total <= room:
                break
            room = total
        found = found[:total]
        return found[:, 0], [buffers.data[a:b].tobytes().decode() for a, b in found[:, 1:].tolist()]


@inlined
def _lowered(eight: Any) -> Any:
    """The eight bytes with ASCII letters in lower case."""
    low = eight & _LOW_BITS
    upper = (low + _FROM_A) & ~(low + _BEHIND_Z) & ~eight & _HIGH_BITS
    return eight | upper >> _TWO


@inlined
def _begins(text: Any, at: int, stop: int, shared: Any, groups: Any) -> bool:
    """Whether a head of one of the `shared` groups begins at `at`."""
    heads, size = groups
    eight = _lowered(load(text, at, stop))
    while shared:
        group = trailing_zeros(shared)
        for i in range(group * size, group * size + size):
            if eight & heads[2 * i + 1] == heads[2 * i]:
                return True
        shared &= shared - _ONE
    return False


@jit(int64(BYTES, OFFSETS, READ_U64, READ_U64_2D, int64, WRITE_I64_2D))
def _find(buffer: Any, offsets: Any, table: Any, heads: Any, longest: int, found: Any) -> int:
    """Fill `found` with (row, first byte, end) of lines; returns how many there are, perhaps more than fit."""
    data, tables = pointer(buffer), pointer(table)
    text, groups = (data, len(buffer)), (pointer(heads), len(heads) // _GROUPS)
    total = 0
    for row in range(len(offsets) - 1):
        begin, stop = offsets[row], offsets[row + 1]
        at = begin
        while at < stop:
            second = data[at + 1] if at + 1 < stop else _NUL
            third = data[at + 2] if at + 2 < stop else _NUL
            shared = tables[data[at]] & tables[256 + second] & tables[512 + third]
            if not shared or not _begins(text, at, stop, shared, groups):
                at += 1
                continue
            first = at
            while first > begin and data[first - 1] != 10:
                first -= 1
            end = find_newline(text, at, stop)
            if end - first <= longest or count_code_points(data, first, end) <= longest:
                if total < len(found):
                    found[total, 0], found[total, 1], found[total, 2] = row, first, end
                total += 1
            at = end + 1
    return total
