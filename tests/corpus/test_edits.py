"""Edits: what they change, where they say that they changed it, and what they must leave alone."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.helpers import CHINESE, ENGLISH, table_of
from tilth.corpus.edits.boilerplate import HEADS, TELLING
from tilth.corpus.edits.lines import LinesStep
from tilth.corpus.edits.repair import RepairStep
from tilth.corpus.edits.split import cuts
from tilth.corpus.settings import LinesSettings, RepairSettings
from tilth.corpus.steps import Edit
from tilth.text import Heads

REPAIR = RepairStep("repair", RepairSettings())
LINES = LinesStep("lines", LinesSettings())
HOSTILE = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("\r\n\t\x00\x85\ufeff\u200b\u200d\u0301\u0323é가\u1100\u1161각ｶﾞ河e ÅK"),
    )
)


def edited(step: Edit, *texts: str) -> tuple[list[str], list[tuple[int, str, int, int]]]:
    table, log = step.edit(table_of(list(texts)))
    return table.column("text").to_pylist(), list(zip(log.rows, log.kinds, log.starts, log.ends, strict=True))


def test_repair_says_what_and_where() -> None:
    texts, log = edited(REPAIR, "clean", "\ufeffa\r\nb\u200bc\x00", "河\u200d e\u0301 ok", "👩\u200d👩\tz")
    assert texts == ["clean", "a\nbc", "河\u200d é ok", "👩\u200d👩\tz"]
    assert log == [
        (1, "bom", 0, 1),
        (1, "newline", 2, 4),
        (1, "zero-width", 5, 6),
        (1, "control", 7, 8),
        (2, "nfc", 3, 5),
    ]


@settings(max_examples=400, deadline=None)
@given(HOSTILE)
def test_repair_is_nfc_and_a_fixed_point(text: str) -> None:
    repaired, log = REPAIR.repair(text)
    assert unicodedata.is_normalized("NFC", repaired)
    assert REPAIR.repair(repaired) == (repaired, [])
    assert not set("\r\x00\ufeff\u200b\x85") & set(repaired)
    assert bool(log) == (repaired != text)
    keep = [True] * len(text)
    for _, start, end in log:
        assert 0 <= start <= end <= len(text)
        keep[start:end] = [False] * (end - start)
    untouched = Counter(character for character, kept in zip(text, keep, strict=True) if kept)
    assert not untouched - Counter(repaired)


@settings(max_examples=200, deadline=None)
@given(st.lists(HOSTILE, max_size=5))
def test_the_cheap_test_passes_over_nothing(texts: list[str]) -> None:
    assert edited(REPAIR, *texts)[0] == [REPAIR.repair(text)[0] for text in texts]


def test_boilerplate_lines_go_and_prose_stays() -> None:
    page = (
        "Privacy Policy | Terms of Use\nThe privacy policy of a state is its own affair.\nPlease enable JavaScript to "
        "view.\nJavaScript is a language for the web.\n版权所有 © 2020 某某公司\n"
        "著作权人版权所有，他人不得侵犯，这是本条的规定。\n扫码关注我们的公众号\n上一篇：旧文\n" + CHINESE
    )
    (text,), log = edited(LINES, page)
    assert text.split("\n") == [
        "The privacy policy of a state is its own affair.",
        "JavaScript is a language for the web.",
        "著作权人版权所有，他人不得侵犯，这是本条的规定。",
        CHINESE,
    ]
    assert [kind for _, kind, _, _ in log] == ["policy", "javascript", "版权", "关注", "导航"]
    removed = "".join(page[start:end] for _, _, start, end in log)
    assert Counter(page) == Counter(text) + Counter(removed)


def test_lines_of_your_own() -> None:
    step = LinesStep("lines", LinesSettings(patterns=[r"^ADVERTISEMENT"], longest=40))
    assert edited(step, "ADVERTISEMENT now\nrest", "ADVERTISEMENT " + "x" * 40)[0] == [
        "rest",
        "ADVERTISEMENT " + "x" * 40,
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(["Read more", "上一篇：x", "prose", ""]), HOSTILE), max_size=8))
def test_removed_lines_and_kept_text_make_the_whole(parts: list[str]) -> None:
    text = "\n".join(parts)
    (kept,), log = edited(LINES, text)
    pieces, done = [], 0
    for _, _, start, end in log:
        pieces.append(text[done:start])
        done = end
    assert "".join([*pieces, text[done:]]) == kept


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab。. \n河"), max_size=400), st.integers(10, 60))
def test_cuts_cover_the_text_in_order(text: str, longest: int) -> None:
    spans = list(cuts(text, longest))
    assert "".join(text[start:end] for start, end in spans) == text
    assert max(end - start for start, end in spans) <= longest


def test_cuts_prefer_paragraphs() -> None:
    text = (ENGLISH * 3 + "\n\n") * 8
    assert all(text[:end].endswith("\n\n") for _, end in cuts(text, 500))


@given(st.from_regex(re.compile(TELLING, re.IGNORECASE), fullmatch=True))
@settings(max_examples=1500, deadline=None)
def test_whatever_is_telling_begins_with_a_head(phrase: str) -> None:
    assert Heads(HEADS).lines(pa.array([f"x{phrase}"], pa.large_string()), 1000)[0].tolist() == [0]


@given(st.lists(st.text(st.sampled_from("aBc信息 \n,é"), max_size=60), max_size=4), st.integers(0, 20))
def test_heads_are_found_in_short_lines(texts: list[str], longest: int) -> None:
    heads = ["ab", "cab", "信息", "bc, a"]
    expected = [
        (row, line)
        for row, text in enumerate(texts)
        for line in text.split("\n")
        if len(line) <= longest and any(head in line.lower() for head in heads)
    ]
    rows, lines = Heads(heads).lines(pa.array(texts, pa.large_string()), longest)
    assert list(zip(rows.tolist(), lines, strict=True)) == expected
