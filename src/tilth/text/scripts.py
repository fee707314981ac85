"""In which scripts a text is written: the share of its letters in each."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import BYTES, OFFSETS, READ_U8, WRITE_I64_2D, jit, pointer, void
from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.unicode import SIZE
from tilth.text.units import decode

if TYPE_CHECKING:
    import pyarrow as pa

SCRIPTS = (
    "latin",
    "han",
    "kana",
    "hangul",
    "cyrillic",
    "arabic",
    "greek",
    "hebrew",
    "devanagari",
    "bengali",
    "tamil",
    "thai",
    "other",
)

_SPANS = {
    "latin": "0-24F 1E00-1EFF 2C60-2C7F A720-A7FF AB30-AB6F FF21-FF5A",
    "han": "3005-3007 3400-4DBF 4E00-9FFF F900-FAFF 20000-3FFFF",
    "kana": "3041-3096 309D-309F 30A1-30FA 30FC-30FF 31F0-31FF FF66-FF9D",
    "hangul": "1100-11FF 3130-318F A960-A97F AC00-D7FF FFA0-FFDC",
    "cyrillic": "400-52F 1C80-1C8F 2DE0-2DFF A640-A69F",
    "arabic": "600-6FF 750-77F 870-8FF FB50-FDFF FE70-FEFE",
    "greek": "370-3FF 1F00-1FFF",
    "hebrew": "590-5FF FB1D-FB4F",
    "devanagari": "900-97F A8E0-A8FF",
    "bengali": "980-9FF",
    "tamil": "B80-BFF",
    "thai": "E00-E7F",
}
_SIZE = np.int64(SIZE)


@functools.cache
def script_table() -> np.ndarray:
    """uint8 [SIZE]: 0 for what is no letter, else one more than the index into SCRIPTS."""
    table = np.zeros(SIZE, np.uint8)
    letters = (unicode.classes() & unicode.ALPHABETIC) != 0
    table[letters] = len(SCRIPTS)
    for name, spans in _SPANS.items():
        for span in spans.split():
            low, high = (int(end, 16) for end in span.split("-"))
            table[low : high + 1][letters[low : high + 1]] = SCRIPTS.index(name) + 1
    table.flags.writeable = False
    return table


@jit(void(BYTES, OFFSETS, READ_U8, WRITE_I64_2D))
def _count_scripts(buffer: Any, offsets: Any, table: Any, out: Any) -> None:
    data = pointer(buffer)
    for row in range(len(out)):
        at, stop = offsets[row], offsets[row + 1]
        counts = out[row]
        while at < stop:
            code, length = decode(data, at, stop)
            if code < _SIZE:
                counts[table[code]] += 1
            at += length


def script_shares(texts: pa.LargeStringArray) -> dict[str, np.ndarray]:
    """The share of letters in each script of SCRIPTS, float32 [N], and `letters`, int64 [N]; shares of none are 0.

    Letters are the code points of general category L (ideographs and kana included); marks and digits do not count.
    """
    buffers = strings(texts)
    counts = np.zeros((len(buffers), len(SCRIPTS) + 1), np.int64)
    _count_scripts(buffers.data, buffers.offsets, script_table(), counts)
    letters = counts[:, 1:].sum(axis=1)
    shares = counts[:, 1:] / np.maximum(letters, 1)[:, None]
    return {name: shares[:, i].astype(np.float32) for i, name in enumerate(SCRIPTS)} | {"letters": letters}
