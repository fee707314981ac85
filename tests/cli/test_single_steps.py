"""`tilth dedup`, `tilth decontaminate` and `tilth mask` as people call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.helpers import CHINESE, ENGLISH, rows, write_jsonl
from tests.pipeline.conftest import tilth

WORDS = " ".join(f"word{i * i % 977}" for i in range(200))
MORE = " ".join(f"more{i}" for i in range(30))
QUESTION = (
    "A gardener plants nine rows of tomatoes with seven plants in each row; how many plants does she have in all?"
)


def made(*arguments: Any, cwd: Path) -> dict[str, Any]:
    done = tilth(*arguments, "--out", "out", "--workers", "1", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    report["folder"] = cwd / report["folder"]
    out = report["documents_kept"] + report["documents_holdout"] + report["documents_rejected"]
    assert out == report["documents_in"]
    return report


def kept(report: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["text"] for row in rows(report["folder"] / "documents")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {"a": f"{WORDS} end", "b": f"{WORDS} end", "c": f"{WORDS} {MORE}", "d": CHINESE, "e": ENGLISH * 3}
    write_jsonl(tmp_path / "in.jsonl", [{"id": name, "text": text} for name, text in texts.items()])
    write_jsonl(tmp_path / "other.jsonl", [{"id": "o", "text": CHINESE}])
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--method", "exact"], {"a", "c", "d", "e"}),
        (["--method", "exact", "--against", "other.jsonl"], {"a", "c", "e"}),
        (["--method", "minhash"], {"a", "d", "e"}),
        (["--method", "minhash", "--survivor", "longest"], {"c", "d", "e"}),
        (["--method", "minhash", "--threshold", "1"], {"a", "c", "d", "e"}),
    ],
)
def test_whole_documents(folder: Path, arguments: list[str], left: set[str]) -> None:
    report = made("dedup", "in.jsonl", *arguments, cwd=folder)
    assert set(kept(report)) == left
    for row in rows(report["folder"] / "rejected"):
        assert row["partner"] in left | {"o"}
    assert report["documents_holdout"] == ("--against" in arguments)


def test_parts_of_documents(tmp_path: Path) -> None:
    line = "This line of furniture stands in every page of the site, whatever the page is about."
    texts = [f"First page.\n{line}\nIts end.", f"Second page, and longer.\n{line}\nAnother end."]
    write_jsonl(tmp_path / "in.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(texts)])
    assert line not in kept(made("dedup", "in.jsonl", "--method", "line", cwd=tmp_path))["1"]
    by_stretch = kept(made("dedup", "in.jsonl", "--method", "substring", "--length", "40", cwd=tmp_path))
    assert by_stretch["0"] == texts[0]
    assert "furniture" not in by_stretch["1"]
    write_jsonl(tmp_path / "other.jsonl", [{"text": line}])
    both = kept(made("dedup", "in.jsonl", "--method", "line", "--against", "other.jsonl", cwd=tmp_path))
    assert not any(line in text for text in both.values())


def test_benchmark_items(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "exam.jsonl", [{"question": QUESTION}])
    records = [{"id": "leak", "text": f"{ENGLISH}\n{QUESTION}\n{WORDS}"}, {"id": "clean", "text": WORDS}]
    write_jsonl(tmp_path / "in.jsonl", records)
    asked = ["decontaminate", "in.jsonl", "--against", "exam.jsonl"]
    report = made(*asked, cwd=tmp_path)
    assert set(kept(report)) == {"clean"}
    assert json.loads((report["folder"] / "contamination.jsonl").read_text())["document"] == "leak"
    cut = kept(made(*asked, "--action", "cut", cwd=tmp_path))
    assert "gardener" not in cut["leak"]
    assert WORDS in cut["leak"]


def test_personal_data(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in.jsonl", [{"id": "a", "text": "Write to ann@example.org or call 13912345678 today."}])
    assert kept(made("mask", "in.jsonl", cwd=tmp_path))["a"] == "Write to [EMAIL] or call [PHONE] today."
    only = kept(made("mask", "in.jsonl", "--kind", "email", cwd=tmp_path))
    assert only["a"] == "Write to [EMAIL] or call 13912345678 today."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dedup", "in.jsonl", "--method", "exact", "--length", "50"], "--length is for --method substring"),
        (["dedup", "in.jsonl", "--method", "line", "--survivor", "longest"], "--survivor is for whole documents"),
        (["dedup", "in.jsonl", "--method", "minhash", "--threshold", "0"], "--threshold 0: must be at least 0.05"),
        (["dedup", "in.jsonl", "--method", "minhash", "--threshold", "1.01"], "--threshold 1.01: must be at most 1"),
        (["dedup", "in.jsonl", "--method", "minhash", "--threshold", "0.3"], "the threshold would promise"),
        (["dedup", "in.jsonl", "--method", "exact", "--against", "no.jsonl"], "--against 'no.jsonl': no file matches"),
        (["decontaminate", "in.jsonl", "--against", "no.jsonl"], "no file matches"),
        (["decontaminate", "in.jsonl", "--against", ""], "--against: the name is empty"),
        (["mask", "in.jsonl", "--kind", "emial"], "email"),
        (["mask", "nothing.jsonl"], "the input 'nothing.jsonl': no file matches"),
    ],
)
def test_mistakes(folder: Path, arguments: list[str], message: str) -> None:
    done = tilth(*arguments, "--out", "out", cwd=folder)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert not (folder / "out" / "corpus").exists()


def test_settings_of_a_step_that_is_not_named(folder: Path) -> None:
    (folder / "c.yaml").write_text("near: {threshold: 0.75}\nmarkup: {kinds: [bbcode]}\n")
    done = tilth("corpus", "in.jsonl", "--config", "c.yaml", "--out", "out", cwd=folder)
    assert done.returncode == 2
    assert "c.yaml:2" in done.stderr
    assert "the chain has no step 'markup'; add it to `steps`, or leave this out" in done.stderr


def test_an_empty_benchmark_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    """It would be a contamination that nobody sees."""
    write_jsonl(tmp_path / "in.jsonl", [{"text": ENGLISH}])
    (tmp_path / "empty.jsonl").write_bytes(b"")
    done = tilth("decontaminate", "in.jsonl", "--against", "empty.jsonl", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "empty.jsonl: the benchmark holds no item" in done.stderr
    assert not (tmp_path / "out").exists()


def test_documents_to_compare_with_that_cannot_be_read_are_refused(folder: Path) -> None:
    write_jsonl(folder / "exam.jsonl", [{"question": "How many?"}] * 2)
    line = ["dedup", "in.jsonl", "--method", "exact", "--against", "other.jsonl", "--against", "exam.jsonl"]
    for _ in range(2):  # what was measured is kept, and says so again
        done = tilth(*line, "--out", "out", "--workers", "1", cwd=folder)
        assert done.returncode == 2
        assert "--against 'exam.jsonl': nothing would be held against it: none of its 2 records could" in done.stderr
    assert not list(folder.glob("out/corpus-*"))


def test_an_input_that_is_kept_aside_is_told(folder: Path) -> None:
    done = tilth("dedup", "in.jsonl", "--method", "exact", "--against", "in.jsonl", "--out", "out", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("tilth: the input 'in.jsonl': every file of")
    assert "in.jsonl' is read by --against 'in.jsonl' (remove it)" in done.stderr
