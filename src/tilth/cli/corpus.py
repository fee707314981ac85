"""`tilth corpus`: the corpus chain alone."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tilth.base.errors import UserError
from tilth.cli.options import JsonOption, check_utf8, path


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("corpus")(corpus)


def as_template(value: str) -> str:
    """A label's template; what is none is a wrong command line."""
    from tilth.corpus.settings import check_template

    check_utf8(value)
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
        Path | None,
        typer.Option(parser=path, help="Where the corpus goes; run again to go on or to change a setting."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(parser=path, help="A recipe's `corpus:` section as a YAML file.")
    ] = None,
    domain: Annotated[
        str,
        typer.Option(help="Domain of documents that name none: a name, {stem} or {field:NAME}.", callback=as_template),
    ] = "{stem}",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes of this machine, or a Ray cluster (RAY_ADDRESS).")
    ] = "local",
    plan: Annotated[
        bool, typer.Option("--plan", help="Put a sample through the chain and say what all of it will need.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(help="With --plan: for so many bytes of such files (packed, as they lie): 10TB.")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="With --plan: machines; default 1.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="With --plan: cores of each; default: --workers.")] = None,
    price_per_hour: Annotated[float | None, typer.Option(min=0, help="With --plan: of one machine.")] = None,
    currency: Annotated[str | None, typer.Option(help="With --plan: of the price; default USD.")] = None,
    sample: Annotated[str | None, typer.Option(help="With --plan: bytes of the sample; default 32MB.")] = None,
    seed: Annotated[int | None, typer.Option(help="With --plan: another one draws another sample; default 0.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Clean plain files: repair, rules, deduplication, hold-out, masking. Every removal is kept with its reason.

    Example:

        tilth corpus data/*.jsonl.zst --out corpus/ && tilth look corpus/

        tilth corpus data/*.jsonl.zst --plan --size 10TB --nodes 20 --cores 64 --price-per-hour 2.5
    """
    asked = {"size": size, "nodes": nodes, "cores": cores, "price-per-hour": price_per_hour, "currency": currency,
             "sample": sample, "seed": seed}  # fmt: skip
    given = {name: value for name, value in asked.items() if value is not None}
    if not inputs and config is None:
        from tilth.pipeline.corpus_only import nothing_to_read

        raise nothing_to_read()
    if plan:
        if out is not None:
            raise UserError("--plan makes no corpus, so --out says nothing", hint="leave one of them out")
        _plan(inputs or [], config, domain, workers, given, as_json)
        return
    if given:
        raise UserError(f"--{next(iter(given))} is for a plan", hint="add --plan, or leave it out")
    if out is None:
        raise UserError("there is no --out", hint="say where the corpus is to go, or --plan to have it forecast")
    _make(inputs or [], out, config, domain, workers, engine, as_json)


def _plan(
    inputs: list[str], config: Path | None, domain: str, workers: int | None, given: dict[str, Any], as_json: bool
) -> None:
    from tilth.base import machine
    from tilth.base.settings import validate
    from tilth.pipeline.corpus_only import plan_corpus
    from tilth.planning.corpus_plan import Hardware

    counts = {name: _count(name, given[name]) for name in ("size", "sample") if name in given}
    said = {
        name.replace("-", "_"): given[name]
        for name in ("nodes", "cores", "price-per-hour", "currency")
        if name in given
    }
    hardware = validate(Hardware, {"cores": workers or machine.cores(), **said}, source="--plan")
    with _ended_in_order():
        found = plan_corpus(inputs, config, domain, hardware, **counts, seed=given.get("seed", 0))
    print(json.dumps(found.as_json(), ensure_ascii=False) if as_json else found.as_text())


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """In the block SIGTERM is an exception, as Ctrl-C is: what lies in folders for a while is removed."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _count(name: str, value: str) -> int:
    from tilth.base.settings import parse_count

    try:
        count = int(parse_count(value))
    except ValueError as error:
        raise UserError(str(error), where=f"--{name}", hint="bytes, for example 64MB or 10TB") from None
    if count < 1:
        raise UserError(f"expected at least one byte, found {value!r}", where=f"--{name}")
    return count


def _make(
    inputs: list[str],
    out: Path,
    config: Path | None,
    domain: str,
    workers: int | None,
    engine: Literal["local", "ray"],
    as_json: bool,
) -> None:
    from tilth.pipeline.corpus_only import run_corpus

    show(*run_corpus(inputs, out, config, domain, workers, engine), out, as_json)


def show(report: dict[str, Any], folder: Path, out: Path, as_json: bool) -> None:
    """Print the counts of a finished corpus, and where it lies."""
    from tilth.corpus.look import unreadable_list
    from tilth.corpus.report import warnings_of

    unreadable = unreadable_list(folder) if report["unreadable"] else None
    if as_json:
        listed = {"unreadable_list": str(unreadable)} if unreadable else {}
        warned = {"warnings": warnings} if (warnings := warnings_of(report)) else {}
        print(json.dumps({"folder": str(folder), **listed, **report, **warned}, ensure_ascii=False))
        return
    for name in ("records_read", "unreadable", "documents_in", "documents_born", "documents_kept",
                 "documents_holdout", "documents_rejected", "bytes_in", "bytes_kept"):  # fmt: skip
        print(f"{name:<20} {report[name]:>14,}")
    for rule, row in sorted(report["by_rule"].items(), key=lambda item: -item[1]["documents"]):
        print(f"  rejected by {rule:<40} {row['documents']:>10,}")
    for row in report["funnel"]:
        for kind, places in row.get("edits", {}).items():
            print(f"  changed by {row['step'] + '/' + kind:<41} {places:>10,}")
    print(folder)
    if unreadable:
        many = f"{report['unreadable']:,} records" if report["unreadable"] > 1 else "1 record"
        print(f"{many} could not be read, as {unreadable} says by file and line")
    for warning in warnings_of(report):
        print(f"warning: {warning}")
    print(f"look into it: tilth look {shlex.quote(str(out))}")
