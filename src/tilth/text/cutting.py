"""Where a run of Latin characters is cut into tokens: spaCy's English rules, as tables of what stands at its ends.

`run` is what every rule reads: code points, classes, where each character stands in the text, and the borders that are
written, 1 where a token starts. `table` is (keys, entries, slots, sieve) of a `WordTable`. All arrays come as pointers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.base.jit import helper, inlined
from tilth.text import exceptions
from tilth.text.hashing import hash_bytes
from tilth.text.unicode import ALPHABETIC, CUT, LOWER, MARK, NUMBER, SYMBOL, UPPER
from tilth.text.urls import is_digit, is_url

_ALPHABETIC, _CUT, _LOWER, _UPPER = np.uint16(ALPHABETIC), np.uint16(CUT), np.uint16(LOWER), np.uint16(UPPER)
_INNER, _SYMBOL = np.uint16(ALPHABETIC | NUMBER | MARK), np.uint16(SYMBOL)
_ONE, _SIX, _LOW_SIX = np.uint64(1), np.uint64(6), np.uint64(63)
_SIEVE_SHIFT = np.uint64(64 - exceptions.SIEVE_BITS)
_SPECIAL, _UNIT_TAG = exceptions.SPECIAL, exceptions.UNIT_TAG
_FIRST, _LAST = exceptions.shapes(exceptions.special_words())
_MEASURE = exceptions.shapes(exceptions.UNITS)[1]
_LONGEST_SPECIAL = 16  # characters of the longest entry of the word table, at least


@inlined
def look_up(table: Any, key: Any) -> Any:
    """The entry of a word's hash in (keys, entries, slots); 0 where it has none."""
    keys, entries, slots = table
    slot = np.int64(key & np.uint64(slots - 1))
    while keys[slot] != np.uint64(0):
        if keys[slot] == key:
            return np.int64(entries[slot])
        slot = (slot + 1) & (slots - 1)
    return 0


@inlined
def may_be(first: int, last: int, size: int) -> bool:
    """Whether a special word of `size` characters begins and ends with these two."""
    return size <= _LONGEST_SPECIAL and (_FIRST[min(first, 128)] & _LAST[min(last, 128)]) >> size & 1 != 0


@inlined
def is_special(table: Any, key: Any) -> bool:
    """Whether this is the hash of a special word; a look at the sieve shows of nearly every word that it is none."""
    keys, entries, slots, sieve = table
    bit = key >> _SIEVE_SHIFT
    if not sieve[np.int64(bit >> _SIX)] >> (bit & _LOW_SIX) & _ONE:
        return False
    return look_up((keys, entries, slots), key) & _SPECIAL != 0


@helper
def _quote(code: int) -> bool:
    if code < 0x80:
        return code == 39 or code == 34 or code == 44 or code == 96
    if code < 0x2018:
        return code == 0xB4 or code == 0xAB or code == 0xBB
    return code <= 0x201A or 0x201C <= code <= 0x201E or code == 0x27E6 or code == 0x27E7


@helper
def _currency(code: int) -> bool:
    return code == 36 or code == 0xA3 or code == 0xA5 or code == 0xE3F or 0x20A0 <= code <= 0x20BF or code == 0xFDFC


@helper
def _icon(code: int, kind: Any) -> bool:
    """A picture: a symbol beyond ASCII that is taken off words, and no accent."""
    return kind & _SYMBOL != 0 and kind & _CUT != 0 and code > 0x7F and code != 0xB4


@helper
def _prefix(codes: Any, kinds: Any, first: int, last: int) -> int:
    """Characters of the punctuation mark that starts codes[first:last], else 0."""
    code = codes[first]
    if kinds[first] & _CUT or code == 37 or code == 61 or code == 0xA7 or _currency(code):
        return 1
    if (code == 65 or code == 67) and first + 1 < last and codes[first + 1] == 36:
        return 2  # A$, C$
    if code == 85 and first + 2 < last and codes[first + 1] == 83 and codes[first + 2] == 36:
        return 3  # US$
    if code == 43:  # + not before a digit
        return 0 if first + 1 < last and is_digit(codes[first + 1]) else 1
    if code == 46:
        end = first
        while end < last and codes[end] == 46:
            end += 1
        return end - first if end - first >= 2 else 0
    return 0


@helper
def _suffix(text: Any, run: Any, table: Any, first: int, last: int) -> int:
    """Characters of the mark, possessive or unit that ends codes[first:last], else 0."""
    if first >= last:
        return 0
    codes, kinds, places, _ = run
    code = codes[last - 1]
    if kinds[last - 1] & _CUT:
        return 2 if code == 0x2026 and last - first >= 2 and codes[last - 2] == 0x2026 else 1
    if last - first < 2:
        return 0
    before, kind = codes[last - 2], kinds[last - 2]
    if code == 46:
        start = last - 1
        while start > first and codes[start - 1] == 46:
            start -= 1
        if last - start >= 2:
            return last - start
        if is_digit(before) or before == 37 or before == 43 or before == 45 or before == 0xB2 or before == 124:
            return 1
        if kind & _CUT:
            return 0 if _icon(before, kind) or before == 0x2014 or before == 0x2013 else 1
        if kind & _ALPHABETIC and not kind & _UPPER:
            return 0 if before == 0xB5 or before == 0xBA or before == 0xAA else 1  # µ º ª are no letters here
        upper = kind & _ALPHABETIC and not kind & _LOWER and last - first >= 3
        return 1 if upper and kinds[last - 3] & _ALPHABETIC and not kinds[last - 3] & _LOWER else 0
    if (code == 115 or code == 83) and (before == 39 or before == 0x2019):
        return 2
    if is_digit(before) and (code == 43 or _currency(code)):
        return 1
    if code == 36 and (before == 65 or before == 67) and last - first > 2 and is_digit(codes[last - 3]):
        return 2  # A$, C$
    sizes = _MEASURE[min(code, 128)]
    for size in range(min(last - first - 1, 4 if sizes else 0), 0, -1):
        start = last - size
        if not sizes >> size & 1 or not is_digit(codes[start - 1]) or is_digit(codes[start]):
            continue
        if look_up(table[:3], hash_bytes(text, places[start], places[last])) & _UNIT_TAG:
            return size
    return 0


@helper
def _infix(codes: Any, kinds: Any, first: int, at: int, last: int) -> int:
    """Characters of the mark inside a word at `at`, no letter or digit, that cuts it in two, else 0."""
    code, kind = codes[at], kinds[at]
    if code == 46:
        end = at
        while end < last and codes[end] == 46:
            end += 1
        if end - at >= 2:
            return end - at
    if code == 0x2026 or _icon(code, kind):
        return 1
    if at == first or at + 1 >= last:
        return 0
    before, after = codes[at - 1], codes[at + 1]
    letter_before = kinds[at - 1] & _ALPHABETIC != 0
    if code == 46:
        cut_before = _quote(before) or (letter_before and not kinds[at - 1] & _UPPER)
        after_kind = kinds[at + 1]
        cut_after = _quote(after) or (after_kind & _ALPHABETIC and not after_kind & _LOWER)
        return 1 if cut_before and cut_after else 0
    if code == 44:
        return 1 if letter_before and kinds[at + 1] & _ALPHABETIC else 0
    if (code == 43 or code == 45 or code == 42 or code == 94) and is_digit(before) and (is_digit(after) or after == 45):
        return 1
    if not letter_before and not is_digit(before):
        return 0
    if code == 58 or code == 60 or code == 61 or code == 62 or code == 47:
        return 1 if kinds[at + 1] & _ALPHABETIC else 0
    longest = 3 if code == 45 else 2 if code == 0x2014 else 1 if code == 0x2013 or code == 126 else 0
    end = at
    while end < last and codes[end] == code and end - at < longest:
        end += 1
    return end - at if longest and end < last and kinds[end] & _ALPHABETIC else 0


@helper
def is_special_run(text: Any, run: Any, table: Any, first: int, last: int) -> bool:
    """Whether the characters [first, last) are a special word; if so, its pieces are marked."""
    codes, _, places, borders = run
    if last <= first or not may_be(codes[first], codes[last - 1], last - first):
        return False
    entry = look_up(table[:3], hash_bytes(text, places[first], places[last]))
    if entry & _SPECIAL:
        _mark_pieces(entry, first, borders)
    return entry & _SPECIAL != 0


@helper
def _mark_pieces(entry: int, first: int, borders: Any) -> None:
    """Mark where the pieces of a special word start."""
    borders[first] = 1
    for piece in range(2):
        first += (entry >> (6 * piece)) & 63
        if (entry >> (6 * piece + 6)) & 63:
            borders[first] = 1


@helper
def cut_latin(text: Any, run: Any, table: Any, size: int) -> None:
    """Mark where tokens start: marks off both ends one by one, then special words, URLs, cuts inside."""
    codes, kinds, _, borders = run
    first, last = 0, size
    while first < last and not is_special_run(text, run, table, first, last):
        prefix = _prefix(codes, kinds, first, last)
        if prefix:
            borders[first] = 1
            if is_special_run(text, run, table, first + prefix, last):
                return
        suffix = _suffix(text, run, table, first + prefix, last)
        if suffix:
            borders[last - suffix] = 1
            if is_special_run(text, run, table, first, last - suffix):
                return
        if prefix or suffix:
            first += prefix
            last -= suffix
            continue
        borders[first] = 1
        if not is_url(codes, kinds, first, last):
            i = first
            while i < last:
                mark = 0 if kinds[i] & _INNER else _infix(codes, kinds, first, i, last)
                if mark and i > first:
                    borders[i] = 1
                    borders[i + mark] = 1
                i += max(mark, 1)
        return


@helper
def _longest_joined(text: Any, run: Any, table: Any, first: int, size: int) -> Any:
    """The entry of the longest special word that several tokens from `first` on make up together, and its end.

    Not so words of letters alone, which the rules that cut would leave whole.
    """
    codes, kinds, places, borders = run
    found, last, sizes = 0, 0, _FIRST[min(codes[first], 128)]
    for end in range(first + 2, min(size, first + _LONGEST_SPECIAL) + 1):
        if not sizes >> (end - first) & 1 or (end < size and not borders[end]):
            continue
        if not _LAST[min(codes[end - 1], 128)] >> (end - first) & 1:
            continue
        tokens, letters = 0, True
        for i in range(first, end):
            tokens += i > first and borders[i] != 0
            letters = letters and kinds[i] & _ALPHABETIC != 0
        if tokens and not letters:
            entry = look_up(table[:3], hash_bytes(text, places[first], places[end]))
            if entry & _SPECIAL:
                found, last = entry, end
    return found, last


@helper
def join_special(text: Any, run: Any, table: Any, size: int) -> None:
    """Neighbouring tokens that make up a special word together, the longest first, become that word's pieces."""
    borders = run[3]
    first = 0
    while first < size:
        entry, last = _longest_joined(text, run, table, first, size)
        if last:
            for i in range(first + 1, last):
                borders[i] = 0
            _mark_pieces(entry, first, borders)
            first = last
        else:
            first += 1
            while first < size and not borders[first]:
                first += 1
