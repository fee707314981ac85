"""The slow, obvious twin of the kernel that says where personal data can stand: regular expressions over bytes."""

from __future__ import annotations

import re

from tilth.text import signs
from tilth.text.company import _hash, cue_table

CHAIN = re.compile(rb"\d(?:[ \-.()/\xef\xbc\x88\x89]{0,3}\d)*")
AT = re.compile(rb"(?<=[A-Za-z0-9._%+\-'])@(?=[A-Za-z0-9._%+\-'])")
COLONS = re.compile(rb"[0-9A-Fa-f:]{6,}")
WECHAT = re.compile("(?:微信|[Vv]信|[VvWw][Xx]|[Ww][Ee](?:[Cc][Hh]|[Ii][Xx]))".encode())
STREET = re.compile(rb"(?:[A-Za-z]{1,2})? (?=[A-Z])")
WORD = re.compile(rb"[A-Za-z\x80-\xff]*")

Window = tuple[int, str, int, int, int]


def windows(texts: list[str], wanted: int) -> list[Window]:
    """(row, text, offset, core, signs) as `tilth.text.personal_places` gives them."""
    found: list[Window] = []
    for row, text in enumerate(texts):
        data = text.encode()
        joined: list[list[int]] = []
        for start, core, stop, told in sorted(places(data, wanted)):
            if joined and start <= joined[-1][2]:
                last = joined[-1]
                joined[-1] = [last[0], min(last[1], core), max(last[2], stop), last[3] | told]
            else:
                joined.append([start, core, stop, told])
        for start, core, stop, told in joined:
            window = data[start:stop].decode()
            found.append((row, window, len(data[:start].decode()), len(data[start:core].decode()), told))
    return found


def places(data: bytes, wanted: int) -> list[tuple[int, int, int, int]]:
    """(start, core, stop, signs) of every place, in bytes."""
    found = []
    for match in CHAIN.finditer(data):
        first, last = match.start(), match.end() - 1
        if told := chain(data, first, last) & wanted:
            far = told & (signs.STREET | signs.DOOR)
            left = first - (160 if far else 96)
            found.append((left, left if far else first - 4, last + (160 if far else 40), told))
    for match in AT.finditer(data):
        found.append((match.start() - 72, match.start() - 72, match.start() + 264, signs.AT & wanted))
    for match in COLONS.finditer(data):
        run = match.group()
        if run.count(b":") >= 2 and (b"::" in run or run.count(b":") >= 7):
            found.append((match.start() - 4, match.start(), match.end() + 24, signs.COLONS & wanted))
    for match in WECHAT.finditer(data):
        if match.start() + 5 < len(data):
            found.append((match.start() - 8, match.start() - 8, match.start() + 96, signs.WECHAT & wanted))
    return [whole(data, *place) for place in found if place[3]]


def whole(data: bytes, start: int, core: int, stop: int, told: int) -> tuple[int, int, int, int]:
    """Inside the text and between characters."""
    start, core, stop = max(start, 0), max(core, 0), min(stop, len(data))
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while core > start and data[core] & 0xC0 == 0x80:
        core -= 1
    while stop < len(data) and data[stop] & 0xC0 == 0x80:
        stop += 1
    return start, core, stop, told


def chain(data: bytes, first: int, last: int) -> int:
    """The signs of the digits data[first : last + 1]."""
    digits = data[first : last + 1]
    count = sum(48 <= byte <= 57 for byte in digits)
    before = data[first - 1 : first]
    cues = cued(data, first)
    behind = cue_behind(data, last)
    dots = len(re.findall(rb"(?<=\d)\.", digits + data[last + 1 : last + 2]))
    told = 0
    for holds, sign in (
        (count >= 5 and cues & signs.QQ, signs.QQ),
        (count >= 10 or (count >= 7 and (before == b"+" or cues & signs.NUMBER or behind)), signs.NUMBER),
        (count == 9 and (cues & signs.SSN or (len(digits) == 11 and digits[3:7:3] == b"--")), signs.SSN),
        (count >= 5 and dots >= 3, signs.DOTS),
        (count >= 6 and re.fullmatch(rb"[A-Z]", before), signs.LETTER),
        (iban(data, first), signs.IBAN),
        (data[max(0, first - 4) : first] == b"Box " or street(data, last), signs.STREET),
        (door(data, first, last), signs.DOOR),
    ):
        if holds:
            told |= sign
    return told


def cued(data: bytes, first: int) -> int:
    """The signs of the cue words in front of a chain."""
    front = data[max(0, first - 90) : first]
    front = re.split(rb"[\n0-9]", front[:-1])[-1] + front[-1:] if front[-1:] not in b"0123456789" else b""
    lower = front.lower()
    told = 0
    for i in range(len(lower) - 2):
        told |= int(cue_table()[_hash(*lower[i : i + 3])])
    return (told | (signs.QQ if b"qq" in lower else 0)) & ~1


def cue_behind(data: bytes, last: int) -> bool:
    """Whether a cue word follows a chain."""
    behind = data[last + 1 : last + 27].lower()
    return any(int(cue_table()[_hash(*behind[i : i + 3])]) & 1 for i in range(len(behind) - 2))


def iban(data: bytes, first: int) -> bool:
    """Whether an IBAN may begin two letters in front of a chain."""
    if first < 2 or not re.match(rb"[A-Za-z]{2}\d\d", data[first - 2 :]):
        return False
    if re.match(rb"[A-Za-z0-9]", data[max(0, first - 3) : first - 2]):
        return False
    groups = re.match(rb"(?:[A-Za-z0-9]{4} ?)*[A-Za-z0-9]{0,3}", data[first - 2 :])
    assert groups
    return len(groups.group().replace(b" ", b"")) >= 15


def street(data: bytes, last: int) -> bool:
    """Whether a street's name follows a chain."""
    match = STREET.match(data, last + 1)
    if not match:
        return False
    at = match.end()
    known = {word.encode()[:8] for word in signs.STREETS.split()}
    for _ in range(6):
        word = WORD.match(data, at)
        assert word
        if bytes(byte & 127 for byte in word.group().lower()[:8]) in known:
            return True
        gap = re.compile(rb"[ .']{0,2}").match(data, word.end())
        assert gap
        if not gap.group():
            return False
        at = gap.end()
    return False


def door(data: bytes, first: int, last: int) -> bool:
    """Whether the last number of a chain stands between a road and 号."""
    number = re.search(rb"[0-9-]*$", data[first : last + 1])
    assert number
    at = first + number.start()
    road = data[max(0, at - 3) : at] in [road.encode() for road in signs.ROADS.split()]
    return road and data[last + 1 : last + 4] in ("号".encode(), "號".encode())
