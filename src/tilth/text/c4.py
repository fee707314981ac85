"""What C4's document rules need (Raffel et al., 2020, arXiv:1910.10683): they look only at lines that C4 would keep."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilth.base.jit import helper
from tilth.text.lines import last_class
from tilth.text.unicode import NUMBER, SIZE, SPACE
from tilth.text.units import decode
from tilth.text.words import END, MARKS, split_words

_NUMBER, _SPACE, _SIZE = np.uint16(NUMBER), np.uint16(SPACE), np.int64(SIZE)
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
_FIRST, _SECOND, _THIRD = (
    np.array([sum(1 << k for k, phrase in enumerate(PHRASES) if phrase[i] == chr(byte).lower()) for byte in range(256)])
    for i in range(3)
)
"""For each byte a bit for every phrase that has it there, in any case."""
_EDIT, _NEEDED = np.frombuffer(b"[edit]", np.uint8), np.frombuffer(b"[citation needed]", np.uint8)


@helper
def _may_hold_phrases(data: Any, start: int, stop: int) -> bool:
    """Whether three letters stand in the bytes [start, stop) that are rare but in a phrase: each has one of them."""
    found = False
    for at in range(start, stop - 2):  # without a branch: many places at once
        a, b, c = data[at] | 32, data[at + 1] | 32, data[at + 2] | 32
        found |= (a == 112) & (b == 115) & (c == 117)  # psu: lorem ipsum
        found |= (a == 106) & (b == 97) & (c == 118)  # jav: javascript
        found |= (a == 114) & (b == 109) & (c == 115)  # rms: terms of use
        found |= (a == 118) & (b == 97) & (c == 99)  # vac: privacy policy
        found |= (a == 107) & (b == 105) & (c == 101)  # kie: cookie policy, uses cookies, ...
    return found


@helper
def _stands_at(phrase: int, data: Any, at: int, stop: int) -> bool:
    """Whether the phrase stands at the byte `at`, in any case."""
    i = 0
    while _BYTES[phrase + i] and at + i < stop:
        byte = data[at + i]
        if 65 <= byte <= 90:
            byte += np.uint8(32)
        if byte != _BYTES[phrase + i]:
            return False
        i += 1
    return not _BYTES[phrase + i]


@helper
def _find_phrases(data: Any, start: int, stop: int) -> int:
    """A bit for every phrase that stands in the bytes [start, stop), in any case."""
    found = 0
    if not _may_hold_phrases(data, start, stop):
        return found
    for at in range(start, stop - 2):
        begun = _FIRST[data[at]] & _SECOND[data[at + 1]] & _THIRD[data[at + 2]]
        if not begun:
            continue
        for k in range(len(_STARTS)):
            if begun >> k & 1 and _stands_at(_STARTS[k], data, at, stop):
                found |= 1 << k
    return found


@helper
def _holds(data: Any, start: int, stop: int, byte: int) -> bool:
    found = False
    for at in range(start, stop):
        found |= data[at] == byte
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
def _wide_gap(data: Any, at: int, classes: Any) -> bool:
    """Whether more than a single space stands before the byte `at`: tokenizers make a token of that."""
    kind, before = last_class(data, 0, at, classes)
    if data[before] == 32:
        kind, _ = last_class(data, 0, before, classes)
    return kind & _SPACE != 0


@helper
def _first_token(starts: Any, token: int, count: int, place: int) -> int:
    """The first token from `token` on that starts at `place` or behind it."""
    while token < count and starts[token] < place:
        token += 1
    return token


@helper
def count_sentences(data: Any, tokens: Any, first: int, count: int, end: int, classes: Any) -> Any:
    """Sentences of the tokens from `first` on, of `count`, that start before the byte `end`, and the token behind them.

    A new one starts at the first word, or the first white space beyond a single space, after a terminal mark.
    """
    _, starts, _, flags = tokens
    sentences, ended, i = 1, False, first
    while i < count and starts[i] < end:
        if ended and i > first and _wide_gap(data, starts[i], classes):
            sentences += 1
            ended = False
        if flags[i] & END:
            ended = True
        elif ended and not flags[i] & MARKS:
            sentences += 1
            ended = False
        i += 1
    return sentences, i


@helper
def _word_end(data: Any, at: int, stop: int, classes: Any) -> Any:
    """Where the word at `at` ends, or the first character if that is white space; and the word's characters."""
    characters = 0
    while at < stop:
        code, size = decode(data, at, stop)
        if code < _SIZE and classes[code] & _SPACE:
            return at if characters else at + size, characters
        at += size
        characters += 1
    return at, characters


@helper
def _has_words(data: Any, first: int, last: int, classes: Any) -> bool:
    """Whether the line has enough words and none too long."""
    at, words = first, 0
    while at < last and words < _LEAST_WORDS:
        at, characters = _word_end(data, at, last, classes)
        words += characters > 0
    if words < _LEAST_WORDS:
        return False
    at = first
    while last - at > _LONGEST_WORD:  # of so many bytes one must be white space, and the last such place is the next
        back = at + _LONGEST_WORD
        while back > at and not (data[back] < 0x80 and classes[data[back]] & _SPACE):
            back -= 1
        if back == at:
            back, characters = _word_end(data, at, last, classes)
            if characters > _LONGEST_WORD:
                return False
        at = back
    return True


@helper
def _without_citations(data: Any, first: int, last: int, classes: Any, clean: Any) -> int:
    """Copy the line without its citation marks to `clean`; returns its new length."""
    at, end = first, 0
    while at < last:
        skip = _citation(data, at, last, classes)
        if skip:
            at += skip
        else:
            clean[end] = data[at]
            end += 1
            at += 1
    return end


@helper
def _well_ended(line: Any, begin: int, end: int) -> bool:
    """Whether the line ends in a terminal mark, or a quotation mark, and not in an ellipsis."""
    if not _ends_sentence(line[end - 1] if end > begin else np.uint8(0)):
        return False
    return not (end - begin >= 3 and line[end - 1] == 46 and line[end - 2] == 46 and line[end - 3] == 46)


@helper
def _ends_sentence(mark: int) -> bool:
    return mark == 46 or mark == 63 or mark == 33 or mark == 34 or mark == 39


@helper
def measure_c4(text: Any, span: Any, page: Any, cutting: Any, document: Any, spare: Any, out: Any) -> None:
    """out: lines with `lorem ipsum`, lines with a curly bracket, sentences in the lines kept.

    `page` are the lines as `str.splitlines` cuts them, how many they are, and whether a curly bracket is among them.
    `cutting` is what words are cut with (classes, table, run), `document` the document's tokens and how many they are.
    A line with citation marks is copied without them to a text and cut again into the tokens of `spare`.
    """
    data, (classes, table, run), (tokens, count), (copy, spare_tokens) = text[0], cutting, document, spare
    (start, stop), (lines, size, curls) = span, page
    lorem, curly, sentences, token = 0, 0, 0, 0
    # What is nowhere in the document is not looked for in each line.
    phrases = _may_hold_phrases(data, start, stop)
    cites = _holds(data, start, stop, 91)
    for k in range(size):
        first, last = lines[2][k], lines[3][k]
        if first == last or not (_ends_sentence(data[last - 1]) or data[last - 1] == 93):  # ] may end a citation
            continue
        line, begin, end = data, first, last
        cited = cites and _holds(data, first, last, 91)
        if cited:
            line, begin, end = copy[0], 0, _without_citations(data, first, last, classes, copy[0])
        if not _well_ended(line, begin, end) or not _has_words(data, first, last, classes):
            continue
        found = _find_phrases(line, begin, end) if phrases or cited else 0
        lorem += found & 1
        if not found & 3:
            curly += curls and _holds(data, first, last, 123)
        if found & ~1:  # a line with lorem ipsum stays, as one with a bracket does: C4 drops the whole page
            continue
        if cited and end < last - first:
            cut = split_words(copy, 0, end, classes, table, run, spare_tokens)
            more, _ = count_sentences(copy[0], spare_tokens, 0, cut, end, classes)
        else:
            begin = _first_token(tokens[1], token, count, first)
            more, token = count_sentences(data, tokens, begin, count, last, classes)
        sentences += more
    out[0], out[1], out[2] = lorem, curly, sentences
