"""MinHash signatures (Broder, 1997) over n-grams of units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.hashing import hash_bytes, mix
from tilth.text.jit import (
    BYTES,
    OFFSETS,
    READ_U16,
    READ_U32,
    WRITE_I64,
    WRITE_U32_2D,
    WRITE_U64,
    helper,
    int64,
    jit,
    pointer,
    void,
)
from tilth.text.units import split_units

if TYPE_CHECKING:
    import pyarrow as pa

_PRIME, _ZERO, _32 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0), np.uint64(32)


@helper
def _lower_minima(shingle: Any, low_factor: Any, high_factor: Any, shift: Any, minima: Any) -> None:
    low, high = np.uint32(shingle), np.uint32(shingle >> _32)
    for k in range(len(minima)):
        minima[k] = min(minima[k], np.uint32(low_factor[k] * low + high_factor[k] * high + shift[k]))


_TABLES = (READ_U16, READ_U32)
_HASHES = (READ_U32, READ_U32, READ_U32)
_SCRATCH = (WRITE_U64, WRITE_I64, WRITE_I64)


@jit(void(BYTES, OFFSETS, *_TABLES, int64, *_HASHES, *_SCRATCH, WRITE_U32_2D))
def _signatures(
    buffer: Any,
    offsets: Any,
    classes: Any,
    lower: Any,
    ngram: int,
    low_factor: Any,
    high_factor: Any,
    shift: Any,
    units: Any,
    starts: Any,
    stops: Any,
    out: Any,
) -> None:
    text = (pointer(buffer), len(buffer))
    tables = (pointer(classes), pointer(lower))
    found = (pointer(units), pointer(starts), pointer(stops))
    top = np.uint64(1)
    for _ in range(ngram):
        top *= _PRIME
    for row in range(len(out)):
        start, stop = offsets[row], offsets[row + 1]
        count = split_units(text[0], start, stop, tables, found)
        minima = out[row]
        if count == 0:
            _lower_minima(hash_bytes(text, start, stop), low_factor, high_factor, shift, minima)
            continue
        value = _ZERO
        for i in range(count):
            value = value * _PRIME + units[i]
            if i >= ngram:
                value -= top * units[i - ngram]
            if i >= ngram - 1 or i == count - 1:
                _lower_minima(mix(value), low_factor, high_factor, shift, minima)


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
        unicode.classes(),
        unicode.lower(),
        ngram,
        draws[0],
        draws[1],
        draws[2],
        np.empty(room, np.uint64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        out,
    )
    return out
