"""Sums, differences, comparisons and word problems, each with its worked solution, several to a document.

A document holds a handful of problems of one family in the question-answer shape, so that a model also learns that
answers follow examples. Four answers in five are worked, the others direct. One pair of operands in ten is held out, and
so are some names and wordings of the word problems: they stand in no document and in no conversation, for testing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from tilth.base.keyed import stable_hash
from tilth.synthesis.documents import MARKS, Writer


@dataclass(frozen=True)
class Problem:
    """A question, the steps of its solution, the answer's last sentence, and the number that is right."""

    question: str
    steps: str
    answer: str
    result: int

    def solution(self, worked: bool) -> str:
        """The answer, with or without the steps."""
        return self.steps + self.answer if worked else self.answer


Draw = Callable[[random.Random, bool], Problem]
"""(generator, held out) -> a problem whose operands, names and wording are held out, or are not; one that is not holds
no held-out operands in its steps either."""

_STEP = re.compile(r"(\d+) [+-] (\d+) =")


def is_held_out(a: int, b: int) -> bool:
    """True for one pair of operands in ten, in whichever order; never for two round numbers, of which steps are made."""
    if a % 10 == b % 10 == 0:
        return False
    return stable_hash("held out", min(a, b), max(a, b)) % 10 == 0


def is_tested(a: int, b: int) -> bool:
    """Whether models are tested on the sum or difference of these: held out, and of equally many digits, at least two."""
    return min(a, b) >= 10 and len(str(a)) == len(str(b)) and is_held_out(a, b)


def _operands(rng: random.Random, held_out: bool, low: int, high: int) -> tuple[int, int]:
    """Two different numbers in [low, high)."""
    while True:
        a, b = rng.sample(range(low, high), 2)
        if is_held_out(a, b) == held_out:
            return a, b


def _falling(rng: random.Random, held_out: bool, low: int, high: int) -> tuple[int, int]:
    """The same, the larger one first."""
    a, b = _operands(rng, held_out, low, high)
    return max(a, b), min(a, b)


_ENDING = {"en": "The answer is {}.", "zh": "答案是 {}。"}
_SEPARATE, _STOP = {"en": ". ", "zh": "，"}, {"en": ". ", "zh": "。"}


def _solved(language: str, question: str, steps: list[str], result: int) -> Problem:
    worked = _SEPARATE[language].join(steps) + _STOP[language]
    return Problem(question, worked, _ENDING[language].format(result), result)


def _clean(draw: Draw) -> Draw:
    """The same, drawn again while a step of a problem for training has operands that are held out."""

    def again(rng: random.Random, held_out: bool) -> Problem:
        while True:
            problem = draw(rng, held_out)
            if held_out or not any(is_tested(int(a), int(b)) for a, b in _STEP.findall(problem.steps)):
                return problem

    return again


def _add(language: str) -> Draw:
    asked = {"en": "What is {} + {}?", "zh": "{} 加 {} 等于多少？"}[language]

    def draw(rng: random.Random, held_out: bool) -> Problem:
        a, b = _operands(rng, held_out, 10, 100)
        tens, ones = a - a % 10 + b - b % 10, a % 10 + b % 10
        steps = [f"{a - a % 10} + {b - b % 10} = {tens}", f"{a % 10} + {b % 10} = {ones}", f"{tens} + {ones} = {a + b}"]
        return _solved(language, asked.format(a, b), steps, a + b)

    return draw


def _add_long(language: str) -> Draw:
    asked = {"en": "What is {} + {}?", "zh": "{} 加 {} 等于多少？"}[language]

    def draw(rng: random.Random, held_out: bool) -> Problem:
        a, b = _operands(rng, held_out, 100, 1000)
        hundreds, rest = (a // 100 + b // 100) * 100, a % 100 + b % 100
        steps = [
            f"{a // 100 * 100} + {b // 100 * 100} = {hundreds}",
            f"{a % 100} + {b % 100} = {rest}",
            f"{hundreds} + {rest} = {a + b}",
        ]
        return _solved(language, asked.format(a, b), steps, a + b)

    return draw


def _subtract(language: str) -> Draw:
    asked = {"en": "What is {} - {}?", "zh": "{} 减 {} 等于多少？"}[language]

    def draw(rng: random.Random, held_out: bool) -> Problem:
        a, b = _falling(rng, held_out, 10, 100)
        middle = a - b // 10 * 10
        steps = [f"{a} - {b // 10 * 10} = {middle}", f"{middle} - {b % 10} = {a - b}"]
        return _solved(language, asked.format(a, b), steps, a - b)

    return draw


def _compare(language: str) -> Draw:
    asked = {"en": "Which is larger, {} or {}?", "zh": "{} 和 {} 哪个大？"}[language]
    reason = {"en": "{} is {} more than {}", "zh": "{} 比 {} 多 {}"}[language]

    def draw(rng: random.Random, held_out: bool) -> Problem:
        a, b = _operands(rng, held_out, 10, 1000)
        more, less = max(a, b), min(a, b)
        told = (more, more - less, less) if language == "en" else (more, less, more - less)
        return _solved(language, asked.format(a, b), [reason.format(*told)], more)

    return draw


_THINGS = {
    "en": "apples books stones coins eggs candles pencils buttons tickets shells".split(),
    "zh": ["个苹果", "本书", "块石头", "枚硬币", "个鸡蛋", "支蜡烛", "支铅笔", "颗纽扣", "张票", "个贝壳"],
}
_NAMES = {
    "en": "Tom Mia Ben Lily Sam Anna Leo Ruth Max Ella Noah Ivy Hugo Clara Paul Jane".split(),
    "zh": "小明 小红 阿福 小兰 大山 春燕 阿宝 小雨 石头 秋月 小虎 文文 阿海 青青 小龙 阿美".split(),
}
_MORE = {
    "en": [
        "{n} has {a} {t}. A friend brings {b} more. How many {t} does {n} have now?",
        "There are {a} {t} on the table. {n} puts {b} more beside them. How many {t} are on the table?",
        "{n} found {a} {t} in the morning and {b} in the evening. How many {t} is that in all?",
        "On Monday {n} had {a} {t}. On Tuesday {n} finds {b} more. How many {t} are there now?",
        "{n} has {a} {t} and buys {b} more. How many {t} does {n} have now?",
        "{n} has {a} {t}. A neighbour has {b}. How many {t} do they have in all?",
        "{a} {t} lie in the box, and {n} finds {b} more under it. How many {t} is that in all?",
        "{n} sells {a} {t} today and {b} tomorrow. How many {t} does {n} sell in all?",
        "{n} has {a} {t} and finds {b} more. How many {t} does {n} have in all?",
    ],
    "zh": [
        "{n}有 {a} {t}，朋友又送来 {b} {t}。{n}现在一共有多少{t}？",
        "桌上有 {a} {t}，{n}又放上 {b} {t}。桌上一共有多少{t}？",
        "{n}早上找到 {a} {t}，晚上又找到 {b} {t}。一共是多少{t}？",
        "星期一{n}有 {a} {t}，星期二又找到 {b} {t}。现在一共有多少{t}？",
        "{n}有 {a} {t}，又买了 {b} {t}。{n}现在有多少{t}？",
        "{n}有 {a} {t}，邻居有 {b} {t}。他们一共有多少{t}？",
        "盒子里有 {a} {t}，{n}在下面又找到 {b} {t}。一共是多少{t}？",
        "{n}今天卖出 {a} {t}，明天卖出 {b} {t}。{n}一共卖出多少{t}？",
        "{n}有 {a} {t}，又找到 {b} {t}。{n}一共有多少{t}？",
    ],
}
_LESS = {
    "en": [
        "{n} has {a} {t} and gives {b} away. How many {t} are left?",
        "There were {a} {t} in the box. {n} took {b} out. How many {t} are still in the box?",
        "{n} needs {a} {t} and already has {b}. How many {t} are missing?",
        "There are {a} {t} on the table. {n} takes {b} away. How many {t} are on the table now?",
        "{n} has {a} {t} and sells {b}. How many {t} are left?",
        "{n} had {a} {t} and lost {b} on the way. How many {t} does {n} still have?",
        "Of {a} {t} in the box {n} takes {b} away. How many {t} are left?",
        "{n} has {a} {t}. A friend has {b} less. How many {t} does the friend have?",
        "{n} has {a} {t} and takes {b} away. How many {t} are left?",
    ],
    "zh": [
        "{n}有 {a} {t}，送给别人 {b} {t}。还剩多少{t}？",
        "盒子里有 {a} {t}，{n}拿走了 {b} {t}。盒子里还有多少{t}？",
        "{n}需要 {a} {t}，已经有 {b} {t}。还差多少{t}？",
        "桌上有 {a} {t}，{n}拿走了 {b} {t}。桌上现在有多少{t}？",
        "{n}有 {a} {t}，卖出 {b} {t}。还剩多少{t}？",
        "{n}有 {a} {t}，路上丢了 {b} {t}。{n}还有多少{t}？",
        "盒子里的 {a} {t}，{n}拿走了 {b} {t}。还剩多少{t}？",
        "{n}有 {a} {t}，朋友比{n}少 {b} {t}。朋友有多少{t}？",
        "{n}有 {a} {t}，拿走了 {b} {t}。还剩多少{t}？",
    ],
}
_HELD_OUT_NAMES = 2
"""The last names, and the last wording, are held out."""


def _word(language: str) -> Draw:
    def draw(rng: random.Random, held_out: bool) -> Problem:
        a, b = _falling(rng, held_out, 3, 60)
        more = rng.random() < 0.5
        wordings = (_MORE if more else _LESS)[language]
        names = _NAMES[language]
        wording = wordings[-1] if held_out else rng.choice(wordings[:-1])
        name = rng.choice(names[-_HELD_OUT_NAMES:] if held_out else names[:-_HELD_OUT_NAMES])
        question = wording.format(n=name, t=rng.choice(_THINGS[language]), a=a, b=b)
        result = a + b if more else a - b
        return _solved(language, question, [f"{a} {'+' if more else '-'} {b} = {result}"], result)

    return draw


FAMILIES: dict[str, dict[str, Draw]] = {
    language: {
        "addition": _clean(_add(language)),
        "long addition": _clean(_add_long(language)),
        "subtraction": _clean(_subtract(language)),
        "comparison": _clean(_compare(language)),
        "word problem": _clean(_word(language)),
    }
    for language in ("en", "zh")
}


def _sheet(language: str) -> Writer:
    question_mark, answer_mark = MARKS[language]
    families = list(FAMILIES[language].values())

    def write(rng: random.Random) -> str:
        draw = rng.choice(families)
        lines = []
        for _ in range(rng.randrange(2, 10)):
            problem = draw(rng, False)
            lines.append(f"{question_mark}{problem.question}\n{answer_mark}{problem.solution(rng.random() < 0.8)}")
        return "\n\n".join(lines)

    return write


WRITERS: dict[str, Writer] = {language: _sheet(language) for language in FAMILIES}
