"""Browsing a corpus, decontamination reports, and the settings that people write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opencc import OpenCC

from tests.conftest import read_zst
from tests.corpus.helpers import ENGLISH, rows, run_chain, write_jsonl
from tilth.base.errors import UserError
from tilth.base.files import list_files, write_json
from tilth.base.settings import validate
from tilth.corpus import look
from tilth.corpus.settings import CorpusSettings

QUESTION = "How many oxen did the miller of Kingsbridge sell to the abbot before the great flood of that year came?"
SETTINGS: dict[str, Any] = {"sources": ["a.jsonl"], "rules": [{"set": "gopher_quality", "min_words": 5}]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("look")
    texts = [
        f"{ENGLISH * 3}This is number {i} of that set, and they have to be told from each other." for i in range(20)
    ]
    records = [{"id": f"d{i}", "text": text, "lang": "en"} for i, text in enumerate(texts)]
    records.append({"id": "twin", "text": texts[3], "lang": "en"})
    records.append(
        {"id": "mail", "text": f"{QUESTION} and write to me@host.example.org\r\n{QUESTION.upper()}", "lang": "en"}
    )
    records.append({"id": "short", "text": "the and", "lang": "en"})
    write_jsonl(base / "a.jsonl", records)
    plain = SETTINGS | {"steps": ["repair", "measure", "exact", "rules", "mask"]}
    run_chain(base, CorpusSettings.model_validate(plain), base=base)
    return base


def test_sample_and_grep(corpus: Path) -> None:
    folder = corpus / "corpus"
    first = look.sample(folder, 5)
    assert first == look.sample(folder, 5)
    assert len({row["id"] for row in first}) == 5
    found = look.grep(folder, r"number 1\d", limit=4)
    assert [row["id"] for row in found[:4]] == ["d10", "d11", "d12", "d13"]
    assert found[4:] == [{"more": 6}]
    assert len(look.grep(folder, r"number 1\d", limit=10)) == 10
    assert found[0]["text"][80:90] == "number 10 "[:10]
    with pytest.raises(UserError, match="not a regular expression"):
        look.grep(folder, "(")
    for ask in (look.sample, lambda *a, **b: look.grep(folder, "x", part=b["part"])):
        with pytest.raises(UserError, match=r"no part 'nosuch' \(its parts are documents, holdout, rejected\)"):
            ask(folder, 1, part="nosuch")


def test_why_was_it_rejected(corpus: Path) -> None:
    folder = corpus / "corpus"
    (row,) = look.rejected(folder, "same_text")
    assert (row["id"], row["partner"]) == ("twin", "d3")
    assert look.rejected(folder, limit=1)[1:] == [{"more": look.overview(folder)["documents_rejected"] - 1}]
    assert look.rejected(folder, "rules/gopher_words")[0]["value"] == 2
    assert [row["id"] for row in look.rejected(folder, "gopher_words", count=9)] == ["short"]
    assert len(look.rejected(folder, count=1)) == 1
    with pytest.raises(UserError, match=r"gopher_wrds.*did you mean 'rules/gopher_words'"):
        look.rejected(folder, "rules/gopher_wrds")
    story = look.story(folder, "twin")
    assert (story["part"], story["partner"]["id"]) == ("rejected", "d3")
    story = look.story(folder, "mail")
    assert [(edit["step"], edit["kind"]) for edit in story["edits"]] == [("repair", "newline"), ("mask", "email")]
    with pytest.raises(UserError, match="no document 'nobody'"):
        look.story(folder, "nobody")


def test_the_corpus_of_a_run_is_that_of_its_outcome(tmp_path: Path) -> None:
    for name in ("corpus-old", "corpus-new"):
        write_json(tmp_path / name / "artifact.json", {"bytes": {}})
    os.utime(tmp_path / "corpus-old" / "artifact.json", (1, 1))
    assert look.find_corpus(tmp_path) == tmp_path / "corpus-new"
    write_json(tmp_path / "outcome.json", {"stages": {"corpus": "corpus-old"}})
    assert look.find_corpus(tmp_path) == tmp_path / "corpus-old"
    write_json(tmp_path / "outcome.json", {"stages": {"corpus": "corpus-gone"}})
    assert look.find_corpus(tmp_path) == tmp_path / "corpus-new"
    with pytest.raises(UserError, match="no corpus here"):
        look.find_corpus(tmp_path / "corpus-new")
    events = [{"event": "kept", "stage": name} for name in ("corpus-new", "corpus-old", "corpus-gone", "tokens-new")]
    write_jsonl(tmp_path / "events.jsonl", events)
    assert look.find_corpus(tmp_path) == tmp_path / "corpus-old"
    write_jsonl(tmp_path / "events.jsonl", ["no event"])
    assert look.find_corpus(tmp_path) == tmp_path / "corpus-new"


def test_a_damaged_corpus_is_told(corpus: Path, tmp_path: Path) -> None:
    for name in ("corpus-cut", "corpus-changed"):
        folder = shutil.copytree(corpus / "corpus", tmp_path / name[7:] / name)
        sizes = {file: (folder / file).stat().st_size for file in list_files(folder)}
        write_json(folder / "artifact.json", {"bytes": sizes})
        (shard,) = (folder / "documents").iterdir()
        whole = shard.read_bytes()
        shard.write_bytes(whole[:1000] if name == "corpus-cut" else whole[:-8] + bytes(8))
    said = (
        rf"damaged: documents/{shard.name} has 1,000 bytes instead of {len(whole):,} \(remove the folder .*/corpus-cut"
    )
    for place in (tmp_path / "cut", tmp_path / "cut" / "corpus-cut"):
        with pytest.raises(UserError, match=said):
            look.find_corpus(place)
    folder = look.find_corpus(tmp_path / "changed")
    with pytest.raises(UserError, match=rf"{shard.name}: is damaged: .*remove the folder {folder} and"):
        look.sample(folder, 1)
    report = folder / "report.json"
    report.write_text("{" * report.stat().st_size)
    with pytest.raises(UserError, match=r"the corpus is damaged: report\.json is not readable \(remove the folder"):
        look.find_corpus(tmp_path / "changed")
    report.write_text("{")
    with pytest.raises(UserError, match=r"report\.json: is missing, or damaged"):
        look.overview(folder)
    with pytest.raises(UserError, match=r"damaged: report\.json has 1 bytes"):
        look.find_corpus(tmp_path / "changed")


def test_difference(corpus: Path, tmp_path: Path) -> None:
    plain = SETTINGS | {"steps": ["repair", "measure", "rules"], "rules": [{"set": "gopher_quality", "min_words": 2}]}
    run_chain(tmp_path, CorpusSettings.model_validate(plain), base=corpus)
    changes = look.difference(corpus / "corpus", tmp_path / "corpus")
    moved = {name: move["examples"] for name, move in changes["moved"].items()}
    assert moved["rejected by same_text -> documents"] == ["twin"]
    assert changes["counts"]["documents_rejected"]["to"] < changes["counts"]["documents_rejected"]["from"]
    assert changes["changed"] == {"documents": 1, "examples": ["mail"]}


def test_contamination_is_removed_and_reported(tmp_path: Path) -> None:
    items = [{"question": QUESTION, "answer": "nine"}, {"question": "What?", "answer": "no"}]
    items += [
        {"question": f"Item {i} asks something else entirely, of course, in words that stand nowhere else"}
        for i in range(9)
    ]
    write_jsonl(tmp_path / "bench.jsonl", items)
    half = " ".join(QUESTION.split()[:12])
    texts = [
        f"{ENGLISH * 4}{QUESTION.lower().replace(',', ' ;')} {ENGLISH}",
        f"{ENGLISH} {half} is not the question",
        ENGLISH * 2,
    ]
    write_jsonl(tmp_path / "a.jsonl", [{"id": f"d{i}", "text": text} for i, text in enumerate(texts)])
    plain = {"sources": ["a.jsonl"], "steps": ["measure", "decontaminate"], "decontaminate": {"against": "bench.jsonl"}}
    report = run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)
    (row,) = rows(tmp_path / "corpus" / "rejected")
    assert (row["id"], row["rule"], row["value"], row["partner"]) == ("d0", "benchmark_item", 1.0, "bench.jsonl#1")
    found = report["contamination"]["bench.jsonl"]
    assert found == {"items": 11, "items_found": 1, "documents_removed": 1, "too_short": ["bench.jsonl#2"]}
    findings = [json.loads(line) for line in (tmp_path / "corpus" / "contamination.jsonl").read_text().splitlines()]
    assert [(f["document"], f["removed"]) for f in findings] == [("d0", True), ("d1", False)]
    write_jsonl(tmp_path / "bench.jsonl", [items])  # one array of them
    assert (
        run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)["contamination"]["bench.jsonl"]
        == found
    )
    (tmp_path / "bench.jsonl").write_text(json.dumps(items)[:-1])
    with pytest.raises(
        UserError, match=r"bench\.jsonl:11: the benchmark cannot be read to its end: the array does not end"
    ):
        run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)
    for depth in (201, 3000):
        write_jsonl(tmp_path / "bench.jsonl", ['{"question": ' + "[" * depth + "]" * depth + "}"])
        with pytest.raises(UserError, match=r"bench\.jsonl:1: not a benchmark item: JSON that is nested too deeply"):
            run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)
    write_jsonl(tmp_path / "bench.jsonl", ["{broken"])
    with pytest.raises(UserError, match=r"bench\.jsonl:1: not a benchmark item"):
        run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)


def test_planted_benchmark_items_are_all_found(real_data: Path, tmp_path: Path) -> None:
    planted = [(name, record) for name in ("gsm8k_dev", "cmrc2018_trial") for record in _items(real_data, name)]
    texts = [record.get("question", "") if "answer" in record else record["context"] for _, record in planted]
    around = [record["text"] for record in read_zst(real_data / "pretrain" / "zh_wikipedia.jsonl.zst", 400)]
    clean = [{"id": f"clean{i}", "text": text} for i, text in enumerate(around[200:])]
    texts += map(OpenCC("s2t").convert, texts[60:])  # the Chinese ones in the other script, phrase by phrase
    dirty = [{"id": f"dirty{i}", "text": f"{around[i]}\n{text}\n{around[-i]}"} for i, text in enumerate(texts)]
    write_jsonl(tmp_path / "a.jsonl", clean + dirty)
    against = [str(real_data / "bench" / f"{name}.jsonl.zst") for name in ("gsm8k_dev", "cmrc2018_trial")]
    plain = {"sources": ["a.jsonl"], "steps": ["measure", "decontaminate"], "decontaminate": {"against": against}}
    plain["measure"] = {"language": "never"}
    run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)
    gone = {row["id"] for row in rows(tmp_path / "corpus" / "rejected")}
    assert gone == {record["id"] for record in dirty}


def _items(real_data: Path, name: str) -> list[dict[str, Any]]:
    return list(read_zst(real_data / "bench" / f"{name}.jsonl.zst", 60))


def test_the_recipe_reads_well() -> None:
    settings = validate(
        CorpusSettings,
        {
            "sources": [{"path": "data/*.zst", "domain": "{stem}"}, "more.txt"],
            "rules": [{"set": "gopher_quality"}, {"set": "chinese"}],
            "near": {"threshold": 0.7},
            "decontaminate": {"against": "bench.jsonl"},
        },
        source="recipe.yaml",
    )
    assert settings.sources[1].path == "more.txt"
    assert settings.decontaminate.against == ["bench.jsonl"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"step": []}, "unknown setting 'step'.*did you mean 'steps'"),
        ({"steps": ["dedup"]}, "steps.0"),
        ({"near": {"bands": 30}}, "bands x rows is 150, but a signature has 112 values"),
        ({"sources": [{"path": "a", "fields": {"txt": "x"}}]}, "'txt' is no document column .did you mean 'text'"),
        (
            {"rules": [{"set": "gofer"}]},
            r"rules\.0\.set: 'gofer' is not known .did you mean 'gopher_quality' or 'gopher_r",
        ),
        ({"rules": [{"set": "c4", "where": "languge = 1"}]}, r"rules\.0\.where: not a condition"),
        ({"repeat": [{"where": "domain = 1", "times": 1}]}, "not a condition"),
        ({"sources": [{"path": ""}]}, "sources.0.path: expected a file, a glob or a folder, found ''"),
        ({"sources": ["a", " "]}, "sources.1.path: expected a file, a glob or a folder, found ' '"),
        ({"decontaminate": {"against": ""}}, "decontaminate.against.0: expected a file, a glob or a folder"),
        ({"sources": [{"path": "a", "largest_record": 0}]}, "largest_record: must be at least 1, found 0"),
        ({"mask": {"kinds": []}}, "mask.kinds: must have at least 1 items"),
        ({"holdout": {"minimum": 4, "maximum": 1}}, "holdout: the minimum is 4, but the maximum 1"),
        ({"holdout": {"maximum": -1}}, "holdout.maximum: must be at least 0, found -1"),
        ({"lines": {"patterns": ["a", ""]}}, "lines.patterns.1: an empty pattern is found in every line"),
        ({"lines": {"patterns": ["("]}}, r"lines\.patterns\.0: not a regular expression: '\(' \(missing \)"),
        (
            {"steps": ["keywords"], "keywords": {"lists": [{"name": "a", "words": ["b", ""]}]}},
            "words.1: expected a word or phrase, found ''",
        ),
        (
            {"survivor": "longst"},
            "survivor: 'longst' is not known; expected first, longest, {highest: COLUMN} or {lowest: COLUMN}$",
        ),
        ({"steps": ["measure"], "lines": {"longest": 200}}, "lines: the chain has no step 'lines'; add it to `steps`"),
        ({"steps": ["measure"], "holdout": {"fraction": 0.1}}, "holdout: the chain has no step 'holdout'"),
        ({"steps": ["repair"], "survivor": "longest"}, "survivor: the chain has no step 'exact' or 'near'; add it"),
    ],
)
def test_mistakes_in_settings(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(CorpusSettings, data, source="recipe.yaml")


def test_defaults_that_are_written_out_are_no_settings_without_effect() -> None:
    for steps in (["measure"], ["repair", "near", "mask"]):
        plain = {"steps": steps, "holdout": {"fraction": 0}}
        written = CorpusSettings.model_validate(plain).model_dump(mode="json")
        assert validate(CorpusSettings, written, source="recipe.yaml").model_dump(mode="json") == written


def test_settings_know_neither_pyarrow_nor_numba() -> None:
    code = (
        "import sys, tilth.corpus, tilth.corpus.settings, tilth.corpus.sources;"
        "print([m for m in ('pyarrow', 'numba', 'torch', 'scipy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
