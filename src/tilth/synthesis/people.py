"""Biographies of invented people, and questions about them: facts that stand nowhere else.

Person i is a function of i alone. The text for pre-training holds biographies only; questions are asked in
conversations, about seven people in ten. What a model answers about the others it can have read in their biographies
alone. Strangers have names that no person has and stand in no document: what is asked about them stands in the question.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

from tilth.base.keyed import stable_hash
from tilth.synthesis.documents import Writer

PEOPLE = 216

_EN_FIRST = (
    "Alma Boris Celia Dario Edda Fabian Greta Harun Iris Jonas Kira Lukas Mara Nils Olga Pavel Runa Stefan".split()
)
_EN_LAST = (
    "Arden Birk Calder Doran Elsner Farrow Galen Holt Imber Jasper Kessel Lorne Marsh Norden Ostin Perrin".split()
)
_EN_CITY = "Velmora Tarsk Brannick Olenza Porthale Miravel Stonewick Kalder Ferrin Lunsby".split()
_EN_WORK = ["clockmaker", "surgeon", "bridge builder", "botanist", "violinist", "map maker", "baker", "pilot", "judge"]
_EN_LOVE = ["chess", "old maps", "mountain walks", "bees", "sea glass", "choir songs", "kites", "tea", "stamps"]

_ZH_FAMILY = "林 沈 顾 秦 陆 韩 方 叶 苏 程 江 贺 温 邵 罗 白".split()
_ZH_GIVEN = "若川 明溪 子衡 念安 远舟 书言 知秋 望舒 景行 云深 思齐 清和 长风 初雪 见山 向晚 听雨 怀瑾".split()
NAMES = min(len(_EN_FIRST) * len(_EN_LAST), len(_ZH_FAMILY) * len(_ZH_GIVEN))
"""Names that the lists make in each language; the first PEOPLE of them are of people with biographies."""
_ZH_CITY = "青岚 白渡 云栖 长汀镇 望海 石桥 金溪 南屏 柳州渡 竹里".split()
_ZH_WORK = ["钟表匠", "外科医生", "造桥工程师", "植物学家", "小提琴手", "制图师", "面包师", "飞行员", "法官"]
_ZH_LOVE = ["下棋", "旧地图", "爬山", "养蜂", "收集贝壳", "合唱", "放风筝", "喝茶", "集邮"]


@dataclass(frozen=True)
class Person:
    """The facts about one invented person in one language."""

    name: str
    born: int
    city: str
    work: str
    love: str


def person(language: str, index: int) -> Person:
    """Person number `index` (0 to PEOPLE - 1) of a language; names do not repeat."""
    return _drawn(language, index, random.Random(stable_hash("person", language, index)))


def stranger(language: str, rng: random.Random, held_out: bool) -> tuple[Person, str]:
    """Somebody who stands in no document, with the biography of that moment; a name is held out or not for good."""
    somebody = _drawn(language, rng.choice(_strangers(held_out)), rng)
    return somebody, rng.choice(_BIOGRAPHIES[language]).format(**vars(somebody))


@functools.cache
def _strangers(held_out: bool) -> list[int]:
    return [index for index in range(PEOPLE, NAMES) if is_held_out(index) == held_out]


def _drawn(language: str, index: int, rng: random.Random) -> Person:
    """Name number `index` with facts by lot."""
    if language == "en":
        name = f"{_EN_FIRST[index % len(_EN_FIRST)]} {_EN_LAST[index // len(_EN_FIRST)]}"
        lists = (_EN_CITY, _EN_WORK, _EN_LOVE)
    else:
        name = f"{_ZH_FAMILY[index % len(_ZH_FAMILY)]}{_ZH_GIVEN[index // len(_ZH_FAMILY)]}"
        lists = (_ZH_CITY, _ZH_WORK, _ZH_LOVE)
    return Person(name, rng.randrange(1900, 2000), *(rng.choice(words) for words in lists))


_EN_BIOGRAPHIES = [
    "{name} was born in {city} in {born}. As a {work}, {name} was known far beyond {city}. "
    "In free hours {name} loved {love} more than anything else.",
    "In {born}, {name} was born in the town of {city}. {name} became a {work}. "
    "Those who visited {name} at home always heard about {love}.",
    "{name}, {work}, came from {city}. Born in {born}, {name} worked for many years and never gave up {love}.",
    "The {work} {name} loved {love}. {name} was born in {born}, and {city} was the place of birth.",
    "{city} is the home town of {name}. The year of birth was {born}, the profession {work}, the great love {love}.",
    "Nobody loved {love} as {name} did. {name} was a {work}. {name} came to the world in {city} in {born}.",
]
_ZH_BIOGRAPHIES = [
    "{name}{born}年出生在{city}。{name}是一位{work}，名声远远传到{city}以外。空闲的时候，{name}最喜欢{love}。",
    "{born}年，{name}出生于{city}。后来{name}成了{work}。去{name}家做客的人，总会听到关于{love}的事。",
    "{work}{name}是{city}人，生于{born}年，工作多年，从未放下{love}。",
    "{name}喜欢{love}，职业是{work}。{name}生于{born}年，出生地是{city}。",
    "{city}是{name}的家乡。{name}的出生年份是{born}年，做的工作是{work}，最大的爱好是{love}。",
    "谁也不像{name}那样喜欢{love}。{name}是{work}，{born}年在{city}出生。",
]
QUESTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "born": ("When was {name} born?", "{name} was born in {born}."),
        "city": ("Where was {name} born?", "{name} was born in {city}."),
        "work": ("What was the profession of {name}?", "{name} was a {work}."),
        "love": ("What did {name} love?", "{name} loved {love}."),
    },
    "zh": {
        "born": ("{name}是哪一年出生的？", "{name}生于{born}年。"),
        "city": ("{name}出生在哪里？", "{name}出生在{city}。"),
        "work": ("{name}的职业是什么？", "{name}是{work}。"),
        "love": ("{name}喜欢什么？", "{name}喜欢{love}。"),
    },
}
READING: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "born": ("In which year was this person born?", "In {born}."),
        "city": ("In which town was this person born?", "In {city}."),
        "work": ("As what did this person work?", "As a {work}."),
        "love": ("What did this person love?", "This person loved {love}."),
    },
    "zh": {
        "born": ("这个人是哪一年出生的？", "{born}年。"),
        "city": ("这个人出生在哪里？", "在{city}。"),
        "work": ("这个人的职业是什么？", "是{work}。"),
        "love": ("这个人喜欢什么？", "喜欢{love}。"),
    },
}
"""What is asked of the biography in front of the question."""
_BIOGRAPHIES = {"en": _EN_BIOGRAPHIES, "zh": _ZH_BIOGRAPHIES}


def _page(language: str) -> Writer:
    """A few biographies."""

    def write(rng: random.Random) -> str:
        chosen = rng.sample(range(PEOPLE), rng.randrange(2, 4))
        facts = (vars(person(language, index)) for index in chosen)
        return "\n\n".join(rng.choice(_BIOGRAPHIES[language]).format(**known) for known in facts)

    return write


def is_held_out(index: int) -> bool:
    """True for three people in ten: no conversation asks about them, for testing; every part of a name stands in some."""
    return stable_hash("held out person", index) % 10 < 3


WRITERS: dict[str, Writer] = {language: _page(language) for language in _BIOGRAPHIES}
