"""`tilth tokenizer`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tilth.cli.options import JsonOption

TokenizerArgument = Annotated[Path, typer.Argument(metavar="TOKENIZER", help="A folder with tokenizer.json.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    tokenizer = typer.Typer(help="Look into a tokenizer.", no_args_is_help=True, rich_markup_mode=None)
    tokenizer.command("encode")(encode)
    tokenizer.command("inspect")(inspect)
    app.add_typer(tokenizer, name="tokenizer")


def encode(
    folder: TokenizerArgument,
    text: Annotated[str | None, typer.Argument(help="The text; without it, standard input.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a text is cut into pieces.

    Example:

        tilth tokenizer encode runs/quickstart/model "天气很好, 12 apples"
    """
    from tilth.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder)
    given = sys.stdin.read() if text is None else text
    ids = tokenizer.encode(given)
    pieces = [tokenizer.decode([i], keep_special=True) for i in ids]
    if as_json:
        print(json.dumps({"ids": ids, "pieces": pieces}, ensure_ascii=False))
        return
    print("|".join(pieces))
    print(f"{len(ids)} tokens, {len(given.encode()) / max(1, len(ids)):.2f} bytes a token")


def inspect(folder: TokenizerArgument, as_json: JsonOption = False) -> None:
    """Show a tokenizer's size, marks and special tokens, and prove it lossless on hostile texts.

    Example:

        tilth tokenizer inspect runs/quickstart/model
    """
    from tilth.tokens.quality import check_lossless
    from tilth.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(folder)
    facts = {
        "vocabulary": tokenizer.vocabulary_size,
        "bos": tokenizer.bos,
        "eos": tokenizer.eos,
        "pad": tokenizer.pad,
        "special": tokenizer.special_ids(),
        "lossless_on_hostile_texts": check_lossless(tokenizer, []),
    }
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name:<26} {value}")
