"""Words as web filters count them: punctuation is a token of its own, contractions are cut, a Han character is a word.

Text without Chinese or Japanese is cut by the rules of spaCy's English tokenizer (Honnibal et al., 2020), which
datatrove's filters use: split at spaces; keep special words; take punctuation off both ends one by one; keep a URL
whole; cut the rest at hyphens, commas, slashes and the like between letters; then join neighbouring pieces that make
up a special word ("him--Mr." ends in Mr., and :) is one). In a run that holds Han, kana or full-width punctuation,
every Han or kana character and every punctuation mark is a token, and so is each run of other letters and digits: no
segmenter, no dictionary.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.text import exceptions
from tilth.text.hashing import hash_bytes
from tilth.text.jit import helper
from tilth.text.unicode import (
    ALPHABETIC,
    CUT,
    LOWER,
    MARK,
    NUMBER,
    PUNCTUATION,
    SIZE,
    SPACE,
    SYMBOL,
    TERMINAL,
    UNIT,
    UPPER,
    WIDE,
)
from tilth.text.units import decode
from tilth.text.urls import is_digit, is_url

# What a token is (uint16); the index of a stop word, plus one, stands from bit 8 on.
WORD = 1  # some character is not punctuation
LETTERS = 2  # some character is a letter
ALONE = 4  # one Han or kana character: no space stands between it and its neighbours
END = 8  # a full stop, question mark, ...: ends a sentence
MARKS = 16  # punctuation only

_ALPHABETIC, _CUT, _LOWER, _UPPER = np.uint16(ALPHABETIC), np.uint16(CUT), np.uint16(LOWER), np.uint16(UPPER)
_PUNCTUATION, _SPACE, _TERMINAL, _UNIT = np.uint16(PUNCTUATION), np.uint16(SPACE), np.uint16(TERMINAL), np.uint16(UNIT)
_CHINESE, _INNER, _SYMBOL = np.uint16(UNIT | WIDE), np.uint16(ALPHABETIC | NUMBER | MARK), np.uint16(SYMBOL)
_NO_MARK = np.uint16(ALPHABETIC | NUMBER | MARK | SPACE | SYMBOL)
_SIZE = np.int64(SIZE)
_SPECIAL, _UNIT_TAG, _STOP_SHIFT = exceptions.SPECIAL, exceptions.UNIT_TAG, exceptions.STOP_SHIFT
_ENDS = np.zeros(128, np.bool_)
_ENDS[[ord(word[-1]) for word in exceptions.special_words() if not word.isalpha() and ord(word[-1]) < 128]] = True
_LONGEST_SPECIAL = 16  # characters of the longest entry of the word table, at least


@helper
def look_up(table: Any, key: Any) -> Any:
    """The entry of a word's hash in (keys, entries, slots); 0 where it has none."""
    keys, entries, slots = table
    slot = np.int64(key & np.uint64(slots - 1))
    while keys[slot] != np.uint64(0):
        if keys[slot] == key:
            return np.int64(entries[slot])
        slot = (slot + 1) & (slots - 1)
    return 0


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
    for start in range(max(first + 1, last - 4), last):
        if not is_digit(codes[start - 1]) or is_digit(codes[start]):
            continue
        if look_up(table, hash_bytes(text, places[start], places[last])) & _UNIT_TAG:
            return last - start
    return 0


@helper
def _infix(codes: Any, kinds: Any, first: int, at: int, last: int) -> int:
    """Characters of the mark inside a word at `at` that cuts it in two, else 0."""
    code, kind = codes[at], kinds[at]
    if code == 46:
        end = at
        while end < last and codes[end] == 46:
            end += 1
        if end - at >= 2:
            return end - at
    if code == 0x2026 or _icon(code, kind):
        return 1
    if at == first or at + 1 >= last or kind & _INNER:
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
def _special(text: Any, run: Any, table: Any, first: int, last: int) -> bool:
    """Whether the characters [first, last) are a special word; if so, its pieces are marked."""
    _, _, places, borders = run
    if last - first > _LONGEST_SPECIAL or last <= first:
        return False
    entry = look_up(table, hash_bytes(text, places[first], places[last]))
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
def _cut_latin(text: Any, run: Any, table: Any, size: int) -> None:
    """Mark where tokens start: marks off both ends one by one, then special words, URLs, cuts inside."""
    codes, kinds, _, borders = run
    first, last = 0, size
    while first < last and not _special(text, run, table, first, last):
        prefix = _prefix(codes, kinds, first, last)
        if prefix:
            borders[first] = 1
            if _special(text, run, table, first + prefix, last):
                return
        suffix = _suffix(text, run, table, first + prefix, last)
        if suffix:
            borders[last - suffix] = 1
            if _special(text, run, table, first, last - suffix):
                return
        if prefix or suffix:
            first += prefix
            last -= suffix
            continue
        borders[first] = 1
        if not is_url(codes, kinds, first, last):
            i = first
            while i < last:
                mark = _infix(codes, kinds, first, i, last)
                if mark and i > first:
                    borders[i] = 1
                    borders[i + mark] = 1
                i += max(mark, 1)
        return


@helper
def _join_special(text: Any, run: Any, table: Any, size: int) -> None:
    """Neighbouring tokens that make up a special word together, the longest first, become that word's pieces.

    Not so words of letters alone, which the rules that cut would leave whole.
    """
    codes, kinds, places, borders = run
    first = 0
    while first < size:
        entry, last, tokens, letters, seen = 0, 0, 0, True, first
        for end in range(first + 1, min(size, first + _LONGEST_SPECIAL) + 1):
            if end < size and not borders[end]:
                continue
            tokens += 1
            while seen < end:
                letters = letters and kinds[seen] & _ALPHABETIC != 0
                seen += 1
            if tokens > 1 and not letters and _may_end(codes[end - 1]):
                found = look_up(table, hash_bytes(text, places[first], places[end]))
                if found & _SPECIAL:
                    entry, last = found, end
        if last:
            for i in range(first + 1, last):
                borders[i] = 0
            _mark_pieces(entry, first, borders)
            first = last
        else:
            first += 1
            while first < size and not borders[first]:
                first += 1


@helper
def _may_end(code: int) -> bool:
    """Whether a special word of several tokens may end with this character."""
    return code >= 128 or _ENDS[code]


@helper
def _cut_chinese(kinds: Any, size: int, borders: Any) -> None:
    """Mark where tokens start: each character alone, but runs of letters and digits other than Han and kana."""
    inside = False
    for i in range(size):
        inner = kinds[i] & _INNER != 0 and kinds[i] & _UNIT == 0
        if not inner or not inside:
            borders[i] = 1
        inside = inner


@helper
def split_words(text: Any, start: int, stop: int, classes: Any, table: Any, run: Any, tokens: Any) -> int:
    """Write the tokens of the bytes [start, stop); returns how many there are.

    All arrays come as pointers: `text` is (data, bytes of the buffer), `table` is (keys, entries, slots) of a
    `WordTable`. `run` is scratch for one run without spaces: code points int32, classes uint16, byte positions int64
    and borders uint8, each of stop - start + 1 items. `tokens` are written: hashes uint64, first bytes int64,
    characters int32, flags uint16, of stop - start items.
    """
    data = text[0]
    codes, kinds, places, borders = run
    hashes, starts, lengths, flags = tokens
    at, count = start, 0
    while at < stop:
        size, chinese, letters = 0, False, True
        length = 1
        while at < stop:
            code, length = decode(data, at, stop)
            kind = classes[code] if code < _SIZE else np.uint16(0)
            if kind & _SPACE:
                break
            codes[size], kinds[size], places[size], borders[size] = code, kind, at, 0
            chinese = chinese or kind & _CHINESE != 0
            letters = letters and kind & _ALPHABETIC != 0
            size += 1
            at += length
        places[size], borders[size] = at, 0
        at += length
        if letters and not chinese and size:  # a plain word: most of the text
            key = hash_bytes(text, places[0], places[size])
            entry = look_up(table, key)
            if not entry & _SPECIAL:
                hashes[count], starts[count], lengths[count] = key, places[0], size
                flags[count] = WORD | LETTERS | (entry >> _STOP_SHIFT) << 8
                count += 1
                continue
            _mark_pieces(entry, 0, borders)
        elif chinese:
            _cut_chinese(kinds, size, borders)
        else:
            _cut_latin(text, run, table, size)
            _join_special(text, run, table, size)
        i = 0
        while i < size:
            first, flag, clean = i, 0, True
            kind = kinds[i]
            while True:
                kind = kinds[i]
                flag |= (WORD if not kind & _PUNCTUATION else 0) | (LETTERS if kind & _ALPHABETIC else 0)
                clean = clean and not kind & _NO_MARK
                i += 1
                if i >= size or borders[i]:
                    break
            if i - first == 1:
                flag |= (ALONE if kind & _UNIT else 0) | (END if kind & _TERMINAL else 0)
            key = hash_bytes(text, places[first], places[i])
            if flag & LETTERS and not flag & ALONE and i - first <= 4:
                flag |= (look_up(table, key) >> _STOP_SHIFT) << 8
            hashes[count], starts[count], lengths[count] = key, places[first], i - first
            flags[count] = flag | (MARKS if clean else 0)
            count += 1
    return count
