"""Megatron-LM's indexed token files: `.bin` holds the tokens, `.idx` where each document lies.

Layout of `.idx` (little-endian): the magic `MMIDIDX\\0\\0`, uint64 version 1, uint8 dtype code, uint64 sequences,
uint64 documents + 1, int32 length of each sequence, int64 byte offset of each sequence, int64 first sequence of each
document and the total. Tilth writes one sequence a document. The format has no code for uint32, so vocabularies over
65,536 are stored as int32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tilth.base.errors import UserError
from tilth.base.files import atomic_file

_MAGIC = b"MMIDIDX\x00\x00"
_CODES: dict[int, type[np.generic]] = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}


def token_type(vocabulary_size: int) -> np.dtype:
    """The stored type of a vocabulary's ids: uint16 where they fit, else int32."""
    return np.dtype(np.uint16 if vocabulary_size <= 1 << 16 else np.int32)


def write_index(path: Path, lengths: np.ndarray, dtype: np.dtype) -> None:
    """Write `.idx` for documents of `lengths` tokens that lie one behind another in `.bin`."""
    lengths = np.asarray(lengths)
    code = next(code for code, kind in _CODES.items() if np.dtype(kind) == dtype)
    offsets = np.zeros(len(lengths), np.int64)
    np.cumsum(lengths[:-1], dtype=np.int64, out=offsets[1:])
    with atomic_file(path) as aside, aside.open("wb") as out:
        out.write(_MAGIC)
        out.write(np.uint64(1).tobytes())
        out.write(np.uint8(code).tobytes())
        out.write(np.uint64(len(lengths)).tobytes())
        out.write(np.uint64(len(lengths) + 1).tobytes())
        out.write(lengths.astype(np.int32).tobytes())
        out.write((offsets * dtype.itemsize).tobytes())
        out.write(np.arange(len(lengths) + 1, dtype=np.int64).tobytes())


def read_index(path: Path) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """(length in tokens [documents] int32, first token [documents] int64, stored type) of an `.idx` file.

    Raises UserError when the file is not one or is cut short.
    """
    data = np.fromfile(path, np.uint8)
    head = len(_MAGIC) + 8 + 1 + 8 + 8
    if len(data) < head or data[: len(_MAGIC)].tobytes() != _MAGIC:
        raise UserError(
            "not a Megatron token index", where=str(path), hint="expected a file that Tilth or Megatron wrote"
        )
    dtype = np.dtype(_CODES[int(data[17])])
    sequences = int(data[18:26].view(np.uint64)[0])
    if len(data) < head + 12 * sequences:
        raise UserError(f"the token index is cut short: {sequences:,} documents were promised", where=str(path))
    lengths = data[head : head + 4 * sequences].view(np.int32)
    offsets = data[head + 4 * sequences : head + 12 * sequences].view(np.int64)
    return lengths, offsets // dtype.itemsize, dtype
