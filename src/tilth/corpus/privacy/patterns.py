"""The forms of personal data; check digits (`checks`) and cue words tell them from other numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

from tilth.corpus.privacy.addresses import addresses
from tilth.corpus.privacy.checks import (
    IBAN_LENGTHS,
    hong_kong_id_holds,
    iban_holds,
    luhn_holds,
    resident_id_holds,
    ssn_issued,
    taiwan_id_holds,
)
from tilth.corpus.settings import MaskKind, MaskSettings
from tilth.corpus.steps import Place
from tilth.text import signs

Spans = Iterator[tuple[int, int]]

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])(?!git@)[A-Za-z0-9][A-Za-z0-9._%+\-']{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9_\-(]|\.[A-Za-z0-9])"
)
_LOGIN = re.compile(r"://[^\s/@]*$")  # name and password in front of a host
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
_HONG_KONG = re.compile(r"(?<![A-Za-z0-9])([A-Z]{1,2})(\d{6})[(（]([0-9A])[)）](?![A-Za-z0-9])", re.ASCII)
_TAIWAN = re.compile(r"(?<![\w.\-/])[A-Z][1289]\d{8}(?![\w]|[.\-/]\w)", re.ASCII)
_SSN_LIKE = re.compile(r"(?<![\w.\-/+])\d{3}[ \-]?\d{2}[ \-]?\d{4}(?![\w/]|[.\-]\d)", re.ASCII)
_SSN_BEFORE = re.compile(r"\b(?:ssn|social security)\b[^\n\d]{0,24}$", re.IGNORECASE)

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
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?= ?[A-Za-z0-9]{4})", re.ASCII)
_ALNUM = re.compile(r"[A-Za-z0-9]")

_QQ = re.compile(
    r"(?<![A-Za-z0-9_.@\-])(?:加?[Qq]{2}|加\s?[Qq]|扣扣|[Qq](?=群))\s?"
    r"(?:[一二三四五]?群|号码?|號碼?|交流|讨论|討論|官方|客服|粉丝|联系|聯繫|咨询|[账帐]号|帳號|技术|学习"
    r"|答疑|读者|反馈|是|为){0,4}"
    r"\s?[:：(（【\[]?\s{0,2}([1-9]\d{4,11})"
    r"(?![0-9A-Za-z_]|[.,\-]\d|\s?[万萬亿億年月日版元个個人名位条條次%％])",
    re.ASCII,
)
_WECHAT_ID = r"([A-Za-z][A-Za-z0-9_\-]{5,19})(?![A-Za-z0-9_\-]|[@=(/\"']|\.\w)"
_WECHAT = re.compile(
    r"(?:(?P<direct>加我?(?:微信|[Vv]信|[VvWw][Xx])号?|微信(?:号码?|帐号|账号|號))\s?[:：是为]?"
    r"|(?:微信|[Vv]信)\s?(?:ID|id)?\s?[:：是为]"
    r"|(?<![A-Za-z0-9_])(?:[Ww]e[Cc]hat|[Ww]ei[Xx]in|[VvWw][Xx])(?: ?(?:ID|id))?\s?(?:号|[:：])\s?[:：]?)\s{0,2}"
    + _WECHAT_ID,
    re.ASCII,
)

_MOBILE = r"1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])"
"""The first three digits of a Chinese mobile number, of those that networks have."""
_EXTENSION = r"(?:\s?(?:x|ext\.?|转|分机)\s?\d{1,6})?"
_END = r"(?![\w]|[.\-]\d)"
_PHONES = tuple(
    re.compile(pattern + _END, re.ASCII)
    for pattern in (
        r"(?<![\w.\-+$])(?<![A-Za-z]/)(?:(?:\+|00)?86[- ]?)?"
        + _MOBILE
        + r"(?:\d{8}|-\d{4}-\d{4}| \d{4} \d{4})",  # Chinese mobile
        r"(?<![\w.\-+])(?:\+?86[- ]?)?"  # Chinese fixed line
        r"(?:\(0(?:10|2\d|[3-9]\d\d)\) ?|（0(?:10|2\d|[3-9]\d\d)）|0(?:10|2\d|[3-9]\d\d)[- ])"
        r"[2-9]\d{6,7}(?:-\d{1,5}(?!\d))?" + _EXTENSION,
        r"(?<![\w.+=*%^])(?<![=*%^] )(?<!:\d\d )\+[1-9]\d{0,2}(?:[ .\-]?\(?\d{1,5}\)?){2,6}"
        + _EXTENSION,  # international
        r"(?<![\w.\-+(/])(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])\d{3}[-.]\d{4}" + _EXTENSION,  # North American
    )
)
_PHONE_LIKE = re.compile(
    r"(?<![\w.\-+(/:])\+?\(?\d{1,5}\)?(?:[ .\-/]{0,2}\(?\d{2,5}\)?){1,5}" + _EXTENSION + r"(?![\w%]|[.\-]\d)", re.ASCII
)
_NO_PHONE = re.compile(  # a decimal number, years, a date
    r"\d+\.\d+|(?:1[5-9]|20)\d\d[-/. ](?:(?:1[5-9]|20)\d\d|\d{1,2}[-/. ]\d{1,2})", re.ASCII
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
        self.private_ip = settings.private_ip
        searches: tuple[tuple[MaskKind, int, Callable[[str, int], Spans]], ...] = (
            ("email", signs.AT, _emails),
            ("iban", signs.IBAN, _ibans),
            ("resident_id", signs.NUMBER, _resident_ids),
            ("bank_card", signs.NUMBER, _cards),
            ("hk_id", signs.LETTER, _hong_kong_ids),
            ("tw_id", signs.LETTER, _taiwan_ids),
            ("ssn", signs.NUMBER | signs.SSN, _social_security_numbers),
            ("ip", signs.DOTS, self._ipv4),
            ("ip", signs.COLONS, self._ipv6),
            ("qq", signs.QQ, _qq_numbers),
            ("wechat", signs.WECHAT, _wechat_ids),
            ("phone", signs.NUMBER, _phones),
            ("address", signs.STREET | signs.DOOR, addresses),
        )
        self.searches = [search for search in searches if search[0] in settings.kinds]
        self.signs = 0
        for _, wanted, _ in self.searches:
            self.signs |= wanted

    def find(self, text: str, told: int = signs.ALL_SIGNS, core: int = 0) -> list[Place]:
        """Places in rising order without overlap; where kinds overlap the more certain one stands.

        `told` is what may be there (`tilth.text.signs`); nothing begins in front of the character `core`.
        """
        found: list[Place] = []
        taken = bytearray(len(text))
        for kind, wanted, search in self.searches:
            if told & wanted:
                for start, end in search(text, core):
                    if not any(taken[start:end]):
                        taken[start:end] = b"\1" * (end - start)
                        found.append((kind, start, end))
        return sorted(found, key=lambda place: place[1])

    def _ipv4(self, text: str, core: int) -> Spans:
        for match in _IPV4.finditer(text, core):
            octets = [int(part) for part in match.group().split(".")]
            if max(octets) < 20 or _VERSION.search(_before(text, match.start())):
                continue  # section and version numbers look the same
            if self.private_ip or not _is_private(octets):
                yield match.span()

    def _ipv6(self, text: str, core: int) -> Spans:
        for match in _IPV6.finditer(text, core):
            try:
                address = ipaddress.IPv6Address(match.group())
            except ValueError:
                continue
            groups = match.group().split(":")
            if all(len(group) == 2 for group in groups) or not any(c.isdigit() for c in match.group()):
                continue  # a hardware address (EUI-64), or words between colons
            nobody = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
            if self.private_ip or not nobody:
                yield match.span()


def _emails(text: str, core: int) -> Spans:
    for match in _EMAIL.finditer(text, core):
        if not _LOGIN.search(_before(text, match.start())):
            yield match.span()


def _resident_ids(text: str, core: int) -> Spans:
    for match in _RESIDENT.finditer(text, core):
        if resident_id_holds(match.group()):
            yield match.span()


def _hong_kong_ids(text: str, core: int) -> Spans:
    for match in _HONG_KONG.finditer(text, core):
        if hong_kong_id_holds(*match.groups()):
            yield match.span()


def _taiwan_ids(text: str, core: int) -> Spans:
    for match in _TAIWAN.finditer(text, core):
        if taiwan_id_holds(match.group()):
            yield match.span()


def _social_security_numbers(text: str, core: int) -> Spans:
    for match in _SSN_LIKE.finditer(text, core):
        digits = re.sub(r"\D", "", match.group())
        if ssn_issued(digits) and (match.group()[3:7:3] == "--" or _SSN_BEFORE.search(_before(text, match.start()))):
            yield match.span()


def _cards(text: str, core: int) -> Spans:
    for match in _CARD.finditer(text, core):
        digits = re.sub(r"\D", "", match.group())
        if not luhn_holds(digits) or len(set(digits)) <= 2 or _NO_CARD.search(_before(text, match.start())):
            continue
        wide = _WIDE_ISSUERS.fullmatch(digits) and _CARD_BEFORE.search(_before(text, match.start()))
        if wide or _ISSUERS.fullmatch(digits):
            yield match.span()


def _ibans(text: str, core: int) -> Spans:
    for match in _IBAN.finditer(text, core):
        if end := _iban_end(text, match.start()):
            yield match.start(), end


def _iban_end(text: str, start: int) -> int:
    """Where the IBAN that begins at `start` ends, written in one or in groups of four; 0 where none does."""
    length = IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
    for written in (text[start : start + length], text[start : start + length + (length - 1) // 4]):
        number, end = written.replace(" ", ""), start + len(written)
        whole = written in (number, _in_fours(number)) and number.isascii() and number.isalnum()
        if whole and iban_holds(number) and not _ALNUM.match(text, end):
            return end
    return 0


def _in_fours(number: str) -> str:
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def _qq_numbers(text: str, core: int) -> Spans:
    for match in _QQ.finditer(text):
        yield match.span(1)


def _wechat_ids(text: str, core: int) -> Spans:
    for match in _WECHAT.finditer(text):
        name = match.group(2)
        told = match.group("direct") or any(character in "0123456789_" for character in name)
        if told and name.lower() not in ("wechat", "weixin"):
            yield match.span(2)


def _phones(text: str, core: int) -> Spans:
    for pattern in _PHONES:
        for match in pattern.finditer(text, core):
            if 7 <= sum(c.isdigit() for c in match.group()) <= 17:
                yield match.span()
    for match in _PHONE_LIKE.finditer(text, core):
        digits = sum(c.isdigit() for c in match.group())
        told = _PHONE_BEFORE.search(_before(text, match.start())) or _PHONE_BEHIND.match(text, match.end())
        if told and 7 <= digits <= 15 and not _NO_PHONE.fullmatch(match.group()):
            yield match.span()


def _before(text: str, at: int) -> str:
    """What stands in front of a place: enough for every word that tells a number's meaning."""
    return text[max(0, at - 48) : at]


def _is_private(octets: list[int]) -> bool:
    """Private, loopback, link-local, multicast and broadcast addresses, network masks, and those of documents (RFC
    5737): they identify nobody."""
    first, second, third = octets[:3]
    return (
        first in (0, 10, 127)
        or first >= 224
        or (first, second) in ((192, 168), (169, 254))
        or (first, second, third) in ((192, 0, 2), (198, 51, 100), (203, 0, 113))
        or (first == 172 and 16 <= second < 32)
    )
