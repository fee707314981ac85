"""The default Chinese rules catch planted damage of every kind; `benchmarks/chinese_damage.py` asks 2,000 documents."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from benchmarks.chinese_damage import BASE, catch, read, through_the_chain

from tests.corpus.chinese_damage import KINDS


@pytest.fixture(scope="module")
def clean(real_data: Path) -> list[str]:
    texts = [
        text
        for name in BASE
        for text in itertools.islice(
            (t for t in read(real_data / "pretrain" / f"{name}.jsonl.zst") if len(t) > 300), 50
        )
    ]
    _, failed = through_the_chain(texts)
    return [text for text, rule in zip(texts, failed, strict=True) if not rule]


@pytest.mark.parametrize("kind", KINDS)
def test_planted_damage_is_caught(clean: list[str], kind: str) -> None:
    assert len(clean) > 180
    assert catch(kind, clean)["caught"] >= 0.95
