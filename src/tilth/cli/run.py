"""`tilth run` and `tilth report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tilth.cli.options import Assignments, JsonOption, RecipeArgument, path

RunsOption = Annotated[Path, typer.Option("--runs", parser=path, help="Where run folders lie.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("run")(run)
    app.command("report")(report)


def run(
    recipe: RecipeArgument,
    assignments: Assignments = None,
    until: Annotated[str | None, typer.Option(help="Stop when this stage is done.")] = None,
    only: Annotated[str | None, typer.Option(help="Make this stage alone; what it needs must be there.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its forecast; make nothing.")] = False,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Run a recipe: corpus, tokenizer, pre- and post-training, evaluation, export, report. What is done is kept.

    Example:

        tilth run recipes/quickstart.yaml pretrain.annealing.tokens=1M --dry-run
    """
    from tilth.pipeline.run import plan_recipe, run_recipe

    if dry_run:
        plan = plan_recipe(recipe, assignments or [], runs, until=until, only=only)
        print(json.dumps(plan.as_json(), ensure_ascii=False, indent=1) if as_json else plan.as_text())
        return
    outcome = run_recipe(recipe, assignments or [], runs, until=until, only=only, quiet=as_json)
    print(json.dumps(outcome.as_json(), ensure_ascii=False, indent=1) if as_json else outcome.as_text())


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", parser=path, help="A run folder, for example runs/quickstart.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Write a run's report again, as one HTML page that opens offline.

    Example:

        tilth report runs/quickstart
    """
    from tilth.reports.page import write_report

    page = write_report(folder)
    print(json.dumps({"report": str(page)}) if as_json else page)
