"""Every file of the real data goes through the chain, and nothing is lost on the way."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import zstandard

from tests.conftest import real_data_folder
from tilth.base.errors import UserError
from tilth.pipeline.corpus_only import run_corpus

FILES = sorted(p.relative_to(real_data_folder()).as_posix() for p in real_data_folder().rglob("*") if p.is_file())


def lines_of(file: Path) -> int:
    """Records of a JSON Lines file, counted without our readers: lines that are not blank."""
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        return sum(bool(line.strip()) for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_records_in_are_documents_and_unreadable_and_every_document_is_somewhere(real_data, tmp_path, name):
    file = real_data / name
    try:
        report, folder = run_corpus([str(file)], tmp_path / "out", None, "{stem}", 1)
    except UserError:  # a format of another command, not one readable record, or nothing left: said in a sentence
        assert not (tmp_path / "out" / ".work").exists()
        return
    assert report["records_read"] == report["documents_in"] + report["unreadable"]
    out = sum(report[f"documents_{part}"] for part in ("kept", "holdout", "rejected"))
    assert report["documents_in"] + report["documents_born"] == out
    if name.endswith(".jsonl.zst"):
        assert report["records_read"] == lines_of(file)
    unreadable = (next((tmp_path / "out").glob("measure-*")) / "unreadable.jsonl").read_text().splitlines()
    assert len(unreadable) == report["unreadable"]
    assert folder.exists()
