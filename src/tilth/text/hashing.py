"""Hashes of whole strings, and the arithmetic that the other kernels share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import BYTES, OFFSETS, WRITE_U64, WRITE_U64_2D, helper, inlined, jit, pointer, read_eight, void
from tilth.text.buffers import strings

if TYPE_CHECKING:
    import pyarrow as pa

_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_N1, _N2, _FIVE = np.uint64(0x52DCE729), np.uint64(0x38495AB5), np.uint64(5)
_F1, _F2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_ZERO, _ONES = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_27, _30, _31, _33, _64 = map(np.uint64, (27, 30, 31, 33, 64))


@inlined
def mix(value: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every input bit reaches every output bit."""
    value = (value ^ (value >> _30)) * _MIX1
    value = (value ^ (value >> _27)) * _MIX2
    return value ^ (value >> _31)


@inlined
def load(text: Any, at: int, stop: int) -> Any:
    """uint64: up to eight bytes of (data, size) from `at` on, none from `stop` on; at < stop <= size, size >= 8."""
    data, size = text
    over = at + 8 - size  # bytes by which eight would reach beyond the buffer
    value = read_eight(data, at) if over <= 0 else read_eight(data, size - 8) >> np.uint64(8 * over)
    return value if stop - at >= 8 else value & (_ONES >> np.uint64(64 - 8 * (stop - at)))


@inlined
def hash_eight(word: Any, size: int) -> Any:
    """What `hash_bytes` gives for the 1 to 8 lowest bytes of `word`, whose others are 0."""
    value = (np.uint64(size) * _C1 ^ word) * _C2
    return mix(value ^ value >> _31)


@helper
def hash_bytes(text: Any, start: int, stop: int) -> Any:
    """64-bit hash of the bytes [start, stop) of (data, size): eight a step, length included."""
    value = np.uint64(stop - start) * _C1
    at = start
    while at < stop:
        value = (value ^ load(text, at, stop)) * _C2
        value ^= value >> _31
        at += 8
    return mix(value)


@helper
def _rotate(value: Any, bits: Any) -> Any:
    return (value << bits) | (value >> (_64 - bits))


@helper
def _finish(value: Any) -> Any:
    value = (value ^ (value >> _33)) * _F1
    value = (value ^ (value >> _33)) * _F2
    return value ^ (value >> _33)


@helper
def hash_twice(text: Any, start: int, stop: int) -> Any:
    """128-bit hash of the bytes [start, stop) of (data, size), as two uint64: MurmurHash3 x64 128, seed 0."""
    h1, h2 = _ZERO, _ZERO
    at = start
    while at + 16 <= stop:
        h1 ^= _rotate(read_eight(text[0], at) * _C1, _31) * _C2
        h1 = (_rotate(h1, _27) + h2) * _FIVE + _N1
        h2 ^= _rotate(read_eight(text[0], at + 8) * _C2, _33) * _C1
        h2 = (_rotate(h2, _31) + h1) * _FIVE + _N2
        at += 16
    if at + 8 < stop:
        h2 ^= _rotate(load(text, at + 8, stop) * _C2, _33) * _C1
    if at < stop:
        h1 ^= _rotate(load(text, at, stop) * _C1, _31) * _C2
    length = np.uint64(stop - start)
    h1 ^= length
    h2 ^= length
    h1 += h2
    h2 += h1
    h1, h2 = _finish(h1), _finish(h2)
    h1 += h2
    h2 += h1
    return h1, h2


@jit(void(BYTES, OFFSETS, WRITE_U64_2D))
def _content_hashes(buffer: Any, offsets: Any, out: Any) -> None:
    text = (pointer(buffer), len(buffer))
    for row in range(len(out)):
        out[row, 0], out[row, 1] = hash_twice(text, offsets[row], offsets[row + 1])


def content_hashes(texts: pa.LargeStringArray) -> np.ndarray:
    """128-bit hash of each text's bytes, uint64 [N, 2]: MurmurHash3 x64 128 (Appleby, 2011) with seed 0.

    Equal texts have equal hashes; among 10^12 different texts the chance of any collision is about 10^-15.
    Not for use against an adversary who crafts collisions.
    """
    buffers = strings(texts)
    out = np.zeros((len(buffers), 2), np.uint64)
    _content_hashes(buffers.data, buffers.offsets, out)
    return out


@jit(void(BYTES, OFFSETS, WRITE_U64))
def _word_hashes(buffer: Any, offsets: Any, out: Any) -> None:
    text = (pointer(buffer), len(buffer))
    for row in range(len(out)):
        out[row] = hash_bytes(text, offsets[row], offsets[row + 1])


def word_hashes(texts: pa.LargeStringArray) -> np.ndarray:
    """uint64 [N]: what `hash_bytes` gives for each text."""
    buffers = strings(texts)
    out = np.zeros(len(buffers), np.uint64)
    _word_hashes(buffers.data, buffers.offsets, out)
    return out
