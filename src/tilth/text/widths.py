"""Full-width forms of letters and digits, as Chinese and Japanese keyboards type them: １３８ for 138."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import BYTES, OFFSETS, WRITE_BOOL, jit, pointer, void
from tilth.text.buffers import strings

if TYPE_CHECKING:
    import pyarrow as pa

_WIDE = re.compile("[０-９Ａ-Ｚａ-ｚ＠．－＋＿]+")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


@jit(void(BYTES, OFFSETS, WRITE_BOOL))
def _told(buffer: Any, offsets: Any, out: Any) -> None:
    """Which texts hold a letter or digit of full width, or ＠; no early end, so that it is SIMD.

    In UTF-8 ０ to ９ are EF BC 90 to 99, ＠ and Ａ to Ｚ EF BC A0 to BA, ａ to ｚ EF BD 81 to 9A.
    """
    data = pointer(buffer)
    for row in range(len(out)):
        found = False
        for at in range(offsets[row], offsets[row + 1] - 2):
            second, third = data[at + 1], data[at + 2]
            digit, upper = third >= 0x90 and third <= 0x99, third >= 0xA0 and third <= 0xBA
            lower = second == 0xBD and third >= 0x81 and third <= 0x9A
            found |= data[at] == 0xEF and ((second == 0xBC and (digit or upper)) or lower)
        out[row] = found


def narrow(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The texts with letters, digits and `@ . - + _` in ASCII where they stand in full width, if a text has any such
    letter or digit, or ＠; every character keeps its place.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    buffers = strings(texts)
    told = np.zeros(len(buffers), np.bool_)
    _told(buffers.data, buffers.offsets, told)
    if not told.any():
        return texts
    narrowed = [
        _WIDE.sub(lambda found: found.group().translate(_NARROW), texts[row].as_py()) for row in np.flatnonzero(told)
    ]
    return pc.replace_with_mask(texts, pa.array(told), pa.array(narrowed, pa.large_string()))
