"""Sums, differences, comparisons and word problems, each with its worked solution, several to a document.

A document holds a handful of problems of one family in the question-answer shape, so that a model also learns that
answers follow examples. About half of the answers are worked, half direct.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tilth.synthesis.documents import MARKS, Writer

Problem = Callable[[random.Random, bool], tuple[str, str]]
"""(generator, worked) -> (question, answer)."""


def _tens(a: int, b: int) -> tuple[int, int]:
    return a - a % 10 + (b - b % 10), a % 10 + b % 10


def add_en(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = rng.randrange(10, 100), rng.randrange(10, 100)
    tens, ones = _tens(a, b)
    steps = f"{a - a % 10} + {b - b % 10} = {tens}. {a % 10} + {b % 10} = {ones}. {tens} + {ones} = {a + b}. "
    return f"What is {a} + {b}?", (steps if worked else "") + f"The answer is {a + b}."


def add_zh(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = rng.randrange(10, 100), rng.randrange(10, 100)
    tens, ones = _tens(a, b)
    steps = f"{a - a % 10} + {b - b % 10} = {tens}，{a % 10} + {b % 10} = {ones}，{tens} + {ones} = {a + b}。"
    return f"{a} 加 {b} 等于多少？", (steps if worked else "") + f"答案是 {a + b}。"


def add_long_en(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = rng.randrange(100, 1000), rng.randrange(100, 1000)
    hundreds, rest = (a // 100 + b // 100) * 100, a % 100 + b % 100
    steps = f"{a // 100 * 100} + {b // 100 * 100} = {hundreds}. {a % 100} + {b % 100} = {rest}. "
    return f"What is {a} + {b}?", (
        f"{steps}{hundreds} + {rest} = {a + b}. " if worked else ""
    ) + f"The answer is {a + b}."


def add_long_zh(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = rng.randrange(100, 1000), rng.randrange(100, 1000)
    hundreds, rest = (a // 100 + b // 100) * 100, a % 100 + b % 100
    steps = f"{a // 100 * 100} + {b // 100 * 100} = {hundreds}，{a % 100} + {b % 100} = {rest}，"
    return f"{a} 加 {b} 等于多少？", (f"{steps}{hundreds} + {rest} = {a + b}。" if worked else "") + f"答案是 {a + b}。"


def subtract_en(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = sorted((rng.randrange(10, 100), rng.randrange(10, 100)), reverse=True)
    middle = a - b // 10 * 10
    steps = f"{a} - {b // 10 * 10} = {middle}. {middle} - {b % 10} = {a - b}. "
    return f"What is {a} - {b}?", (steps if worked else "") + f"The answer is {a - b}."


def subtract_zh(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = sorted((rng.randrange(10, 100), rng.randrange(10, 100)), reverse=True)
    middle = a - b // 10 * 10
    steps = f"{a} - {b // 10 * 10} = {middle}，{middle} - {b % 10} = {a - b}。"
    return f"{a} 减 {b} 等于多少？", (steps if worked else "") + f"答案是 {a - b}。"


def compare_en(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = rng.sample(range(10, 1000), 2)
    reason = f"{max(a, b)} is {max(a, b) - min(a, b)} more than {min(a, b)}. " if worked else ""
    return f"Which is larger, {a} or {b}?", f"{reason}The answer is {max(a, b)}."


def compare_zh(rng: random.Random, worked: bool) -> tuple[str, str]:
    a, b = rng.sample(range(10, 1000), 2)
    reason = f"{max(a, b)} 比 {min(a, b)} 多 {max(a, b) - min(a, b)}。" if worked else ""
    return f"{a} 和 {b} 哪个大？", f"{reason}答案是 {max(a, b)}。"


_EN_THINGS = ["apples", "books", "stones", "coins", "eggs", "candles", "pencils", "buttons", "tickets", "shells"]
_EN_NAMES = ["Tom", "Mia", "Ben", "Lily", "Sam", "Anna", "Leo", "Ruth", "Max", "Ella", "Noah", "Ivy", "Hugo", "Clara"]
_EN_MORE = [
    "{n} has {a} {t}. A friend brings {b} more. How many {t} does {n} have now?",
    "There are {a} {t} on the table. {n} puts {b} more beside them. How many {t} are on the table?",
    "{n} found {a} {t} in the morning and {b} in the evening. How many {t} is that in all?",
]
_EN_LESS = [
    "{n} has {a} {t} and gives {b} away. How many {t} are left?",
    "There were {a} {t} in the box. {n} took {b} out. How many {t} are still in the box?",
    "{n} needs {a} {t} and already has {b}. How many {t} are missing?",
]
_ZH_THINGS = ["个苹果", "本书", "块石头", "枚硬币", "个鸡蛋", "支蜡烛", "支铅笔", "颗纽扣", "张票", "个贝壳"]
_ZH_NAMES = [
    "小明",
    "小红",
    "阿福",
    "小兰",
    "大山",
    "春燕",
    "阿宝",
    "小雨",
    "石头",
    "秋月",
    "小虎",
    "文文",
    "阿海",
    "青青",
]
_ZH_MORE = [
    "{n}有 {a} {t}，朋友又送来 {b} {t}。{n}现在一共有多少{t}？",
    "桌上有 {a} {t}，{n}又放上 {b} {t}。桌上一共有多少{t}？",
    "{n}早上找到 {a} {t}，晚上又找到 {b} {t}。一共是多少{t}？",
]
_ZH_LESS = [
    "{n}有 {a} {t}，送给别人 {b} {t}。还剩多少{t}？",
    "盒子里有 {a} {t}，{n}拿走了 {b} {t}。盒子里还有多少{t}？",
    "{n}需要 {a} {t}，已经有 {b} {t}。还差多少{t}？",
]


def word_en(rng: random.Random, worked: bool) -> tuple[str, str]:
    more = rng.random() < 0.5
    a, b = sorted((rng.randrange(3, 60), rng.randrange(2, 40)), reverse=True)
    slots = {"n": rng.choice(_EN_NAMES), "t": rng.choice(_EN_THINGS), "a": str(a), "b": str(b)}
    result = a + b if more else a - b
    steps = f"{a} {'+' if more else '-'} {b} = {result}. " if worked else ""
    return rng.choice(_EN_MORE if more else _EN_LESS).format(**slots), f"{steps}The answer is {result}."


def word_zh(rng: random.Random, worked: bool) -> tuple[str, str]:
    more = rng.random() < 0.5
    a, b = sorted((rng.randrange(3, 60), rng.randrange(2, 40)), reverse=True)
    slots = {"n": rng.choice(_ZH_NAMES), "t": rng.choice(_ZH_THINGS), "a": str(a), "b": str(b)}
    result = a + b if more else a - b
    steps = f"{a} {'+' if more else '-'} {b} = {result}。" if worked else ""
    return rng.choice(_ZH_MORE if more else _ZH_LESS).format(**slots), f"{steps}答案是 {result}。"


PROBLEMS: dict[str, list[Problem]] = {
    "en": [add_en, add_long_en, subtract_en, compare_en, word_en],
    "zh": [add_zh, add_long_zh, subtract_zh, compare_zh, word_zh],
}


def _sheet(language: str) -> Writer:
    question_mark, answer_mark = MARKS[language]

    def write(rng: random.Random) -> str:
        family = rng.choice(PROBLEMS[language])
        lines = []
        for _ in range(rng.randrange(2, 10)):
            question, answer = family(rng, rng.random() < 0.5)
            lines.append(f"{question_mark}{question}\n{answer_mark}{answer}")
        return "\n\n".join(lines)

    return write


WRITERS: dict[str, Writer] = {language: _sheet(language) for language in PROBLEMS}
