"""Arguments and options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def path(text: str | Path) -> Path:
    """The path that an argument or option names: shells leave the `~` of `--out=~/corpus` and of quoted text alone."""
    if not str(text).strip():  # a default is a path already
        raise typer.BadParameter("the name is empty")
    check_utf8(str(text))
    return Path(text).expanduser()


def check_utf8(text: str) -> None:
    """Refuse text that is not UTF-8: it would stand in files and on the terminal, which are."""
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(text).decode("utf-8", "backslashreplace")
        raise typer.BadParameter(f"'{shown}' is not UTF-8") from None


RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", parser=path, help="A recipe (YAML).")]
Assignments = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings in place of the recipe's.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print for machines instead of for people.")]
