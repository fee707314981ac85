"""Forecasts of the corpus chain against its own runs, and by their formulas. Time is never compared."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.corpus.helpers import CHINESE, ENGLISH, run_chain, write_jsonl
from tilth.corpus.running.across import part_memory
from tilth.corpus.settings import CorpusSettings, SourceSettings
from tilth.corpus.sources import Unreadable, find_files, plan_units, read_unit
from tilth.pipeline.corpus_only import plan_corpus
from tilth.planning import corpus_sample
from tilth.planning.corpus_plan import CorpusPlan, Figure, Hardware, plan
from tilth.planning.corpus_sample import Drawn, draw
from tilth.planning.corpus_trial import Trial

TEXTS = [f'{ENGLISH * 2}Field number {i}, "so\ncalled". {CHINESE}{i * i}' for i in range(4000)]
STEPS = ["repair", "measure", "exact", "near", "passages"]


def figures(found: CorpusPlan) -> dict[str, Figure]:
    return {figure.name: figure for figure in found.figures}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve files of different sizes, every seventh document a copy; and a configuration."""
    base = tmp_path_factory.mktemp("plan")
    for i in range(12):
        records = [{"text": f"{ENGLISH * 4}Number {n - (n % 7 == 0)} of {i}."} for n in range(1, 40 + 30 * i)]
        write_jsonl(base / f"{i:02}.jsonl", [*records, "no json"])
    (base / "c.yaml").write_text(f"steps: {STEPS}\nnear: {{threshold: 0.99}}\npassages: {{memory: 1MiB}}\n")
    return base


def test_the_forecast_of_an_input_that_fits_into_the_sample_is_its_own_count(folder: Path) -> None:
    inputs = [str(folder / "*.jsonl")]
    found = plan_corpus(inputs, folder / "c.yaml", "", Hardware())
    settings = CorpusSettings(sources=inputs, steps=STEPS, near={"threshold": 0.99})
    report = run_chain(folder / "run", settings, base=folder)
    assert found.exact
    values = {name: figure.value for name, figure in figures(found).items()}
    for name, key in (
        ("records read", "records_read"),
        ("documents in", "documents_in"),
        ("documents kept", "documents_kept"),
        ("text in", "bytes_in"),
        ("text kept", "bytes_kept"),
    ):
        assert values[name] == report[key], name
    assert report["unreadable"] == 12
    funnel = [(row["step"], row["documents_in"], row["documents_out"]) for row in report["funnel"]]
    assert [(s.step, s.documents_in, s.documents_out) for s in found.steps if s.documents_in is not None] == funnel
    assert json.loads(json.dumps(found.as_json()))["figures"]["text in"]["how"] == "counted"


def test_what_was_asked_for_is_in_proportion_to_the_sample(folder: Path) -> None:
    inputs, size = [str(folder / "*.jsonl")], sum(path.stat().st_size for path in folder.glob("*.jsonl"))
    one = figures(plan_corpus(inputs, folder / "c.yaml", "", Hardware()))
    ten = plan_corpus(inputs, folder / "c.yaml", "", Hardware(), size=10 * size)
    assert not ten.exact
    for name in ("records read", "documents in", "documents kept", "text in", "text kept"):
        assert figures(ten)[name].value == pytest.approx(10 * one[name].value)
        assert "x 10" in figures(ten)[name].how
    assert "at most" in figures(ten)["text kept"].how
    assert "cost" not in figures(ten)


def test_a_part_comes_near_the_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_sample, "PIECE", 4096)
    inputs, size = [str(folder / "*.jsonl")], sum(path.stat().st_size for path in folder.glob("*.jsonl"))
    whole = figures(plan_corpus(inputs, folder / "c.yaml", "", Hardware()))
    part = plan_corpus(inputs, folder / "c.yaml", "", Hardware(), sample=size // 3)
    assert not part.exact
    assert part.sample["bytes"] < size / 2
    for name in ("records read", "documents in", "text in"):
        assert figures(part)[name].value == pytest.approx(whole[name].value, rel=0.1)


def write_all(folder: Path) -> None:
    """The texts in every format of which pieces are cut."""
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS).encode()
    rows = io.StringIO()
    csv.writer(rows).writerows([["text"], *([text] for text in TEXTS)])
    for name, data in {
        "a.jsonl": lines,
        "b.jsonl.gz": gzip.compress(lines, 0),
        "c.jsonl.zst": zstandard.ZstdCompressor(level=-100).compress(lines),
        "d.csv": rows.getvalue().encode(),
    }.items():
        (folder / name).write_bytes(data)
    pq.write_table(pa.table({"text": TEXTS}), folder / "e.parquet", compression="none", use_dictionary=False)


def test_pieces_hold_whole_records_in_proportion(tmp_path: Path) -> None:
    write_all(tmp_path)
    sources = [SourceSettings(path=str(tmp_path / "*.*"))]
    for file in find_files(sources, tmp_path):
        cut, taken = corpus_sample.head(file, 300_000, tmp_path / "pieces" / file.name)
        assert cut.path != file.path
        (unit,) = plan_units([cut])
        batches = list(read_unit(unit, sources))
        assert [u for batch in batches for u in batch.unreadable] == list[Unreadable]()
        read = [text for batch in batches for text in batch.table["text"].to_pylist()]
        assert read == TEXTS[: len(read)]
        assert 0 < len(read) < len(TEXTS)
        assert len(read) / len(TEXTS) == pytest.approx(taken / file.size, rel=0.12), file.name


def test_only_what_can_be_cut_behind_a_line_is_cut(tmp_path: Path) -> None:
    records = [{"text": text} for text in TEXTS]
    (tmp_path / "array.json").write_text(json.dumps(records, indent=1))
    (tmp_path / "line.json").write_text(json.dumps(records))
    (tmp_path / "objects.json").write_text("\n".join(json.dumps(record, indent=1) for record in records))
    write_jsonl(tmp_path / "lists.json", [[record] for record in records])
    files = find_files([SourceSettings(path="*.json")], tmp_path)
    whole = {file.name for file in files if corpus_sample.head(file, 300_000, tmp_path / "pieces")[0] == file}
    assert whole == {"array.json", "line.json", "objects.json"}


def test_every_byte_has_the_same_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_sample, "PIECE", 3000)
    for i in range(40):
        (tmp_path / f"{i:02}.txt").write_text("x" * (10 + 400 * i))
    files = find_files([SourceSettings(path=str(tmp_path))], tmp_path)
    total = sum(file.size for file in files)
    shares = [draw(files, total // 5, seed, tmp_path / "p").bytes / total for seed in range(200)]
    assert sum(shares) / 200 == pytest.approx(0.2, rel=0.02)
    assert max(abs(share * total - total // 5) for share in shares) <= files[-1].size  # the largest, which is not cut
    assert draw(files, total // 5, 7, tmp_path / "p") == draw(files, total // 5, 7, tmp_path / "p")
    (one,) = draw(files, 1, 0, tmp_path / "p").files  # there is always one
    assert one in files
    whole = draw(files, total, 0, tmp_path / "p")
    assert whole.whole
    assert len(whole.files) == 40


def trial(**changes: Any) -> Trial:
    """A made-up trial: a thousandth of a terabyte in 100 files."""
    counts = {"records_read": 1000, "documents_in": 1000, "documents_born": 0, "documents_kept": 800}
    funnel = [
        {"step": name, "documents_in": 1, "documents_out": 1, "bytes_in": 1, "bytes_out": 1} for name in ("near",)
    ]
    drawn = Drawn((), 10**9, 10**12, 100, 100, 2 * 10**10)
    report = {**counts, "bytes_in": 4 * 10**9, "bytes_kept": 3 * 10**9, "funnel": funnel}
    seconds = {"read": 30.0, "near": 10.0, "bookkeeping": 1.0, "rest": 5.0}
    made = {"seconds": seconds, "deciding": frozenset({"near"}), "across": {}, "memory": 10**9}
    return Trial(**{**made, "drawn": drawn, "report": report, "working": 7, "measured": 5, "corpus": 3, **changes})


def test_time_and_cost_by_their_formulas() -> None:
    found = figures(plan(trial(), CorpusSettings(sources=["x"]), Hardware(nodes=2, cores=8, price_per_hour=3.0)))
    alone = (10.0 * math.log(10**6) / math.log(1000) + 1.0) * 1000  # near sorts; the bookkeeping is linear
    assert found["time together"].value == pytest.approx(35 * 1000 / 16)
    assert found["time alone"].value == pytest.approx(alone)
    assert found["wall time"].value == pytest.approx(35 * 1000 / 16 + alone)
    assert found["cost"].value == pytest.approx((35 * 1000 / 16 + alone) / 3600 * 2 * 3)
    assert found["disk while it runs"].value == 7000
    assert found["memory to decide"].value == 10**9 + 80 * 10**6
    wide = plan(trial(), CorpusSettings(sources=["x"]), Hardware(cores=1000))
    assert figures(wide)["time together"].value == pytest.approx(35 * 20)  # the largest of the files
    assert any("cut the largest files" in warning for warning in wide.warnings)


def test_memory_of_steps_that_look_across_texts_is_their_flag_until_the_parts_run_out() -> None:
    settings = CorpusSettings(
        sources=["x"], steps=["measure", "exact", "near", "substring"], substring={"memory": "2GiB"}
    )
    across = trial(across={"substring": 2})
    near_by = plan(across, settings, Hardware(), 10**9)
    assert figures(near_by)["memory a worker"].value == 10**9 + 2**31
    assert near_by.warnings == ()
    far = plan(across, settings, Hardware(), 10**16)
    assert figures(far)["memory a worker"].value == 10**9 + part_memory(4 * 10**16, 2**31) > 10**10
    assert [w.split()[0] for w in far.warnings] == ["substring", "near"]
