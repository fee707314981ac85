"""Runs without spaces that were cut into tokens before: text says the same again, and cutting costs more than looking.

One row of the memo, uint64 [ROWS, WIDTH], holds the last run that was met there: its hash; of up to eight tokens the
bytes, the characters and what they are, a byte each; and their hashes. A run of another hash takes the row over.
Runs are told apart by 64 bits, as words are wherever they are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.base.jit import helper, inlined, int64
from tilth.text.hashing import hash_bytes
from tilth.text.unicode import SIZE, SPACE, UNIT, WIDE
from tilth.text.units import decode

ROWS = 2048
WIDTH = 12
MOST_TOKENS, LONGEST = 8, 48
"""What a row has room for, and the bytes of the longest run that is worth it."""

_CHINESE, _SPACE, _SIZE = np.uint16(UNIT | WIDE), np.uint16(SPACE), np.int64(SIZE)
_LAST_ROW, _BYTE, _ZERO = np.uint64(ROWS - 1), np.uint64(255), np.uint64(0)


@helper
def find_run(text: Any, at: int, stop: int, classes: Any) -> Any:
    """Where the run at the byte `at` ends, and its hash; 0 for one that is not kept: too long, or with Chinese."""
    data, end = text[0], at
    while end < stop:
        code, length = np.int64(data[end]), 1
        if code >= 0x80:
            code, length = decode(data, end, stop)
        kind = classes[code] if code < _SIZE else np.uint16(0)
        if kind & _SPACE:
            break
        if kind & _CHINESE or end - at > LONGEST:
            return end, _ZERO
        end += length
    return end, hash_bytes(text, at, end)


@inlined
def recall(memo: Any, key: Any, at: int, tokens: Any, count: int) -> int:
    """Write the tokens of the run with this hash at the byte `at`, if it is remembered; returns how many there are."""
    row = np.int64(key & _LAST_ROW) * WIDTH
    if memo[row] != key or key == _ZERO:
        return count
    hashes, starts, lengths, flags = tokens
    sizes, characters, kinds = memo[row + 1], memo[row + 2], memo[row + 3]
    token = row + 4
    while sizes:
        hashes[count], starts[count] = memo[token], at
        lengths[count], flags[count] = characters & _BYTE, kinds & _BYTE
        at += int64(sizes & _BYTE)
        sizes, characters, kinds = sizes >> np.uint64(8), characters >> np.uint64(8), kinds >> np.uint64(8)
        count += 1
        token += 1
    return count


@helper
def remember(memo: Any, key: Any, end: int, tokens: Any, first: int, last: int) -> None:
    """Keep the tokens [first, last) of the run with this hash that ends at the byte `end`, if they are few."""
    if key == _ZERO or last - first > MOST_TOKENS:
        return
    hashes, starts, lengths, flags = tokens
    row = np.int64(key & _LAST_ROW) * WIDTH
    sizes, characters, kinds = _ZERO, _ZERO, _ZERO
    for i in range(last - first):
        token, shift = first + i, np.uint64(8 * i)
        following = starts[token + 1] if token + 1 < last else end
        sizes |= np.uint64(following - starts[token]) << shift
        characters |= np.uint64(lengths[token]) << shift
        kinds |= np.uint64(flags[token]) << shift
        memo[row + 4 + i] = hashes[token]
    memo[row], memo[row + 1], memo[row + 2], memo[row + 3] = key, sizes, characters, kinds
