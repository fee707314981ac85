"""Scores of answers: what counts as right, the interval, items that are none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from tilth.base.errors import UserError
from tilth.evaluation.compare import gain
from tilth.evaluation.tasks import Item, prompt_of, read_items, score, wilson
from tilth.tokens.chat import Chat
from tilth.tokens.settings import CHAT_TOKENS
from tilth.tokens.templates import TEMPLATES
from tilth.tokens.tokenizer import train_bpe


@pytest.mark.parametrize(
    ("match", "answers", "said", "right"),
    [
        ("text", ("In Rome.",), " in  rome", True),
        ("text", ("他出生在南屏。",), "他出生在南屏", True),
        ("text", ("In Rome.",), "In Rome, or Bern.", False),
        ("text", ("a", "b"), "B", True),
        ("number", ("72",), "60 + 12 = 72. The answer is 72.", True),
        ("number", ("72",), "72 or 73", False),
        ("number", ("1255",), "1,255", True),
        ("number", ("-3",), "答案是 -3。", True),
        ("number", ("72",), "I do not know.", False),
        ("number", ("1,255",), "1255.0", True),
        ("number", ("72",), "答案是 ７２", True),
    ],
)
def test_what_is_right(match, answers, said, right):
    assert Item("i", "q", answers, match=match).is_right(said) is right


@pytest.mark.parametrize(("right", "items"), [(0, 5), (5, 5), (37, 200), (199, 200), (1, 1)])
def test_the_interval_is_wilsons(right, items):
    expected = binomtest(right, items).proportion_ci(method="wilson")
    assert wilson(right, items) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_scores_by_family_and_language():
    items = [Item(str(i), "q", ("1",), family="f", language="en", match="number", worked="=") for i in range(4)]
    items.append(Item("x", "q", ("a",), family="g", language="zh"))
    rows = score(items, ["1", "0 + 1 = 1", "2", "3 = 3", "a"])
    assert [(r["family"], r["language"], r["items"], r["right"]) for r in rows] == [
        ("f", "en", 4, 2),
        ("g", "zh", 1, 1),
    ]
    assert rows[0]["worked"] == 0.5
    assert "worked" not in rows[1]


def test_the_three_forms():
    tokenizer = train_bpe(["Question: a\nAnswer: b\n\n"] * 9, vocabulary=275, special=CHAT_TOKENS)
    item = Item("i", "q?", ("a",), shots=(("x", "y"),), marks=("Question: ", "Answer: "))
    chat = Chat(TEMPLATES["tilth"], tokenizer)
    shown = {
        form: tokenizer.decode(prompt_of(item, form, tokenizer, chat), keep_special=True)
        for form in ("native", "few-shot", "chat")
    }
    assert shown["native"] == "<|bos|>Question: q?\nAnswer:"
    assert shown["few-shot"] == "<|bos|>Question: x\nAnswer: y\n\nQuestion: q?\nAnswer:"
    assert shown["chat"] == "<|bos|><|user|>q?<|end|><|assistant|>"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"t\.jsonl:2: not an item"),
        ('{"question": "q"}', r"t\.jsonl:2: not an item: answers is missing"),
        ('{"answer": "a"}', r"t\.jsonl:2: not an item: question is missing"),
        ('{"question": "q", "answer": "a", "match": "maybe"}', "match is text or number"),
        ("[]", r"t\.jsonl:2: not an item"),
        ('{"question": "q", "answers": "Rome"}', "a list of answers"),
        ('{"question": 3, "answers": ["a"]}', "a list of answers"),
    ],
)
def test_what_is_no_item(tmp_path, line, message):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"question": "q", "answer": 3}) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_items(path)


def test_a_line_separator_inside_a_question_ends_no_line(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"question": "a\u2028b\u0085c", "answer": "d"}\n', encoding="utf-8")
    (item,) = read_items(path)
    assert item.question == "a\u2028b\u0085c"


def test_an_item_may_have_one_answer(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"question": "q", "answer": 3}\n', encoding="utf-8")
    (item,) = read_items(path)
    assert (item.answers, item.id) == (("3",), "t.jsonl#1")


def test_a_gain_is_of_the_same_items():
    right, base = [True] * 6 + [False] * 4, [True] * 3 + [False] * 7
    found = gain(right, base)
    assert found["gain"] == pytest.approx(0.3)
    differences = np.array(right, float) - np.array(base, float)
    twice = np.array([*differences, *differences, 0, 0, 1, -1])  # half an item more in each cell, all doubled
    half = 1.959964 * twice.std() / np.sqrt(10 + 2)
    assert (found["low"], found["high"]) == pytest.approx((twice.mean() - half, twice.mean() + half), abs=1e-6)


def test_a_gain_of_nothing_is_not_certain():
    found = gain([True] * 20, [True] * 20)
    assert found["gain"] == 0
    assert found["low"] < -0.05 < 0.05 < found["high"]
