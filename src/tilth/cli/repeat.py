"""`tilth repeat` and `tilth resume`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tilth.cli.options import JsonOption, path

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", parser=path, help="A run folder, as runs/quickstart.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("repeat")(repeat)
    app.command("resume")(resume)


def repeat(
    folder: RunArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what was trained in RUN/.repeat.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train every phase and step of a finished run again, and compare each file's hash. Exit 1 where one differs.

    What differs in the environment (versions, threads, processor, compile mode) is named first.

    Example:

        tilth repeat runs/quickstart
    """
    from tilth.pipeline.repeat import repeat_run

    found = repeat_run(folder, keep=keep)
    if as_json:
        print(json.dumps([asdict(one) | {"same": one.same} for one in found], ensure_ascii=False, indent=1))
    else:
        print("\n".join(one.as_text() for one in found))
    if not all(one.same for one in found):
        raise typer.Exit(1)


def resume(
    folder: Annotated[Path | None, typer.Argument(metavar="[RUN]", parser=path, help="A run folder.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print what may change on resume, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run from its kept recipe, or say which settings may be others when a run goes on.

    Example:

        tilth resume --explain
    """
    from tilth.base.errors import UserError

    if explain:
        from tilth.training.changes import as_text, resume_table

        table = [asdict(change) for change in resume_table()]
        print(json.dumps(table, ensure_ascii=False, indent=1) if as_json else as_text())
        return
    if folder is None:
        raise UserError("RUN is missing: a run folder", hint="tilth resume runs/NAME, or --explain")
    if not (folder / "recipe.yaml").exists():
        raise UserError("there is no kept recipe to go on with", where=str(folder), hint="tilth resume runs/NAME")
    from tilth.pipeline.run import run_recipe

    outcome = run_recipe(folder / "recipe.yaml", [], folder.parent, quiet=as_json)
    print(json.dumps(outcome.as_json(), ensure_ascii=False, indent=1) if as_json else outcome.as_text())
