"""Slow, obvious twins of the kernels that look at lines and at keywords."""

from __future__ import annotations

from tests.reference.text_words import has, units

from tilth.text import unicode
from tilth.text.furniture import NUMERALS


def web_line(line: str) -> str | None:
    """What `tilth.text.web_lines` calls a line (without its line end)."""
    found = units(line)
    alone = [unit for unit, _, _ in found if len(unit) == 1 and has(unit, unicode.UNIT)]
    letters = [c for c in line if has(c, unicode.ALPHABETIC)]
    digits = [c for c in line if has(c, unicode.NUMBER)]
    numerals = [c for c in line if c in NUMERALS]
    ended = has(line.rstrip()[-1], unicode.TERMINAL) if line.strip() else False
    if len(letters) == len(numerals) and digits + numerals:
        return "number"
    if len(found) == 1 or (found and len(alone) == len(found) <= 4 and not ended):
        return "word"
    if len(letters) > 1 and 2 * sum(has(c, unicode.UPPER) for c in line) > len(letters):
        return "upper"
    return "counter?" if digits and len(found) <= 12 else None


def web_lines(text: str) -> list[tuple[int, int, str]]:
    """(first character, end, kind) of every such line."""
    found, start = [], 0
    for line in text.split("\n"):
        end = min(start + len(line) + 1, len(text))
        kind = web_line(line) if start < len(text) else None
        if kind:
            found.append((start, end, kind))
        start = end
    return found


def keywords(text: str, words: list[str]) -> list[tuple[int, int, int]]:
    """(first character, end, index of the word) of the leftmost longest matches, without overlap."""
    patterns = [fold(word)[0] for word in words]
    folded, starts = fold(text)
    found, at = [], 0
    while at < len(folded):
        fits = [
            (len(pattern), -index)
            for index, pattern in enumerate(patterns)
            if pattern and folded.startswith(pattern, at) and border(folded, at) and border(folded, at + len(pattern))
        ]
        if fits:
            length, index = max(fits)
            found.append((starts[at], starts[at + length - 1] + 1, -index))
            at += length
        else:
            at += 1
    return found


def fold(text: str) -> tuple[str, list[int]]:
    """Lower-cased, runs of white space as one space; and where each character came from."""
    folded, places = "", []
    for i, character in enumerate(text):
        space = has(character, unicode.SPACE)
        if space and folded.endswith(" "):
            continue
        lowered = chr(unicode.lower()[ord(character)]) if ord(character) < unicode.SIZE else character
        folded += " " if space else lowered
        places.append(i)
    return folded, places


def border(text: str, at: int) -> bool:
    """Whether a word may begin or end here: not between two letters or digits that make up one word."""
    return not (0 < at < len(text) and inner(text[at - 1]) and inner(text[at]))


def inner(character: str) -> bool:
    return has(character, unicode.ALPHABETIC | unicode.NUMBER | unicode.MARK) and not has(character, unicode.UNIT)
