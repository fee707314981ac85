"""Repetition of n-grams within a document: the top 2- to 4-gram and all duplicate 5- to 10-grams, by characters.

Definitions of Gopher (Rae et al., 2021, arXiv:2112.11446, table A1) as datatrove computes them. The top n-gram's
characters are its length, joining spaces included, times its count; the first of the most frequent counts. Duplicate
n-grams are met from left to right: one seen before adds its characters (without spaces) and is stepped over whole.
A Han or kana character is a word and no space is counted beside it.

An n-gram can only repeat where both (n - 1)-grams in it do, and the two say which it is. So each length looks only at
the places that the length before left over, and names its n-grams by pairs of numbers: almost all the work is in words
and pairs. Those that occur once are most, and few of them reach the table: small marks tell them apart before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tilth.base.jit import helper, inlined
from tilth.text.words import ALONE

LONGEST = 10
NEAR = 50
"""Tokens within which a repeated 5-gram is a loop: text that says the same again at once."""
TERMS = 64
"""Words that occur fewer times than this share the terms of the entropy."""
_SPARSE = 4
"""Up to this length many n-grams occur once although both of their (n - 1)-grams repeat."""
_MARKS = 4
"""Bytes of marks for each slot of the table, so eight and more for a place: few n-grams share one by chance."""
_PRIME, _ZERO, _ONE, _32 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0), np.uint64(1), np.uint64(32)


@helper
def slots(items: int) -> int:
    """Slots of an open-addressing table for so many items: a power of two, at most half full."""
    size = 8
    while size < 2 * items:
        size *= 2
    return size


@helper
def clear(keys: Any, items: int) -> int:
    """Empty a table for so many items; returns its slots."""
    size = slots(items)
    for slot in range(size):
        keys[slot] = _ZERO
    return size


@inlined
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
def _count_alone(count: int, flags: Any) -> Any:
    """How many tokens are single Han or kana characters, and how many neighbours of which both are."""
    alone, pairs = 0, 0
    for i in range(count):
        alone += flags[i] & ALONE != 0
    if alone:
        for i in range(1, count):
            pairs += flags[i - 1] & flags[i] & ALONE != 0
    return alone, pairs


@helper
def _characters(lengths: Any, first: int, last: int) -> int:
    """Characters of the tokens [first, last)."""
    total = 0
    for i in range(first, last):
        total += lengths[i]
    return total


@helper
def _joined_characters(lengths: Any, flags: Any, first: int, last: int) -> int:
    """The same, with a space between two tokens of which neither is a single Han or kana character."""
    total = _characters(lengths, first, last)
    for i in range(first + 1, last):
        total += not flags[i - 1] & ALONE and not flags[i] & ALONE
    return total


@helper
def _count_held(words: Any, keys: Any, size: int) -> int:
    """How many of the hashes the table of `size` slots holds."""
    held = 0
    for word in words:
        slot = np.int64(word & np.uint64(size - 1))
        while keys[slot] != _ZERO and keys[slot] != word:
            slot = (slot + 1) & (size - 1)
        held += keys[slot] == word
    return held


@helper
def _name_words(count: int, hashes: Any, level: Any, table: Any) -> int:
    """Number the distinct tokens; returns how many there are."""
    places, _, ids, counts, firsts = level
    size = clear(table[0], count)
    distinct = 0
    for i in range(count):
        found = insert(table[0], table[1], size, hashes[i], distinct)
        if found == distinct:
            counts[found], firsts[found] = 0, i
            distinct += 1
        counts[found] += 1
        places[i], ids[i] = i, found
    return distinct


@helper
def _name_places(active: int, level: Any) -> int:
    """Name the n-grams of which both (n - 1)-grams repeat; returns how many places there are."""
    places, names, ids, counts, _ = level
    kept = 0
    for k in range(active - 1):
        here, following = ids[k], ids[k + 1]
        name = (np.uint64(here) << _32 | np.uint64(following)) * _PRIME  # two steps that can be undone: a pair, a name
        places[kept], names[kept] = places[k], name ^ name >> _32
        kept += (counts[here] != 1) & (counts[following] != 1) & (places[k + 1] == places[k] + 1)  # without a branch
    return kept


@helper
def _keep_repeated(active: int, level: Any, seen: Any) -> int:
    """Leave out most of the places whose name comes by once: by marks at the last bits of a name, in the bytes `seen`,
    that it came by once (1) or again (3)."""
    places, names = level[0], level[1]
    size = _MARKS * slots(active)
    for byte in range(size):
        seen[byte] = 0
    for k in range(active):
        mark = np.int64(names[k] & np.uint64(size - 1))
        seen[mark] = (seen[mark] << 1 | 1) & 3
    kept = 0
    for k in range(active):
        name = names[k]
        places[kept], names[kept] = places[k], name
        kept += seen[np.int64(name & np.uint64(size - 1))] >> 1
    return kept


@helper
def _name_ngrams(n: int, active: int, level: Any, table: Any) -> Any:
    """From the (n - 1)-grams at `active` places to the n-grams that may repeat: how many places, how many distinct."""
    keys, values, seen = table
    places, names, ids, counts, firsts = level
    kept = _name_places(active, level)
    if n <= _SPARSE:
        kept = _keep_repeated(kept, level, seen)
    size = clear(keys, kept)
    distinct = 0
    for k in range(kept):
        found = insert(keys, values, size, names[k], distinct)
        if found == distinct:
            counts[found], firsts[found] = 0, places[k]
            distinct += 1
        counts[found] += 1
        ids[k] = found
    return kept, distinct


@helper
def _entropy(count: int, distinct: int, counts: Any, terms: Any) -> float:
    """Of the distribution of `count` tokens, in nats; words that are as frequent share the term in `terms`."""
    for times in range(TERMS):
        terms[times] = 0.0
    entropy = 0.0
    for k in range(distinct):
        term = min(counts[k], TERMS - 1)
        if term == TERMS - 1 or terms[term] == 0.0:
            share = counts[k] / count
            terms[term] = share * math.log(share)
        entropy -= terms[term]
    return entropy


@helper
def _top(distinct: int, counts: Any, firsts: Any) -> Any:
    """How often the most frequent n-gram occurs, and where first: once, and at the first token, where none repeats."""
    top, place = 1, np.int64(0)
    for k in range(distinct):
        if counts[k] > top:
            top, place = counts[k], firsts[k]
    return top, place


@helper
def _looped(active: int, n: int, lengths: Any, level: Any) -> int:
    """Characters in n-grams that were seen within NEAR tokens before; `firsts` becomes the last places."""
    places, _, ids, _, firsts = level
    looped, covered = 0, 0
    for k in range(active):
        i, before = places[k], firsts[ids[k]]
        if before < i and i - before <= NEAR:
            looped += _characters(lengths, max(i, covered), i + n)
            covered = i + n
        firsts[ids[k]] = i
    return looped


@helper
def _duplicates(active: int, n: int, lengths: Any, level: Any) -> int:
    """Characters of the n-grams that were met before, from left to right, each stepped over whole; the counts of those
    that were met change their sign."""
    places, _, ids, counts, _ = level
    repeated, following = 0, 0
    for k in range(active):
        i, found = places[k], ids[k]
        if counts[found] == 1 or i < following:
            continue
        if counts[found] < 0:
            repeated += _characters(lengths, i, i + n)
            following = i + n
        else:
            counts[found] = -counts[found]
    return repeated


@helper
def measure_repetition(count: int, tokens: Any, scratch: Any, stop_words: Any, out: Any) -> None:
    """Fill `out` with: entropy in nats; distinct tokens; characters of the top 2-, 3- and 4-gram, of duplicate 5- to
    10-grams, and of all occurrences of the top 2- to 4-gram but the first; characters in 5-grams that were seen within
    NEAR tokens before; ordered pairs of equal single characters (Han or kana), and of equal pairs of neighbouring
    ones, and how many single characters and pairs of them there are; how many of the `stop_words` (hashes) occur.

    `scratch`: of the n-grams of one length the places int64, names uint64 and numbers int32, and by number the counts
    int32 and first places int64 (each of count items); a table of keys uint64 and numbers int32 (`slots`), and the
    bytes of the same keys; the terms of the entropy float64 (TERMS). All arrays but `stop_words` and `out` come as
    pointers.
    """
    hashes, _, lengths, flags = tokens
    level, table, terms = scratch
    counts, firsts = level[3], level[4]
    active, distinct = count, _name_words(count, hashes, level, table)
    out[19] = _count_held(stop_words, table[0], slots(count))
    out[0], out[1] = _entropy(count, distinct, counts, terms), distinct
    alone = _count_alone(count, flags)
    out[17], out[18] = alone
    out[15] = equal_pairs(distinct, counts, firsts, flags, 1) if alone[0] else 0
    for n in range(2, LONGEST + 1):
        active, distinct = _name_ngrams(n, active, level, table)
        if n == 2:
            out[16] = equal_pairs(distinct, counts, firsts, flags, 2) if alone[1] else 0
        if n <= 4:
            top, place = _top(distinct, counts, firsts)
            length = _joined_characters(lengths, flags, place, place + n) if count >= n else 0
            out[n], out[n + 9] = top * length, (top - 1) * length
        else:
            out[n] = _duplicates(active, n, lengths, level)
        if n == 5:
            out[14] = _looped(active, n, lengths, level)
