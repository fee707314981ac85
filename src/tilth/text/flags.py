"""A cheap test of which texts need the slow repair path."""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import BYTES, OFFSETS, READ_U8, WRITE_BOOL, jit, pointer, void
from tilth.text.buffers import strings
from tilth.text.unicode import SIZE
from tilth.text.units import decode

if TYPE_CHECKING:
    import pyarrow as pa

_SIZE = np.int64(SIZE)


@functools.cache
def suspects() -> np.ndarray:
    """uint8 [SIZE]: 1 for each code point that sends its text to repair."""
    table = np.zeros(SIZE, np.uint8)
    table[:32] = 1
    table[[9, 10]] = 0
    table[0x7F:0xA0] = 1
    for code in range(0xA0, SIZE):
        character = chr(code)
        table[code] = (
            unicodedata.category(character) in ("Mn", "Mc", "Cf", "Cs")
            or unicodedata.normalize("NFC", character) != character
        )
    # Jamo vowels and finals join the syllable before them: conjoining, though no marks.
    table[0x1161:0x1176] = table[0x11A8:0x11C3] = 1
    table[[0xAD, 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF]] = 1
    table.flags.writeable = False
    return table


@jit(void(BYTES, OFFSETS, READ_U8, WRITE_BOOL))
def _control_flags(buffer: Any, offsets: Any, table: Any, out: Any) -> None:
    data = pointer(buffer)
    for row in range(len(out)):
        at, stop = offsets[row], offsets[row + 1]
        flagged = False
        while at < stop and not flagged:
            code, length = decode(data, at, stop)
            flagged = code >= _SIZE or table[code] != 0
            at += length
        out[row] = flagged


def control_flags(texts: pa.LargeStringArray) -> np.ndarray:
    r"""bool [N]: whether a text may need repair; False promises that it does not.

    True for any C0 or C1 control but \n and \t (so \r too), byte-order mark, U+FFFD, zero-width, bidirectional and
    other invisible format characters, line and paragraph separators, noncharacters, anything outside planes 0 to 3,
    and for whatever may not be in normal form NFC: combining marks, conjoining jamo, characters that NFC replaces.
    """
    buffers = strings(texts)
    out = np.zeros(len(buffers), np.bool_)
    _control_flags(buffers.data, buffers.offsets, suspects(), out)
    return out
