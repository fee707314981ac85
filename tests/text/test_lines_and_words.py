"""Web lines and keywords equal their plain-Python twins; what they find by rule of language."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.reference import text_lines as twin
from tests.text.hostile import PIECES, array, texts
from tilth.text import Keywords, unicode, web_lines
from tilth.text.furniture import KINDS

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["SALE NOW ON", "3 likes", "42", "第三", "首页", "读完了。", "Home", "", " ", "a b 7", "12 人", "...", "A"]
        ),
        st.lists(st.sampled_from(PIECES), max_size=6).map(" ".join),
    ),
    max_size=8,
).map("\n".join)
WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["the cat", "The", "cat", "国", "天气", "天气很好", "GPU训", "don't", "#", "a", "é", "K", "it's the"]
        ),
        st.text(st.sampled_from("ab国天 .K"), max_size=4),
        st.sampled_from(PIECES),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=200)
@given(st.lists(LINES, max_size=4))
@example(["", "\n", "A\n\nB\n", "12.\n一二\nNEW YORK\nnew YORK", "三十\n"])
def test_web_lines_equal_the_twin(items: list[str]) -> None:
    found = [(row, start, end, KINDS[kind]) for row, start, end, kind in web_lines(array(items, slice_from=1)).tolist()]
    assert found == [(row, *place) for row, item in enumerate(items) for place in twin.web_lines(item)]


@settings(deadline=None, max_examples=400)
@given(texts, WORDS)
@example(["The cat's  THE\tCAT; thecat the catty"], ["the cat", "cat"])
@example(["用GPU训练天气很好国国"], ["天气", "天气很好", "gpu训", "国"])
@example(["K\u212a \u0130x"], ["k", "ix", ""])
def test_keywords_equal_the_twin(items: list[str], words: list[str]) -> None:
    words = [word.strip() for word in words]
    found = Keywords.build(words).find(array(items, slice_from=1)).tolist()
    assert found == [[row, *place] for row, item in enumerate(items) for place in twin.keywords(item, words)]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("classic ass, Ass!", ["ass"], ["ass", "Ass"]),
        ("办证刻章请联系", ["刻章", "证刻"], ["证刻"]),
        ("加qq群，QQ群", ["QQ群"], ["qq群", "QQ群"]),
        ("buy  now\nand save", ["buy now", "buy now and"], ["buy  now\nand"]),
        ("nothing here", ["", " "], []),
    ],
)
def test_borders_case_and_spaces(text: str, words: list[str], expected: list[str]) -> None:
    assert [text[start:end] for _, start, end, _ in Keywords.build(words).find(array([text])).tolist()] == expected


def test_many_words_and_many_places() -> None:
    words = [chr(0x4E00 + i) + chr(0x4E00 + j) for i in range(60) for j in range(60)]
    text = "".join(words[::7])
    found = Keywords.build(words).find(array([text]))
    assert len(found) == len(text) // 2
    assert np.array_equal(found[:, 1], np.arange(0, len(text), 2))


def test_traits_of_characters() -> None:
    table = unicode.traits()
    assert all(table[ord(c)] == unicode.RARE for c in "鐨枃锟")
    assert all(table[ord(c)] == unicode.FUNCTION for c in "的了之為")
    assert all(table[ord(c)] == 0 for c in "国國学學人a，·×° ")
    assert all(table[ord(c)] == unicode.GARBLED for c in "\ufffdä¸\x9d\ue000".replace("¸", ""))
