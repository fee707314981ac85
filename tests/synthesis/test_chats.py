"""Conversations, preferences and held-out items: nothing that is tested was ever trained on."""

from __future__ import annotations

import random
import re

import pytest

from tilth.synthesis import arithmetic, chats
from tilth.synthesis.settings import GrammarSettings
from tilth.synthesis.write import write_documents


def test_held_out_items_stand_nowhere_else(tmp_path):
    trained = {message["content"] for chat in chats.conversations(30_000, 1) for message in chat["messages"][::2]}
    trained |= {pair["prompt"] for pair in chats.preferences(5_000, 1)}
    written = ""
    for kind in ("arithmetic", "questions", "people"):
        write_documents([GrammarSettings(kind=kind, documents=8_000)], 1, tmp_path)
        written += (tmp_path / f"{kind}.jsonl").read_text(encoding="utf-8")
    sums = re.findall(r"(\d+) ([+-]) (\d+) = ", written)
    assert sums
    assert not [found for found in sums if arithmetic.is_tested(int(found[0]), int(found[2]))]
    items = list(chats.items(200, 1))
    shots = {question for item in items for question, _ in item["shots"]}
    for item in items:
        assert item["question"] not in trained
        assert item["question"] not in shots
        assert item["marks"][0] + item["question"] not in written


def test_enough_different_items_of_each_family():
    items = list(chats.items(200, 1))
    counts = {}
    for item in items:
        key = item["family"], item["language"]
        counts[key] = counts.get(key, 0) + 1
    assert counts == {(family, language): 200 for family in chats.TESTED for language in ("en", "zh")}
    assert len({item["question"] for item in items}) == len(items)
    assert list(chats.items(200, 1)) == items


def test_more_only_adds():
    assert list(chats.conversations(40, 3)) == list(chats.conversations(60, 3))[:40]
    assert list(chats.preferences(40, 3)) == list(chats.preferences(60, 3))[:40]


def test_the_preferred_answer_is_worked_and_both_are_right():
    for pair in chats.preferences(500, 1):
        assert pair["chosen"].endswith(pair["rejected"])
        assert pair["chosen"] != pair["rejected"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_mark_of_a_worked_answer_tells_it_from_a_direct_one(language):
    for draw in arithmetic.FAMILIES[language].values():
        problem = draw(random.Random(1), True)
        mark = chats.mark_of_work(problem, language)
        assert mark in problem.solution(worked=True)
        assert mark not in problem.solution(worked=False)
