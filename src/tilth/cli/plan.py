"""`tilth plan`."""

from __future__ import annotations

import json

import typer

from tilth.cli.options import Assignments, JsonOption, RecipeArgument


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    plan = typer.Typer(help="Plan a model before training it.", no_args_is_help=True, rich_markup_mode=None)
    plan.command("size")(size)
    plan.callback()(lambda: None)
    app.add_typer(plan, name="plan")


def size(recipe: RecipeArgument, assignments: Assignments = None, as_json: JsonOption = False) -> None:
    """Parameters, FLOPs and memory of a recipe's model, by formula; nothing is read or run.

    Example:

        tilth plan size recipes/quickstart.yaml model.layers=8
    """
    from tilth.pipeline.forecast import size_of
    from tilth.pipeline.recipe import load_recipe

    facts = size_of(load_recipe(recipe, assignments))
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name:<34} {value:,.0f}")
