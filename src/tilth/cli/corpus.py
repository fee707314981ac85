"""`tilth corpus`: the corpus chain alone."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from tilth.base.errors import UserError
from tilth.cli.options import JsonOption, path


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("corpus")(corpus)


def _template(value: str) -> str:
    from tilth.corpus.settings import check_template

    try:
        return check_template(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def corpus(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT...", help="Files, globs or folders; none where --config lists sources."),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option(parser=path, help="Where the corpus goes; run again to go on or to change a setting.")
    ],
    config: Annotated[
        Path | None, typer.Option(parser=path, help="A recipe's `corpus:` section as a YAML file.")
    ] = None,
    domain: Annotated[
        str,
        typer.Option(help="Domain of documents that name none: a name, {stem} or {field:NAME}.", callback=_template),
    ] = "{stem}",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes of this machine, or a Ray cluster (RAY_ADDRESS).")
    ] = "local",
    as_json: JsonOption = False,
) -> None:
    """Clean plain files: repair, rules, deduplication, hold-out, masking. Every removal is kept with its reason.

    Example:

        tilth corpus data/*.jsonl.zst --out corpus/ && tilth look corpus/
    """
    from tilth.corpus.look import unreadable_list
    from tilth.pipeline.corpus_only import run_corpus

    if not inputs and config is None:
        raise UserError("nothing to read", hint="give files, globs or folders, or --config with `sources`")
    report, folder = run_corpus(inputs or [], out, config, domain, workers, engine)
    unreadable = unreadable_list(folder) if report["unreadable"] else None
    if as_json:
        listed = {"unreadable_list": str(unreadable)} if unreadable else {}
        print(json.dumps({"folder": str(folder), **listed, **report}, ensure_ascii=False))
        return
    for name in ("records_read", "unreadable", "documents_in", "documents_born", "documents_kept",
                 "documents_holdout", "documents_rejected", "bytes_in", "bytes_kept"):  # fmt: skip
        print(f"{name:<20} {report[name]:>14,}")
    for rule, row in sorted(report["by_rule"].items(), key=lambda item: -item[1]["documents"]):
        print(f"  rejected by {rule:<40} {row['documents']:>10,}")
    print(folder)
    if unreadable:
        print(f"{report['unreadable']:,} records could not be read; each is named in {unreadable}")
    print(f"look into it: tilth look {shlex.quote(str(out))}")
