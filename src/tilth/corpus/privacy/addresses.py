"""Postal addresses by their form: a number and a street (English), or places from large to small and a house number
(Chinese). Form alone: a museum's address looks like a person's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = r"(?:[A-Z][a-zé]+(?:['’][A-Za-z]+)?|[A-Z]['’][A-Z][a-z]+|\d{1,3}(?:st|nd|rd|th)|[NSEW]\.?|[NS][EW])"
_FULL = (
    r"(?:Street|Avenue|Road|Boulevard|Lane|Drive|Court|Place|Square|Terrace|Crescent|Parkway|Highway|Way|Gardens|Mews)"
)
_SHORT = r"(?:St|Ave|Rd|Blvd|Ln|Dr|Ct|Pl|Sq|Pkwy|Hwy)"
_UNIT = r"(?:,?\s(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Floor)\b\.? ?#?[A-Za-z0-9\-]{1,6}|,?\s#\s?\d{1,5}[A-Z]?)"
_TOWN = r"(?:,?\s+[A-Z][A-Za-z.'\-]+(?: [A-Z][A-Za-z.'\-]+){0,2})?"
_POSTCODE = r",?\s+(?:[A-Z]{2},? \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})(?!\w)"
_STREET = re.compile(
    rf"(?<![\w.,/:\-$£€#])(?P<number>\d{{1,5}})[A-Za-z]?(?:-\d{{1,4}})?(?P<name>(?: {_NAME}){{1,4}} "
    rf"(?:{_FULL}\b|{_SHORT}\b\.?+(?! ?(?!Apt|Suite|Ste|Unit|Flat|Floor|North|South|East|West)[A-Z][a-z])))"
    rf"(?: (?:North|South|East|West|[NSEW]{{1,2}})\b\.?)?(?P<unit>{_UNIT})?(?P<code>{_TOWN}{_POSTCODE})?"
)
_NO_STREET = re.compile(
    r" S\. Ct\.$"
    r"|(?:Supreme|District|Circuit|Superior|High|Federal|Crown|County|Appeals|First|Second|Third) (?:Court|Place)$"
)
_BOX = re.compile(rf"(?<!\w)P\.? ?O\.? Box \d{{1,6}}\b(?:{_TOWN}{_POSTCODE})?")

_OWN = r"(?:(?![位于於在住址是为為至到从從距的驻駐往迁遷设設购購该該])[\u4e00-\u9fff])"
_PLACE = rf"{_OWN}{{1,7}}?(?:省|自治区|自治州|[市州盟区區县縣旗镇鎮乡鄉])"
_CHINESE = re.compile(
    rf"(?:中[华華]人民共和[国國])?(?:{_PLACE}){{1,5}}{_OWN}{{1,12}}?"
    r"(?:胡同|[路街巷弄里村段]|(?<![国國省县縣铁鐵轨軌频頻赛賽航跑车車隧通都])道)"
    r"(?:[东南西北中]?[一二三四五六七八九十]?[段路巷弄里])?(?:\d{1,4}[巷弄]){0,2}"
    r"\d{1,5}(?:[\-之]\d{1,4})?[号號](?![線线门門口公台令])(?:之\d{1,3})?"
    rf"(?:院|{_OWN}{{2,10}}?(?:大厦|大廈|大楼|大樓|小区|花园|公寓|广场|苑|中心|新村))?"
    r"(?:\s?[A-Za-z]?\d{1,4}[A-Za-z]?(?:号楼|栋|棟|幢|座|单元|單元|层|樓|楼|室|房|户|號|号)){0,4}"
)


def addresses(text: str, core: int) -> Iterator[tuple[int, int]]:
    """Start and end of each postal address that begins at the character `core` or behind it."""
    for match in _STREET.finditer(text, core):
        year = 1500 <= int(match["number"]) <= 2099
        if (not year or match["unit"] or match["code"]) and not _NO_STREET.search(match["name"]):
            yield match.span()  # unlike `In 1929 Wall Street fell`
    for pattern in (_BOX, _CHINESE):
        for match in pattern.finditer(text, core):
            yield match.span()
