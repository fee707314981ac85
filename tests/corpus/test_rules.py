"""The rule sets: published values, order, settings, and what they keep of clean text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from tests.conftest import read_zst
from tilth.corpus.rules import C4, Chinese, FineWeb, GopherQuality, GopherRepetition, MapCC, Rule, RuleSet
from tilth.text import statistics

SETS = (GopherQuality, GopherRepetition, C4, FineWeb, MapCC, Chinese)


def rejects(rule: Rule, values: np.ndarray) -> np.ndarray:
    return np.any([fails for fails, _ in rule.failures(values)] or [np.zeros(len(values), bool)], axis=0)


def first_failures(rules: list[Rule], texts: list[str]) -> list[str]:
    measured = statistics(pa.array(texts, pa.large_string()))
    failed = np.full(len(texts), "", object)
    for rule in rules:
        failed[(failed == "") & rejects(rule, measured[rule.signal])] = rule.name
    return [str(name) for name in failed]


@pytest.mark.parametrize("kind", SETS)
def test_every_signal_is_measured_and_every_threshold_used(kind: type[GopherQuality]) -> None:
    measured = statistics(pa.array(["some text"], pa.large_string()))
    rules = kind().every_rule()
    assert {rule.signal for rule in rules} <= measured.keys()
    assert len({rule.name for rule in rules}) == len(rules)
    fields = {name for name in kind.model_fields if name.startswith(("min_", "max_"))}
    ends = sum((rule.minimum is not None) + (rule.maximum is not None) for rule in kind().rules())
    assert ends == sum(getattr(kind(), name) is not None for name in fields)


def test_published_values() -> None:
    repetition = [(rule.signal, rule.maximum) for rule in GopherRepetition().rules()]
    assert repetition[4:7] == [("top_2gram", 0.20), ("top_3gram", 0.18), ("top_4gram", 0.16)]
    assert repetition[7:] == [(f"duplicate_{n}gram", round(0.20 - 0.01 * n, 2)) for n in range(5, 11)]
    quality = GopherQuality()
    assert (quality.min_words, quality.max_words, quality.min_alphabetic_words) == (50, 100_000, 0.8)


def test_settings_are_told_apart_and_strict() -> None:
    adapter: TypeAdapter[RuleSet] = TypeAdapter(RuleSet)
    assert adapter.validate_python({"set": "fineweb", "min_terminal_lines": 0.2}) == FineWeb(min_terminal_lines=0.2)
    with pytest.raises(ValidationError):
        adapter.validate_python({"set": "gopher"})
    with pytest.raises(ValidationError):
        adapter.validate_python({"set": "c4", "min_words": 3})
    with pytest.raises(Exception, match="not a condition"):
        Chinese(where="language ==")
    assert "c4_sentences" not in [rule.name for rule in C4(min_sentences=None).rules()]


def test_both_ends_are_inside() -> None:
    rule = Rule("lines", "bullet_lines", maximum=0.3)
    assert rejects(rule, np.float32([0.29, 3 / 10, 0.31])).tolist() == [False, False, True]
    assert rejects(Rule("words", "words", 50, 100), np.array([49, 50, 100, 101])).tolist() == [True, False, False, True]


def test_bad_pages_name_the_rule() -> None:
    prose = "The cat and the dog have to be with that bird of mine near the old house. " * 4
    english = [
        ("the cat", "gopher_words"),
        ("a b c d e " * 20, "gopher_mean_word_length"),
        ("# these words " * 40, "gopher_hashes"),
        ("these words ... " * 30, "gopher_ellipses"),
        ("\n".join(["- the dog and others walked home"] * 20), "gopher_bullet_lines"),
        ("that 12345 have 67890 with 13579 " * 20, "gopher_alphabetic_words"),
        ("der Hund lief schnell durch den alten Wald nach Hause zurück " * 10, "gopher_stop_words"),
        (prose, ""),
    ]
    assert first_failures(GopherQuality().rules(), [text for text, _ in english]) == [name for _, name in english]
    chinese = [
        ("短文。", "chinese_characters"),
        ("An English page with one word 词 in it", "chinese_han_share"),
        ("电话号码：" + "13800138000 " * 10, "chinese_han_share"),
        ("联系电话我们 13800138000 " * 3 + "谢谢", "chinese_digits"),
        ("【特价】【包邮】【正品】【促销】【热卖】【推荐】好", "chinese_brackets"),
        ("买买买买买买买买买买买买买买买买买买买买", "chinese_entropy"),
    ]
    assert first_failures(Chinese().rules(), [text for text, _ in chinese]) == [name for _, name in chinese]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("zh_wikipedia", 0.99),
        ("zh_law", 0.99),
        ("zh_tech_docs", 0.99),
        ("zh_classics_novels", 0.95),
        ("zh_poetry", 0.95),
    ],
)
def test_clean_chinese_is_kept(real_data: Path, name: str, kept: float) -> None:
    texts = [record["text"] for record in read_zst(real_data / "pretrain" / f"{name}.jsonl.zst", 1000)]
    assert np.mean([not failure for failure in first_failures(Chinese().rules(), texts)]) >= kept


@pytest.mark.parametrize(("name", "kept"), [("en_books", 0.97), ("en_textbooks_humanities", 0.95)])
def test_clean_english_is_kept(real_data: Path, name: str, kept: float) -> None:
    texts = [record["text"] for record in read_zst(real_data / "pretrain" / f"{name}.jsonl.zst", 200)]
    rules = GopherQuality().rules() + GopherRepetition().rules()
    assert np.mean([not failure for failure in first_failures(rules, texts)]) >= kept
