"""Signs of program source: counts that tell it from prose, from LaTeX and from prose with some code in it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.base.jit import BYTES, OFFSETS, READ_U32, READ_U64, WRITE_I64_2D, helper, int64, jit, pointer, void
from tilth.text.buffers import strings
from tilth.text.cutting import look_up
from tilth.text.hashing import hash_bytes

if TYPE_CHECKING:
    import pyarrow as pa

SIGNS = (
    "lines",  # not blank
    "ended",  # lines that end in ; { } ( [ , or :
    "indented",  # lines that start with a tab or two spaces
    "keyword_lines",  # lines whose first word is a keyword
    "prose_lines",  # lines of eight words or more with a function word of English
    "words",  # runs of ASCII letters, digits and underscores
    "function_words",  # the, of, and, ...
    "calls",  # a letter, digit or underscore straight before an opening bracket
    "members",  # letter.letter
    "compounds",  # snake_case and camelCase
    "operators",  # == != => -> := :: && || += ++ // /* */ and = between spaces
    "commands",  # LaTeX: a backslash before a letter
    "wide",  # bytes above ASCII
    "ink",  # bytes that are not white space
)

_KEYWORDS = (
    "def class import from return if else elif for while try except finally with raise assert function var let "
    "const func package type struct switch case break continue default int char void float double long unsigned "
    "static public private protected extern typedef enum namespace using template include define ifdef ifndef "
    "endif pragma export module require async await yield new delete throw catch impl fn pub mut use mod match "
    "end begin then do done fi echo local defer go chan range interface extends implements final override self "
    "this lambda pass print"
)
_FUNCTION_WORDS = (
    "the of and to in is that it was he as his with on be at by had not are but from or have an they which one "
    "you were her all she there would their we him been has when who will more no out so said what up its about "
    "into than them can only other"
)
_KEYWORD, _FUNCTION = 1, 2
_LONGEST = 10
"""Bytes of the longest of them."""


@functools.cache
def sign_words() -> tuple[np.ndarray, np.ndarray]:
    """Hashes (uint64 [slots]) and kinds (uint32 [slots]) of keywords and of English function words."""
    import pyarrow as pa

    from tilth.text.hashing import word_hashes

    kinds: dict[str, int] = {}
    for words, kind in ((_KEYWORDS, _KEYWORD), (_FUNCTION_WORDS, _FUNCTION)):
        for word in words.split():
            kinds[word] = kinds.get(word, 0) | kind
    slots = 1 << (2 * len(kinds)).bit_length()
    keys, entries = np.zeros(slots, np.uint64), np.zeros(slots, np.uint32)
    for key, kind in zip(word_hashes(pa.array(list(kinds), pa.large_string())), kinds.values(), strict=True):
        slot = int(key) & (slots - 1)
        while keys[slot]:
            slot = (slot + 1) & (slots - 1)
        keys[slot], entries[slot] = key, kind
    return keys, entries


@helper
def _is_letter(byte: int) -> bool:
    return 65 <= byte <= 90 or 97 <= byte <= 122 or byte == 95


@helper
def _read_word(data: Any, begin: int, stop: int) -> Any:
    """Where the run of letters, digits and underscores from `begin` on ends; whether it is snake_case or camelCase."""
    at, compound = begin, False
    while at < stop:
        byte = int64(data[at])
        if 65 <= byte <= 90:
            compound = compound or (at > begin and 97 <= data[at - 1] <= 122)
        elif byte == 95:
            compound = compound or at > begin
        elif not (97 <= byte <= 122 or 48 <= byte <= 57):
            break
        at += 1
    return at, compound


@helper
def _behind_word(data: Any, at: int, stop: int) -> Any:
    """Whether a word that ends at `at` is called, and whether a member of it is named."""
    if at >= stop:
        return False, False
    byte = int64(data[at])
    return byte == 40, byte == 46 and at + 1 < stop and _is_letter(int64(data[at + 1]))


@helper
def _operators(byte: int, following: int, before: int) -> int:
    """How many operators of two characters begin with `byte`."""
    if byte == 61:
        return following == 61 or following == 62 or (following == 32 and before == 32)
    if byte == 33:
        return following == 61
    if byte == 43 or byte == 58:
        return following == 61 or following == byte
    if byte == 45:
        return int(following == 61) + int(following == 62)
    if byte == 38 or byte == 124:
        return byte == following
    if byte == 47:
        return (following == 47 and before != 58) or following == 42
    return byte == 42 and following == 47


@helper
def _ends_statement(byte: int) -> bool:
    return byte == 59 or byte == 123 or byte == 125 or byte == 40 or byte == 91 or byte == 44 or byte == 58


@helper
def _line_signs(text: Any, start: int, stop: int, table: Any, out: Any) -> int:
    """Add the counts of the line from `start` on to `out`, in the order of SIGNS; returns where the next one starts."""
    data = text[0]
    indented, keyword, words, function_words, calls, members, compounds = False, False, 0, 0, 0, 0, 0
    operators, commands, wide, ink = 0, 0, 0, 0
    before, last = 10, 10  # the byte before; the last one that is not a space
    at = start
    while at < stop and data[at] != 10:
        byte = int64(data[at])
        if byte == 32 or byte == 9 or byte == 13:
            before = 32
            at += 1
            continue
        if not ink:
            indented = at - start >= 2 or data[start] == 9
        if _is_letter(byte) or 48 <= byte <= 57:
            begin = at
            at, compound = _read_word(data, begin, stop)
            kind = look_up(table, hash_bytes(text, begin, at)) if at - begin <= _LONGEST else 0
            keyword = keyword or (words == 0 and kind & _KEYWORD != 0)
            function_words += kind & _FUNCTION != 0
            called, member = _behind_word(data, at, stop)
            words, calls, members, compounds = words + 1, calls + called, members + member, compounds + compound
            commands += before == 92
            ink += at - begin
            last = int64(data[at - 1])
        else:
            wide += byte >= 0x80
            if at + 1 < stop:
                operators += _operators(byte, int64(data[at + 1]), before)
            ink += 1
            last = byte
            at += 1
        before = last
    prose = words >= 8 and function_words > 0
    counts = (int(ink > 0), int(_ends_statement(last)), int(indented), int(keyword), int(prose), words, function_words,
              calls, members, compounds, operators, commands, wide, ink)  # fmt: skip
    for i in range(len(counts)):
        out[i] += counts[i]
    return at + 1


@jit(void(BYTES, OFFSETS, int64, READ_U64, READ_U32, WRITE_I64_2D))
def _code_signs(buffer: Any, offsets: Any, longest: int, keys: Any, entries: Any, out: Any) -> None:
    data = pointer(buffer)
    text, table = (data, len(buffer)), (pointer(keys), pointer(entries), len(keys))
    for row in range(len(out)):
        at = offsets[row]
        stop = min(offsets[row + 1], at + longest)
        while at < stop:
            at = _line_signs(text, at, stop, table, out[row])


def code_signs(texts: pa.LargeStringArray, longest: int = 20_000) -> dict[str, np.ndarray]:
    """Counts of the SIGNS in the first `longest` bytes of each text, int64 [N]."""
    buffers = strings(texts)
    out = np.zeros((len(buffers), len(SIGNS)), np.int64)
    _code_signs(buffers.data, buffers.offsets, longest, *sign_words(), out)
    return dict(zip(SIGNS, out.T, strict=True))
