"""`tilth evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from tilth.base.errors import UserError
from tilth.cli.options import JsonOption, path


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", parser=path, help="A run, or an exported Hugging Face folder.")
    ],
    tasks: Annotated[
        Path, typer.Option(parser=path, help="JSON Lines: question, answers; family, language, match, shots.")
    ],
    against: Annotated[list[Path] | None, typer.Option(parser=path, help="Another one to compare with.")] = None,
    form: Annotated[
        Literal["chat", "native", "few-shot"] | None,
        typer.Option(help="How questions are put; default: chat where the model has a template, else native."),
    ] = None,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer, at most.")] = 96,
    as_json: JsonOption = False,
) -> None:
    """Ask a model questions with exact answers; with --against, what it is better by, item for item.

    Example:

        tilth evaluate runs/quickstart/models/dpo --tasks exam.jsonl --against runs/quickstart/models/sft
    """
    from tilth.evaluation.compare import ask_models, table
    from tilth.evaluation.tasks import read_items
    from tilth.serving.folders import pick_model

    items = read_items(tasks)
    folders = {str(folder): pick_model(folder)[1] for folder in [*(against or []), model]}
    if len({folder.resolve() for folder in folders.values()}) <= len(against or []):
        raise UserError("a model is given twice", where=str(model), hint="give different ones to compare")
    asked = ask_models(folders, items, form=form, limit=answer_tokens)
    rows = table(items, asked)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for answers in asked:
        print(f"{answers.model}: asked in the form {answers.form}")
    for row in rows:
        print(f"{row['family']} {row['language']} ({row['items']} items)")
        for name, score in row["scores"].items():
            print(f"  {100 * score['accuracy']:5.1f} %  [{100 * score['low']:.0f}, {100 * score['high']:.0f}]  {name}")
        for name, gain in row["gains"].items():
            interval = f"[{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
            print(f"  {100 * gain['gain']:+5.1f} points {interval} against {name}")
