"""`tilth dedup`, `tilth decontaminate`, `tilth mask`: one step of the corpus chain on plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tilth.base.errors import UserError
from tilth.cli.corpus import as_template, show
from tilth.cli.options import JsonOption, path


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("dedup")(dedup)
    app.command("decontaminate")(decontaminate)
    app.command("mask")(mask)


Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files, globs or folders.")]
Out = Annotated[Path, typer.Option(parser=path, help="Where the corpus goes; run again to go on.")]
Domain = Annotated[
    str, typer.Option(help="Domain of documents that name none: a name, {stem} or {field:NAME}.", callback=as_template)
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; default: all cores.")]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="Processes of this machine, or a Ray cluster (RAY_ADDRESS).")
]


def dedup(
    inputs: Inputs,
    *,
    out: Out,
    method: Annotated[
        Literal["exact", "minhash", "substring", "line"],
        typer.Option(help="The same text, nearly the same text, stretches or lines that stand elsewhere too."),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(help="Kept aside, each document once: their copies leave INPUT. May be given several times."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.05, max=1, help="minhash: similarity from which a document goes; default 0.75."),
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=8, help="substring: letters of a stretch, a Chinese one counts two; default 100.")
    ] = None,
    shortest: Annotated[
        int | None, typer.Option(min=1, help="line: letters of a line that counts, as above; default 60.")
    ] = None,
    survivor: Annotated[
        Literal["first", "longest"], typer.Option(help="exact, minhash: which of several duplicates stays.")
    ] = "first",
    domain: Domain = "{stem}",
    workers: Workers = None,
    engine: Engine = "local",
    as_json: JsonOption = False,
) -> None:
    """Remove what stands twice: documents, or parts of them. Every removal is kept with its surviving partner or place.

    Example:

        tilth dedup crawl/*.jsonl.zst --method minhash --against exam.jsonl --out clean/
    """
    from tilth.pipeline import single_steps

    belongs = {"threshold": (threshold, "minhash"), "length": (length, "substring"), "shortest": (shortest, "line")}
    for name, (value, its_method) in belongs.items():
        if value is not None and method != its_method:
            raise UserError(f"--{name} is for --method {its_method}", where="--method", hint="leave one of them out")
    if survivor != "first" and method not in ("exact", "minhash"):
        raise UserError(
            "--survivor is for whole documents",
            where="--method",
            hint="give --method exact or minhash, or leave it out",
        )
    job = single_steps.Job(inputs, out, domain, workers, engine)
    asked = {name: value for name, (value, _) in belongs.items()}
    show(*single_steps.dedup(job, method, against or [], survivor, **asked), out, as_json)


def decontaminate(
    inputs: Inputs,
    *,
    out: Out,
    against: Annotated[
        list[str], typer.Option(help="Benchmark files: JSON Lines, globs allowed. May be given several times.")
    ],
    action: Annotated[
        Literal["remove", "cut"], typer.Option(help="Remove the documents, or cut the items out of them.")
    ] = "remove",
    coverage: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Share of an item from which it counts as leaked; default 0.7."),
    ] = None,
    words: Annotated[int | None, typer.Option(min=2, help="Words of an n-gram; default 8.")] = None,
    characters: Annotated[int | None, typer.Option(min=4, help="Chinese characters of an n-gram; default 12.")] = None,
    domain: Domain = "{stem}",
    workers: Workers = None,
    engine: Engine = "local",
    as_json: JsonOption = False,
) -> None:
    """Find benchmark items in documents, small changes included; contamination.jsonl lists every overlap.

    Example:

        tilth decontaminate crawl/*.jsonl.zst --against 'bench/*.jsonl' --out clean/
    """
    from tilth.pipeline import single_steps

    job = single_steps.Job(inputs, out, domain, workers, engine)
    asked = {"action": action, "coverage": coverage, "words": words, "characters": characters}
    show(*single_steps.decontaminate(job, against, **asked), out, as_json)


def mask(
    inputs: Inputs,
    *,
    out: Out,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="email, ip, phone, resident_id, …: what to mask; may be given several times. Default: all but address."
        ),
    ] = None,
    private_ip: Annotated[bool, typer.Option("--private-ip", help="Mask private IP addresses too.")] = False,
    domain: Domain = "{stem}",
    workers: Workers = None,
    engine: Engine = "local",
    as_json: JsonOption = False,
) -> None:
    """Replace personal data by placeholders such as [EMAIL]; edits/ lists kind and place, never the value.

    Example:

        tilth mask letters/*.jsonl --kind email --kind phone --out masked/
    """
    from tilth.pipeline import single_steps

    job = single_steps.Job(inputs, out, domain, workers, engine)
    show(*single_steps.mask(job, kinds=kind, private_ip=private_ip), out, as_json)
