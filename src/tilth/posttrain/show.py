"""What a loss mask looks like: the rendered text of records, in runs with and without loss."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from tilth.base.errors import UserError
from tilth.corpus.settings import SourceSettings
from tilth.corpus.sources import find_files
from tilth.posttrain.data import Renderer, Rendering
from tilth.tokens.chat import Rendered, fitting_template
from tilth.tokens.tokenizer import Tokenizer

Runs = list[tuple[str, bool]]
"""Texts and whether they have a loss, in order."""


def masked_records(
    path: str,
    tokenizer: Path,
    faults: list[dict[str, Any]],
    *,
    template: str | None = None,
    length: int = 1024,
    pairs: bool = False,
) -> Iterator[tuple[str, Runs]]:
    """The id and the runs of every document that the records of `path` (a file, folder or glob) become.

    `faults` gets what is not trained on, as it is met: kind, file, line, reason.
    """
    if not path.strip():
        raise UserError("the name of the data is empty", hint="give a file, folder or glob")
    coder = Tokenizer.load(tokenizer)
    rendering = Rendering(tokenizer, template or fitting_template(coder).name, length, pairs)
    for file in find_files([SourceSettings(path=path)], Path.cwd(), called=["the data"], hint="check the path"):
        renderer = Renderer(file, rendering)
        renderer.report["faults"] = faults
        for row, rendered in renderer:
            yield str(row["id"]), runs(coder, rendered)


def runs(tokenizer: Tokenizer, rendered: Rendered) -> Runs:
    """The text of each run of tokens with the same mask; special tokens are spelled out."""
    pairs = zip(rendered.ids.tolist(), rendered.trained.tolist(), strict=True)
    grouped = groupby(pairs, key=lambda pair: pair[1])
    return [(tokenizer.decode([i for i, _ in run], keep_special=True), trained) for trained, run in grouped]
