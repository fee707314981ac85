"""Sums, differences, comparisons and word problems, each with its worked solution, several to a document.

A document holds a handful of problems of one family in the question-answer shape, all worked, so that a model also
learns that answers follow examples. One pair of operands in ten is held out, and so are some names and wordings of the
word problems: they stand in no document and in no conversation, for testing.
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


def _sum_steps(a: int, b: int) -> list[str]:
    """a + b place by place, the highest first, and the places put together."""
    places = [place for place in (100, 10, 1) if place <= max(a, b)]
    pairs = [(a // place % 10 * place, b // place % 10 * place) for place in places]
    steps = [f"{x} + {y} = {x + y}" for x, y in pairs]
    total = sum(pairs[0])
    for x, y in pairs[1:]:
        steps.append(f"{total} + {x + y} = {total + x + y}")
        total += x + y
    return steps


def _difference_steps(a: int, b: int) -> list[str]:
    """a - b for b below 100: the tens first."""
    middle = a - b // 10 * 10
    return [f"{a} - {b // 10 * 10} = {middle}", f"{middle} - {b % 10} = {a - b}"]


def _add(language: str, low: int, high: int) -> Draw:
    asked = {"en": "What is {} + {}?", "zh": "{} 加 {} 等于多少？"}[language]

    def draw(rng: random.Random, held_out: bool) -> Problem:
        a, b = _operands(rng, held_out, low, high)
        return _solved(language, asked.format(a, b), _sum_steps(a, b), a + b)

    return draw


def _subtract(language: str) -> Draw:
    asked = {"en": "What is {} - {}?", "zh": "{} 减 {} 等于多少？"}[language]

    def draw(rng: random.Random, held_out: bool) -> Problem:
        a, b = _falling(rng, held_out, 10, 100)
        return _solved(language, asked.format(a, b), _difference_steps(a, b), a - b)

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
        "{n} collects {a} {t} in spring and {b} in summer. How many {t} does {n} collect in all?",
        "First {n} counts {a} {t}, then {b} more. How many {t} has {n} counted?",
        "{n} gets {a} {t} from one friend and {b} from another. How many {t} does {n} get in all?",
        "In one bag there are {a} {t}, in another {b}. How many {t} are there in all?",
        "{n} had {a} {t}. Now {n} has {b} more than that. How many {t} does {n} have now?",
        "{n} carries {a} {t} home, and later {b} more. How many {t} are at home now?",
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
        "{n}春天收了 {a} {t}，夏天收了 {b} {t}。{n}一共收了多少{t}？",
        "{n}先数了 {a} {t}，又数了 {b} {t}。{n}一共数了多少{t}？",
        "一个朋友给{n} {a} {t}，另一个朋友给 {b} {t}。{n}一共得到多少{t}？",
        "一个袋子里有 {a} {t}，另一个袋子里有 {b} {t}。一共有多少{t}？",
        "{n}原来有 {a} {t}，后来又得到 {b} {t}。{n}现在有多少{t}？",
        "{n}带回家 {a} {t}，后来又带回 {b} {t}。家里一共有多少{t}？",
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
        "{n} had {a} {t} and used {b} of them. How many {t} remain?",
        "From {a} {t} {n} gives {b} to a neighbour. How many {t} does {n} keep?",
        "{n} counts {a} {t}, but {b} of them are broken. How many {t} are whole?",
        "A friend has {a} {t}, {n} has {b} less than that. How many {t} does {n} have?",
        "{n} buys {a} {t} and brings {b} back. How many {t} does {n} keep?",
        "Of {a} {t}, {b} fall into the river. How many {t} are left for {n}?",
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
        "{n}有 {a} {t}，用掉了 {b} {t}。{n}还有多少{t}？",
        "{n}从 {a} {t}里给邻居 {b} {t}。{n}自己留下多少{t}？",
        "{n}数了 {a} {t}，其中 {b} {t}是坏的。好的有多少{t}？",
        "朋友有 {a} {t}，{n}比朋友少 {b} {t}。{n}有多少{t}？",
        "{n}买了 {a} {t}，退回 {b} {t}。{n}留下多少{t}？",
        "{a} {t}里有 {b} {t}掉进了河里。{n}还剩多少{t}？",
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
        steps, result = (_sum_steps(a, b), a + b) if more else (_difference_steps(a, b), a - b)
        return _solved(language, question, steps, result)

    return draw


FAMILIES: dict[str, dict[str, Draw]] = {
    language: {
        "addition": _clean(_add(language, 10, 100)),
        "long addition": _clean(_add(language, 100, 1000)),
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
            lines.append(f"{question_mark}{problem.question}\n{answer_mark}{problem.solution(worked=True)}")
        return "\n\n".join(lines)

    return write


WRITERS: dict[str, Writer] = {language: _sheet(language) for language in FAMILIES}
