"""Questions about words, time and common things, with answers that can be checked, several to a document."""

from __future__ import annotations

import random
from collections.abc import Callable

from tilth.base.keyed import stable_hash
from tilth.synthesis.documents import MARKS, Writer

Asked = Callable[[random.Random], tuple[str, str]]

_EN_WORDS = (
    "field river stone candle window garden winter summer bread lamp bridge harvest letter water tree house".split()
)
_ZH_WORDS = (
    "田野 河流 石头 蜡烛 窗户 花园 冬天 夏天 面包 油灯 桥梁 收获 书信 泉水 树木 房屋 种子 耕牛 土壤 风车".split()
)
_EN_OPPOSITE = ["hot cold", "high low", "old new", "long short", "early late", "open shut", "full empty", "light dark",
                "wet dry", "fast slow", "near far", "thick thin"]  # fmt: skip
_ZH_OPPOSITE = ["热冷", "高低", "旧新", "长短", "早晚", "开关", "满空", "明暗", "湿干", "快慢", "近远", "厚薄"]
_EN_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_ZH_DAYS = "星期一 星期二 星期三 星期四 星期五 星期六 星期日".split()
_EN_KIND = {"an animal": "horse cow sheep crow dog bee", "a plant": "wheat oak clover rice apple moss",
            "a tool": "plough hammer saw spade needle rake", "a food": "bread soup cheese noodles rice jam"}  # fmt: skip
_ZH_KIND = {"动物": "马 牛 羊 乌鸦 狗 蜜蜂", "植物": "小麦 橡树 苜蓿 水稻 苔藓 竹子",
            "工具": "犁 锤子 锯子 铁锹 针 耙子", "食物": "面包 汤 奶酪 面条 米饭 果酱"}  # fmt: skip


def _words(rng: random.Random, words: list[str], held_out: bool) -> list[str]:
    """Three or four of the words; one choice in ten is held out for testing."""
    while True:
        chosen = rng.sample(words, rng.randrange(3, 5))
        if (stable_hash("held out", *chosen) % 10 == 0) == held_out:
            return chosen


def reverse_en(rng: random.Random, held_out: bool = False) -> tuple[str, str]:
    words = _words(rng, _EN_WORDS, held_out)
    return f"Say these words in reverse order: {', '.join(words)}.", f"{', '.join(reversed(words))}."


def reverse_zh(rng: random.Random, held_out: bool = False) -> tuple[str, str]:
    words = _words(rng, _ZH_WORDS, held_out)
    return f"把这些词倒过来说：{'、'.join(words)}。", f"{'、'.join(reversed(words))}。"


def opposite_en(rng: random.Random) -> tuple[str, str]:
    pair = rng.choice(_EN_OPPOSITE).split()
    rng.shuffle(pair)
    return f"What is the opposite of {pair[0]}?", f"The opposite of {pair[0]} is {pair[1]}."


def opposite_zh(rng: random.Random) -> tuple[str, str]:
    pair = list(rng.choice(_ZH_OPPOSITE))
    rng.shuffle(pair)
    return f"“{pair[0]}”的反义词是什么？", f"“{pair[0]}”的反义词是“{pair[1]}”。"


def day_en(rng: random.Random) -> tuple[str, str]:
    day, after = rng.randrange(7), rng.randrange(1, 4)
    answer = f"{after} day{'s' * (after > 1)} after {_EN_DAYS[day]} is {_EN_DAYS[(day + after) % 7]}."
    return f"Today is {_EN_DAYS[day]}. What day is it {after} day{'s' * (after > 1)} later?", answer


def day_zh(rng: random.Random) -> tuple[str, str]:
    day, after = rng.randrange(7), rng.randrange(1, 4)
    answer = f"{_ZH_DAYS[day]}过 {after} 天是{_ZH_DAYS[(day + after) % 7]}。"
    return f"今天是{_ZH_DAYS[day]}，{after} 天以后是星期几？", answer


def kind_en(rng: random.Random) -> tuple[str, str]:
    kind = rng.choice(sorted(_EN_KIND))
    word = rng.choice(_EN_KIND[kind].split())
    return f"Is {word} an animal, a plant, a tool or a food?", f"{word.capitalize()} is {kind}."


def kind_zh(rng: random.Random) -> tuple[str, str]:
    kind = rng.choice(sorted(_ZH_KIND))
    word = rng.choice(_ZH_KIND[kind].split())
    return f"{word}是动物、植物、工具还是食物？", f"{word}是{kind}。"


FAMILIES: dict[str, list[Asked]] = {
    "en": [reverse_en, opposite_en, day_en, kind_en],
    "zh": [reverse_zh, opposite_zh, day_zh, kind_zh],
}


def _page(language: str) -> Writer:
    def write(rng: random.Random) -> str:
        family = rng.choice(FAMILIES[language])
        marks = MARKS[language]
        pairs = [family(rng) for _ in range(rng.randrange(4, 8))]
        return "\n\n".join(f"{marks[0]}{question}\n{marks[1]}{answer}" for question, answer in pairs)

    return write


WRITERS: dict[str, Writer] = {language: _page(language) for language in FAMILIES}
