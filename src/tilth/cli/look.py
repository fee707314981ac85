"""`tilth look`: browse a corpus, see what was removed and why."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from tilth.base.errors import UserError
from tilth.cli.numbers import wholes
from tilth.cli.options import JsonOption, path

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Characters that a terminal would obey, as ids and texts of anybody may hold them."""


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("look")(look)


def look(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", parser=path, help="A corpus, or the folder of a run or of tilth corpus.")
    ],
    sample: Annotated[
        int | None,
        typer.Option(
            parser=wholes("--sample", 1, inf), metavar="N", help="Show N documents at random, the same ones each time."
        ),
    ] = None,
    grep: Annotated[str | None, typer.Option(help="Show where a regular expression matches.")] = None,
    rejected: Annotated[str | None, typer.Option(help="Show documents that RULE rejected ('all': any rule).")] = None,
    document: Annotated[str | None, typer.Option(help="Tell what became of the document with this id.")] = None,
    diff: Annotated[Path | None, typer.Option(parser=path, help="Compare with another corpus.")] = None,
    part: Annotated[
        str | None, typer.Option(help="For --sample and --grep: documents (the default), holdout or rejected.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Browse a corpus: counts, samples, places, rejected documents with rule, value, threshold and partner.

    Example:

        tilth look runs/quickstart --rejected near_duplicate --sample 3
    """
    from tilth.corpus import look as looking

    _check(grep=grep, rejected=rejected, document=document, diff=diff, sample=sample, part=part)
    corpus = looking.find_corpus(folder)
    answer: Any
    if grep is not None:
        answer = looking.grep(corpus, grep, part=part or "documents")
    elif rejected is not None:
        answer = looking.rejected(corpus, "" if rejected == "all" else rejected, count=sample)
    elif document is not None:
        answer = looking.story(corpus, document)
    elif diff is not None:
        answer = looking.difference(corpus, looking.find_corpus(diff))
    elif sample is not None:
        answer = looking.sample(corpus, sample, part=part or "documents")
    else:
        answer = looking.overview(corpus)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False, default=str))
    else:
        print(as_text(answer).translate(_CONTROLS))


def _check(**given: Any) -> None:
    """One question at a time; `--sample` says how many of the rejected ones, too."""
    asked = [f"--{name}" for name, value in given.items() if value is not None]
    alone = ("--sample", "--part"), ("--grep", "--part"), ("--rejected", "--sample")
    if len(asked) > 1 and not any(set(asked) <= set(pair) for pair in alone):
        raise UserError(f"{' and '.join(asked)} cannot be asked together", hint="ask one of them at a time")
    if asked == ["--part"]:
        raise UserError("--part alone asks nothing", hint="add --sample 5, or --grep RE")


def as_text(value: Any, indent: str = "") -> str:
    """Nested plain values for people, one `name: value` a line; signals are left to --json."""
    if isinstance(value, list):
        return "\n\n".join(as_text(item, indent) for item in value) or f"{indent}nothing found"
    if not isinstance(value, dict):
        return f"{indent}{value}"
    lines = []
    for name, entry in value.items():
        if name.startswith("signal.") or entry in ("", None) or (isinstance(entry, float) and entry != entry):
            continue
        if isinstance(entry, dict | list) and entry:
            lines += [f"{indent}{name}:", as_text(entry, indent + "  ")]
        elif isinstance(entry, str) and (len(entry) > 100 or "\n" in entry):
            lines += [f"{indent}{name}:", *(f"{indent}  {line}" for line in entry.splitlines())]
        else:
            lines.append(f"{indent}{name}: {entry:,}" if isinstance(entry, int) else f"{indent}{name}: {entry}")
    return "\n".join(lines)
