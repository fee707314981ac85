"""The forms of personal data, and the checks that tell them from other numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from tilth.corpus.settings import MaskSettings
from tilth.corpus.steps import Place

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9][A-Za-z0-9._%+\-']{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9_\-(]|\.[A-Za-z0-9])"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\w.\-+])(?<![A-Za-z]/){_OCTET}(?:\.{_OCTET}){{3}}(?![\w]|[.\-+]\w)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?:::)?(?![\w:]|\.\d)", re.ASCII)
_VERSION = re.compile(
    r"(?:\bv|\bver\.?|version|release|build|版本?|版号|firmware|section|§)[\s:：=是为]*$", re.IGNORECASE
)

_RESIDENT = re.compile(
    r"(?<![0-9A-Za-z])[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![0-9A-Za-z])",
    re.ASCII,
)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)

_CARD = re.compile(
    r"(?<![\w.\-$/])(?:\d{12,19}|\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,4})?|\d{4}[ -]\d{6}[ -]\d{4,5}|\d{6}[ -]\d{9,13})"
    r"(?![\w]|[.\-]\d)",
    re.ASCII,
)
_ISSUERS = re.compile(  # by network: leading digits and lengths, ISO/IEC 7812
    r"62\d{14,17}|4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|(?:6011|64[4-9]\d|65\d\d|35\d\d)\d{12}|(?:1800|2131)\d{11}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|9558\d{15}"
)
_WIDE_ISSUERS = re.compile(r"(?:50\d\d|5[6-8]\d\d|6\d{3}|0604)\d{8,15}")  # Maestro: only where a card is spoken of
_CARD_BEFORE = re.compile(
    r"(?:\b(?:cards?|credit|debit|cc|account|maestro)\b|卡|账号|帐号|帳號)[^\n]{0,30}$", re.IGNORECASE
)
_NO_CARD = re.compile(
    r"(?:订单|訂單|单号|單號|编号|編號|流水|\border|tracking|invoice|serial)[^\d\n]{0,8}$", re.IGNORECASE
)

_EXTENSION = r"(?:\s?(?:x|ext\.?|转|分机)\s?\d{1,6})?"
_END = r"(?![\w]|[.\-]\d)"
_PHONES = tuple(
    re.compile(pattern + _END, re.ASCII)
    for pattern in (
        r"(?<![\w.\-+])(?:(?:\+|00)?86[- ]?)?1[3-9]\d(?:\d{8}|-\d{4}-\d{4}| \d{4} \d{4})",  # Chinese mobile
        r"(?<![\w.\-+])(?:\+?86[- ]?)?"  # Chinese fixed line
        r"(?:\(0(?:10|2\d|[3-9]\d\d)\) ?|（0(?:10|2\d|[3-9]\d\d)）|0(?:10|2\d|[3-9]\d\d)[- ])"
        r"[2-9]\d{6,7}(?:-\d{1,5}(?!\d))?" + _EXTENSION,
        r"(?<![\w.+])\+[1-9]\d{0,2}(?:[ .\-]?\(?\d{1,5}\)?){2,6}" + _EXTENSION,  # international
        r"(?<![\w.\-+(/])(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])\d{3}[-.]\d{4}" + _EXTENSION,  # North American
    )
)
_PHONE_LIKE = re.compile(
    r"(?<![\w.\-+(/:])\+?\(?\d{1,5}\)?(?:[ .\-/]{0,2}\(?\d{2,5}\)?){1,5}" + _EXTENSION + r"(?![\w%]|[.\-]\d)", re.ASCII
)
_PHONE_BEFORE = re.compile(
    r"(?:\b(?:phone|tel|telephone|call|calling|mobile|cell|cellphone|fax|dial|whatsapp|text me|reach (?:me|us)"
    r"|answering at|messages? (?:to|on))\b|电话|電話|手机|手機|传真|致电|拨打|联系方式)[^\n\d]{0,24}$",
    re.IGNORECASE,
)
_PHONE_BEHIND = re.compile(r" ?-? ?(?:office|fax|mobile|cell|home|work)\b", re.IGNORECASE)


class Finder:
    """Finds personal data in a short text."""

    def __init__(self, settings: MaskSettings) -> None:
        self.kinds = set(settings.kinds)
        self.private_ip = settings.private_ip

    def find(self, text: str) -> list[Place]:
        """Places in rising order without overlap; where kinds overlap the more certain one stands."""
        found: list[Place] = []
        taken = bytearray(len(text))
        for kind, search in (
            ("email", self._emails),
            ("resident_id", self._resident_ids),
            ("bank_card", self._cards),
            ("ip", self._addresses),
            ("phone", self._phones),
        ):
            if kind in self.kinds:
                for start, end in search(text):
                    if not any(taken[start:end]):
                        taken[start:end] = b"\1" * (end - start)
                        found.append((kind, start, end))
        return sorted(found, key=lambda place: place[1])

    def _emails(self, text: str) -> Iterator[tuple[int, int]]:
        if "@" in text:
            for match in _EMAIL.finditer(text):
                yield match.span()

    def _resident_ids(self, text: str) -> Iterator[tuple[int, int]]:
        for match in _RESIDENT.finditer(text):
            if resident_id_holds(match.group()):
                yield match.span()

    def _cards(self, text: str) -> Iterator[tuple[int, int]]:
        for match in _CARD.finditer(text):
            digits = re.sub(r"\D", "", match.group())
            if not luhn_holds(digits) or len(set(digits)) <= 2 or _NO_CARD.search(_before(text, match.start())):
                continue
            wide = _WIDE_ISSUERS.fullmatch(digits) and _CARD_BEFORE.search(_before(text, match.start()))
            if wide or _ISSUERS.fullmatch(digits):
                yield match.span()

    def _addresses(self, text: str) -> Iterator[tuple[int, int]]:
        for match in _IPV4.finditer(text):
            octets = [int(part) for part in match.group().split(".")]
            if max(octets) < 20 or _VERSION.search(_before(text, match.start())):
                continue  # section and version numbers look the same
            if self.private_ip or not _is_private(octets):
                yield match.span()
        if text.count(":") >= 2:
            yield from self._addresses6(text)

    def _addresses6(self, text: str) -> Iterator[tuple[int, int]]:
        for match in _IPV6.finditer(text):
            try:
                address = ipaddress.IPv6Address(match.group())
            except ValueError:
                continue
            groups = match.group().split(":")
            if all(len(group) == 2 for group in groups) or not any(c.isdigit() for c in match.group()):
                continue  # a hardware address (EUI-64), or words between colons
            if self.private_ip or not (address.is_loopback or address.is_link_local or address.is_unspecified):
                yield match.span()

    def _phones(self, text: str) -> Iterator[tuple[int, int]]:
        for pattern in _PHONES:
            for match in pattern.finditer(text):
                if 7 <= sum(c.isdigit() for c in match.group()) <= 17:
                    yield match.span()
        for match in _PHONE_LIKE.finditer(text):
            digits = sum(c.isdigit() for c in match.group())
            told = _PHONE_BEFORE.search(_before(text, match.start())) or _PHONE_BEHIND.match(text, match.end())
            if told and 7 <= digits <= 15:
                yield match.span()


def _before(text: str, at: int) -> str:
    """What stands in front of a place: enough for every word that tells a number's meaning."""
    return text[max(0, at - 48) : at]


def _is_private(octets: list[int]) -> bool:
    """Private, loopback, link-local, multicast and broadcast addresses, and network masks: they identify nobody."""
    first, second = octets[:2]
    return (
        first in (0, 10, 127)
        or first >= 224
        or (first, second) in ((192, 168), (169, 254))
        or (first == 172 and 16 <= second < 32)
    )


def resident_id_holds(number: str) -> bool:
    """The check digit of an 18-digit Chinese resident id (GB 11643-1999, ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _RESIDENT_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == number[17].upper()


def luhn_holds(digits: str) -> bool:
    """The check digit of bank cards (Luhn, ISO/IEC 7812-1 annex B)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
