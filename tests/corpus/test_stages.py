"""Whole chains: nothing is lost, one worker is many, killed is not killed, the order is checked for sense."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT, read_zst
from tests.corpus.helpers import (
    CHINESE,
    ENGLISH,
    assert_conserved,
    hashes,
    ids,
    of_steps,
    rows,
    run_chain,
    write_jsonl,
)
from tilth.base.errors import UserError
from tilth.base.pool import Workers
from tilth.corpus import corpus_stage, measure_stage
from tilth.corpus.chain import build_chain
from tilth.corpus.report import check_some_left
from tilth.corpus.running.tally import Lost, StepTally
from tilth.corpus.settings import CorpusSettings


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five files of made documents with duplicates, near-duplicates, personal data, boilerplate and bad lines."""
    base = tmp_path_factory.mktemp("inputs")
    for part in range(5):
        records: list[Any] = ['{"text": broken'] if part == 2 else []
        for i in range(60):
            words = " ".join(f"word{(i * 7 + part * 1009 + k * k) % 977}" for k in range(120))
            text = f"{ENGLISH}{words}." if i % 2 else f"{CHINESE}{words.replace('word', '字')}。"
            if i % 10 == 3:
                text = f"{ENGLISH * 8}{i % 3}"  # exact duplicates across files
            if i % 10 == 5:
                text += f" Write to user{i}@example.org\nShare on Facebook\nthe end"
            if i % 10 == 7:
                text += "\r\nand\ufeff more"
            records.append({"id": str(i), "text": text, "domain": f"d{i % 3}", "lang": "en" if i % 2 else "zh"})
        write_jsonl(base / f"part{part}.jsonl", records)
    write_jsonl(base / "bench.jsonl", [{"question": rows_of(base / "part1.jsonl", 1), "answer": "no"}])
    return base


def rows_of(path: Path, line: int) -> str:
    return str(json.loads(path.read_text(encoding="utf-8").splitlines()[line])["text"])


def settings(**changes: Any) -> CorpusSettings:
    plain = {
        "sources": [{"path": "part*.jsonl"}],
        "holdout": {"fraction": 0.1},
        "rules": [{"set": "chinese", "min_characters": 20}],
        "decontaminate": {"against": "bench.jsonl"},
    }
    return CorpusSettings.model_validate(of_steps(plain | changes, changes.get("steps")))


def test_the_default_chain(inputs: Path, tmp_path: Path) -> None:
    report = run_chain(tmp_path, settings(), base=inputs)
    assert_conserved(report)
    assert (report["records_read"], report["unreadable"], report["documents_in"]) == (301, 1, 300)
    parts = {name: rows(tmp_path / "corpus" / name) for name in ("documents", "holdout", "rejected")}
    assert len(parts["documents"]) == report["documents_kept"]
    assert len(parts["holdout"]) == report["documents_holdout"] > 5
    every = [row["id"] for part in parts.values() for row in part]
    assert len(set(every)) == len(every) == 300
    assert all(row["repeat"] == 1 for row in parts["documents"])
    rules = {row["rule"] for row in parts["rejected"]}
    assert {"same_text", "benchmark_item"} <= rules
    for row in parts["rejected"]:
        assert row["partner"] in every or row["rule"] not in ("same_text", "near_duplicate")
        assert row["value"] >= row["threshold"] or row["rule"].startswith("chinese")
    texts = "\n".join(row["text"] for row in parts["documents"] + parts["holdout"])
    assert "@example.org" not in texts
    assert "[EMAIL]" in texts
    assert "Share on Facebook" not in texts
    kinds = {row["kind"] for row in rows(tmp_path / "corpus" / "edits")}
    assert {"email", "newline", "bom", "subscribe"} <= kinds
    steps = [entry["step"] for entry in report["funnel"]]
    assert steps == [
        *("repair", "lines", "measure", "rules", "exact", "holdout", "near", "mask", "decontaminate", "sampling")
    ]
    assert report["contamination"]["bench.jsonl"]["items_found"] == 1
    card = (tmp_path / "corpus" / "card.md").read_text()
    assert f"| documents kept | {report['documents_kept']} |" in card
    assert all(f"| {rule} | {row['documents']} |" in card for rule, row in report["by_rule"].items())
    assert all(f"\n## {part}" in card for part in ("Domains", "Documents kept, by license", "Benchmarks that were"))
    unreadable = (tmp_path / "measure" / "unreadable.jsonl").read_text().splitlines()
    assert [(r["file"], r["line"]) for r in map(json.loads, unreadable)] == [("part2.jsonl", 1)]


@pytest.mark.slow
def test_ray_gives_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    run_chain(tmp_path / "one", settings(), base=inputs)
    run_chain(tmp_path / "ray", settings(), base=inputs, workers=Workers(2, "ray"))
    assert hashes(tmp_path / "one" / "corpus") == hashes(tmp_path / "ray" / "corpus")


def test_ids_that_stand_in_several_files_become_unique(inputs: Path, tmp_path: Path) -> None:
    run_chain(tmp_path, settings(), base=inputs)
    measured = ids(tmp_path / "measure" / "documents")
    assert measured[:2] == ["0", "1"]
    assert measured[60:62] == ["0~1.0", "1~1.1"]
    edited = {row["id"] for row in rows(tmp_path / "measure" / "edits")}
    assert edited <= set(measured)


def test_ids_that_look_made_are_made_anew(tmp_path: Path) -> None:
    """Also where such an id stands twice, or where the place that it names is its own."""
    own = ["1", "1", "1~0.1", "2~0.3", "2~0.3", "2", "x~1.2.3", "y~0.7z", "~0.8"]
    write_jsonl(tmp_path / "a.jsonl", [{"id": id_, "text": f"{ENGLISH}\r\n{i}"} for i, id_ in enumerate(own)])
    chain = CorpusSettings.model_validate({"sources": ["a.jsonl"], "steps": ["repair", "measure"]})
    run_chain(tmp_path, chain, base=tmp_path)
    unique = ["1", "1~0.1", "1~0.1~0.2", "2~0.3", "2~0.3~0.4", "2", "x~1.2.3", "y~0.7z", "~0.8"]
    assert ids(tmp_path / "measure" / "documents") == unique
    assert [row["id"] for row in rows(tmp_path / "measure" / "edits")] == unique


@pytest.mark.parametrize(
    "steps",
    [
        None,
        ["measure", "rules", "lines", "measure", "near"],
        ["split", "measure", "holdout", "near", "split", "mask", "measure", "exact"],
        ["passages", "measure", "holdout", "near", "substring", "mask", "measure", "exact"],
    ],
)
def test_two_workers_and_a_killed_run_give_the_same_bytes(inputs: Path, tmp_path: Path, steps: Any) -> None:
    chain = settings(**({} if steps is None else {"steps": steps}), split={"longest": 700})
    report = run_chain(tmp_path / "one", chain, base=inputs)
    assert_conserved(report)
    run_chain(tmp_path / "two", chain, base=inputs, workers=2)
    assert hashes(tmp_path / "one" / "corpus") == hashes(tmp_path / "two" / "corpus")
    assert hashes(tmp_path / "one" / "measure") == hashes(tmp_path / "two" / "measure")
    killed = tmp_path / "killed"
    for stage, module, work in (("measure", measure_stage, "work-m"), ("corpus", corpus_stage, "work-c")):
        monkey = pytest.MonkeyPatch()
        name = "_measure_unit" if stage == "measure" else "write_shard"
        monkey.setattr(module, name, _dies_at_the_third(getattr(module, name)))
        with pytest.raises(KeyboardInterrupt):
            run_chain(killed, chain, base=inputs)
        monkey.undo()
        assert (killed / work).is_dir()
    assert run_chain(killed, chain, base=inputs) == report
    assert hashes(tmp_path / "one" / "corpus") == hashes(killed / "corpus")
    assert hashes(tmp_path / "one" / "measure") == hashes(killed / "measure")


def test_a_run_killed_by_the_system_goes_on(inputs: Path, tmp_path: Path) -> None:
    """SIGKILL at the first finished shard of each stage; what was half written leaves no trace."""
    run_chain(tmp_path / "whole", settings(), base=inputs)
    code = (
        "import sys; from pathlib import Path; from tests.corpus.helpers import run_chain;"
        "from tests.corpus.test_stages import settings;"
        "run_chain(Path(sys.argv[1]), settings(), base=Path(sys.argv[2]))"
    )
    killed = tmp_path / "killed"
    for waiting_for in ("work-m/unit-0000*.json", "work-c/pass-0/unit-0000*.json"):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(killed), str(inputs)], start_new_session=True, cwd=ROOT
        )
        while process.poll() is None and not list(killed.glob(waiting_for)):
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (killed / "corpus" / "documents").mkdir(parents=True, exist_ok=True)
    (killed / "corpus" / "documents" / ".unit-00001.parquet.77.tmp").write_bytes(b"half")
    (killed / "corpus" / ".folder.77.tmp").mkdir()
    run_chain(killed, settings(), base=inputs)
    for stage in ("measure", "corpus"):
        assert hashes(killed / stage) == hashes(tmp_path / "whole" / stage)


def _dies_at_the_third(function: Any) -> Any:
    calls: list[Any] = []

    def wrapped(task: Any) -> Any:
        calls.append(task)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return function(task)

    return wrapped


def test_a_changed_setting_starts_the_stage_anew(inputs: Path, tmp_path: Path) -> None:
    run_chain(tmp_path, settings(), base=inputs)
    measured = hashes(tmp_path / "measure")
    report = run_chain(tmp_path, settings(holdout={"fraction": 0.3}), base=inputs)
    fresh = run_chain(tmp_path / "fresh", settings(holdout={"fraction": 0.3}), base=inputs)
    assert report == fresh
    assert hashes(tmp_path / "corpus") == hashes(tmp_path / "fresh" / "corpus")
    assert hashes(tmp_path / "measure") == measured


def test_split_bears_children_that_join_to_the_parent(tmp_path: Path) -> None:
    texts = ["short", (ENGLISH * 10 + "\n\n") * 5, CHINESE * 100]
    write_jsonl(tmp_path / "a.jsonl", [{"text": text, "id": f"p{i}"} for i, text in enumerate(texts)])
    chain = CorpusSettings.model_validate(
        {"sources": ["a.jsonl"], "steps": ["split", "measure", "exact"], "split": {"longest": 700}}
    )
    report = run_chain(tmp_path / "out", chain, base=tmp_path)
    assert_conserved(report)
    assert report["documents_born"] > 4
    found = rows(tmp_path / "out" / "corpus" / "documents") + rows(tmp_path / "out" / "corpus" / "rejected")
    for number, text in enumerate(texts[1:], 1):
        children = sorted((r for r in found if r["parent"] == f"p{number}"), key=lambda r: int(r["id"].split("/")[1]))
        assert "".join(child["text"] for child in children) == text
        assert max(len(child["text"]) for child in children) <= 700


def test_edits_carry_the_new_ids_with_split_too(tmp_path: Path) -> None:
    """Each edit names the document that holds the edited text; that of a cut document names its parent."""
    for part in "ab":
        texts = [f"{part}{i} \r\n" + (ENGLISH * 30 if i % 3 == 0 else "") for i in range(7)]
        records = [{"id": f"i{i}", "text": f"{text}\nRead more\nend {part}{i}"} for i, text in enumerate(texts)]
        write_jsonl(tmp_path / f"{part}.jsonl", records)
    plain = {"sources": ["*.jsonl"], "steps": ["repair", "split", "lines", "split", "measure", "exact"]}
    chain = CorpusSettings.model_validate(plain | {"split": {"longest": 400}})
    run_chain(tmp_path / "out", chain, base=tmp_path)
    texts = {row["id"]: row["text"] for row in rows(tmp_path / "out" / "measure" / "documents")}
    edits = rows(tmp_path / "out" / "measure" / "edits")
    for part in "ab":
        repairs = [
            edit["id"] for edit in edits if edit["step"] == "repair" and texts.get(edit["id"], part).startswith(part)
        ]
        whole = [name for name in repairs if name in texts]
        assert [texts[name][:2] for name in whole] == [f"{part}{i}" for i in (1, 2, 4, 5)]
    assert sum(edit["id"] in ("i0", "i3", "i6") for edit in edits if edit["step"] == "repair") == 6
    lines = [texts[edit["id"]] for edit in edits if edit["step"] == "lines"]
    assert sorted(text.split()[-1] for text in lines) == sorted(f"{part}{i}" for part in "ab" for i in range(7))


def test_a_condition_may_name_no_column(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": f"{ENGLISH}{i}"} for i in range(3)])
    plain = {"sources": ["a.jsonl"], "steps": ["measure", "exact"], "repeat": [{"where": "True", "times": 2}]}
    run_chain(tmp_path / "out", CorpusSettings.model_validate(plain), base=tmp_path)
    assert [row["repeat"] for row in rows(tmp_path / "out" / "corpus" / "documents")] == [2, 2, 2]


def test_repeat_is_a_column_and_zero_is_a_rejection(tmp_path: Path) -> None:
    records = [{"text": f"{ENGLISH}{i}", "domain": "abcd"[i % 4], "score": i} for i in range(400)]
    write_jsonl(tmp_path / "a.jsonl", records)
    chain = CorpusSettings.model_validate(
        {
            "sources": [{"path": "a.jsonl", "signals": {"score": "score"}}],
            "steps": ["measure", "exact"],
            "repeat": [
                {"where": 'domain == "a" and signal.score < 100', "times": 5},
                {"where": 'domain == "a"', "times": 2},
                {"where": 'domain == "b"', "times": 0},
                {"where": 'domain == "c"', "times": 1.3},
            ],
        }
    )
    report = run_chain(tmp_path / "out", chain, base=tmp_path)
    assert_conserved(report)
    assert report["by_rule"] == {
        "sampling/repeat": {"documents": 100, "bytes": report["by_rule"]["sampling/repeat"]["bytes"]}
    }
    times: dict[str, list[int]] = {}
    for row in rows(tmp_path / "out" / "corpus" / "documents"):
        times.setdefault(row["domain"], []).append(row["repeat"])
    assert sorted(times["a"]) == [2] * 75 + [5] * 25
    assert set(times["d"]) == {1}
    assert 110 < sum(times["c"]) < 150


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["near"], r"step 1 \(near\) reads 'signal.minhash', which no step before it measures"),
        (
            ["measure", "lines", "near"],
            r"'signal.minhash', which the step 'lines' before it made untrue.*`measure` again",
        ),
        (["measure", "mask", "exact"], "'signal.hash', which the step 'mask'"),
        (["measure", "mask", "rules"], "which the step 'mask' before it made untrue"),
        (["repair", "rules"], "which no step before it measures"),
    ],
)
def test_an_order_without_sense_is_refused(steps: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_chain(settings(steps=steps))


def test_rules_behind_a_mask_of_words_are_refused() -> None:
    masks = {"lists": [{"name": "name", "words": ["acme"], "policy": "mask"}]}
    steps = ["measure", "keywords", "rules"]
    with pytest.raises(UserError, match=r"which the step 'keywords.*' before it made untrue"):
        build_chain(settings(steps=steps, keywords=masks))
    build_chain(settings(steps=["measure", "keywords", "measure", "rules"], keywords=masks))


def test_an_exact_copy_of_what_its_own_rules_reject_stays(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"id": "web", "text": "A short text.", "domain": "web"}])
    write_jsonl(tmp_path / "b.jsonl", [{"id": "own", "text": "A short text.", "domain": "own"}])
    rules = [{"set": "gopher_quality", "where": "domain == 'web'"}]
    plain = {"sources": ["a.jsonl", "b.jsonl"], "rules": rules}
    run_chain(tmp_path, CorpusSettings.model_validate(plain), base=tmp_path)
    assert [row["id"] for row in rows(tmp_path / "corpus" / "documents")] == ["own"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"rules": [{"set": "chinese"}, {"set": "c4", "where": "languge == 'en'"}]},
            r"^corpus\.rules\.1\.where: .*no column 'languge' \(did you mean 'language'\?\)$",
        ),
        (
            {"rules": [{"set": "chinese", "where": "words > 3"}]},
            r"^corpus\.rules\.0\.where: .*no column 'words' \(did you mean 'signal\.words'\?\)$",
        ),
        (
            {"repeat": [{"where": "signal.score > 1", "times": 2}]},
            r"^corpus\.repeat\.0\.where: 'signal\.score > 1': there is no column 'signal\.score' \(.{,200}$",
        ),
    ],
)
def test_a_column_that_nobody_measures_is_a_slip(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_chain(CorpusSettings.model_validate(data))
    build_chain(
        CorpusSettings.model_validate(
            {
                "sources": [{"path": "a", "signals": {"score": "x"}}],
                "repeat": [{"where": "signal.score > 1 and signal.words > 2", "times": 2}],
            }
        )
    )


def test_the_cut_and_the_passes() -> None:
    chain = build_chain(settings(steps=["repair", "measure", "exact", "rules", "lines", "measure", "near", "mask"]))
    assert [step.name for step in chain.before] == ["repair", "measure"]
    passes = [([d.name for d in s.decisions], [t.name for t in s.texts]) for s in chain.segments]
    assert passes == [(["exact", "rules"], ["lines", "measure.2"]), (["near"], ["mask"])]


def test_nothing_left_or_nothing_read_is_an_error(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "bad.jsonl", ["not json", '{"title": 1}'])
    write_jsonl(tmp_path / "body.jsonl", [{"body": "text"}])
    write_jsonl(tmp_path / "blank.jsonl", [{"text": " "}])
    (tmp_path / "empty.jsonl").write_bytes(b"")
    for name, said in (
        (
            "bad.jsonl",
            r"bad\.jsonl:1: none of 2 records in 1 files could be read; not JSON.*if it is of another format",
        ),
        ("body.jsonl", r"body\.jsonl:1: no record could be read; no text: there is no field.*`fields: {text: NAME}`"),
        ("blank.jsonl", r"blank\.jsonl:1: no record could be read; no text: it is empty$"),
        ("empty.jsonl", r"the files are empty: 1 of them, and no record$"),
    ):
        with pytest.raises(UserError, match=said):
            run_chain(tmp_path / "a", CorpusSettings.model_validate({"sources": [name]}), base=tmp_path)
    write_jsonl(tmp_path / "short.jsonl", [{"text": "too short", "lang": "en"}])
    chain = CorpusSettings.model_validate({"sources": ["short.jsonl"], "rules": [{"set": "gopher_quality"}]})
    report = run_chain(tmp_path / "b", chain, base=tmp_path)
    with pytest.raises(UserError, match=r"no document is left of 1: removed by rules/gopher_words \(1\)"):
        check_some_left(report)
    assert [row["rule"] for row in rows(tmp_path / "b" / "corpus" / "rejected")] == ["gopher_words"]


def test_a_lost_document_is_noticed() -> None:
    with pytest.raises(Lost, match="step near: 3 documents in"):
        StepTally("near", "decide", documents_in=3, documents_out=2).close()


def test_hostile_strings_go_through_the_whole_chain(real_data: Path, tmp_path: Path) -> None:
    strings = json.loads((real_data / "dirty" / "blns.json").read_text(encoding="utf-8"))
    write_jsonl(tmp_path / "blns.jsonl", [json.dumps({"text": s, "id": s, "meta": {s: s}}) for s in strings])
    for record in ("\\ud800", "\\udfff tail", "\\u0000"):
        with (tmp_path / "blns.jsonl").open("a") as file:
            file.write(f'{{"text": "{record}"}}\n')
    report = run_chain(tmp_path / "out", CorpusSettings.model_validate({"sources": ["blns.jsonl"]}), base=tmp_path)
    assert_conserved(report)
    assert report["records_read"] == len(strings) + 3
    assert report["unreadable"] == 2 + sum(not s or s.isspace() for s in strings)


def test_every_dirty_and_web_file_is_read_or_refused(real_data: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for folder in ("dirty", "web/warc", "dedup"):
        shutil.copytree(real_data / folder, tree / folder, copy_function=shutil.copyfile)
    chain = CorpusSettings.model_validate({"sources": ["tree"], "measure": {"language": "never"}})
    report = run_chain(tmp_path / "out", chain, base=tmp_path)
    assert_conserved(report)
    lines = (tmp_path / "out" / "measure" / "unreadable.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == report["unreadable"] > 100
    assert all(json.loads(line)["reason"] for line in lines)


def test_real_text_one_worker_is_two(real_data: Path, tmp_path: Path) -> None:
    for name in ("zh_law", "en_web_c4_sample", "zh_poetry"):
        records = list(read_zst(real_data / "pretrain" / f"{name}.jsonl.zst", 300))
        write_jsonl(tmp_path / f"{name}.jsonl", records)
    plain = {"sources": [{"path": "*.jsonl", "domain": "{stem}"}], "rules": [{"set": "gopher_quality"}]}
    chain = CorpusSettings.model_validate(plain | {"holdout": {"minimum": 10, "maximum": 20, "fraction": 0.05}})
    report = run_chain(tmp_path / "one", chain, base=tmp_path)
    run_chain(tmp_path / "two", chain, base=tmp_path, workers=2)
    assert hashes(tmp_path / "one" / "corpus") == hashes(tmp_path / "two" / "corpus")
    assert_conserved(report)
    assert all(10 <= entry["documents_holdout"] <= 20 for entry in report["by_domain"].values())
    assert "zh_law" in report["by_domain"]
    columns = pq.read_schema(next((tmp_path / "one" / "corpus" / "documents").glob("*.parquet"))).names
    assert columns[:3] == ["id", "text", "domain"]
    assert columns[-1] == "repeat"
    assert "signal.words" in columns
    assert "signal.minhash" not in columns
