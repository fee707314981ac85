"""The statistics equal their plain-Python twin on hostile and on real text, and the words those of the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from tests.conftest import read_zst
from tests.reference import text_statistics as twin
from tests.reference.text_words import words
from tests.text.hostile import PIECES, array, texts
from tilth.text import statistics


def check(items: list[str]) -> None:
    measured = statistics(array(items, slice_from=2))
    for row, text in enumerate(items):
        expected = twin.statistics(text)
        assert expected.keys() == measured.keys()
        for name, value in expected.items():
            assert measured[name][row] == pytest.approx(value, rel=1e-5, abs=1e-7), (name, text)


@settings(deadline=None, max_examples=300)
@given(texts)
@example(["", " ", "\n", "\n\n", ".", "…", "a" * 5000, "国" * 5000, "x " * 3000, "\n".join("ab" * 999)])
@example([" ".join(PIECES), "".join(PIECES), "\n".join(PIECES)])
def test_equal_to_the_twin(items: list[str]) -> None:
    check(items)


@pytest.mark.parametrize("name", ["en_web_c4_sample", "zh_wikipedia", "math_latex", "code_python", "zh_tech_docs"])
def test_equal_to_the_twin_on_real_text(real_data: Path, name: str) -> None:
    check([record["text"][:3000] for record in read_zst(real_data / "pretrain" / f"{name}.jsonl.zst", 25)])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Mr. Smith can't go, he's 10km away.", "Mr. Smith ca n't go , he 's 10 km away ."),
        ("See http://a.com/b-c (or me@x.org).", "See http://a.com/b-c ( or me@x.org ) ."),
        ("A well-known and/or 1,000 x=y end.Start", "A well - known and/or 1,000 x = y end . Start"),
        ("It’s 50% off—really... U.S. dollars", "It ’s 50 % off — really ... U.S. dollars"),
        ("him--Mr. (8): take 'em. a-goin' depÃ´ts :-))", "him -- Mr. ( 8) : take 'em . a - goin' depÃ´ts :-))"),
        ("用GPU训练，很快。", "用 GPU 训 练 ， 很 快 。"),
    ],
)
def test_words_are_those_of_common_filters(text: str, tokens: str) -> None:
    assert words(text) == tokens.split(" ")
    assert statistics(array([text]))["tokens"][0] == len(tokens.split(" "))


def test_types_and_shapes() -> None:
    measured = statistics(array(["one two", "三"]))
    assert {column.dtype for column in measured.values()} == {np.dtype(np.int64), np.dtype(np.float32)}
    assert {len(column) for column in measured.values()} == {2}
    assert {len(column) for column in statistics(array([])).values()} == {0}


def test_refuses_nulls_and_other_types() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        statistics(pa.array(["a", None], pa.large_string()))
    with pytest.raises(TypeError, match="large_string"):
        statistics(pa.array([1, 2]))
    assert statistics(pa.array(["a b"]))["tokens"].tolist() == [2]
