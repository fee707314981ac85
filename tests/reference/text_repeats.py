"""Slow, obvious twins of the search for repeated passages and substrings."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise

Span = tuple[int, int]

END, WIDE_END, CLOSING = ".!?。！？｡", "。！？｡", "\"')]}’”〉》」』】）"
_TAIL = re.compile(f"[{re.escape(END)}][{re.escape(END + CLOSING)}]*$")


def width(text: str) -> int:
    return sum(2 if ord(character) >= 0x2E80 else 1 for character in text)


def windows(text: str, length: int) -> list[Span]:
    """For every character the shortest span from there on that is wide enough."""
    before = [0, *accumulate(map(width, text))]
    ends = [bisect_left(before, column + length) for column in before]
    return [(start, end) for start, end in enumerate(ends) if end < len(before)]


def merged(spans: Sequence[Span]) -> list[Span]:
    """The same characters, overlapping and touching spans as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def repeats(texts: Sequence[str], length: int, priority: Sequence[int] | None = None) -> list[list[Span]]:
    """For every text what is cut out of it: every window is looked for at all earlier places."""
    order = list(priority) if priority is not None else list(range(len(texts)))
    met: dict[str, list[tuple[int, int]]] = {}
    cuts: list[list[Span]] = [[] for _ in texts]
    for number in order:
        for start, end in windows(texts[number], length):
            earlier = met.setdefault(texts[number][start:end], [])
            if any(other != number or other_end <= start for other, other_end in earlier):
                cuts[number].append((start, end))
            earlier.append((number, end))
    return [merged(spans) for spans in cuts]


def begins_sentence(text: str, at: int) -> bool:
    """Whether a sentence begins at the character `at` > 0."""
    if text[at].isspace():
        return False
    before = text[:at].rstrip()
    between, tail = text[len(before) : at], _TAIL.search(before)
    if between:
        return tail is not None or "\n" in between
    whole = tail is not None and any(character in WIDE_END for character in tail.group())
    return whole and text[at] not in END + CLOSING


def passages(text: str, unit: str) -> list[tuple[int, int, str]]:
    """(start, end, what is compared) of every passage that is not blank."""

    def begins(at: int) -> bool:
        if unit == "line":
            return text[at - 1] == "\n"
        if unit == "paragraph":
            return text[:at].endswith("\n\n") and text[at] != "\n"
        return begins_sentence(text, at)

    borders = [0, *(at for at in range(1, len(text)) if begins(at)), len(text)]
    spans = pairwise(borders)
    return [(start, end, text[start:end].strip()) for start, end in spans if text[start:end].strip()]


def repeated_passages(
    texts: Sequence[str], unit: str, shortest: int, keep: int, priority: Sequence[int] | None = None
) -> list[list[Span]]:
    """For every text what is cut out of it."""
    met: Counter[str] = Counter()
    cuts: list[list[Span]] = [[] for _ in texts]
    for number in priority if priority is not None else range(len(texts)):
        for start, end, passage in passages(texts[number], unit):
            if width(passage) >= shortest:
                if met[passage] >= keep:
                    cuts[number].append((start, end))
                met[passage] += 1
    return [merged(spans) for spans in cuts]


def without(text: str, spans: Sequence[Span]) -> str:
    """The text without these spans."""
    gone = {place for start, end in spans for place in range(start, end)}
    return "".join(character for place, character in enumerate(text) if place not in gone)
