"""Conversations, preferences and test items over the grammars' families: what turns a trained model into an assistant.

A family is a kind of question. Some are tested (TESTED): their held-out items have operands, names, words or wordings
that stand in no document and no conversation. Facts about invented people stand in biographies only, and no
conversation asks about the tested ones. Reading asks for a fact of the biography in front of the question.

The stated preference is for worked answers: the chosen answer shows the steps, the rejected one has the result only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Literal

from tilth.base.keyed import stable_hash
from tilth.synthesis import arithmetic, people, questions
from tilth.synthesis.documents import MARKS

Language = Literal["en", "zh"]
Asked = Callable[[random.Random, bool], tuple[str, str]]
"""(generator, held out) -> (question, answer)."""

WORKED = tuple(arithmetic.FAMILIES["en"])
"""Families whose answers can be worked."""
TESTED = (*WORKED, "reversal", "facts", "reading")
"""Families with held-out items, in which a model is scored."""
SHOTS = 4


def _facts(language: str) -> Asked:
    asked = people.QUESTIONS[language]

    def ask(rng: random.Random, held_out: bool) -> tuple[str, str]:
        while True:
            index = rng.randrange(people.PEOPLE)
            if people.is_held_out(index) == held_out:
                question, answer = asked[rng.choice(sorted(asked))]
                facts = vars(people.person(language, index))
                return question.format(**facts), answer.format(**facts)

    return ask


def _reading(language: str) -> Asked:
    asked = people.READING[language]

    def ask(rng: random.Random, held_out: bool) -> tuple[str, str]:
        somebody, biography = people.stranger(language, rng, held_out)
        question, answer = asked[rng.choice(sorted(asked))]
        return f"{biography}\n{question}", answer.format(**vars(somebody))

    return ask


def _plain(ask: questions.Asked) -> Asked:
    return lambda rng, held_out: ask(rng)


def _worked(draw: arithmetic.Draw) -> Asked:
    def ask(rng: random.Random, held_out: bool) -> tuple[str, str]:
        problem = draw(rng, held_out)
        return problem.question, problem.solution(rng.random() < 0.5)

    return ask


_PLAIN = {
    "en": {"opposite": questions.opposite_en, "weekday": questions.day_en, "kind": questions.kind_en},
    "zh": {"opposite": questions.opposite_zh, "weekday": questions.day_zh, "kind": questions.kind_zh},
}
_REVERSAL = {"en": questions.reverse_en, "zh": questions.reverse_zh}

FAMILIES: dict[str, dict[str, Asked]] = {
    language: {
        **{name: _worked(draw) for name, draw in arithmetic.FAMILIES[language].items()},
        "reversal": _REVERSAL[language],
        "facts": _facts(language),
        "reading": _reading(language),
        **{name: _plain(ask) for name, ask in _PLAIN[language].items()},
    }
    for language in ("en", "zh")
}


def conversations(count: int, seed: int, languages: tuple[str, ...] = ("en", "zh")) -> Iterator[dict[str, Any]]:
    """`count` conversations of one or two questions, the languages in turn; number i depends on (seed, i) alone."""
    for index in range(count):
        language = languages[index % len(languages)]
        rng = random.Random(stable_hash(seed, "conversation", index))
        family = rng.choice(list(FAMILIES[language]))
        messages = []
        for _ in range(1 if rng.random() < 0.8 else 2):
            question, answer = FAMILIES[language][family](rng, False)
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        yield {"id": f"chat-{index}", "messages": messages, "domain": f"{family} {language}"}


def preferences(count: int, seed: int, languages: tuple[str, ...] = ("en", "zh")) -> Iterator[dict[str, Any]]:
    """`count` questions with a worked answer as the chosen and a direct one as the rejected."""
    for index in range(count):
        language = languages[index % len(languages)]
        rng = random.Random(stable_hash(seed, "preference", index))
        family = rng.choice(WORKED)
        problem = arithmetic.FAMILIES[language][family](rng, False)
        yield {
            "id": f"preference-{index}",
            "prompt": problem.question,
            "chosen": problem.solution(worked=True),
            "rejected": problem.solution(worked=False),
            "domain": f"{family} {language}",
        }


def items(count: int, seed: int, languages: tuple[str, ...] = ("en", "zh")) -> Iterator[dict[str, Any]]:
    """Up to `count` different held-out items of each tested family and language (facts: all there are, if fewer).

    `answers` are the answers that count as right; `shots` are solved examples, the same for all of a family and none of
    them held out;
    `worked` is the mark by which a worked answer is known.
    """
    for language in languages:
        for family in TESTED:
            rng = random.Random(stable_hash(seed, "shots", language, family))
            shots = [FAMILIES[language][family](rng, False) for _ in range(SHOTS)]
            common = {"family": family, "language": language, "marks": list(MARKS[language]), "shots": shots}
            seen: set[str] = set()
            for attempt in range(20 * count):
                if len(seen) == count:
                    break
                rng = random.Random(stable_hash(seed, "item", language, family, attempt))
                item = _item(language, family, rng)
                if item["question"] not in seen:
                    seen.add(item["question"])
                    yield {"id": f"{family}-{language}-{len(seen)}", **common, **item}


def _item(language: str, family: str, rng: random.Random) -> dict[str, Any]:
    if family in WORKED:
        problem = arithmetic.FAMILIES[language][family](rng, True)
        right = {"question": problem.question, "answers": [str(problem.result)], "match": "number"}
        return {**right, "worked": mark_of_work(problem, language)}
    question, answer = FAMILIES[language][family](rng, True)
    return {"question": question, "answers": [answer], "match": "text", "worked": None}


def mark_of_work(problem: arithmetic.Problem, language: str) -> str:
    """What stands in a worked answer and in no direct one."""
    return "=" if "=" in problem.steps else {"en": "more than", "zh": "比"}[language]
