"""Repeated passages and substrings: against brute force, across the hold-out, killed, in little memory, explained."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.conftest import read_zst
from tests.corpus.helpers import CHINESE, ENGLISH, assert_conserved, hashes, of_steps, rows, run_chain, write_jsonl
from tests.reference import text_repeats as twin
from tests.text import hostile
from tilth.base.errors import UserError
from tilth.base.files import ContentHashes
from tilth.corpus import look
from tilth.corpus.chain import build_chain
from tilth.corpus.running import across
from tilth.corpus.settings import CorpusSettings
from tilth.pipeline.recipe import Recipe
from tilth.pipeline.stages.corpus import corpus_stage, measure_stage

SENTINEL = "This document stands alone, so that something is left."
PIECES = st.sampled_from(
    [ENGLISH, ENGLISH[3:], CHINESE, CHINESE[4:], "天" * 30, "a" * 70, "😀é\n", "\n\n", *"ab天。. "]
)
TEXT = st.one_of(hostile.text, st.lists(PIECES, max_size=12).map("".join))


def chain_settings(*steps: str, **changes: Any) -> CorpusSettings:
    plain = {"sources": ["*.jsonl"], "steps": list(steps), "measure": {"language": "never"}}
    return CorpusSettings.model_validate(of_steps(plain | changes, steps))


def run(folder: Path, texts: list[str], chain: CorpusSettings, files: int = 1, workers: int = 1) -> list[str]:
    """The texts behind the chain, those of rejected documents included; also checks what the edits say."""
    shutil.rmtree(folder, ignore_errors=True)
    for file in range(files):
        records = [{"id": f"d{i}", "text": text} for i, text in enumerate(texts) if i * files // len(texts) == file]
        write_jsonl(folder / f"{file}.jsonl", records)
    assert_conserved(run_chain(folder, chain, base=folder, workers=workers))
    parts = [row for part in ("documents", "holdout", "rejected") for row in rows(folder / "corpus" / part)]
    found = {row["id"]: row["text"] for row in parts}
    spans = defaultdict(list)
    for edit in rows(folder / "corpus" / "edits"):
        spans[edit["id"]].append((edit["start"], edit["end"]))
    for i, text in enumerate(texts):
        assert found[f"d{i}"] == twin.without(text, spans[f"d{i}"])
    return [found[f"d{i}"] for i in range(len(texts))]


@hypothesis_settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(TEXT, max_size=6), st.sampled_from([8, 9, 20, 61]), st.sampled_from([1, 3]))
def test_substrings_equal_brute_force(tmp_path: Path, texts: list[str], length: int, files: int) -> None:
    texts = [SENTINEL, *(text for text in texts if text.strip())]
    substring = {"length": length, "memory": 2**16}
    found = run(tmp_path, texts, chain_settings("substring", substring=substring), min(files, len(texts)))
    cuts = twin.repeats(texts, length)
    assert found == [twin.without(text, spans) for text, spans in zip(texts, cuts, strict=True)]


@hypothesis_settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(TEXT, max_size=6), st.sampled_from(["line", "paragraph", "sentence"]), st.sampled_from([1, 30]),
    st.integers(1, 3),
)  # fmt: skip
def test_passages_equal_brute_force(tmp_path: Path, texts: list[str], unit: str, shortest: int, keep: int) -> None:
    texts = [SENTINEL, *(text for text in texts if text.strip())]
    passages = {"unit": unit, "shortest": shortest, "keep": keep}
    found = run(tmp_path, texts, chain_settings("passages", passages=passages), min(2, len(texts)))
    cuts = twin.repeated_passages(texts, unit, shortest, keep)
    assert found == [twin.without(text, spans) for text, spans in zip(texts, cuts, strict=True)]


def test_a_megabyte_of_real_text(real_data: Path, tmp_path: Path) -> None:
    texts: list[str] = []
    for name in ("zh_law", "code_c", "en_web_c4_sample", "math_latex"):
        size = 0
        for record in read_zst(real_data / "pretrain" / f"{name}.jsonl.zst"):
            texts.append(record["text"])
            size += len(record["text"].encode())
            if size > 270_000:
                break
    texts += [texts[0][100:900] + texts[-1][200:5000], texts[3] + texts[5]]
    found = run(tmp_path, texts, chain_settings("substring", substring={"memory": 2**20}), files=4, workers=2)
    cuts = twin.repeats(texts, 100)
    assert found == [twin.without(text, spans) for text, spans in zip(texts, cuts, strict=True)]
    assert sum(end - start for spans in cuts for start, end in spans) > 20_000
    texts = [text for text in texts if len(text) < 8000]  # the twin takes its time with long ones
    for unit in ("line", "sentence"):
        found = run(tmp_path, texts, chain_settings("passages", passages={"unit": unit}), files=4)
        cuts = twin.repeated_passages(texts, unit, 60, 1)
        assert found == [twin.without(text, spans) for text, spans in zip(texts, cuts, strict=True)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Three files of documents that share stretches, and a few that are nothing but what stands elsewhere."""
    for part in range(3):
        texts = []
        for i in range(40):
            own = " ".join(f"word{(i * 7 + part * 1009 + k * k) % 977}" for k in range(60))
            shared = ENGLISH * 3 if i % 4 == 0 else CHINESE * 4
            texts.append(shared[: -1 - i % 7 - part] if i % 10 == 9 else f"{own}\n{shared}\n{own[:120]} {i} {part}")
        write_jsonl(tmp_path / "in" / f"{part}.jsonl", [{"id": f"{part}-{i}", "text": t} for i, t in enumerate(texts)])
    return tmp_path / "in"


STEPS = ("measure", "exact", "holdout", "passages", "substring", "measure", "near", "mask")
CHANGES: dict[str, Any] = {
    "holdout": {"fraction": 0.1},
    "passages": {"shortest": 40, "memory": 2**16},
    "substring": {"length": 60, "memory": 2**16},
}


def test_the_holdout_keeps_its_text(base: Path, tmp_path: Path) -> None:
    """What stands in the hold-out and in training text is cut from the latter, and the twin agrees on every text."""
    chain = chain_settings("measure", "exact", "holdout", "substring", **CHANGES)
    report = run_chain(tmp_path, chain, base=base)
    assert_conserved(report)
    before = {row["id"]: row["text"] for row in rows(tmp_path / "measure" / "documents")}
    parts = {name: rows(tmp_path / "corpus" / name) for name in ("documents", "holdout", "rejected")}
    gone = {row["id"] for row in parts["rejected"] if row["step"] == "exact"}
    held = [row["id"] for row in parts["holdout"]]
    order = held + [name for name in before if name not in gone and name not in held]
    left = {row["id"]: row["text"] for rows_ in parts.values() for row in rows_}
    assert len(held) >= 5
    cuts = twin.repeats([before[name] for name in order], 60)
    assert [left[name] for name in order] == [
        twin.without(before[name], spans) for name, spans in zip(order, cuts, strict=True)
    ]
    empty = [row["id"] for row in parts["rejected"] if row["rule"] == "empty"]
    assert empty
    assert all(left[name] == "" for name in empty)


def test_workers_memory_and_kills_change_no_byte(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_chain(tmp_path / "one", chain_settings(*STEPS, **CHANGES), base=base)
    assert_conserved(report)
    expected = hashes(tmp_path / "one" / "corpus")
    run_chain(tmp_path / "two", chain_settings(*STEPS, **CHANGES), base=base, workers=2)
    assert hashes(tmp_path / "two" / "corpus") == expected
    much = {name: CHANGES[name] | {"memory": 2**30} for name in ("passages", "substring")}
    run_chain(tmp_path / "much", chain_settings(*STEPS, **CHANGES | much), base=base)
    assert hashes(tmp_path / "much" / "corpus") == expected
    killed, deaths = tmp_path / "killed", 0
    while True:
        with monkeypatch.context() as patch:
            for name in ("note_shard", "join_part"):
                patch.setattr(across, name, _dies_at_the_fourth_new_one(getattr(across, name)))
            try:
                assert run_chain(killed, chain_settings(*STEPS, **CHANGES), base=base) == report
                break
            except KeyboardInterrupt:
                deaths += 1
    assert deaths > 5
    assert hashes(killed / "corpus") == expected
    assert not list(killed.rglob("across"))


def _dies_at_the_fourth_new_one(function: Any) -> Any:
    done: list[Any] = []

    def wrapped(unit: Any) -> Any:
        folder = across.round_folder(unit.pass_, unit.number)
        count = len(list(folder.glob("*")))
        result = function(unit)
        if len(list(folder.glob("*"))) > count:
            done.append(unit)
        if len(done) == 4:
            raise KeyboardInterrupt
        return result

    return wrapped


def test_every_cut_is_told(base: Path, tmp_path: Path) -> None:
    chain = chain_settings("measure", "passages", "substring", "mask", **CHANGES)
    report = run_chain(tmp_path, chain, base=base)
    funnel = {entry["step"]: entry for entry in report["funnel"]}
    assert funnel["passages"]["edits"]["line"] > 50
    assert funnel["substring"]["edits"]["repeated"] > 10
    assert funnel["substring"]["bytes_out"] < funnel["substring"]["bytes_in"]
    assert funnel["passages"]["documents_in"] == funnel["passages"]["documents_out"]
    story = look.story(tmp_path / "corpus", "2-19")
    assert (story["part"], story["document"]["rule"]) == ("rejected", "empty")
    assert [(edit["step"], edit["kind"], edit["start"]) for edit in story["edits"]] == [("substring", "repeated", 0)]
    overview = look.overview(tmp_path / "corpus")
    assert overview["edited by"]["passages/line"] == funnel["passages"]["edits"]["line"]
    assert "rejected by" in overview


def test_the_cut_and_the_passes() -> None:
    chain = build_chain(chain_settings("repair", "passages", "measure", "exact", "near", "substring", "mask"))
    assert [step.name for step in chain.before] == ["repair"]
    found = [
        ([d.name for d in s.decisions], s.across and s.across.name, [t.name for t in s.texts]) for s in chain.segments
    ]
    assert found == [([], "passages", ["measure"]), (["exact", "near"], "substring", ["mask"])]
    assert [step.name for step in chain.steps] == [
        *("repair", "passages", "measure", "exact", "near", "substring", "mask")
    ]
    twice = build_chain(chain_settings("passages", "substring", "substring"))
    assert [s.across.name for s in twice.segments if s.across] == ["passages", "substring", "substring.2"]


@pytest.mark.parametrize("step", ["passages", "substring"])
def test_a_rule_over_cut_texts_is_refused(step: str) -> None:
    with pytest.raises(
        UserError, match=f"'signal.minhash', which the step '{step}' before it made untrue.*`measure` aga"
    ):
        build_chain(chain_settings("measure", step, "near"))


def test_memory_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": SENTINEL}])
    hashes_ = ContentHashes(tmp_path / "hashes.json")

    def folder(*steps: str, **changes: Any) -> str:
        recipe = Recipe(name="x", corpus=chain_settings(*steps, **changes))
        return corpus_stage(recipe, tmp_path, measure_stage(recipe, tmp_path, None, hashes_), hashes_).folder

    changed = {"passages": {"keep": 3}, "substring": {"length": 50}}
    more = {name: {"memory": 2**20} for name in changed}
    assert folder("passages", "substring", **more) == folder("passages", "substring")
    assert folder("passages", "substring", **changed) != folder("passages", "substring")
