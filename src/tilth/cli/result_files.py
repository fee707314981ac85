"""Files that `tilth plan` and `tilth fit` write on request: a result as JSON, a chart as SVG."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tilth.base.errors import UserError

if TYPE_CHECKING:
    from tilth.base.chart import Chart


def check_files(out: Path | None, plot: Path | None, *read: Path | None) -> None:
    """Before anything is computed: whether the result could be written, and not over what is `read`."""
    from tilth.base.files import check_writable

    if plot and plot.suffix != ".svg":
        raise UserError(f"{plot} does not end in .svg", where="--plot", hint=f"name it {plot.stem or 'chart'}.svg")
    if out and plot and out.absolute() == plot.absolute():
        raise UserError(f"{plot} is the file of --out too", where="--plot", hint="give it another name")
    for option, file in (("--out", out), ("--plot", plot)):
        if file and any(one and same_file(one, file) for one in read):
            raise UserError(f"{file} is read by this command", where=option, hint="give the result another name")
        try:
            if file:
                check_writable(file)
        except UserError as error:
            raise UserError(f"{file} {error.message}", where=option, hint=error.hint) from None


def same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file that is there."""
    return os.path.isfile(one) and os.path.isfile(other) and one.samefile(other)


def draw(file: Path, chart: Chart) -> None:
    """A chart as a file of its own."""
    from tilth.base.files import write_text
    from tilth.reports.svg_file import svg_file

    write_text(file, svg_file(chart))
