"""`tilth serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilth.cli.options import path


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    app.command("serve")(serve)


def serve(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", parser=path, help="Runs, exported folders, or folders of exported folders."),
    ],
    host: Annotated[str, typer.Option(help="0.0.0.0: every machine that reaches this one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, help="Requests answered at a time, of each model.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Of weights and products: fp32 or bf16.")] = "fp32",
    threads: Annotated[int | None, typer.Option(min=1, help="On a CPU; default: the fastest, measured.")] = None,
) -> None:
    """Serve models over OpenAI's API, with a chat page at /.

    Example:

        tilth serve runs/quickstart --port 8000
    """
    from tilth.serving.server import serve as start

    start(models, host=host, port=port, batch=batch, device=device, dtype=dtype, threads=threads)
