"""The data card of a corpus: what is in it, where it came from, under which licences, and what was done to it.

After Gebru et al. 2021, "Datasheets for Datasets" (arXiv:1803.09010): what can be counted is counted, so that the card
is true of the corpus beside it; purpose and consent are for people to add.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tilth.corpus.report import benchmark_rows
from tilth.corpus.running.shards import read_groups, shard_paths

_MOST = 20
"""Rows of a table; what is rarer is summed up."""


def data_card(report: dict[str, Any], documents: Path) -> str:
    """Markdown, from the report of a finished corpus and the folder of its kept documents."""
    counted = _labels(documents, ("language", "license", "source"))
    parts = [
        "# Data card\n",
        _counts(report),
        "## Domains\n\n" + _domains(report["by_domain"]),
        *(f"## Documents kept, by {name}\n\n" + _most(name, counts) for name, counts in counted.items()),
        "## What was done, step by step\n\n" + _funnel(report["funnel"]),
        "## Why documents were removed\n\n" + _rules(report["by_rule"]),
    ]
    if "contamination" in report:
        parts.append("## Benchmarks that were looked for\n\n" + _benchmarks(report))
    parts.append(
        "## One document\n\n`tilth look CORPUS --document ID` tells where it came from, what was changed in it and, if "
        "it was removed, by which rule, with which value, and in favour of which other document.\n"
    )
    return "\n".join(parts)


def _labels(documents: Path, names: Sequence[str]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for path in shard_paths(documents):
        for group in read_groups(path, list(names)):
            for name in names:
                counts[name].update(group.column(name).to_pylist())
    return counts


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = ([f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in line] for line in lines)
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in cells)


def _counts(report: dict[str, Any]) -> str:
    names = ("records_read", "unreadable", "documents_in", "documents_born", "documents_kept", "documents_holdout",
             "documents_rejected", "bytes_in", "bytes_kept", "bytes_holdout")  # fmt: skip
    return _table(("", "count"), [(name.replace("_", " "), report[name]) for name in names])


def _domains(domains: dict[str, dict[str, int]]) -> str:
    names = ("documents_in", "documents_kept", "documents_holdout", "documents_rejected", "bytes_kept")
    header = ("domain", *(name.replace("_", " ") for name in names))
    return _table(header, [(name, *(row.get(n, 0) for n in names)) for name, row in domains.items()])


def _most(name: str, counts: Counter[str]) -> str:
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(value or "unknown", count) for value, count in common[:_MOST]]
    if rest := common[_MOST:]:
        rows.append((f"{len(rest):,} others", sum(count for _, count in rest)))
    return _table((name, "documents"), rows)


def _funnel(funnel: Sequence[dict[str, Any]]) -> str:
    rows = []
    for entry in funnel:
        edits = ", ".join(f"{kind} {count:,}" for kind, count in entry.get("edits", {}).items())
        rows.append((entry["step"], entry["documents_in"], entry["documents_out"], entry["bytes_out"], edits))
    return _table(("step", "documents in", "out", "bytes out", "places changed"), rows)


def _rules(rules: dict[str, dict[str, int]]) -> str:
    ordered = sorted(rules.items(), key=lambda item: (-item[1]["documents"], item[0]))
    return _table(("rule", "documents", "bytes"), [(name, row["documents"], row["bytes"]) for name, row in ordered])


def _benchmarks(report: dict[str, Any]) -> str:
    columns = ("file", "items", "too short to look for", "items found", "documents removed or cut")
    return _table(columns, benchmark_rows(report))
