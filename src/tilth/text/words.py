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

from tilth.base.jit import helper, inlined, trailing_zeros
from tilth.text.cutting import cut_latin, is_special, is_special_run, join_special, may_be
from tilth.text.hashing import hash_bytes, hash_eight, load
from tilth.text.memo import find_run, recall, remember
from tilth.text.unicode import (
    ALPHABETIC,
    CUT,
    MARK,
    NUMBER,
    PUNCTUATION,
    SIZE,
    SPACE,
    SYMBOL,
    TERMINAL,
    UNIT,
    WIDE,
)
from tilth.text.units import decode

# What a token is (uint16).
WORD = 1  # some character is not punctuation
LETTERS = 2  # some character is a letter
ALONE = 4  # one Han or kana character: no space stands between it and its neighbours
END = 8  # a full stop, question mark, ...: ends a sentence
MARKS = 16  # punctuation only

_ALPHABETIC, _CUT, _SPACE, _UNIT = (np.uint16(bits) for bits in (ALPHABETIC, CUT, SPACE, UNIT))
_PUNCTUATION, _TERMINAL = np.uint16(PUNCTUATION), np.uint16(TERMINAL)
_CHINESE, _INNER = np.uint16(UNIT | WIDE), np.uint16(ALPHABETIC | NUMBER | MARK)
_NO_MARK = np.uint16(ALPHABETIC | NUMBER | MARK | SPACE | SYMBOL)
_SIZE = np.int64(SIZE)
_NONE, _ALL, _BLANK, _ONES = np.uint16(0), np.uint16(0xFFFF), np.uint8(32), np.uint64(2**64 - 1)
_X05, _X1F, _X20, _X7F, _X80 = (np.uint64(0x0101010101010101 * byte) for byte in (0x05, 0x1F, 0x20, 0x7F, 0x80))


@inlined
def _letters_in(eight: Any) -> int:
    """How many ASCII letters stand on end in the lowest of these eight bytes."""
    low = eight & _X7F | _X20
    other = ~((low + _X1F) & ~(low + _X05)) & _X80 | eight & _X80  # the top bit of every byte that is no letter
    return trailing_zeros(other) >> 3


@inlined
def _read_letters(text: Any, at: int, stop: int) -> Any:
    """How many ASCII letters stand on end from the byte `at` on, and the hash of their bytes.

    Most words are shorter than eight letters: one load and no loop finds both.
    """
    eight = load(text, at, stop)
    size = _letters_in(eight)
    if size < 8:
        word = eight & ~(_ONES << np.uint64(8 * size))
        return size, hash_eight(word, size)
    end = at + 8
    while end < stop and size == end - at:
        size += _letters_in(load(text, end, stop))
        end += 8
    return size, hash_bytes(text, at, at + size)


@helper
def _write_token(text: Any, span: Any, kinds: Any, tokens: Any, count: int) -> int:
    """Write the token of the bytes [first, end) of `size` characters; returns how many tokens there are now.

    `kinds`: the bits that some of its characters have, and those that all have.
    """
    hashes, starts, lengths, flags = tokens
    first, end, size = span
    some, every = kinds
    flag = (0 if every & _PUNCTUATION else WORD) | (LETTERS if some & _ALPHABETIC else 0)
    flag |= 0 if some & _NO_MARK else MARKS
    if size == 1:
        flag |= (ALONE if some & _UNIT else 0) | (END if some & _TERMINAL else 0)
    hashes[count], starts[count], lengths[count], flags[count] = hash_bytes(text, first, end), first, size, flag
    return count + 1


@inlined
def _write_plain(text: Any, word: Any, classes: Any, table: Any, stop: int, tokens: Any, count: int) -> int:
    """Write the word (its first byte, its number of ASCII letters, its hash), and the mark behind it if there is one,
    where white space or the end follows and no other rule has a say; returns how many tokens there are now."""
    data, (at, size, key) = text[0], word
    end = at + size
    mark = data[end] if end < stop else _BLANK
    spaced = mark < 0x80 and classes[mark] & _SPACE
    if not spaced:
        behind = data[end + 1] if end + 1 < stop else _BLANK
        usual = mark < 0x80 and (classes[mark] & _CUT or (mark == 46 and data[end - 1] & 32))
        if not usual or behind >= 0x80 or not classes[behind] & _SPACE:
            return count
        if may_be(data[at], mark, size + 1) and is_special(table, hash_bytes(text, at, end + 1)):
            return count
    if is_special(table, key):
        return count
    hashes, starts, lengths, flags = tokens
    hashes[count], starts[count], lengths[count] = key, at, size
    flags[count] = WORD | LETTERS
    if spaced:
        return count + 1
    kind = classes[mark]
    return _write_token(text, (end, end + 1, 1), (kind, kind), tokens, count + 1)


@helper
def _write_chinese(text: Any, at: int, stop: int, classes: Any, tokens: Any, count: int) -> Any:
    """Write the tokens of the run at the byte `at`: each character alone, but runs of letters and digits other than
    Han and kana; returns where the run ends and how many tokens there are now."""
    first, size, some, every = at, 0, _NONE, _ALL
    while at < stop:
        code, length = decode(text[0], at, stop)
        kind = classes[code] if code < _SIZE else _NONE
        inner = kind & _INNER != 0 and kind & _UNIT == 0
        if size and not inner:
            count = _write_token(text, (first, at, size), (some, every), tokens, count)
            size = 0
        if kind & _SPACE:
            break
        if not inner:
            count = _write_token(text, (at, at + length, 1), (kind, kind), tokens, count)
        elif size:
            size, some, every = size + 1, some | kind, every & kind
        else:
            first, size, some, every = at, 1, kind, kind
        at += length
    if size:
        count = _write_token(text, (first, at, size), (some, every), tokens, count)
    return at, count


@helper
def _read_run(text: Any, at: int, stop: int, classes: Any, run: Any) -> Any:
    """Fill `run` with the characters up to white space; returns how many they are, the bits that some of them have,
    and those that all have. A Chinese character ends the reading."""
    codes, kinds, places, borders = run
    size, some, every = 0, _NONE, _ALL
    while at < stop and not some & _CHINESE:
        code, length = decode(text[0], at, stop)
        kind = classes[code] if code < _SIZE else _NONE
        if kind & _SPACE:
            break
        codes[size], kinds[size], places[size], borders[size] = code, kind, at, 0
        some, every = some | kind, every & kind
        size += 1
        at += length
    places[size], borders[size] = at, 0
    return size, some, every


@helper
def _write_run(text: Any, run: Any, size: int, tokens: Any, count: int) -> int:
    """Write the tokens of the run, which start where its borders say; returns how many there are now."""
    _, kinds, places, borders = run
    i = 0
    while i < size:
        first, some, every = i, _NONE, _ALL
        while True:
            some, every = some | kinds[i], every & kinds[i]
            i += 1
            if i >= size or borders[i]:
                break
        count = _write_token(text, (places[first], places[i], i - first), (some, every), tokens, count)
    return count


@helper
def _cut_run(text: Any, at: int, stop: int, classes: Any, table: Any, run: Any, tokens: Any, count: int) -> Any:
    """Cut the run at the byte `at`, which no short cut was found for; returns where it ends and the tokens now."""
    size, some, every = _read_run(text, at, stop, classes, run)
    if some & _CHINESE:
        return _write_chinese(text, at, stop, classes, tokens, count)
    if not every & _ALPHABETIC:
        cut_latin(text, run, table, size)
        join_special(text, run, table, size)
    elif not is_special_run(text, run, table, 0, size):
        run[3][0] = 1
    return run[2][size], _write_run(text, run, size, tokens, count)


@helper
def split_words(text: Any, start: int, stop: int, classes: Any, table: Any, scratch: Any, tokens: Any) -> int:
    """Write the tokens of the bytes [start, stop); returns how many there are.

    All arrays come as pointers: `text` is (data, bytes of the buffer), `table` is (keys, entries, slots, sieve) of a
    `WordTable`. `scratch` is for one run without spaces: code points int32, classes uint16, byte positions int64
    and borders uint8, each of stop - start + 1 items; and a memo of runs (`tilth.text.memo`). `tokens` are written:
    hashes uint64, first bytes int64, characters int32, flags uint16, of stop - start items.
    """
    data, at, count = text[0], start, 0
    run, memo = scratch[:4], scratch[4]
    while at < stop:
        before = count
        letters, key = _read_letters(text, at, stop)
        if letters:  # most of the text: a plain word, perhaps with a mark behind it
            count = _write_plain(text, (at, letters, key), classes, table, stop, tokens, count)
            if count > before:
                at += letters + count - before
                at += at < stop and data[at] == 32
                continue
        code, length = decode(data, at, stop)
        kind = classes[code] if code < _SIZE else _NONE
        if kind & _SPACE:
            at += length
            continue
        if kind & _CHINESE:
            at, count = _write_chinese(text, at, stop, classes, tokens, count)
            continue
        end, key = find_run(text, at, stop, classes)
        count = recall(memo, key, at, tokens, count)
        if count > before:
            at = end
            continue
        at, count = _cut_run(text, at, stop, classes, table, run, tokens, count)
        remember(memo, key, at, tokens, before, count)
    return count
