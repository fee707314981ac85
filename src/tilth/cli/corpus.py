"""`tilth corpus`: the corpus chain alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tilth.cli.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("corpus")(corpus)


def corpus(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files, globs or folders.")],
    out: Annotated[Path, typer.Option(help="Where the corpus goes; run again to go on or to change a setting.")],
    config: Annotated[Path | None, typer.Option(help="A recipe's `corpus:` section as a YAML file.")] = None,
    domain: Annotated[str, typer.Option(help="Domain of documents that name none.")] = "{stem}",
    workers: Annotated[int | None, typer.Option(help="Processes; default: all cores.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Clean plain files: repair, rules, deduplication, hold-out, masking. Every removal is kept with its reason.

    Example:

        tilth corpus data/*.jsonl.zst --out corpus/ && tilth look corpus/
    """
    from tilth.pipeline.corpus_only import run_corpus

    report, folder = run_corpus(inputs, out, config, domain, workers)
    if as_json:
        print(json.dumps({"folder": str(folder), **report}, ensure_ascii=False))
        return
    for name in ("records_read", "unreadable", "documents_in", "documents_born", "documents_kept",
                 "documents_holdout", "documents_rejected", "bytes_in", "bytes_kept"):  # fmt: skip
        print(f"{name:<20} {report[name]:>14,}")
    for rule, row in sorted(report["by_rule"].items(), key=lambda item: -item[1]["documents"]):
        print(f"  rejected by {rule:<40} {row['documents']:>10,}")
    print(folder)
