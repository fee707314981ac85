"""What C4's document rules need (Raffel et al., 2020, arXiv:1910.10683): they look only at lines that C4 would keep."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.text.jit import helper
from tilth.text.unicode import BREAK, NUMBER, SIZE, SPACE
from tilth.text.units import decode
from tilth.text.words import END, MARKS, split_words

_BREAK, _NUMBER, _SPACE, _SIZE = np.uint16(BREAK), np.uint16(NUMBER), np.uint16(SPACE), np.int64(SIZE)
_LEAST_WORDS, _LONGEST_WORD = 3, 1000

PHRASES = (
    "lorem ipsum",
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_BYTES = np.frombuffer("\0".join(PHRASES).encode() + b"\0", np.uint8)
_STARTS = np.array([0, *(np.flatnonzero(_BYTES == 0) + 1)[:-1]])
# One bit for every two letters that a phrase starts with: two look-ups rule out almost every place.
_FIRST, _SECOND = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
for _bit, _start in enumerate(sorted({phrase[:2] for phrase in PHRASES})):
    _FIRST[[ord(_start[0]), ord(_start[0].upper())]] |= 1 << _bit
    _SECOND[[ord(_start[1]), ord(_start[1].upper())]] |= 1 << _bit
_EDIT, _NEEDED = np.frombuffer(b"[edit]", np.uint8), np.frombuffer(b"[citation needed]", np.uint8)


@helper
def _find_phrases(data: Any, start: int, stop: int) -> int:
    """A bit for every phrase that stands in the bytes [start, stop), in any case."""
    found = 0
    for at in range(start, stop - 1):
        if not _FIRST[data[at]] & _SECOND[data[at + 1]]:
            continue
        for k in range(len(_STARTS)):
            i = 0
            begin = _STARTS[k]
            while _BYTES[begin + i] and at + i < stop:
                byte = data[at + i]
                if 65 <= byte <= 90:
                    byte += np.uint8(32)
                if byte != _BYTES[begin + i]:
                    break
                i += 1
            if not _BYTES[begin + i]:
                found |= 1 << k
    return found


@helper
def _starts_with(data: Any, at: int, stop: int, word: Any) -> bool:
    if at + len(word) > stop:
        return False
    same = True
    for i in range(len(word)):
        same = same and data[at + i] == word[i]
    return same


@helper
def _citation(data: Any, at: int, stop: int, classes: Any) -> int:
    """Bytes of the citation mark at `at`: [digits], [], [edit] or [citation needed]; 0 where there is none."""
    if data[at] != 91:
        return 0
    end = at + 1
    while end < stop:
        code, length = decode(data, end, stop)
        if code == 93:
            return end + 1 - at
        if code >= _SIZE or not classes[code] & _NUMBER:
            break
        end += length
    if _starts_with(data, at, stop, _EDIT):
        return len(_EDIT)
    return len(_NEEDED) if _starts_with(data, at, stop, _NEEDED) else 0


@helper
def count_sentences(flags: Any, first: int, last: int) -> int:
    """Sentences of the tokens [first, last): a new one starts at the first word after a terminal mark."""
    sentences, ended = 1, False
    for i in range(first, last):
        if flags[i] & END:
            ended = True
        elif ended and not flags[i] & MARKS:
            sentences += 1
            ended = False
    return sentences


@helper
def measure_c4(
    text: Any,
    start: int,
    stop: int,
    classes: Any,
    table: Any,
    run: Any,
    tokens: Any,
    count: int,
    copy: Any,
    spare: Any,
    out: Any,
) -> None:
    """out: lines with `lorem ipsum`, lines with a curly bracket, sentences in the lines kept.

    `tokens` are the document's, `count` of them; a line with citation marks is copied without them to the text `copy`
    and cut again into `spare`.
    """
    data, clean = text[0], copy[0]
    _, starts, _, flags = tokens
    lorem, curly, sentences = 0, 0, 0
    at, token = start, 0
    while at < stop:
        first, last = -1, at  # the line without white space at its ends
        words, longest, length, cited, bracket = 0, 0, 0, False, False
        while at < stop:
            code, size = decode(data, at, stop)
            kind = classes[code] if code < _SIZE else np.uint16(0)
            if kind & _SPACE:
                length = 0
                if kind & _BREAK:
                    at += size
                    break
            else:
                first = at if first < 0 else first
                last = at + size
                words += length == 0
                length += 1
                longest = max(longest, length)
                cited = cited or code == 91
                bracket = bracket or code == 123
            at += size
        if first < 0 or words < _LEAST_WORDS or longest > _LONGEST_WORD:
            continue
        line, begin, end = data, first, last
        if cited:
            begin, end, i = 0, 0, first
            while i < last:
                skip = _citation(data, i, last, classes)
                if skip:
                    i += skip
                else:
                    clean[end] = data[i]
                    end += 1
                    i += 1
            cited = end < last - first
            line = clean
        mark = line[end - 1] if end > begin else np.uint8(0)
        if not (mark == 46 or mark == 63 or mark == 33 or mark == 34 or mark == 39):
            continue
        if end - begin >= 3 and mark == 46 and line[end - 2] == 46 and line[end - 3] == 46:
            continue
        found = _find_phrases(line, begin, end)
        lorem += found & 1
        if not found & 3:
            curly += bracket
        if found:
            continue
        if cited:
            size = split_words(copy, 0, end, classes, table, run, spare)
            sentences += count_sentences(spare[3], 0, size)
        else:
            while token < count and starts[token] < first:
                token += 1
            begin_token = token
            while token < count and starts[token] < last:
                token += 1
            sentences += count_sentences(flags, begin_token, token)
    out[0], out[1], out[2] = lorem, curly, sentences
