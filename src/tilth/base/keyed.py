"""Randomness as a function of its key: the same (seed, key) gives the same value anywhere, in any order."""

from __future__ import annotations

import hashlib
from typing import Any

_MASK = (1 << 64) - 1


def stable_hash(*parts: Any) -> int:
    """64-bit hash of the parts' text, the same on every machine and in every run."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniform(*parts: Any) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return (stable_hash(*parts) >> 11) / (1 << 53)


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every input bit reaches every output bit."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Permutation:
    """A shuffle of range(size) that is computed item by item, so any position is reached in O(1) without memory.

    A four-round Feistel network over the smallest even number of bits that holds `size`, walked until
    the result falls below `size` (cycle walking: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
    """

    def __init__(self, size: int, *key: Any) -> None:
        if size < 1:
            raise ValueError(f"a permutation needs at least one item, found {size}")
        self.size = size
        self.half = max(1, ((size - 1).bit_length() + 1) // 2)
        self.keys = [stable_hash(*key, "round", i) for i in range(4)]

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.size:
            raise IndexError(index)
        while True:
            index = self._encrypt(index)
            if index < self.size:
                return index

    def _encrypt(self, value: int) -> int:
        mask = (1 << self.half) - 1
        left, right = value >> self.half, value & mask
        for key in self.keys:
            left, right = right, left ^ (_mix(right ^ key) & mask)
        return (left << self.half) | right
