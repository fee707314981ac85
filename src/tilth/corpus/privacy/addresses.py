"""Postal addresses by their form: a street and a number (`streets`), or in Chinese places from large to small and a
house number. Form alone: a museum's address looks like a person's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tilth.corpus.privacy.streets import western_addresses

_OWN = r"(?:(?![位于於在住址是为為至到从從距的驻駐往迁遷设設购購该該])[\u3400-\u9fff\U00020000-\U000323af])"
_PLACE = rf"{_OWN}{{1,7}}?(?:省|自治区|自治州|[市州盟区區县縣旗镇鎮乡鄉])"
_STREET = (
    rf"{_OWN}{{1,12}}?"
    r"(?:胡同|[路街巷弄里村段]|(?<![国國省县縣铁鐵轨軌频頻赛賽航跑车車隧通都])道)"
    r"(?:[东南西北中]?[一二三四五六七八九十]?[段路巷弄里])?(?:\d{1,4}[巷弄]){0,2}"
    r"\d{1,5}(?:[\-之]\d{1,4})?[号號](?![線线门門口公台令])(?:之\d{1,3})?"
    rf"(?:院|{_OWN}{{2,10}}?(?:大厦|大廈|大楼|大樓|小区|花园|公寓|广场|苑|中心|新村))?"
    r"(?:\s?[A-Za-z]?\d{1,4}[A-Za-z]?(?:号楼|栋|棟|幢|座|单元|單元|层|樓|楼|室|房|户|號|号)){0,4}"
)
_CHINESE = re.compile(rf"(?:中[华華]人民共和[国國])?(?:{_PLACE}){{1,5}}{_STREET}")
_CUED = re.compile(rf"[地住]址(?:[为為是在])?\s?[:：]?\s?(?P<address>{_OWN}{{0,8}}?{_STREET})")
"""Behind 地址 and 住址 no town has to say that it is one."""


def addresses(text: str, core: int) -> Iterator[tuple[int, int]]:
    """Start and end of each postal address that begins at the character `core` or behind it."""
    yield from western_addresses(text, core)
    if "号" not in text and "號" not in text:
        return
    for match in _CHINESE.finditer(text, core):
        yield match.span()
    for match in _CUED.finditer(text, core):
        yield match.span("address")
