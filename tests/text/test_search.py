"""Signatures, hashes, n-gram search, repair flags and scripts against their plain-Python twins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import read_zst
from tests.reference import text_search as twin
from tests.reference.text_words import has, units
from tests.text.hostile import PIECES, array, text, texts
from tilth.text import Ngrams, content_hashes, control_flags, script_shares, signatures, unicode
from tilth.text.scripts import SCRIPTS


def test_front_door_is_light() -> None:
    code = "import sys, tilth.text, tilth.corpus.rules; sys.exit(any(m in sys.modules for m in ('numba', 'pyarrow')))"
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(deadline=None, max_examples=100)
@given(texts)
@example(["".join(f"{'aZ09zQx'[: c % 8]}{chr(c)}Yx1国w{chr(c)} " for c in range(256)), "é" * 9, "Abcdefgh" * 4 + "é"])
@example(["".join(chr(0x4E00 + i * 7 % 3000) for i in range(5000)), "many words of one line " * 400])
@example(["", "a", "国", "\x00", "a b c d e", "a b c d", "x" * 1000, "...", " ".join(PIECES)])
def test_signatures_equal_the_twin(items: list[str]) -> None:
    measured = signatures(array(items, slice_from=1), hashes=20, ngram=3)
    assert measured.shape == (len(items), 20)
    assert measured.dtype == np.uint32
    for row, item in enumerate(items):
        if units(item):
            assert measured[row].tolist() == twin.signature(item, 20, 3)


def test_signatures_differ_and_ignore_case_and_marks() -> None:
    found = signatures(array(["One two three, four!", "ONE TWO THREE FOUR", "one two three five", "!!!", "???", ""]))
    assert (found[0] == found[1]).all()
    assert len(np.unique(found, axis=0)) == 5


def test_signatures_estimate_jaccard_similarity(real_data: Path) -> None:
    """RMS error over pairs within 1.1 times the binomial one; pairs made by cutting text, English and Chinese."""
    errors, expected = [], []
    for name in ("en_books", "zh_wikipedia"):
        for number, record in enumerate(read_zst(real_data / "pretrain" / f"{name}.jsonl.zst", 60)):
            base = record["text"][:3000]
            pair = [base, base[number * len(base) // 80 :]]
            sets = [set(twin.shingles(item, 5)) for item in pair]
            similarity = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
            found = signatures(array(pair), hashes=256)
            errors.append(float((found[0] == found[1]).mean()) - similarity)
            expected.append(similarity * (1 - similarity) / 256)
    assert np.sqrt(np.mean(np.square(errors))) <= 1.1 * np.sqrt(np.mean(expected)) + 1e-3
    assert abs(np.mean(errors)) < 0.01


@settings(deadline=None, max_examples=100)
@given(texts)
@example(["", "a" * 7, "a" * 8, "a" * 15, "a" * 16, "a" * 17, "a" * 31, "a" * 33])
def test_content_hashes_are_murmur3(items: list[str]) -> None:
    measured = content_hashes(array(items, slice_from=1))
    assert [tuple(row) for row in measured.tolist()] == [twin.murmur3(item.encode()) for item in items]


def test_content_hashes_of_known_texts() -> None:
    first, second = content_hashes(array(["hello", "The quick brown fox jumps over the lazy dog"])).tolist()
    assert first == [0xCBD8A7B341BD9B02, 0x5B1E906A48AE1D19]
    assert second == [0xE34BBC7BBC071B6C, 0x7A433CA9C49A9347]


SMALL = st.lists(st.sampled_from(["one", "two", "three", "一", "二", "三", "x", ",", "😀"]), max_size=12).map(" ".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(SMALL, text), max_size=4), st.lists(st.one_of(SMALL, text), max_size=4), st.integers(1, 5))
@example(["one two three", "one two", "", "…"], ["ONE, two 😀 three one two three"], 3)
@example(["一二三四"], ["😀一二三四一二三四五"], 4)
@example([" ".join(PIECES)], [" ".join(PIECES), "x " + "".join(PIECES)], 4)
@example(["漢字簡化方案 後、裏着"], ["汉字简化方案，后里着", "漢字简化方案 后裏著 漢字簡化方案 後、裏着"], 3)
def test_ngram_hits_equal_the_twin(items: list[str], documents: list[str], n: int) -> None:
    found = Ngrams.build(array(items, 1), words=n, characters=n + 1).hits(array(documents, 1))
    expected = sorted(twin.hits(items, documents, n, n + 1))
    measured = list(zip(found.row, found.item, found.start, found.end, found.coverage, strict=True))
    assert [row[:4] for row in measured] == [row[:4] for row in expected]
    assert [row[4] for row in measured] == pytest.approx([row[4] for row in expected])


def test_planted_benchmark_items_are_all_found(real_data: Path) -> None:
    items = [r["text"][:400] for r in read_zst(real_data / "pretrain" / "zh_law.jsonl.zst", 20)]
    items += [r["text"][:400] for r in read_zst(real_data / "pretrain" / "en_web_c4_sample.jsonl.zst", 20)]
    hosts = [r["text"][:2000] for r in read_zst(real_data / "pretrain" / "en_books.jsonl.zst", 40)]
    ngrams = Ngrams.build(array(items))
    assert len(ngrams.too_short) == 0
    planted = [host + "\n" + item + "\n" + host for host, item in zip(hosts, items, strict=True)]
    found = ngrams.hits(array(planted))
    whole = {(int(r), int(i)) for r, i, c in zip(found.row, found.item, found.coverage, strict=True) if c == 1}
    assert {(row, row) for row in range(len(items))} <= whole
    for row, start, end in zip(found.row, found.start, found.end, strict=True):
        assert 0 <= start < end <= len(planted[row])
    assert len(ngrams.hits(array(hosts))) == 0


def test_more_hits_than_room() -> None:
    found = Ngrams.build(array(["a b c d"]), words=4).hits(array(["a b c d " * 20_000]))
    assert (found.start.tolist(), found.end.tolist(), found.coverage.tolist()) == ([0], [20_000 * 8 - 1], [1.0])


def test_too_short_items_are_listed() -> None:
    ngrams = Ngrams.build(array(["one two", "one two three four", "一二三", "一二三四五六七八", ""]))
    assert ngrams.too_short.tolist() == [0, 2, 4]
    assert ngrams.lengths.tolist() == [0, 4, 0, 8, 0]
    with pytest.raises(ValueError, match="positive"):
        Ngrams.build(array(["a"]), words=0)


@settings(deadline=None, max_examples=200)
@given(texts)
@example(["plain", "naïve 天气 한국어\n\t", "e\u0301", "a\r\n", "\u1100\u1161", "\u0627\u0653", "\ufa0e", "\uf900"])
def test_repair_flags_miss_nothing(items: list[str]) -> None:
    flags = control_flags(array(items, 1))
    for flag, item in zip(flags.tolist(), items, strict=True):
        assert flag or not twin.may_need_repair(item)


def test_repair_flags_leave_clean_text_alone() -> None:
    assert (
        control_flags(array(["Plain\ttext.\n", "天气很好，去公园。", "naïve café", "한국어", "カタカナ 😀"])).tolist()
        == [False] * 5
    )


@settings(deadline=None, max_examples=100)
@given(texts)
def test_scripts_equal_unicode_names(items: list[str]) -> None:
    measured = script_shares(array(items, 1))
    for row, item in enumerate(items):
        letters = [c for c in item if has(c, unicode.ALPHABETIC)]
        assert measured["letters"][row] == len(letters)
        assert sum(float(measured[name][row]) for name in SCRIPTS) == pytest.approx(1 if letters else 0, abs=1e-5)


def test_scripts_of_words() -> None:
    samples = ["word", "汉字", "かなカナ", "한국어", "привет", "مرحبا", "λόγος", "שלום", "नमस्ते", "বাংলা", "தமிழ்", "ไทย"]
    measured = script_shares(array(samples))
    assert [float(measured[name][row]) for row, name in enumerate(SCRIPTS[:-1])] == [1.0] * len(samples)


def test_classes_agree_with_python() -> None:
    for code in [*range(0x3000), *range(0x4E00, 0x4E10), *range(0xFE00, 0x10400), 0x1F600, 0x20000]:
        character = chr(code)
        assert has(character, unicode.ALPHABETIC) == (character.isalpha() or has(character, unicode.HAN)), hex(code)
        assert has(character, unicode.SPACE) == character.isspace(), hex(code)
        assert has(character, unicode.BREAK) == (len(f"a{character}b".splitlines()) == 2), hex(code)
