"""Slow, obvious twin of `tilth.text.statistics`, for one text, with strings, lists and Counters."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

from tests.reference.text_words import has, words

from tilth.text import unicode
from tilth.text.c4 import PHRASES
from tilth.text.exceptions import STOP_WORDS

TRAITS = unicode.traits()
INNER = unicode.ALPHABETIC | unicode.NUMBER | unicode.MARK


def share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def repeated(pieces: list[str]) -> tuple[int, int]:
    """How many pieces were seen before, and their characters."""
    seen: set[str] = set()
    again = [piece for piece in pieces if piece in seen or seen.add(piece)]  # type: ignore[func-returns-value]
    return len(again), sum(map(len, again))


def sentences_of(line: str) -> int:
    count, ended, at = 1, False, 0
    for token in words(line):
        start = line.index(token, at)
        gap, at = line[at:start], start + len(token)
        if ended and gap not in ("", " "):
            count, ended = count + 1, False
        if len(token) == 1 and has(token, unicode.TERMINAL):
            ended = True
        elif ended and any(has(c, INNER | unicode.SPACE | unicode.SYMBOL) for c in token):
            count, ended = count + 1, False
    return count


def ngrams(text: str, tokens: list[str]) -> dict[str, float]:
    alone = [len(token) == 1 and has(token, unicode.UNIT) for token in tokens]
    result = {}
    for n in range(2, 11):
        grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
        if n <= 4:
            characters = once = 0
            if grams:
                top, times = Counter(grams).most_common(1)[0]
                at = grams.index(top)
                spaces = sum(not alone[i] and not alone[i + 1] for i in range(at, at + n - 1))
                once = sum(map(len, top)) + spaces
                characters = once * times
            result[f"top_{n}gram"] = share(characters, len(text))
            result[f"repeated_top_{n}gram"] = share(characters - once, len(text))
        else:
            seen, at, characters = set(), 0, 0
            while at < len(grams):
                if grams[at] in seen:
                    characters += sum(map(len, grams[at]))
                    at += n
                else:
                    seen.add(grams[at])
                    at += 1
            result[f"duplicate_{n}gram"] = share(characters, len(text))
    return result


def looped(tokens: list[str]) -> int:
    """Characters of the tokens in 5-grams that also start within the 50 tokens before."""
    grams = [tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)]
    inside = set()
    for i, gram in enumerate(grams):
        if gram in grams[max(0, i - 50) : i]:
            inside.update(range(i, i + 5))
    return sum(len(tokens[i]) for i in inside)


def character_order(tokens: list[str]) -> float:
    alone = [len(token) == 1 and has(token, unicode.UNIT) for token in tokens]
    singles = Counter(t for t, single in zip(tokens, alone, strict=True) if single)
    pairs = Counter(tuple(tokens[i : i + 2]) for i in range(len(tokens) - 1) if alone[i] and alone[i + 1])
    equal = [sum(n * (n - 1) for n in count.values()) for count in (singles, pairs)]
    chance = share(equal[0], singles.total() * (singles.total() - 1))
    expected = pairs.total() * (pairs.total() - 1) * chance**2
    return (equal[1] + 8) / (expected + 1)


def trait(text: str, bit: int) -> int:
    return sum(ord(c) < unicode.SIZE and bool(TRAITS[ord(c)] & bit) for c in text)


def c4(text: str) -> dict[str, int]:
    counts = {"c4_lorem_ipsum": 0, "c4_curly_brackets": 0, "c4_sentences": 0}
    for line in text.splitlines():
        line = line.strip()
        if len(line.split()) < 3 or max(map(len, line.split())) > 1000:
            continue
        digits = "".join({re.escape(c) for c in line if has(c, unicode.NUMBER)})
        line = re.sub(
            rf"\[[{digits}]*\]|\[edit\]|\[citation needed\]" if digits else r"\[\]|\[edit\]|\[citation needed\]",
            "",
            line,
        )
        if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("..."):
            continue
        ascii_lowered = re.sub("[A-Z]", lambda match: match[0].lower(), line)
        found = [phrase in ascii_lowered for phrase in PHRASES]
        counts["c4_lorem_ipsum"] += found[0]
        if not any(found[:2]):
            counts["c4_curly_brackets"] += "{" in line
        if not any(found[1:]):
            counts["c4_sentences"] += sentences_of(line)
    return counts


def sentences(text: str) -> int:
    return sentences_and_marks(text)[0]


def sentence_marks(text: str) -> int:
    return sentences_and_marks(text)[1]


def sentences_and_marks(text: str) -> tuple[int, int]:
    count, marks, filled = 0, 0, False
    for i, character in enumerate(text):
        filled = filled or has(character, unicode.ALPHABETIC | unicode.NUMBER)
        if character == ".":
            ends = i + 1 == len(text) or has(text[i + 1], unicode.SPACE)
        else:
            terminal = has(character, unicode.TERMINAL) and not has(character, INNER | unicode.SYMBOL)
            ends = character == "；" or terminal or has(character, unicode.BREAK)
        if ends and filled:
            count, filled = count + 1, False
            marks += not has(character, unicode.BREAK)
    return count + filled, marks


def statistics(text: str) -> dict[str, float]:
    tokens = words(text)
    real = [token for token in tokens if any(not has(c, unicode.PUNCTUATION) for c in token)]
    split_lines = text.splitlines()
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in split_lines)
    ellipses = sum(line.rstrip().endswith(("...", "…")) for line in split_lines)
    pieces, paragraphs = re.split("\n+", text), re.split("\n{2,}", text.strip())
    lines = [line for line in text.split("\n") if line.strip()]
    ink = len(text) - sum(has(c, unicode.SPACE) for c in text)
    kinds = Counter(_kind(c) for c in text)
    marks = [c for c in text if _kind(c) == "punctuation"]
    letters = [c for c in text if has(c, unicode.ALPHABETIC)]
    count = Counter(tokens)
    variants = {bit: sum(has(c, bit) for c in letters) for bit in (unicode.TRADITIONAL, unicode.SIMPLIFIED)}
    with_letters = sum(any(has(c, unicode.ALPHABETIC) for c in token) for token in tokens)
    han = sum(has(c, unicode.HAN) for c in letters)
    ellipsis_marks = text.count("...") + text.count("…")
    return {
        "characters": len(text),
        "tokens": len(tokens),
        "words": len(real),
        "lines": len(lines),
        "sentences": sentences(text),
        "stop_words": len(set(STOP_WORDS) & set(tokens)),
        "newlines": text.count("\n"),
        "curly_brackets": text.count("{"),
        "mean_word_length": share(sum(map(len, real)), len(real)),
        "hash_ratio": share(text.count("#"), len(tokens)),
        "ellipsis_ratio": share(ellipsis_marks, len(tokens)),
        "bullet_lines": share(bullets, len(split_lines)),
        "ellipsis_lines": share(ellipses, len(split_lines)),
        "alphabetic_words": share(with_letters, len(real)),
        "alphabetic_tokens": share(with_letters, len(tokens)),
        "duplicate_lines": share(repeated(pieces)[0], len(pieces)),
        "duplicate_line_characters": share(repeated(pieces)[1], len(text)),
        "duplicate_paragraphs": share(repeated(paragraphs)[0], len(paragraphs)),
        "duplicate_paragraph_characters": share(repeated(paragraphs)[1], len(text)),
        "terminal_lines": share(sum(has(line[-1], unicode.TERMINAL) for line in lines), len(lines)),
        "short_lines": share(sum(len(line) <= 30 for line in lines), len(lines)),
        "repeated_line_characters": share(repeated(lines)[1], len(text.replace("\n", ""))),
        "newline_ratio": share(text.count("\n"), len(tokens)),
        "han_share": share(sum(has(c, unicode.HAN) for c in letters), ink),
        "latin_share": share(sum(ord(c) < 0x250 for c in letters), ink),
        "digit_share": share(kinds["number"], ink),
        "punctuation_share": share(len(marks), ink),
        "wide_punctuation_share": share(sum(has(c, unicode.WIDE) for c in marks), ink),
        "symbol_share": share(kinds["symbol"], ink),
        "bracket_share": share(sum(c in "【】" for c in text), ink),
        "traditional_share": share(variants[unicode.TRADITIONAL], sum(variants.values())),
        "mean_sentence_length": share(len(letters) + kinds["number"] + kinds["mark"], sentences(text)),
        "entropy": -sum(n / len(tokens) * math.log(n / len(tokens)) for n in count.values()),
        "unique_words": share(len(count), len(tokens)),
        "looped_5gram": share(looped(tokens), ink),
        "garbled_share": share(trait(text, unicode.GARBLED), ink),
        "rare_han_share": share(trait(text, unicode.RARE), han),
        "prose_density": math.sqrt((trait(text, unicode.FUNCTION) + 4) * (sentence_marks(text) + 1)) / (han + 40),
        "character_order": character_order(tokens),
        **ngrams(text, tokens),
        **c4(text),
    }


def _kind(character: str) -> str:
    if has(character, unicode.ALPHABETIC):
        return "letter"
    if has(character, unicode.SPACE):
        return "space"
    category = unicodedata.category(character)[0]
    if ord(character) < unicode.SIZE and category in "NMS":
        return {"N": "number", "M": "mark", "S": "symbol"}[category]
    control = ord(character) < 32 or 127 <= ord(character) < 160
    return "punctuation" if not control and ord(character) < unicode.SIZE else "other"
