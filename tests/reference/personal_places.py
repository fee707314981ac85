"""The slow, obvious twin of the kernel that says where personal data can stand: regular expressions over bytes."""

from __future__ import annotations

import re

from tilth.text import signs
from tilth.text.company import IS_ENDING, IS_FAR, IS_NEAR, IS_ROAD, IS_STREET, _hash, _hash_word, cue_table, word_table

CHAIN = re.compile(rb"\d(?:[ \-.()/\xef\xbc\x88\x89]{0,3}\d)*")
AT = re.compile(rb"(?<=[A-Za-z0-9._%+\-'])@(?=[A-Za-z0-9._%+\-'])")
COLONS = re.compile(rb"[0-9A-Fa-f:]{6,}")
WECHAT = re.compile("(?:微信|[Vv]信|[VvWw][Xx]|[Ww][Ee](?:[Cc][Hh]|[Ii][Xx]))".encode())
STREET = re.compile(rb"(?:[A-Za-z]{1,2})?,? ")
FRONT = re.compile(rb"[A-Za-z\x80-\xff]+|[ \n\r',\-.:?]|.", re.DOTALL)
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
            left = first - (256 if far else 96)
            found.append((left, left if far else first - 4, last + (256 if far else 40), told))
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
        (
            street(data, last) or street_before(data, first) or postcode(data, first, last, count),
            signs.STREET,
        ),
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
    if at >= len(data):
        return False
    for _ in range(6 if data[at : at + 1] >= b"\x80" or data[at : at + 1].isupper() else 1):
        word = WORD.match(data, at)
        assert word
        if says(word.group()[:8]) & IS_STREET:
            return True
        gap = re.compile(rb"[ .']{0,2}").match(data, word.end())
        assert gap
        if not gap.group():
            return False
        at = gap.end()
    return False


def street_before(data: bytes, first: int) -> bool:
    """Whether a word that says street or address stands in front of a chain."""
    words = 0
    for token in reversed(FRONT.findall(data[max(0, first - 120) : first])):
        if WORD.fullmatch(token):
            told = says(token[:8])
            if told & IS_FAR or (words == 0 and told & IS_NEAR):
                return True
            if words == 0 and any(len(token) >= size and says(token[-size:]) & IS_ENDING for size in (3, 4)):
                return True
            words += 1
            if words == 7:
                return False
        elif token not in (b" ", b"\n", b"\r", b"'", b",", b"-", b".", b":", b"?"):
            return False
    return False


def postcode(data: bytes, first: int, last: int, count: int) -> bool:
    """Whether a chain stands like a postcode."""
    if count == 9 and re.fullmatch(rb"\d{5}-\d{4}", data[first : last + 1]):
        last = first + 4
    elif count != 5 and not (count == 4 and data[first - 1 : first] == b"-"):
        return False
    front = data[max(0, first - 11) : first]
    if re.search(rb", .. $", front, re.DOTALL):
        return bool(re.search(rb"[A-Z]{2} $", front))
    town = re.match(rb" [A-Z\x80-\xff]", data[last + 1 :])
    country = re.search(rb"[A-Z]{1,2}-$", front)
    gap = re.search(rb"[ \n\r,]{0,8}$", front[: country.start()] if country else front)
    return bool(town and gap and gap.group().strip(b" "))


def says(word: bytes) -> int:
    """What the table of words has for up to eight bytes."""
    small = bytes(byte & 127 for byte in word.lower())
    return int(word_table()[_hash_word(int.from_bytes(small, "little"))])


def door(data: bytes, first: int, last: int) -> bool:
    """Whether the last number of a chain stands between a road and 号."""
    number = re.search(rb"[0-9-]*$", data[first : last + 1])
    assert number
    at = first + number.start()
    road = at >= 3 and says(data[at - 3 : at]) & IS_ROAD != 0
    return road and data[last + 1 : last + 4] in ("号".encode(), "號".encode())
