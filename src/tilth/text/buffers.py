"""Arrow strings as plain arrays: what every kernel reads, without a copy."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


_KEPT_BYTES = 1 << 24
"""Of one array of scratch space that is kept, at most."""
_kept = threading.local()


def scratch(name: str, dtypes: Sequence[str], items: int, *, zero: bool = False) -> tuple[np.ndarray, ...]:
    """Arrays of at least `items` items for a kernel to write into; whoever asks by the same name gets the same ones.

    They hold anything: what was left in them, if they are kept; with `zero` they are 0 the first time. Fresh memory
    must be cleared by the system, huge page by huge page, for space of which a batch of short texts touches little.
    Each thread has its own.
    """
    found = []
    for i, dtype in enumerate(dtypes):
        label = f"{name}.{i}"
        array = getattr(_kept, label, None)
        if array is None or len(array) < items:
            array = np.zeros(items, dtype) if zero else np.empty(items, dtype)
            if array.nbytes <= _KEPT_BYTES:
                setattr(_kept, label, array)
        found.append(array)
    return tuple(found)


@dataclass(frozen=True)
class Strings:
    """The buffers of N strings.

    `data` uint8 [bytes >= 8] holds all of them in UTF-8, `offsets` int64 [N + 1] says where each starts and ends.
    """

    data: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def longest(self) -> int:
        """Bytes of the longest string: what a kernel's scratch space must hold."""
        return int(np.diff(self.offsets).max(initial=0))


def strings(texts: pa.LargeStringArray) -> Strings:
    """View a `pa.LargeStringArray` (perhaps a slice) as numpy arrays; 32-bit offsets and several chunks are copied.

    Raises `TypeError` for another type and `ValueError` for nulls: a missing text is the caller's to settle.
    """
    import pyarrow as pa

    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if pa.types.is_string(texts.type):
        texts = texts.cast(pa.large_string())
    if not pa.types.is_large_string(texts.type):
        raise TypeError(f"expected an array of large_string, found {texts.type}")
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null")
    _, offset_buffer, data_buffer = texts.buffers()
    if offset_buffer is None or not len(texts):
        offsets = np.zeros(1, np.int64)
    else:
        offsets = np.frombuffer(offset_buffer, np.int64, len(texts) + 1, 8 * texts.offset)
    empty = data_buffer is None or not data_buffer.size
    data = np.zeros(0, np.uint8) if empty else np.frombuffer(data_buffer, np.uint8)
    if len(data) < 8:
        data = np.concatenate([data, np.zeros(8 - len(data), np.uint8)])
    data.flags.writeable = False
    return Strings(data, offsets)
