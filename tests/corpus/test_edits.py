"""Edits: what they change, where they say that they changed it, and what they must leave alone."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import read_zst
from tests.corpus.helpers import CHINESE, ENGLISH, table_of
from tilth.base.errors import UserError
from tilth.corpus.lines import LinesStep
from tilth.corpus.mask import PLACEHOLDERS, MaskStep
from tilth.corpus.mask_patterns import Finder, luhn_holds, resident_id_holds
from tilth.corpus.repair import RepairStep
from tilth.corpus.settings import LinesSettings, MaskSettings, RepairSettings
from tilth.corpus.split import cuts
from tilth.corpus.steps import Edit
from tilth.text import personal_places

REPAIR = RepairStep("repair", RepairSettings())
LINES = LinesStep("lines", LinesSettings())
MASK = MaskStep("mask", MaskSettings())
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
    with pytest.raises(UserError, match="not a regular expression"):
        LinesStep("lines", LinesSettings(patterns=["("]))


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


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to 张三li.na@mail.example.cn，谢谢", "write to 张三[EMAIL]，谢谢"),
        ("A @ B, @decorator, x@y, obj@host.method()", None),
        ("host 203.51.42.32 up", "host [IP] up"),
        ("连接8.214.3.99失败", "连接[IP]失败"),
        ("version 10.2.93.4, v5.60.7.8, Chrome/91.0.4472.124, section 3.2.1.4", None),
        ("router 192.168.1.10 and 127.0.0.1", None),
        ("at 2001:db8:20e4:4124::97b9.", "at [IP]."),
        ("12:30:45 std::vector::size 02:00:5e:10:00:00:00:01", None),
        ("电话13800138000。", "电话[PHONE]。"),
        ("手机号+8615820019197，", "手机号[PHONE]，"),
        ("座机 010-89892056 转 12", "座机 [PHONE]"),
        ("(0571) 65955761", "[PHONE]"),
        ("call +44 20 7946 0958 now", "call [PHONE] now"),
        ("(555) 123-4567 or 555-123-4567 x89", "[PHONE] or [PHONE]"),
        ("ISBN 978-7-111-12345-6, 2021-03-04, 1234567890123", None),
        ("订单编号 6952048995558727", None),
        ("身份证11010519491231002X号", "身份证[ID]号"),
        ("身份证110105194912310021号", None),
        ("卡号 6228 4850 2455 6603 814", "卡号 [CARD]"),
        ("银行卡号6228485024556603814，", "银行卡号[CARD]，"),
        ("sum 6228485024556603815", None),
    ],
)
def test_masks(text: str, masked: str | None) -> None:
    (found,), log = edited(MASK, text)
    assert found == (masked or text)
    assert len(log) == sum(found.count(place) for place in PLACEHOLDERS.values())


def test_check_digits() -> None:
    assert resident_id_holds("11010519491231002X")
    assert not resident_id_holds("110105194912310021")
    assert luhn_holds("79927398713")
    assert not luhn_holds("79927398710")


PIECES = st.sampled_from(
    [
        "a@b.example.com",
        "13800138000",
        "8.214.3.99",
        "2001:db8::1:2",
        "河",
        " ",
        "，",
        "1" * 40,
        "010-89892056",
        ":",
        "@",
        "-",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.one_of(PIECES, HOSTILE), max_size=12).map("".join), max_size=4))
def test_masking_changes_nothing_but_the_places_it_names(texts: list[str]) -> None:
    found, log = edited(MASK, *texts)
    for row, text in enumerate(texts):
        pieces, done = [], 0
        for _, kind, start, end in (entry for entry in log if entry[0] == row):
            assert done <= start < end
            pieces += [text[done:start], PLACEHOLDERS[kind]]
            done = end
        assert "".join([*pieces, text[done:]]) == found[row]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(PIECES, HOSTILE), max_size=12).map("".join))
def test_the_kernel_looks_wherever_the_patterns_would_find(text: str) -> None:
    """Windows hold every place that the patterns find in the whole text."""
    finder = Finder(MaskSettings())
    windows = list(personal_places(pa.array([text], pa.large_string())))
    assert all(text[offset : offset + len(window)] == window for _, window, offset in windows)
    for kind, start, end in finder.find(text):
        if kind in ("email", "ip", "resident_id", "bank_card"):
            assert any(offset <= start and end <= offset + len(window) for _, window, offset in windows)


GOLD = {
    **dict.fromkeys(("EMAIL", "EMAIL_ADDRESS"), "email"),
    **dict.fromkeys(("IPV4", "IPV6", "IP_ADDRESS"), "ip"),
    **dict.fromkeys(("LANDLINE_CN", "PHONE_CN", "PHONE_NUMBER"), "phone"),
    **dict.fromkeys(("BANK_CARD", "CREDIT_CARD"), "bank_card"),
    "ID_CARD_CN": "resident_id",
}


@pytest.mark.parametrize("name", ["zh_synthetic", "presidio_synth_v2"])
def test_f1_on_labelled_text(real_data: Path, name: str) -> None:
    records = list(read_zst(real_data / "pii" / f"{name}.jsonl.zst"))
    _, log = edited(MASK, *(record["full_text"] for record in records))
    found = {(kind, row, start, end) for row, kind, start, end in log}
    gold = {
        (GOLD[span["entity_type"]], row, span["start_position"], span["end_position"])
        for row, record in enumerate(records)
        for span in record["spans"]
        if span["entity_type"] in GOLD
    }
    for kind in sorted({entry[0] for entry in gold}):
        wanted, got = ({entry for entry in side if entry[0] == kind} for side in (gold, found))
        f1 = 2 * len(wanted & got) / (len(wanted) + len(got))
        assert f1 >= 0.98, f"{kind}: F1 {f1:.3f}"


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab。. \n河"), max_size=400), st.integers(10, 60))
def test_cuts_cover_the_text_in_order(text: str, longest: int) -> None:
    spans = list(cuts(text, longest))
    assert "".join(text[start:end] for start, end in spans) == text
    assert max(end - start for start, end in spans) <= longest


def test_cuts_prefer_paragraphs() -> None:
    text = (ENGLISH * 3 + "\n\n") * 8
    assert all(text[:end].endswith("\n\n") for _, end in cuts(text, 500))


def test_one_line_of_many_numbers_takes_linear_time() -> None:
    (text,), log = edited(MASK, "13800138000 " * 50_000)
    assert text == "[PHONE] " * 50_000
    assert len(log) == 50_000
