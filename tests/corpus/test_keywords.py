"""Lists of words: what is rejected, masked, tagged, and what a rejection tells. Symbols into words, web lines."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tests.corpus.helpers import CHINESE, ENGLISH, assert_conserved, rows, run_chain, table_of, write_jsonl
from tilth.base.errors import UserError
from tilth.corpus import look
from tilth.corpus.chain import build_chain
from tilth.corpus.edits.lines import REMOVED, LinesStep
from tilth.corpus.edits.symbol_names import CHINESE as NAMES
from tilth.corpus.edits.symbols import SymbolsStep
from tilth.corpus.rules.keywords import located
from tilth.corpus.settings import CorpusSettings, LinesSettings, SymbolsSettings


def settings(*lists: dict[str, Any], steps: tuple[str, ...] = ("measure", "keywords"), **more: Any) -> CorpusSettings:
    return CorpusSettings.model_validate(
        {"sources": ["a.jsonl"], "steps": list(steps), "keywords": {"lists": list(lists)}, **more}
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    texts = {
        "clean": ENGLISH * 2,
        "casino": f"{ENGLISH}Our Online  Casino is here. {ENGLISH}An online casino!",
        "once": f"{ENGLISH * 3}The onlineCasino is no word, the online casino is.",
        "zh": f"{CHINESE}代开发票，{CHINESE}代开发票",
    }
    write_jsonl(
        tmp_path / "a.jsonl", ({"id": k, "text": v, "language": "zh" if k == "zh" else "en"} for k, v in texts.items())
    )
    (tmp_path / "toxic.txt").write_text("# a comment\nonline casino\n\n代开发票\n", encoding="utf-8")
    return tmp_path


def test_a_rejection_says_the_word_and_where(source: Path) -> None:
    chosen = located(settings({"name": "toxic", "file": "toxic.txt", "min_count": 2}), source)
    report = run_chain(source, chosen, base=source)
    assert_conserved(report)
    assert report["by_rule"]["keywords/toxic"]["documents"] == 2
    gone = {row["id"]: row for row in look.rejected(source / "corpus", "toxic")}
    assert {name: (row["partner"], row["value"], row["threshold"]) for name, row in gone.items()} == {
        "casino": ("online casino", 2.0, 2.0),
        "zh": ("代开发票", 2.0, 2.0),
    }
    assert "Online  Casino is here" in gone["casino"]["context"][0]
    story = look.story(source / "corpus", "zh")
    assert story["partner"] is None
    assert len(story["document"]["context"]) == 2


def test_density_and_language(source: Path) -> None:
    words = {"name": "spam", "words": ["online casino", "代开发票"], "min_share": 0.17}
    run_chain(source, settings(words), base=source)
    assert [row["id"] for row in rows(source / "corpus" / "rejected")] == ["zh"]
    run_chain(source / "en", settings(words | {"where": "language == 'en'", "min_share": 0.1}), base=source)
    assert [row["id"] for row in rows(source / "en" / "corpus" / "rejected")] == ["casino"]


def test_masks_and_tags(source: Path) -> None:
    lists = [
        {"name": "casino", "words": ["online casino"], "policy": "mask"},
        {"name": "invoices", "words": ["代开发票"], "policy": "tag"},
    ]
    chosen = settings(
        *lists, steps=("keywords", "measure"), repeat=[{"where": "signal.invoices_count > 1", "times": 3}]
    )
    run_chain(source, chosen, base=source)
    found = {row["id"]: row for row in rows(source / "corpus" / "documents")}
    assert found["casino"]["text"] == f"{ENGLISH}Our [CASINO] is here. {ENGLISH}An [CASINO]!"
    assert found["zh"]["repeat"] == 3
    edits = rows(source / "corpus" / "edits")
    assert [(edit["id"], edit["step"], edit["kind"]) for edit in edits] == [
        (name, "keywords.mask", "casino") for name in ("casino", "casino", "once")
    ]
    (file,) = (source / "corpus" / "documents").glob("*.parquet")
    table = pq.read_table(file).to_pylist()
    tags = {row["id"]: (row["signal.invoices_count"], row["signal.invoices_word"]) for row in table}
    assert tags == {"clean": (0, ""), "casino": (0, ""), "once": (0, ""), "zh": (2, "代开发票")}


def test_the_file_is_part_of_the_settings(source: Path) -> None:
    right = hashlib.sha256((source / "toxic.txt").read_bytes()).hexdigest()
    (entry,) = located(settings({"name": "toxic", "file": "toxic.txt", "sha256": right}), source).keywords.lists
    assert (entry.sha256, Path(entry.file)) == (right, (source / "toxic.txt").resolve())
    with pytest.raises(UserError, match=r"keywords\.lists\.0\.file: .* has the SHA-256"):
        located(settings({"name": "toxic", "file": "toxic.txt", "sha256": "0" * 64}), source)
    with pytest.raises(UserError, match=r"there is no file .*nosuch"):
        located(settings({"name": "toxic", "file": "nosuch.txt"}), source)
    (source / "bad.txt").write_bytes(b"good\n\xff\n")
    with pytest.raises(UserError, match=r"bad\.txt:2: the list of words is not UTF-8"):
        run_chain(source, located(settings({"name": "toxic", "file": "bad.txt"}), source), base=source)


def test_our_own_spam_list(source: Path) -> None:
    run_chain(source, located(settings({"name": "spam", "file": "{spam}", "min_count": 2}), source), base=source)
    assert [row["id"] for row in rows(source / "corpus" / "rejected")] == ["zh"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"steps": ["keywords"]}, "there are no words"),
        ({"steps": ["measure", "rules"]}, "^corpus.steps: has `rules`, but there are no rules"),
        ({"steps": ["decontaminate"]}, "^corpus.steps: has `decontaminate`, but there are no benchmarks"),
        (
            {"sources": [{"path": "a", "signals": {"words": "v"}}]},
            "^corpus.sources.0.signals.words: the chain adds a column of this name itself",
        ),
        (
            {"steps": ["measure"], "keywords": {"lists": [{"name": "a", "words": ["b"]}]}},
            "the chain has no step 'keywords'; add it to `steps`",
        ),
        ({"steps": ["measure", "rules"], "rules": [{"set": "refinedweb"}]}, r"set `lines: \{web: true\}`"),
    ],
)
def test_mistakes(data: dict[str, Any], message: str) -> None:
    with pytest.raises((UserError, ValidationError), match=message):
        build_chain(CorpusSettings.model_validate({"sources": ["a"]} | data))


def test_web_lines_go_and_a_page_of_them_is_rejected(tmp_path: Path) -> None:
    page = f"BREAKING NEWS TODAY\n{ENGLISH * 8}\n3 likes\n2,012\nShare\n首页\n阅读(123) 评论(4)\n"
    page += f"{CHINESE * 4}\n第三\n三年前"
    table, log = LinesStep("lines", LinesSettings(web=True)).edit(table_of([page, ENGLISH]))
    assert table.column("text").to_pylist() == [f"{ENGLISH * 8}\n{CHINESE * 4}\n", ENGLISH]
    assert log.kinds == ["upper", "counter", "number", "word", "导航", "导航", "number", "word"]
    gone = table.column(REMOVED).to_pylist()
    assert gone[1] == 0
    assert 0.03 < gone[0] < 0.2
    write_jsonl(
        tmp_path / "a.jsonl", [{"id": "page", "text": "Home\nNEWS NOW\n" + ENGLISH}, {"id": "prose", "text": ENGLISH}]
    )
    data = {"sources": ["a.jsonl"], "steps": ["lines", "measure", "rules"], "lines": {"web": True}}
    chosen = CorpusSettings.model_validate(data | {"rules": [{"set": "refinedweb"}]})
    assert_conserved(run_chain(tmp_path, chosen, base=tmp_path))
    (row,) = rows(tmp_path / "corpus" / "rejected")
    assert (row["id"], row["rule"], row["value"]) == ("page", "refinedweb_removed_words", pytest.approx(3 / 16))


def test_pictures_become_words() -> None:
    step = SymbolsStep("symbols", SymbolsSettings())
    texts = ["Fine 😀👍🏽 ❤️!", "好😀👍🏽，🇨🇳 1️⃣ 👩\u200d👧 🪢", "no pictures, ① ※ 中", "🇫🇷 😀"]
    table, log = step.edit(table_of(texts, language=["en", "zh", "zh", "en"]))
    assert table.column("text").to_pylist() == [
        "Fine [grinning face][thumbs up sign] [heavy black heart]!",
        "好[笑脸][赞]，[中国旗] [1] [女人、女孩] 🪢",
        "no pictures, ① ※ 中",
        "[flag of FR] [grinning face]",
    ]
    for row, kind, start, end in zip(log.rows, log.kinds, log.starts, log.ends, strict=True):
        assert kind == "picture"
        assert ord(texts[row][start]) > 0x2000 or texts[row][start] == "1"
        assert end > start
    gone = SymbolsStep("symbols", SymbolsSettings(form="（{name}）", unnamed="remove")).edit(
        table_of(["🪢😀"], language=["zh"])
    )
    assert gone[0].column("text").to_pylist() == ["（笑脸）"]
    assert gone[1].kinds == ["unnamed", "picture"]
    assert all(name and "\ufe0f" not in name for name in NAMES.values())
