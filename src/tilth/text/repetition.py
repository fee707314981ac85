"""Repetition of n-grams within a document: the top 2- to 4-gram and all duplicate 5- to 10-grams, by characters.

Definitions of Gopher (Rae et al., 2021, arXiv:2112.11446, table A1) as datatrove computes them. The top n-gram's
characters are its length, joining spaces included, times its count; the first of the most frequent counts. Duplicate
n-grams are met from left to right: one seen before adds its characters (without spaces) and is stepped over whole.
A Han or kana character is a word and no space is counted beside it.

An n-gram can only repeat where its first n - 1 words repeat, so each length looks only at the places that the length
before left over: almost all the work is in words and pairs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tilth.text.hashing import mix
from tilth.text.jit import helper
from tilth.text.words import ALONE

LONGEST = 10
NEAR = 50
"""Tokens within which a repeated 5-gram is a loop: text that says the same again at once."""
_PRIME, _ZERO, _ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0), np.uint64(1)


@helper
def slots(items: int) -> int:
    """Slots of an open-addressing table for so many items: a power of two, at most half full."""
    size = 8
    while size < 2 * items:
        size *= 2
    return size


@helper
def insert(keys: Any, ids: Any, size: int, key: Any, fresh: int) -> int:
    """The id of `key` in the table of `size` slots; `fresh` is written and given where it is new."""
    if key == _ZERO:
        key = _ONE
    slot = np.int64(key & np.uint64(size - 1))
    while keys[slot] != _ZERO:
        if keys[slot] == key:
            return ids[slot]
        slot = (slot + 1) & (size - 1)
    keys[slot], ids[slot] = key, fresh
    return fresh


@helper
def equal_pairs(distinct: int, counts: Any, firsts: Any, flags: Any, n: int) -> int:
    """Ordered pairs of equal n-grams that consist of single characters, over the n-grams 0 … distinct - 1."""
    equal = 0
    for k in range(distinct):
        first = firsts[k]
        if counts[k] > 1 and flags[first] & ALONE and flags[first + n - 1] & ALONE:
            equal += counts[k] * (counts[k] - 1)
    return equal


@helper
def measure_repetition(count: int, tokens: Any, scratch: Any, out: Any) -> None:
    """Fill `out` with: entropy in nats; distinct tokens; characters of the top 2-, 3- and 4-gram, of duplicate 5- to
    10-grams, and of all occurrences of the top 2- to 4-gram but the first; characters in 5-grams that were seen within
    NEAR tokens before; ordered pairs of equal single characters (Han or kana), and of equal pairs of neighbouring
    ones, and how many single characters and pairs of them there are.

    `scratch`: rolling hashes uint64, places int64, ids int32, counts int32, first places int64, characters before each
    token int64, spaces before each token int64 (each of count + 1 items), table keys uint64 and ids int32 (`slots`);
    all arrays but `out` come as pointers.
    """
    hashes, _, lengths, flags = tokens
    rolling, places, ids, counts, firsts, characters, spaces, keys, values = scratch
    characters[0], spaces[0] = 0, 0
    alone, pairs = 0, 0
    for i in range(count):
        rolling[i] = hashes[i]
        places[i] = i
        characters[i + 1] = characters[i] + lengths[i]
        single = flags[i] & ALONE != 0
        second = i + 1 < count and flags[i + 1] & ALONE != 0
        joined = i + 1 < count and not single and not second
        alone += single
        pairs += single and second
        spaces[i + 1] = spaces[i] + (1 if joined else 0)
    out[17], out[18] = alone, pairs
    active = count
    for n in range(1, LONGEST + 1):
        size = slots(active)
        for slot in range(size):
            keys[slot] = _ZERO
        distinct = 0
        kept = 0
        looped, covered = 0, 0
        for k in range(active):
            i = places[k]
            if i + n > count:
                continue
            if n > 1:
                rolling[i] = rolling[i] * _PRIME + hashes[i + n - 1]
            found = insert(keys, values, size, mix(rolling[i]), distinct)
            if found == distinct:
                counts[found], firsts[found] = 0, i
                distinct += 1
            elif n == 5:
                if i - firsts[found] <= NEAR:
                    looped += characters[i + n] - characters[max(i, covered)]
                    covered = i + n
                firsts[found] = i
            counts[found] += 1
            places[kept], ids[kept] = i, found
            kept += 1
        active = kept
        if n == 1:
            entropy = 0.0
            for k in range(distinct):
                share = counts[k] / count
                entropy -= share * math.log(share)
            out[0], out[1] = entropy, distinct
            out[15] = equal_pairs(distinct, counts, firsts, flags, 1)
        elif n <= 4:
            if n == 2:
                out[16] = equal_pairs(distinct, counts, firsts, flags, 2)
            top, place = 1, 0
            for k in range(distinct):
                if counts[k] > top:
                    top, place = counts[k], firsts[k]
            if count >= n:
                length = characters[place + n] - characters[place] + spaces[place + n - 1] - spaces[place]
                out[n], out[n + 9] = top * length, (top - 1) * length
        kept = 0
        for k in range(active):
            if counts[ids[k]] > 1:
                places[kept], ids[kept] = places[k], ids[k]
                kept += 1
        active = kept
        if n >= 5:
            repeated = 0
            following = 0
            for k in range(active):
                i, found = places[k], ids[k]
                if i < following:
                    continue
                if counts[found] < 0:
                    repeated += characters[i + n] - characters[i]
                    following = i + n
                else:
                    counts[found] = -1
            out[n] = repeated
            if n == 5:
                out[14] = looped
