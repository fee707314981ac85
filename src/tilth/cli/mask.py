"""`tilth show-mask`."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from tilth.base.errors import UserError
from tilth.cli.options import JsonOption, path


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("show-mask")(show_mask)


def show_mask(
    data: Annotated[str, typer.Argument(help="A file, folder or glob of conversations or preferences.")],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", parser=path, help="A folder with tokenizer.json.")],
    template: Annotated[str | None, typer.Option(help="tilth, chatml, llama3 or colossal.")] = None,
    length: Annotated[int, typer.Option(min=2, help="Tokens of a training sequence.")] = 1024,
    pairs: Annotated[bool, typer.Option("--pairs", help="The records are preferences: show both answers.")] = False,
    sample: Annotated[int, typer.Option(min=1, help="How many documents to show.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Show which tokens of conversations have a loss: green on a terminal, else between ⟦ and ⟧.

    Example:

        tilth show-mask chats.jsonl --tokenizer runs/quickstart/model
    """
    from tilth.posttrain.show import masked_records

    mark = ("\033[32m", "\033[0m") if sys.stdout.isatty() else ("⟦", "⟧")
    faults: list[dict[str, Any]] = []
    found = masked_records(data, tokenizer, faults, template=template, length=length, pairs=pairs)
    shown = list(islice(found, sample))
    if not shown and not faults:
        raise UserError("there is no record here", where=data, hint="give JSON Lines or Parquet that holds some")
    for name, runs in shown:
        if as_json:
            print(json.dumps({"id": name, "runs": runs}, ensure_ascii=False))
            continue
        print(f"── {name}")
        print("".join(f"{mark[0]}{text}{mark[1]}" if trained else text for text, trained in runs))
    for fault in faults:
        told = fault["kind"].replace("_", " ")
        print(f"not trained on: {fault['file']}:{fault['line']} {told}: {fault['reason']}", file=sys.stderr)
