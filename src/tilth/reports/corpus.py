"""What came in, what was left of it and why, and how the tokenizer sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tilth.base.files import read_json
from tilth.corpus.report import benchmark_rows
from tilth.reports import blocks
from tilth.reports.blocks import Block, Folders, Section


def sections(folders: Folders) -> Iterator[Section]:
    """Corpus and tokenizer, where they are."""
    if "corpus" in folders:
        report = read_json(folders["corpus"] / "report.json")
        tables = (_funnel(report), _domains(report), _rules(report), *_benchmarks(report))
        yield blocks.section("Corpus", blocks.text(_law(report)), *tables, *_rejected_examples(report))
    if "tokenizer" in folders:
        yield _tokenizer(read_json(folders["tokenizer"] / "quality.json"))


def _law(report: dict[str, Any]) -> str:
    """Nothing is lost: what was read is what is somewhere."""
    return (
        f"{report['records_read']:,} records read = {report['documents_in']:,} documents + "
        f"{report['unreadable']:,} unreadable; "
        f"{report['documents_in']:,} documents + {report['documents_born']:,} born = "
        f"{report['documents_kept']:,} kept + {report['documents_holdout']:,} held out + "
        f"{report['documents_rejected']:,} rejected."
    )


def _funnel(report: dict[str, Any]) -> Block:
    plain, sizes = ("step", "kind", "documents_in", "documents_out"), ("bytes_in", "bytes_out")
    rows = [[*(step[key] for key in plain), *(_megabytes(step[key]) for key in sizes)] for step in report["funnel"]]
    columns = ["step", "kind", "documents in", "out", "MB in", "MB out"]
    return blocks.table(columns, rows, "The way through the chain")


def _domains(report: dict[str, Any]) -> Block:
    counts = ("documents_in", "documents_kept", "documents_holdout", "documents_rejected")
    rows = [
        [name or "(none)", *(row.get(count, 0) for count in counts), _megabytes(row.get("bytes_kept", 0))]
        for name, row in report["by_domain"].items()
    ]
    return blocks.table(["domain", "documents", "kept", "held out", "rejected", "MB kept"], rows, "By domain")


def _rules(report: dict[str, Any]) -> Block:
    by_count = sorted(report["by_rule"].items(), key=lambda item: -item[1]["documents"])
    rows = [[name, row["documents"], _megabytes(row["bytes"])] for name, row in by_count]
    return blocks.table(["rule", "documents rejected", "MB"], rows, "By rule")


def _benchmarks(report: dict[str, Any]) -> Iterator[Block]:
    if rows := benchmark_rows(report):
        columns = ["file", "items", "too short to look for", "found", "documents removed or cut"]
        yield blocks.table(columns, rows, "Benchmark items")


def _rejected_examples(report: dict[str, Any]) -> Iterator[Block]:
    items = []
    for step in report["funnel"]:
        for rule, row in step.get("rules", {}).items():
            for example in row["examples"]:
                measured = f"{blocks.cell(example.get('value'))} against {blocks.cell(example.get('threshold'))}"
                partner = f", kept instead: {example['partner']}" if example.get("partner") else ""
                title = f"{step['step']} · {rule} · {example.get('id', '')}: {measured}{partner}"
                items.append({"title": title, "text": str(example.get("excerpt", ""))})
    if items:
        yield blocks.examples("Rejected: examples", items)


def _tokenizer(quality: dict[str, Any]) -> Section:
    keys = ("domain", "documents", "bytes", "tokens", "bytes_per_token", "characters_per_token")
    rows = [[row[key] for key in keys] for row in quality["compression"]]
    return blocks.section(
        "Tokenizer",
        blocks.text(
            f"Lossless on {quality['lossless_texts']:,} texts of the hold-out and hostile ones. "
            "Measured on the first held-out documents of each domain, a sample."
        ),
        blocks.table(["domain", "documents", "bytes", "tokens", "bytes a token", "characters a token"], rows),
    )


def _megabytes(size: float) -> float:
    return round(size / 1e6, 3)
