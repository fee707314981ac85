"""Signs of program source: counts that tell it from prose, from LaTeX and from prose with some code in it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from tilth.text.buffers import strings
from tilth.text.hashing import hash_bytes
from tilth.text.jit import BYTES, OFFSETS, READ_U32, READ_U64, WRITE_I64_2D, int64, jit, pointer, void
from tilth.text.words import look_up

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


@jit(void(BYTES, OFFSETS, int64, READ_U64, READ_U32, WRITE_I64_2D))
def _code_signs(buffer: Any, offsets: Any, longest: int, keys: Any, entries: Any, out: Any) -> None:
    data = pointer(buffer)
    text, table = (data, len(buffer)), (pointer(keys), pointer(entries), len(keys))
    for row in range(len(out)):
        start = offsets[row]
        stop = min(offsets[row + 1], start + longest)
        lines, ended, indented, keyword_lines, prose_lines, words, function_words = 0, 0, 0, 0, 0, 0, 0
        calls, members, compounds, operators, commands, wide, ink = 0, 0, 0, 0, 0, 0, 0
        line_start, line_words, line_function, line_ink = start, 0, 0, 0
        before, last = 10, 10  # the byte before; the last byte of the line that is not a space
        at = start
        while at < stop:
            byte = int64(data[at])
            if byte == 10:
                lines += line_ink > 0
                ended += (
                    last == 59 or last == 123 or last == 125 or last == 40 or last == 91 or last == 44 or last == 58
                )
                prose_lines += line_words >= 8 and line_function > 0
                line_start, line_words, line_function, line_ink, last = at + 1, 0, 0, 0, 10
                before = 10
                at += 1
                continue
            if byte == 32 or byte == 9 or byte == 13:
                before = 32
                at += 1
                continue
            if not line_ink:
                indented += at - line_start >= 2 or before == 9 or data[line_start] == 9
            line_ink += 1
            ink += 1
            letter = 65 <= byte <= 90 or 97 <= byte <= 122 or byte == 95
            if letter or 48 <= byte <= 57:
                begin, under, camel = at, 0, 0
                while at < stop:
                    byte = int64(data[at])
                    if 97 <= byte <= 122 or 48 <= byte <= 57:
                        pass
                    elif 65 <= byte <= 90:
                        camel += at > begin and 97 <= data[at - 1] <= 122
                    elif byte == 95:
                        under += at > begin
                    else:
                        break
                    at += 1
                ink += at - begin - 1
                words += 1
                entry = 0
                if at - begin <= 10:
                    entry = look_up(table, hash_bytes(text, begin, at))
                first_word = line_words == 0
                keyword_lines += first_word and (entry & _KEYWORD) != 0
                line_function += (entry & _FUNCTION) != 0
                function_words += (entry & _FUNCTION) != 0
                line_words += 1
                compounds += under > 0 or camel > 0
                commands += before == 92
                last = int64(data[at - 1])
                before = last
                if at < stop:
                    byte = int64(data[at])
                    calls += byte == 40
                    if byte == 46 and at + 1 < stop:
                        byte = int64(data[at + 1])
                        members += 65 <= byte <= 90 or 97 <= byte <= 122 or byte == 95
                continue
            wide += byte >= 0x80
            if at + 1 < stop:
                following = np.int64(data[at + 1])
                if byte == 61:
                    operators += following == 61 or following == 62 or (following == 32 and before == 32)
                elif byte == 33 or byte == 43 or byte == 58 or byte == 45:
                    operators += following == 61 or (byte == following and byte != 33 and byte != 45)
                    operators += byte == 45 and following == 62
                elif byte == 38 or byte == 124:
                    operators += byte == following
                elif byte == 47:
                    operators += (following == 47 and before != 58) or following == 42
                elif byte == 42:
                    operators += following == 47
            last = byte
            before = byte
            at += 1
        lines += line_ink > 0
        ended += last == 59 or last == 123 or last == 125 or last == 40 or last == 91 or last == 44 or last == 58
        prose_lines += line_words >= 8 and line_function > 0
        result = out[row]
        result[0], result[1], result[2], result[3], result[4] = lines, ended, indented, keyword_lines, prose_lines
        result[5], result[6], result[7], result[8], result[9] = words, function_words, calls, members, compounds
        result[10], result[11], result[12], result[13] = operators, commands, wide, ink


def code_signs(texts: pa.LargeStringArray, longest: int = 20_000) -> dict[str, np.ndarray]:
    """Counts of the SIGNS in the first `longest` bytes of each text, int64 [N]."""
    buffers = strings(texts)
    out = np.zeros((len(buffers), len(SIGNS)), np.int64)
    _code_signs(buffers.data, buffers.offsets, longest, *sign_words(), out)
    return dict(zip(SIGNS, out.T, strict=True))
