"""Slow, obvious twin of the word kernels: units, and words as web filters count them."""

from __future__ import annotations

import re

from tilth.text import unicode
from tilth.text.exceptions import SPECIAL, UNIT_TAG, special_words, word_table

CLASSES = unicode.classes()


def has(character: str, bits: int) -> bool:
    return ord(character) < unicode.SIZE and bool(CLASSES[ord(character)] & bits)


def units(text: str) -> list[tuple[str, int, int]]:
    """(unit, first character, end) of every unit."""
    found, word = [], None
    for i, character in enumerate(text):
        if has(character, unicode.UNIT):
            word = None
            found.append((character, i, i + 1))
        elif has(character, unicode.ALPHABETIC | unicode.NUMBER | unicode.MARK):
            lowered = chr(unicode.lower()[ord(character)])
            if word is None:
                found.append((lowered, i, i + 1))
            else:
                found[-1] = (found[-1][0] + lowered, found[-1][1], i + 1)
            word = True
        else:
            word = None
    return found


SPECIALS = special_words()
QUOTES = "'\",`´«»‘’‚“”„⟦⟧"
CURRENCY = re.compile("[$£¥฿\u20a0-\u20bf﷼]")
LETTER = "0-9A-Za-z\u00a1-\uffff"


def _units_of_measurement() -> set[str]:
    import numpy as np
    import pyarrow as pa

    from tilth.text.hashing import word_hashes

    table = word_table()
    candidates = "km km² m cm mm kg g mg lb oz MB kb GB % in ft t T G K M m/s km/h mph ha nm µm".split()
    hashes = word_hashes(pa.array(candidates, pa.large_string()))
    entries = dict(zip(table.keys.tolist(), table.entries.tolist(), strict=True))
    assert np.all([entries[int(h)] & UNIT_TAG for h in hashes]), SPECIAL
    from tilth.text import exceptions

    return set(exceptions.UNITS)


MEASURES = _units_of_measurement()


def is_icon(character: str) -> bool:
    return has(character, unicode.SYMBOL) and has(character, unicode.CUT) and ord(character) > 0x7F and character != "´"


def prefix(run: str) -> int:
    if has(run[0], unicode.CUT) or run[0] in "%=§" or CURRENCY.match(run):
        return 1
    if money := re.match(r"[AC]\$|US\$", run):
        return money.end()
    if run[0] == "+":
        return 0 if re.match(r"\+[0-9]", run) else 1
    dots = re.match(r"\.\.+", run)
    return dots.end() if dots else 0


def suffix(run: str) -> int:
    if not run:
        return 0
    last, before = run[-1], run[-2:-1]
    if has(last, unicode.CUT):
        return 2 if run.endswith("……") else 1
    if not before:
        return 0
    if dots := re.search(r"\.\.+$", run):
        return len(dots[0])
    if last == ".":
        if re.match(r"[0-9%+²|-]", before):
            return 1
        if has(before, unicode.CUT):
            return 0 if is_icon(before) or before in "—–" else 1
        if has(before, unicode.ALPHABETIC) and not has(before, unicode.UPPER):
            return 0 if before in "µºª" else 1
        capitals = [has(c, unicode.ALPHABETIC) and not has(c, unicode.LOWER) for c in run[-3:-1]]
        return 1 if capitals == [True, True] else 0
    if re.search("['’][sS]$", run):
        return 2
    if re.match("[0-9]", before) and (last == "+" or CURRENCY.match(last)):
        return 1
    if re.search(r"[0-9][AC]\$$", run):
        return 2
    for length in (4, 3, 2, 1):
        if length < len(run) and re.match("[0-9][^0-9]", run[-length - 1 :]) and run[-length:] in MEASURES:
            return length
    return 0


def infix(run: str, at: int) -> int:
    if dots := re.compile(r"\.\.+").match(run, at):
        return dots.end() - at
    mark = run[at]
    if mark == "…" or is_icon(mark):
        return 1
    inner = unicode.ALPHABETIC | unicode.NUMBER | unicode.MARK
    if at == 0 or at + 1 == len(run) or has(mark, inner):
        return 0
    before, after = run[at - 1], run[at + 1]
    if mark == ".":
        cut_before = before in QUOTES or (has(before, unicode.ALPHABETIC) and not has(before, unicode.UPPER))
        cut_after = after in QUOTES or (has(after, unicode.ALPHABETIC) and not has(after, unicode.LOWER))
        return int(cut_before and cut_after)
    if mark == ",":
        return int(has(before, unicode.ALPHABETIC) and has(after, unicode.ALPHABETIC))
    if mark in "+-*^" and re.match("[0-9]", before) and re.match("[0-9-]", after):
        return 1
    if not has(before, unicode.ALPHABETIC) and not re.match("[0-9]", before):
        return 0
    if mark in ":<=>/":
        return int(has(after, unicode.ALPHABETIC))
    dashes = re.compile("-{1,3}|—{1,2}|–|~").match(run, at)
    end = dashes.end() if dashes else at
    return end - at if end < len(run) and has(run[end], unicode.ALPHABETIC) else 0


def is_host(run: str) -> bool:
    match = re.match(
        rf"(?:[{LETTER}](?:[{LETTER}_-]*[{LETTER}])?\.)+([{LETTER}_-]{{2,63}})(?::[0-9][0-9]+)?(?=[/?#]|$)", run
    )
    return bool(match) and all(has(c, unicode.ALPHABETIC) and not has(c, unicode.UPPER) for c in match[1])


def is_url(run: str) -> bool:
    if "." not in run[1:]:
        return False
    at = 0
    while at < len(run) and (run[at] in "_+-." or has(run[at], unicode.ALPHABETIC | unicode.NUMBER | unicode.MARK)):
        at += 1
    start = at + 3 if at >= 2 and run[at : at + 3] == "://" else 0
    sign = run.rfind("@")
    return (sign > start and is_host(run[sign + 1 :])) or is_host(run[start:])


def cut_latin(run: str) -> list[str]:
    front: list[str] = []
    back: list[str] = []
    while run and run not in SPECIALS:
        ahead = prefix(run)
        if ahead and run[ahead:] in SPECIALS:
            front, run = [*front, run[:ahead]], run[ahead:]
            break
        behind = suffix(run[ahead:])
        if behind and run[:-behind] in SPECIALS:
            run, back = run[:-behind], [run[-behind:], *back]
            break
        if not ahead and not behind:
            break
        if ahead:
            front.append(run[:ahead])
        if behind:
            back.insert(0, run[-behind:])
        run = run[ahead : len(run) - behind]
    if run in SPECIALS:
        middle = list(SPECIALS[run])
    elif is_url(run):
        middle = [run]
    else:
        middle, start, at = [], 0, 0
        while at < len(run):
            mark = infix(run, at)
            if mark and at > 0:
                middle += [run[start:at], run[at : at + mark]]
                start = at + mark
            at += max(mark, 1)
        middle.append(run[start:])
    return [token for token in [*front, *middle, *back] if token]


def is_letters(text: str) -> bool:
    return all(has(c, unicode.ALPHABETIC) for c in text)


def join_special(tokens: list[str]) -> list[str]:
    """Neighbouring tokens that make up a special word, the longest first, become its pieces."""
    joined: list[str] = []
    at = 0
    while at < len(tokens):
        spans = {end: "".join(tokens[at:end]) for end in range(at + 2, min(at + 17, len(tokens) + 1))}
        ends = [end for end, span in spans.items() if span in SPECIALS and not is_letters(span)]
        end = max(ends, default=0)
        joined += SPECIALS["".join(tokens[at:end])] if end else [tokens[at]]
        at = end or at + 1
    return joined


def cut_chinese(run: str) -> list[str]:
    tokens: list[str] = []
    inside = False
    for character in run:
        inner = has(character, unicode.ALPHABETIC | unicode.NUMBER | unicode.MARK) and not has(character, unicode.UNIT)
        if inner and inside:
            tokens[-1] += character
        else:
            tokens.append(character)
        inside = inner
    return tokens


def words(text: str) -> list[str]:
    tokens: list[str] = []
    for run in text.split():
        chinese = any(has(c, unicode.UNIT | unicode.WIDE) for c in run)
        tokens += cut_chinese(run) if chinese else join_special(cut_latin(run))
    return tokens
