"""Decontamination: small changes do not hide an item, what is cut is the item alone, templates are no items."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import read_zst
from tests.corpus.helpers import CHINESE, ENGLISH, assert_conserved, rows, run_chain, write_jsonl
from tests.reference.text_words import units
from tilth.base.errors import UserError
from tilth.base.settings import validate
from tilth.corpus.settings import CorpusSettings

ITEMS = [
    "A farmer has seventeen sheep and buys eight more at the market; how many sheep does the farmer have now?",
    "农夫有十七只羊，在集市上又买了八只，后来卖掉了三只，请问农夫现在一共有多少只羊？",
    "def running_total(values):\n    total = 0\n    for value in values:\n        total += value\n    return total",
]


def run(folder: Path, texts: list[str], items: list[str] = ITEMS, **settings: Any) -> dict[str, Any]:
    write_jsonl(folder / "bench.jsonl", [{"question": item} for item in items])
    write_jsonl(folder / "a.jsonl", [{"id": f"d{i}", "text": text} for i, text in enumerate(texts)])
    plain = {
        "sources": ["a.jsonl"],
        "steps": ["measure", "decontaminate"],
        "decontaminate": {"against": "bench.jsonl", **settings},
    }
    report = run_chain(folder, CorpusSettings.model_validate(plain), base=folder)
    assert_conserved(report)
    return report


def findings(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "corpus" / "contamination.jsonl").read_text().splitlines()]


def test_an_item_with_a_changed_word_is_found_whole(tmp_path: Path) -> None:
    changed = [
        ITEMS[0].replace("market", "fair"),
        ITEMS[1].replace("集市", "商店"),
        ITEMS[2].replace("total += value", "total += int(value)"),
    ]
    report = run(tmp_path, [f"{ENGLISH}\n{item}\n{CHINESE}" for item in changed] + [ENGLISH * 3])
    assert report["contamination"]["bench.jsonl"] == {
        "items": 3,
        "items_found": 3,
        "documents_removed": 3,
        "too_short": [],
    }
    for number, found in enumerate(findings(tmp_path)):
        assert (found["document"], found["item"]) == (f"d{number}", f"bench.jsonl#{number + 1}")
        assert 0.7 <= found["coverage"] <= 1
        ((start, end),) = found["spans"]
        text = f"{ENGLISH}\n{changed[number]}\n{CHINESE}"
        assert [unit for unit, _, _ in units(text[start:end])] == [unit for unit, _, _ in units(changed[number])]


@pytest.mark.parametrize(
    ("around", "left"),
    [
        ("老师说：“{}”（见下页）", "老师说：“”（见下页）"),
        ('He asked: "{}" and left', 'He asked: "" and left'),
        ("{}？！……（完）", "（完）"),
        ("x = [{}]; y = {{}}", "x = []; y = {}"),
        ("{}👨‍👩‍👧𠮷 next", "👨‍👩‍👧𠮷 next"),
    ],
)
def test_cut_takes_no_mark_that_is_not_the_items(tmp_path: Path, around: str, left: str) -> None:
    item = ITEMS[1].rstrip("？?。.")
    run(tmp_path, [f"{CHINESE}\n{around.format(item)}\n{ENGLISH}"], action="cut")
    (kept,) = rows(tmp_path / "corpus" / "documents")
    assert kept["text"] == f"{CHINESE}\n{left}\n{ENGLISH}"


def test_a_bracket_that_the_item_opens_goes_with_it(tmp_path: Path) -> None:
    item = ITEMS[1].rstrip("？?。.") + "（单位"
    run(tmp_path, [f"{CHINESE}\n{item}）？\n{ENGLISH}"], action="cut", items=[item])
    (kept,) = rows(tmp_path / "corpus" / "documents")
    assert kept["text"] == f"{CHINESE}\n\n{ENGLISH}"


def test_cut_takes_the_items_out_and_leaves_the_rest(tmp_path: Path) -> None:
    texts = [f"{ENGLISH}\n\n{item}\n\n{CHINESE}" for item in ITEMS]
    texts += [f"{ENGLISH}\n\n{ITEMS[0]}\n\n{CHINESE}\n\n{ITEMS[1]}\n\n{ENGLISH}", ITEMS[2], ENGLISH]
    report = run(tmp_path, texts, action="cut")
    assert report["contamination"]["bench.jsonl"]["documents_cut"] == 5
    kept = {row["id"]: row["text"] for row in rows(tmp_path / "corpus" / "documents")}
    assert "d4" not in kept, "nothing was left of it"
    assert [row["rule"] for row in rows(tmp_path / "corpus" / "rejected")] == ["empty"]
    for name in ("d0", "d1", "d2"):
        assert kept[name] == f"{ENGLISH}\n\n\n\n{CHINESE}", "its closing mark went with the item"
    assert kept["d3"] == f"{ENGLISH}\n\n\n\n{CHINESE}\n\n\n\n{ENGLISH}"
    assert not any(word in "".join(kept.values()) for word in ("sheep", "农夫", "running_total"))
    edits = rows(tmp_path / "corpus" / "edits")
    assert {(edit["step"], edit["kind"]) for edit in edits} == {("decontaminate", "benchmark_item")}
    for edit in edits:
        text = texts[int(edit["id"][1:])]
        assert kept.get(edit["id"], "") != text
        assert 0 <= edit["start"] < edit["end"] <= len(text)
    whole = {edit["id"]: sum(e["end"] - e["start"] for e in edits if e["id"] == edit["id"]) for edit in edits}
    for name, text in kept.items():
        assert len(text) == len(texts[int(name[1:])]) - whole.get(name, 0)


def test_the_shared_frame_of_questions_is_no_item(tmp_path: Path) -> None:
    frame = "Which of the following statements about {} is most likely to be true?"
    items = [frame.format(name) for name in ("the tides of a northern sea in winter", "an old bridge over a dry river")]
    report = run(tmp_path, [f"{ENGLISH} {frame.format('bread')} {ENGLISH}"], items)
    assert report["documents_rejected"] == 0


def test_one_word_in_twenty_changed(real_data: Path, tmp_path: Path) -> None:
    """At least 95 % of items of 15 words or 30 characters, English and Chinese."""
    rng = random.Random(7)
    for name, field in (("gsm8k_dev", "question"), ("cmrc2018_trial", "context")):
        items = [record[field] for record in read_zst(real_data / "bench" / f"{name}.jsonl.zst", 60)]
        items = list(dict.fromkeys(item for item in items if len(units(item)) >= 30))
        noisy = []
        for item in items:
            places = units(item)
            text = item
            for _, start, end in sorted(rng.sample(places, round(0.05 * len(places))), key=lambda p: -p[1]):
                text = text[:start] + ("zebra" if text[start].isascii() else "犇") + text[end:]
            noisy.append(text)
        report = run(tmp_path / name, [*(f"{ENGLISH}\n{text}\n{CHINESE}" for text in noisy), ENGLISH], items)
        assert report["contamination"]["bench.jsonl"]["items_found"] >= 0.95 * len(items)


@pytest.mark.parametrize("given", [{"action": "cut"}, {"against": []}, {"against": [], "words": 6}, {"coverage": 0.5}])
def test_settings_without_benchmarks_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^c: decontaminate: there is nothing to look for; give `against` benchmark"):
        validate(CorpusSettings, {"decontaminate": given}, source="c")


@pytest.mark.parametrize(
    "given", [{}, {"decontaminate": {}}, {"decontaminate": {"action": "cut", "against": "b.jsonl"}}]
)
def test_a_resolved_chain_is_read_again(given: dict[str, Any]) -> None:
    settings = validate(CorpusSettings, given, source="c")
    assert validate(CorpusSettings, settings.model_dump(mode="json"), source="c") == settings


@pytest.mark.parametrize("action", ["remove", "cut"])
def test_no_item_no_change(tmp_path: Path, action: str) -> None:
    texts = [ENGLISH * 3, CHINESE * 3, "", "一二三", "x"]
    run(tmp_path, texts, action=action)
    kept = [row["text"] for row in rows(tmp_path / "corpus" / "documents")]
    assert kept == [text for text in texts if text]
