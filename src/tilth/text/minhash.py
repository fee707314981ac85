"""MinHash signatures (Broder, 1997) over n-grams of units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_U32,
    WRITE_U32,
    WRITE_U32_2D,
    helper,
    int64,
    jit,
    pointer,
    pointers,
    void,
)
from tilth.text import unicode
from tilth.text.buffers import scratch, strings
from tilth.text.hashing import hash_bytes, mix
from tilth.text.units import FOUND, TABLES, UNIT_TYPES, split_units

if TYPE_CHECKING:
    import pyarrow as pa

_PRIME, _ZERO, _32 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0), np.uint64(32)
_BLOCK, _STEP = 1024, 32


@helper
def _lower_minima(low: Any, high: Any, count: int, family: Any, minima: Any, first: int, hashes: int) -> None:
    """Lower minima[first : first + hashes] by the shingles of a block; all arrays come as pointers.

    Hash by hash over all shingles: this loop runs in vector registers and loads nothing but the shingles. The block is
    filled up with copies of its last shingle, which change no minimum, so that no loop is left for a rest.
    """
    low_factor, high_factor, shift = family
    while count % _STEP:
        low[count], high[count] = low[count - 1], high[count - 1]
        count += 1
    for k in range(hashes):
        a, b, c, least = low_factor[k], high_factor[k], shift[k], minima[first + k]
        for i in range(count):
            least = min(least, np.uint32(a * low[i] + b * high[i] + c))
        minima[first + k] = least


_FAMILY = types.UniTuple(READ_U32, 3)
_BLOCKS = types.UniTuple(WRITE_U32, 2)


@jit(void(BYTES, OFFSETS, TABLES, int64, _FAMILY, FOUND, _BLOCKS, WRITE_U32_2D))
def _signatures(
    buffer: Any,
    offsets: Any,
    tables: Any,
    ngram: int,
    family: Any,
    found: Any,
    blocks: Any,
    out: Any,
) -> None:
    text, letters, parameters = (pointer(buffer), len(buffer)), pointers(tables), pointers(family)
    places, minima, hashes = pointers(found), pointer(out), out.shape[1]
    units, low, high = places[0], pointer(blocks[0]), pointer(blocks[1])
    top = np.uint64(1)
    for _ in range(ngram):
        top *= _PRIME
    for row in range(len(out)):
        start, stop = offsets[row], offsets[row + 1]
        count = split_units(text[0], start, stop, letters, places)
        value, filled = _ZERO, 0
        if count == 0:
            value, filled = hash_bytes(text, start, stop), 1
            low[0], high[0] = np.uint32(value), np.uint32(value >> _32)
        for i in range(count):
            value = value * _PRIME + units[i]
            if i >= ngram:
                value -= top * units[i - ngram]
            if i >= ngram - 1 or i == count - 1:
                shingle = mix(value)
                low[filled], high[filled] = np.uint32(shingle), np.uint32(shingle >> _32)
                filled += 1
                if filled == _BLOCK:
                    _lower_minima(low, high, filled, parameters, minima, row * hashes, hashes)
                    filled = 0
        if filled:
            _lower_minima(low, high, filled, parameters, minima, row * hashes, hashes)


def signatures(texts: pa.LargeStringArray, hashes: int = 112, ngram: int = 5) -> np.ndarray:
    """MinHash signatures, uint32 [N, hashes]: the share of equal columns estimates two texts' Jaccard similarity.

    The set of a text is its n-grams of `ngram` units (`tilth.text.units`: lower-cased words, single Han and kana
    characters, punctuation ignored), each hashed to 64 bits x. Column k is the minimum over the set of
    h_k(x) = a_k * low32(x) + b_k * high32(x) + c_k mod 2^32, with a_k, b_k odd and drawn once from a fixed seed.
    A text of fewer than `ngram` units is one shingle of all its units; one without any unit is one of its bytes.
    The default of 112 = 14 bands of 8 is FineWeb's (Penedo et al., 2024, arXiv:2406.17557).
    """
    if hashes < 1 or ngram < 1:
        raise ValueError(f"hashes and ngram must be positive, found {hashes} and {ngram}")
    buffers = strings(texts)
    draws = np.random.Generator(np.random.PCG64(0x711711)).integers(0, 2**32, (3, hashes), np.uint32)
    draws[:2] |= 1
    room = buffers.longest
    out = np.full((len(buffers), hashes), 0xFFFFFFFF, np.uint32)
    _signatures(
        buffers.data,
        buffers.offsets,
        (unicode.classes(), unicode.lower()),
        ngram,
        (draws[0], draws[1], draws[2]),
        scratch("units", UNIT_TYPES, room),
        (np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32)),
        out,
    )
    return out
