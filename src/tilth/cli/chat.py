"""`tilth chat`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tilth.cli.options import JsonOption, path


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("chat")(chat)


def chat(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", parser=path, help="A run, or an exported Hugging Face folder.")
    ],
    prompt: Annotated[str | None, typer.Option(help="Answer this once, and leave.")] = None,
    system: Annotated[str | None, typer.Option(help="The system's word, before everything.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0: always the likeliest token.")] = 0.7,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="Only the likeliest tokens of this mass.")] = 0.95,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer, at most.")] = 512,
    seed: Annotated[int, typer.Option(help="The same seed and questions give the same answers.")] = 0,
    dtype: Annotated[str, typer.Option(help="Of weights and products: fp32 or bf16.")] = "fp32",
    threads: Annotated[int | None, typer.Option(min=1, help="On a CPU; default: the fastest, measured.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Talk to a model. Lines from a pipe are answered one by one.

    Example:

        tilth chat runs/quickstart --prompt "你好" --temperature 0
    """
    from tilth.serving.folders import pick_model

    name, folder = pick_model(model)

    from tilth.model import Sampling
    from tilth.serving import terminal
    from tilth.serving.dialogue import Dialogue
    from tilth.serving.models import load_model, set_threads

    served = load_model(name, folder, dtype=dtype, batch=1)
    set_threads([served], threads)
    dialogue = Dialogue(served, system, Sampling(temperature, top_p=top_p), max_new_tokens, seed)
    if prompt is not None:
        terminal.answer_once(dialogue, prompt, as_json=as_json)
    elif sys.stdin.isatty() and not as_json:
        terminal.converse(dialogue)
    else:
        terminal.answer_lines(dialogue, sys.stdin, as_json=as_json)
