"""Running whole chains in tests, and reading what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from tilth.base.files import digest_file, list_files
from tilth.base.pool import Workers
from tilth.corpus.corpus_stage import corpus_stage
from tilth.corpus.document import schema
from tilth.corpus.measure_stage import measure_stage
from tilth.corpus.settings import DEFAULT_STEPS, CorpusSettings, SourceSettings, StepName
from tilth.corpus.sources import find_files

ENGLISH = "The river rose in the night and took the old bridge with it. "
CHINESE = "河水在夜里上涨，把那座旧桥冲走了。"


def of_steps(given: dict[str, Any], steps: Sequence[str] | None) -> dict[str, Any]:
    """`given` without the settings of steps that the chain (by default the usual one) does not have."""
    there = DEFAULT_STEPS if steps is None else steps
    return {name: value for name, value in given.items() if name in there or name not in get_args(StepName)}


def write_jsonl(path: Path, records: Iterable[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def run_chain(folder: Path, settings: CorpusSettings, *, base: Path, workers: Workers | int = 1) -> dict[str, Any]:
    """Both stages into `folder/measure` and `folder/corpus`; returns the corpus report."""
    measure_stage(settings, find_files(settings.sources, base), folder / "measure", folder / "work-m", workers)
    against = [SourceSettings(path=path) for path in settings.decontaminate.against]
    benchmarks = find_files(against, base) if against else []
    return corpus_stage(settings, folder / "measure", folder / "corpus", folder / "work-c", workers, benchmarks)


def rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of a folder of shards, without its signals."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        found += table.select([n for n in table.column_names if not n.startswith("signal.")]).to_pylist()
    return found


def ids(folder: Path) -> list[str]:
    return [row["id"] for row in rows(folder)]


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file."""
    return {name: digest_file(folder / name) for name in list_files(folder)}


def table_of(texts: list[str], **columns: list[str]) -> pa.Table:
    """A table of documents `d0`, `d1`, …"""
    values = {"id": [f"d{i}" for i in range(len(texts))], "text": texts, **columns}
    arrays = [pa.array(values.get(field.name, [""] * len(texts)), field.type) for field in schema()]
    return pa.Table.from_arrays(arrays, schema=schema())


def assert_conserved(report: dict[str, Any]) -> None:
    assert report["records_read"] == report["documents_in"] + report["unreadable"]
    out = report["documents_kept"] + report["documents_holdout"] + report["documents_rejected"]
    assert report["documents_in"] + report["documents_born"] == out
