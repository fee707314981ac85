"""Language identification on labelled sentences, on real corpora and on source code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from tests.conftest import read_zst
from tilth.corpus.language import identify


def languages(texts: list[str]) -> list[str]:
    return identify(pa.array(texts, pa.large_string()))


def test_plain_cases() -> None:
    samples = {
        "The quick brown fox jumps over the lazy dog and runs away.": "en",
        "今天天气很好，我们去公园散步。": "zh",
        "學而時習之，不亦說乎？": "zh",
        "我们用 PyTorch 和 CUDA 训练 transformer 模型，batch size 取 512。": "zh",
        "今日はとても天気が良いです。": "ja",
        "오늘은 날씨가 좋습니다.": "ko",
        "Сегодня очень хорошая погода, и мы идём гулять в парк.": "ru",
        "": "und",
        "12345 !!! 😀": "und",
        "import os\n\n\ndef main(path):\n    for name in os.listdir(path):\n        print(name)\n": "code",
        '#include <stdio.h>\n\nint main(void) {\n    printf("hello\\n");\n    return 0;\n}\n': "code",
    }
    assert dict(zip(samples, languages(list(samples)), strict=True)) == samples
    assert identify(pa.array([], pa.large_string())) == []


def test_labelled_sentences(real_data: Path) -> None:
    rows = list(read_zst(real_data / "langid" / "sentences_75lang_dev.jsonl.zst"))
    rows = [row for row in rows if row["lang"] in ("en", "zh", "ja", "ko", "de", "fr", "es", "ru", "ar")]
    right: Counter[str] = Counter()
    for row, found in zip(rows, languages([row["text"] for row in rows]), strict=True):
        right[row["lang"]] += found == row["lang"]
    total = Counter(row["lang"] for row in rows)
    assert {lang: right[lang] / total[lang] >= 0.96 for lang in total} == dict.fromkeys(total, True)
    assert min(right[lang] / total[lang] for lang in ("en", "zh", "ja", "ko")) >= 0.99


@pytest.mark.parametrize(
    ("name", "language", "least"),
    [
        ("code_c", "code", 0.98),
        ("code_go", "code", 0.98),
        ("code_javascript", "code", 0.98),
        ("code_python", "code", 0.98),
        ("en_books", "en", 0.99),
        ("en_textbooks_math_science", "en", 0.98),
        ("en_web_c4_sample", "en", 0.99),
        ("math_latex", "en", 0.97),
        ("zh_wikipedia", "zh", 0.99),
        ("zh_tech_docs", "zh", 0.99),
        ("zh_poetry", "zh", 0.99),
    ],
)
def test_real_corpora(real_data: Path, name: str, language: str, least: float) -> None:
    texts = [record["text"] for record in read_zst(real_data / "pretrain" / f"{name}.jsonl.zst", 400)]
    assert Counter(languages(texts))[language] / len(texts) >= least
