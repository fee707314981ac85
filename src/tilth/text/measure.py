"""Every statistic that the rule sets ask for, measured once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from tilth.base.jit import (
    BYTES,
    OFFSETS,
    READ_I64_2D,
    READ_U8,
    READ_U16,
    READ_U32,
    READ_U64,
    WRITE_F64_2D,
    helper,
    int64,
    jit,
    pointer,
    pointers,
    void,
)
from tilth.text import memo, unicode
from tilth.text.buffers import Strings, scratch, strings
from tilth.text.c4 import measure_c4
from tilth.text.characters import COUNTS, count_characters, profiles
from tilth.text.exceptions import stop_words, word_table
from tilth.text.lines import cut_at_breaks, cut_at_feeds, measure_gopher_lines, measure_lines, measure_paragraphs
from tilth.text.repetition import TERMS, measure_repetition
from tilth.text.words import LETTERS, WORD, split_words

if TYPE_CHECKING:
    import pyarrow as pa

_WORDS = ("tokens", "words", "word_characters", "letter_tokens")
_REPETITION = (
    "entropy",
    "distinct",
    *(f"top_{n}gram" for n in (2, 3, 4)),
    *(f"duplicate_{n}gram" for n in range(5, 11)),
    *(f"repeated_top_{n}gram" for n in (2, 3, 4)),
    "looped_5gram",
    "equal_alone",
    "equal_pairs",
    "alone",
    "pairs",
    "stop_words",
)
_GOPHER_LINES = ("split_lines", "bullet_lines", "ellipsis_lines")
_LINES = (
    "pieces",
    "duplicate_pieces",
    "duplicate_piece_characters",
    "lines",
    "terminal_lines",
    "short_lines",
    "repeated_line_characters",
)
_PARAGRAPHS = ("paragraphs", "duplicate_paragraphs", "duplicate_paragraph_characters")
_C4 = ("c4_lorem_ipsum", "c4_curly_brackets", "c4_sentences")
_COLUMNS = (*COUNTS, *_WORDS, *_REPETITION, *_GOPHER_LINES, *_LINES, *_PARAGRAPHS, *_C4)
_NEWLINES, _BREAKS, _CURLY = (COUNTS.index(name) for name in ("newlines", "breaks", "curly_brackets"))
_AT_WORDS = len(COUNTS)
_AT_REPETITION = _AT_WORDS + len(_WORDS)
_AT_GOPHER = _AT_REPETITION + len(_REPETITION)
_AT_LINES = _AT_GOPHER + len(_GOPHER_LINES)
_AT_PARAGRAPHS = _AT_LINES + len(_LINES)
_AT_C4 = _AT_PARAGRAPHS + len(_PARAGRAPHS)


def _arrays(*kinds: str) -> types.Tuple:
    return types.Tuple([types.Array(getattr(types, kind), 1, "C") for kind in kinds])


_TABLE = types.Tuple((READ_U64, READ_U32, READ_U64))
_RUN = _arrays("int32", "uint16", "int64", "uint8")
_TOKENS = _arrays("uint64", "int64", "int32", "uint16")
_LEVEL, _SLOTS = _arrays("int64", "uint64", "int32", "int32", "int64"), _arrays("uint64", "int32")
_RUN_AND_MEMO = types.Tuple([*_RUN, types.Array(types.uint64, 1, "C")])
_TERMS, _CLEAN = types.Array(types.float64, 1, "C"), types.Array(types.uint8, 1, "C")
_PROFILES = types.Tuple((READ_U8, READ_I64_2D, READ_U8))
_CHARACTERS, _MARKS = _arrays("int64", "uint8", "int64"), _arrays("uint8", "int64")
_LINES_SPACE = _arrays("int64", "int64", "int64", "int64", "uint64")
_SCRATCH = types.Tuple(
    (_RUN_AND_MEMO, _TOKENS, _TOKENS, _LEVEL, _SLOTS, _TERMS, _CLEAN, _CHARACTERS, _LINES_SPACE, _CLEAN)
)
"""Space for one text: a run without spaces; the tokens of the text and of a line; n-grams, a table and terms for what
repeats; a line without citations; profiles, marks of bytes and places of line feeds; lines and their hashes; the bytes
of the table's keys."""


@helper
def _count_words(count: int, tokens: Any, out: Any) -> None:
    """out: tokens, those that are words, the words' characters, tokens with a letter."""
    _, _, lengths, flags = tokens
    words, characters, letters = 0, 0, 0
    for i in range(count):
        word = flags[i] & WORD != 0
        words += word
        characters += lengths[i] * word
        letters += flags[i] & LETTERS != 0
    out[0], out[1], out[2], out[3] = count, words, characters, letters


@jit(void(BYTES, OFFSETS, READ_U16, _PROFILES, _TABLE, READ_U64, _SCRATCH, WRITE_F64_2D))
def _measure(
    buffer: Any,
    offsets: Any,
    class_table: Any,
    profile_tables: Any,
    word_entries: Any,
    stop_words: Any,
    scratch: Any,
    out: Any,
) -> None:
    data, classes = pointer(buffer), pointer(class_table)
    table = (pointer(word_entries[0]), pointer(word_entries[1]), len(word_entries[0]), pointer(word_entries[2]))
    run, tokens, spare, level, slots = (
        pointers(scratch[0]),
        pointers(scratch[1]),
        pointers(scratch[2]),
        pointers(scratch[3]),
        pointers(scratch[4]),
    )
    terms, text, copy = pointer(scratch[5]), (data, len(buffer)), (pointer(scratch[6]), len(scratch[6]))
    found, marks, feeds = pointers(scratch[7])
    table_of_ngrams = (slots[0], slots[1], pointer(scratch[9]))
    starts, stops, firsts, lasts, hashes = pointers(scratch[8])
    lines, cutting = (starts, stops, firsts, lasts), (classes, table, run)
    spread = (
        pointer(profile_tables[0]),
        pointer(profile_tables[1]),
        pointer(profile_tables[2]),
        len(profile_tables[2]),
        found,
    )
    for row in range(len(out)):
        start, stop, result = offsets[row], offsets[row + 1], out[row]
        count_characters(data, start, stop, classes, spread, (marks, feeds), result)
        count = split_words(text, start, stop, classes, table, run, tokens)
        _count_words(count, tokens, result[_AT_WORDS:])
        measure_repetition(count, tokens, (level, table_of_ngrams, terms), stop_words, result[_AT_REPETITION:])
        size = cut_at_feeds(data, start, stop, classes, feeds, int64(result[_NEWLINES]), lines)
        measure_lines(text, size, lines, classes, hashes, slots, result[_AT_LINES:])
        measure_paragraphs(text, size, lines, hashes, slots, result[_AT_PARAGRAPHS:])
        if result[_NEWLINES] != result[_BREAKS]:
            size = cut_at_breaks(data, start, stop, classes, lines)
        elif starts[size - 1] == stop:  # nothing stands behind the last line feed
            size -= 1
        measure_gopher_lines(data, size, lines, stop, result[_AT_GOPHER:])
        page, document = (lines, size, result[_CURLY] > 0), (tokens, count)
        measure_c4(text, (start, stop), page, cutting, document, (copy, spare), result[_AT_C4:])


_PROSE = (4.0, 1.0, 40.0)
"""A text counts as if so many function words, sentence ends and Han characters more stood behind it: of a short one
nobody can say whether it is a list."""
_ORDER = (8.0, 1.0)
"""The same for the order of characters: as if one equal pair were expected by chance, and eight found."""


def _prose(raw: dict[str, np.ndarray]) -> np.ndarray:
    """The geometric mean of function words and of sentence ends to a Han character."""
    words, ends, han = _PROSE
    both = (raw["function"] + words) * (raw["sentence_marks"] + ends)
    return (np.sqrt(both) / (raw["han"] + han)).astype(np.float32)


def _order(raw: dict[str, np.ndarray]) -> np.ndarray:
    """Equal pairs of neighbouring characters, over what the same characters in random order would have."""
    among = raw["alone"] * (raw["alone"] - 1)
    chance = np.divide(raw["equal_alone"], among, out=np.zeros_like(among), where=among > 0)
    expected = raw["pairs"] * np.maximum(raw["pairs"] - 1, 0) * chance * chance
    return ((raw["equal_pairs"] + _ORDER[0]) / (expected + _ORDER[1])).astype(np.float32)


def _raw(buffers: Strings) -> dict[str, np.ndarray]:
    """The counts behind the statistics, float64 [N] each, by the names in _COLUMNS."""
    room = buffers.longest + 8

    def space(name: str, arrays: types.Tuple, items: int = room) -> tuple[np.ndarray, ...]:
        return scratch(f"measure.{name}", [str(array.dtype) for array in arrays], items)

    table = space("slots", _SLOTS, 1 << (2 * room).bit_length())
    tables = unicode.classes(), profiles(), tuple(word_table()), stop_words()
    arrays = (
        (*space("run", _RUN), *scratch("memo", ["uint64"], memo.ROWS * memo.WIDTH, zero=True)),
        space("tokens", _TOKENS),
        space("spare", _TOKENS),
        space("level", _LEVEL),
        table,
        np.empty(TERMS),
        *scratch("measure.clean", ["uint8"], room + 8),
        (
            *scratch("measure.found", ["int64"], len(tables[1][2])),
            *scratch("measure.marks", ["uint8", "int64"], room + 8),
        ),
        space("lines", _LINES_SPACE),
        table[0].view(np.uint8),
    )
    out = np.zeros((len(buffers), len(_COLUMNS)))
    _measure(buffers.data, buffers.offsets, *tables, arrays, out)
    return dict(zip(_COLUMNS, out.T, strict=True))


def statistics(texts: pa.LargeStringArray) -> dict[str, np.ndarray]:
    """Every rule statistic of N texts: int64 [N] for counts, float32 [N] for shares and means (0 where undefined).

    Counts: `characters` (code points), `tokens`, `words` (tokens that are not punctuation only), `lines` (not blank),
    `sentences`, `stop_words` (distinct ones among Gopher's eight), `newlines`, `curly_brackets`; `c4_lorem_ipsum`,
    `c4_curly_brackets` (lines) and `c4_sentences`, of the lines that C4 would keep.

    Gopher quality (arXiv:2112.11446): `mean_word_length`; `hash_ratio` and `ellipsis_ratio` to tokens; `bullet_lines`,
    `ellipsis_lines`; `alphabetic_words` and `alphabetic_tokens`, the share of words (the paper) or of all tokens
    (datatrove) with a letter. Gopher repetition, each a share of all characters or of the lines and paragraphs:
    `duplicate_lines`, `duplicate_line_characters`, `duplicate_paragraphs`, `duplicate_paragraph_characters`,
    `top_2gram` … `top_4gram`, `duplicate_5gram` … `duplicate_10gram`. FineWeb (arXiv:2406.17557): `terminal_lines`,
    `short_lines`, `repeated_line_characters`, `newline_ratio` to tokens.

    Shares of the characters that are not white space: `han_share`, `latin_share`, `digit_share`, `punctuation_share`,
    `wide_punctuation_share` (Chinese and Japanese), `symbol_share`, `bracket_share` (【】). `traditional_share` is
    traditional / (traditional + simplified) of the characters that only one of Big5 and GB 2312 has.
    `mean_sentence_length` in letters and digits; `entropy` of the tokens' distribution in nats; `unique_words`,
    distinct tokens among all; `repeated_top_2gram` … `repeated_top_4gram`, as `top_2gram` but without the first
    occurrence, so that a short text is not taken for a repetitive one.

    For damage: `looped_5gram`, the share of characters in 5-grams that also begin within the 50 tokens before;
    `garbled_share` of replacement characters, private use and what wrongly decoded UTF-8 begins with; `rare_han_share`
    of Han outside the frequent levels of GB 2312 and Big5 (UTF-8 read as GBK gives such); `prose_density`, the
    geometric mean of grammatical words and of marks that end a sentence to a Han character (lists of keywords have
    neither); `character_order`, how much more often pairs of neighbouring Han or kana recur than the same
    characters in random order would (about 1 for shuffled text, 3 and more for language). The last two lean to a
    neutral value where a text is short.

    Words are those of `tilth.text.words`: nearly spaCy's for English, single characters for Han and kana, so that
    every n-gram statistic counts Chinese by characters. Definitions follow datatrove's filters.
    """
    raw = _raw(strings(texts))

    def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0).astype(np.float32)

    characters, tokens, lines = raw["characters"], raw["tokens"], raw["lines"]
    ink = characters - raw["spaces"]
    counts = ("characters", "tokens", "words", "lines", "sentences", "stop_words", "newlines", "curly_brackets", *_C4)
    ngrams = (name for name in _REPETITION if name.endswith("gram") and name != "looped_5gram")
    return (
        {name: raw[name].astype(np.int64) for name in counts}
        | {
            "mean_word_length": ratio(raw["word_characters"], raw["words"]),
            "hash_ratio": ratio(raw["hashes"], tokens),
            "ellipsis_ratio": ratio(raw["ellipses"], tokens),
            "bullet_lines": ratio(raw["bullet_lines"], raw["split_lines"]),
            "ellipsis_lines": ratio(raw["ellipsis_lines"], raw["split_lines"]),
            "alphabetic_words": ratio(raw["letter_tokens"], raw["words"]),
            "alphabetic_tokens": ratio(raw["letter_tokens"], tokens),
            "duplicate_lines": ratio(raw["duplicate_pieces"], raw["pieces"]),
            "duplicate_line_characters": ratio(raw["duplicate_piece_characters"], characters),
            "duplicate_paragraphs": ratio(raw["duplicate_paragraphs"], raw["paragraphs"]),
            "duplicate_paragraph_characters": ratio(raw["duplicate_paragraph_characters"], characters),
        }
        | {name: ratio(raw[name], characters) for name in ngrams}
        | {
            "terminal_lines": ratio(raw["terminal_lines"], lines),
            "short_lines": ratio(raw["short_lines"], lines),
            "repeated_line_characters": ratio(raw["repeated_line_characters"], characters - raw["newlines"]),
            "newline_ratio": ratio(raw["newlines"], tokens),
            "han_share": ratio(raw["han"], ink),
            "latin_share": ratio(raw["latin"], ink),
            "digit_share": ratio(raw["digits"], ink),
            "punctuation_share": ratio(raw["punctuation"], ink),
            "wide_punctuation_share": ratio(raw["wide_punctuation"], ink),
            "symbol_share": ratio(raw["symbols"], ink),
            "bracket_share": ratio(raw["brackets"], ink),
            "traditional_share": ratio(raw["traditional"], raw["traditional"] + raw["simplified"]),
            "mean_sentence_length": ratio(raw["letters"] + raw["digits"] + raw["marks"], raw["sentences"]),
            "entropy": raw["entropy"].astype(np.float32),
            "unique_words": ratio(raw["distinct"], tokens),
            "looped_5gram": ratio(raw["looped_5gram"], ink),
            "garbled_share": ratio(raw["garbled"], ink),
            "rare_han_share": ratio(raw["rare"], raw["han"]),
            "prose_density": _prose(raw),
            "character_order": _order(raw),
        }
    )
