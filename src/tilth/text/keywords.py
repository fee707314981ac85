"""Many words looked for at once, in Chinese (without word borders) and in languages with spaces (between borders).

A trie over lower-cased code points, kept in one open-addressing table, is walked from every place where a word can
begin; two small tables over the first and the first two characters rule out nearly all of them. The longest word that
begins furthest to the left counts, and the search goes on behind it. (The automaton of Aho and Corasick, 1975, finds
all at once; for words of a few characters these tables are faster, and small for a hundred thousand words.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_I64_2D,
    READ_U16,
    READ_U32,
    WRITE_I64_2D,
    WRITE_U64,
    helper,
    int64,
    jit,
    pointer,
    pointers,
    void,
)
from tilth.text import unicode
from tilth.text.buffers import strings
from tilth.text.hashing import mix
from tilth.text.unicode import ALPHABETIC, MARK, NUMBER, SIZE, SPACE, UNIT
from tilth.text.units import decode

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST, _WHOLE = np.uint8(1), np.uint8(2)  # a word begins with this character; one is this character alone
_INNER, _SPACE, _UNIT, _SIZE = np.uint16(ALPHABETIC | NUMBER | MARK), np.uint16(SPACE), np.uint16(UNIT), np.int64(SIZE)
_21, _ONE, _EMPTY = np.uint64(21), np.uint64(1), np.uint64(0)
_WRITE_I32, _WRITE_U8 = types.Array(types.int32, 1, "C"), types.Array(types.uint8, 1, "C")
_TABLES = types.Tuple(
    [
        types.Array(getattr(types, kind), 1, "C", readonly=True)
        for kind in ("uint64", "int32", "int32", "uint8", "uint8")
    ]
)


@helper
def _key(state: int, code: int) -> Any:
    return ((np.uint64(state) << _21) | np.uint64(code)) + _ONE


@helper
def _step(keys: Any, following: Any, slots: int, state: int, code: int) -> Any:
    """The state behind `code`, or -1."""
    key = _key(state, code)
    slot = np.int64(mix(key) & np.uint64(slots - 1))
    while keys[slot] != _EMPTY:
        if keys[slot] == key:
            return np.int64(following[slot])
        slot = (slot + 1) & (slots - 1)
    return -1


@helper
def _pair(first: int, second: int, mask: int) -> Any:
    return np.int64(mix((np.uint64(first) << _21) | np.uint64(second)) & np.uint64(mask))


@helper
def _inside(kind: Any) -> bool:
    """A letter or digit that its neighbours make up a word with: not Han or kana."""
    return kind & _INNER != 0 and kind & _UNIT == 0


@helper
def _folded(data: Any, at: int, stop: int, tables: Any) -> Any:
    """The character at `at`, lower-cased, white space as a space; its class; the byte and the characters behind it."""
    classes, lower = tables
    code, length = decode(data, at, stop)
    kind = classes[code] if code < _SIZE else np.uint16(0)
    at += length
    characters = 1
    if kind & _SPACE:
        code = np.int64(32)
        while at < stop:
            following, length = decode(data, at, stop)
            if following >= _SIZE or not classes[following] & _SPACE:
                break
            at += length
            characters += 1
    elif code < _SIZE:
        code = np.int64(lower[code])
    return code, kind, at, characters


@helper
def _walk(data: Any, at: int, stop: int, tables: Any, trie: Any) -> Any:
    """The longest word from `at` on that ends at a border: its index (-1: none), the byte and the characters behind."""
    keys, following, words, slots = trie
    state, place, characters, inner = 0, at, 0, False
    best, end, length = -1, at, 0
    pending, pending_end, pending_length = -1, at, 0
    while place < stop:
        code, kind, behind, more = _folded(data, place, stop, tables)
        if pending >= 0 and not (inner and _inside(kind)):
            best, end, length = pending, pending_end, pending_length
        pending = -1
        state = _step(keys, following, slots, state, code)
        if state < 0:
            return best, end, length
        inner = _inside(kind)
        if words[state] >= 0:
            pending, pending_end, pending_length = words[state], behind, characters + 1
        place = behind
        characters += more
    if pending >= 0:
        best, end, length = pending, pending_end, pending_length
    return best, end, length


@jit(int64(BYTES, OFFSETS, READ_U16, READ_U32, _TABLES, WRITE_I64_2D))
def _find(buffer: Any, offsets: Any, class_table: Any, lower_table: Any, trie_arrays: Any, found: Any) -> int:
    """Fill `found` with (row, first character, end, word); returns how many there are, perhaps more than fit."""
    data = pointer(buffer)
    tables = (pointer(class_table), pointer(lower_table))
    keys, following, words, firsts, pairs = pointers(trie_arrays)
    trie, mask = (keys, following, words, len(trie_arrays[0])), len(trie_arrays[4]) - 1
    total = 0
    for row in range(len(offsets) - 1):
        at, stop, place, before = offsets[row], offsets[row + 1], 0, False
        while at < stop:
            code, kind, behind, characters = _folded(data, at, stop, tables)
            inner = _inside(kind)
            may = firsts[code] if code < _SIZE else _WHOLE
            if before and inner:
                may = np.uint8(0)
            before = inner
            if may and not may & _WHOLE:
                second = np.int64(0)
                if behind < stop:
                    second, _, _, _ = _folded(data, behind, stop, tables)
                may = pairs[_pair(code, second, mask)]
            if may:
                word, end, length = _walk(data, at, stop, tables, trie)
                if word >= 0:
                    if total < len(found):
                        found[total, 0], found[total, 1] = row, place
                        found[total, 2], found[total, 3] = place + length, word
                    total += 1
                    before = False
                    at = end
                    place += length
                    continue
            at = behind
            place += characters
    return total


@jit(void(READ_I64_2D, READ_I64_2D, WRITE_U64, _WRITE_I32, _WRITE_U8))
def _fill(edges: Any, begins: Any, keys: Any, following: Any, pairs: Any) -> None:
    """Write (state, code, next state) into the table, and mark (first, second code)."""
    slots = len(keys)
    for i in range(len(edges)):
        key = _key(edges[i, 0], edges[i, 1])
        slot = np.int64(mix(key) & np.uint64(slots - 1))
        while keys[slot] != _EMPTY:
            slot = (slot + 1) & (slots - 1)
        keys[slot], following[slot] = key, edges[i, 2]
    for i in range(len(begins)):
        pairs[_pair(begins[i, 0], begins[i, 1], len(pairs) - 1)] = 1


def folded(word: str) -> str:
    """A word as it is compared: lower-cased character by character, white space at its ends gone, else one space."""
    table = unicode.lower()
    return "".join(chr(table[ord(c)]) if ord(c) < SIZE else c for c in " ".join(word.split()))


@dataclass(frozen=True)
class Keywords:
    """The tables that words are looked for with. `words` is what they were built from, in their order."""

    words: tuple[str, ...]
    tables: tuple[np.ndarray, ...]
    """uint64 keys and int32 next states of the trie's edges, int32 word of each state (-1: none), uint8 of what begins
    with a character, uint8 of what begins with two."""

    @classmethod
    def build(cls, words: Sequence[str]) -> Keywords:
        """Words that are empty are never found; of words that are compared alike, the first one is."""
        trie: dict[tuple[int, int], int] = {}
        ends: dict[int, int] = {}
        firsts = np.zeros(SIZE, np.uint8)
        begins = []
        for index, word in enumerate(words):
            codes = [ord(c) for c in folded(word)]
            state = 0
            for code in codes:
                state = trie.setdefault((state, code), len(trie) + 1)
            if state:
                ends.setdefault(state, index)
                if codes[0] < SIZE:
                    firsts[codes[0]] |= _FIRST if len(codes) > 1 else _WHOLE
                begins += [codes[:2]] if len(codes) > 1 else []
        slots = 1 << max(3, (2 * len(trie)).bit_length())
        pairs = np.zeros(1 << min(22, max(12, (16 * len(begins)).bit_length())), np.uint8)
        keys, following = np.zeros(slots, np.uint64), np.zeros(slots, np.int32)
        edges = np.array([(*edge, state) for edge, state in trie.items()], np.int64).reshape(-1, 3)
        _fill(edges, np.array(begins, np.int64).reshape(-1, 2), keys, following, pairs)
        found = np.full(len(trie) + 1, -1, np.int32)
        for state, index in ends.items():
            found[state] = index
        return cls(tuple(words), (keys, following, found, firsts, pairs))

    def find(self, texts: pa.LargeStringArray) -> np.ndarray:
        """int64 [M, 4]: row, first character, end and index of the word, in rising order, without overlap.

        Case does not count, nor how much white space stands between the parts of a word. A word that begins (or ends)
        with a letter or digit is found only where no other one stands before (or behind) it; Han and kana have no such
        borders. The longest of several words that begin at a place is the one found.
        """
        buffers = strings(texts)
        room = 1024
        while True:
            found = np.empty((room, 4), np.int64)
            total = _find(buffers.data, buffers.offsets, unicode.classes(), unicode.lower(), self.tables, found)
            if total <= room:
                return found[:total]
            room = total
