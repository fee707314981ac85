"""Estimates of size against what is there, and files that cannot be read."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tilth.corpus.settings import SourceSettings
from tilth.corpus.sources import find_files
from tilth.planning import sources_size
from tilth.planning.sources_size import estimate

TEXTS = [f"{i} 河水在夜里上涨 the river rose and took the bridge {i * i} " * 20 for i in range(3000)]
LINES = "".join(json.dumps({"text": text, "id": i}, ensure_ascii=False) + "\n" for i, text in enumerate(TEXTS)).encode()
BYTES = sum(len(text.encode()) for text in TEXTS)


def guess(folder: Path, pattern: str) -> tuple[int, int]:
    files = find_files([SourceSettings(path=pattern)], folder)
    return estimate([(file.path, file.format, file.size) for file in files])


def test_estimates_come_near(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(LINES))
    (tmp_path / "a.csv").write_text("text\n" + "\n".join(TEXTS))
    pq.write_table(pa.table({"id": range(3000), "content": TEXTS, "other": TEXTS}), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv", "a.parquet"):
        documents, size = guess(tmp_path, name)
        assert documents == pytest.approx(3000, rel=0.05), name
        assert size == pytest.approx(BYTES, rel=0.15), name


def test_a_record_is_counted_however_many_lines_it_has(tmp_path: Path) -> None:
    """350 records are 350, in cells of many lines, on one line or on many; those of a larger file, nearly as many."""
    pages = ["\n".join(text.split("河")) for text in TEXTS]
    for many, near in ((350, 0.0), (3000, 0.05)):
        records = [{"text": page, "id": i, "tags": ["a", {"b": []}]} for i, page in enumerate(pages[:many])]
        with (tmp_path / "cells.csv").open("w", newline="") as table:
            writer = csv.writer(table)
            writer.writerows([["text", "id"], *([page, i] for i, page in enumerate(pages[:many]))])
        (tmp_path / "line.json").write_text(json.dumps(records, ensure_ascii=False))
        (tmp_path / "array.json").write_text(json.dumps(records, ensure_ascii=False, indent=2))
        printed = "\n".join(json.dumps(record, ensure_ascii=False, indent=2) for record in records)
        (tmp_path / "objects.json").write_text(printed)
        (tmp_path / "packed.json.gz").write_bytes(gzip.compress(printed.encode()))
        (tmp_path / "no_end.jsonl").write_text(printed.replace("\n", " ").replace("} {", "}\n\n{"))
        size = sum(len(page.encode()) for page in pages[:many])
        for name in ("cells.csv", "line.json", "array.json", "objects.json", "packed.json.gz", "no_end.jsonl"):
            documents, found = guess(tmp_path, name)
            assert documents == pytest.approx(many, rel=near), name
            assert found == pytest.approx(size, rel=0.15), name
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "book.pdf").write_bytes(b"%PDF")
    assert guess(tmp_path, "tree") == (0, 0)


def test_what_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, data in {
        "torn.jsonl.gz": gzip.compress(LINES)[:9],
        "damaged.jsonl.zst": b"this was never packed",
        "no.parquet": b"PAR1 but not really",
        "empty.txt": b"",
    }.items():
        (tree / name).write_bytes(data)
    (tree / "gone.txt").symlink_to(tree / "nothing.txt")
    assert guess(tmp_path, "tree") == (0, 0)
    assert estimate([]) == (0, 0)
    whole = zstandard.compress(LINES)
    (tree / "torn.jsonl.zst").write_bytes(whole[: len(whole) // 2])
    assert guess(tmp_path, "tree")[0] > 0


def test_at_most_64_files_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(127):
        (tmp_path / f"{i:03}.txt").write_text("x" * 10)
    opened = []
    stream = sources_size.Stream
    monkeypatch.setattr(sources_size, "Stream", lambda path: opened.append(path) or stream(path))
    assert guess(tmp_path, "*.txt") == (127, 1270)
    assert len(opened) == 64
