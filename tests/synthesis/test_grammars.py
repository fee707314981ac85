from __future__ import annotations

import json
import random
import re

import pytest

from tilth.synthesis import arithmetic, people, questions
from tilth.synthesis.documents import MARKS
from tilth.synthesis.settings import GrammarSettings
from tilth.synthesis.write import GRAMMARS, write_documents


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", GRAMMARS)
def test_same_seed_same_text_and_more_only_adds(kind, tmp_path):
    for folder, count, seed in (("a", 40, 7), ("b", 60, 7), ("c", 40, 8)):
        write_documents([GrammarSettings(kind=kind, documents=count)], seed, tmp_path / folder)
    a, b, c = (read(tmp_path / folder / f"{kind}.jsonl") for folder in "abc")
    assert b[:40] == a
    assert a != c
    assert {d["language"] for d in a} == {"en", "zh"}
    assert all("{" not in d["text"] and "}" not in d["text"] for d in b)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("family", arithmetic.FAMILIES["en"])
def test_every_sum_is_right(language, family):
    rng = random.Random(0)
    for _ in range(300):
        problem = arithmetic.FAMILIES[language][family](rng, rng.random() < 0.5)
        sums = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", problem.steps)
        for left, sign, right, result in sums:
            assert int(result) == (int(left) + int(right) if sign == "+" else int(left) - int(right)), problem
        assert not sums or int(sums[-1][3]) == problem.result
        assert problem.solution(worked=True).endswith(problem.solution(worked=False))
        assert re.findall(r"\d+", problem.answer) == [str(problem.result)]


def test_people_have_names_of_their_own_and_questions_match_their_facts():
    for language in ("en", "zh"):
        everybody = [people.person(language, i) for i in range(people.PEOPLE)]
        assert len({someone.name for someone in everybody}) == people.PEOPLE
        for fact, (_, answer) in people.QUESTIONS[language].items():
            assert f"{{{fact}}}" in answer


def test_reversal_and_days():
    for seed in range(200):
        question, answer = questions.reverse_en(random.Random(seed))
        words = question.split(": ")[1].rstrip(".").split(", ")
        assert answer == ", ".join(words[::-1]) + "."
        question, answer = questions.day_zh(random.Random(seed))
        after = int(re.search(r"，(\d) 天", question)[1])
        start = "一二三四五六日".index(question[5])
        assert answer.rstrip("。")[-1] == "一二三四五六日"[(start + after) % 7]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_people_who_are_asked_about_share_every_part_of_a_name_with_the_others(language):
    def parts(held_out: bool) -> set[tuple[int, str]]:
        names = [people.person(language, i).name for i in range(people.PEOPLE) if people.is_held_out(i) == held_out]
        return {part for name in names for part in enumerate(name.split() if language == "en" else (name[0], name[1:]))}

    assert parts(True)
    assert parts(True) <= parts(False)


def test_biographies_ask_nothing():
    for language, write in people.WRITERS.items():
        text = "".join(write(random.Random(i)) for i in range(200))
        assert not any(mark in text for mark in (*MARKS[language], "?", "？"))
