"""What the commands of `tilth fit` are given: their shared options, and the columns that a law needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilth.base.errors import UserError
from tilth.cli.numbers import count, wholes, within
from tilth.cli.options import path
from tilth.cli.table import header_of, line_of, read_rows

if TYPE_CHECKING:
    from tilth.laws.counting import Counting
    from tilth.laws.fitting import Fit, Law, Points

PointsArgument = Annotated[Path, typer.Argument(metavar="POINTS.csv", parser=path, help="Measured runs, one a line.")]
CountingOption = Annotated[
    str, typer.Option("--counting", help="How N is counted: without-embeddings, with-head or all.")
]
LossOption = Annotated[str, typer.Option("--loss", metavar="COLUMN", help="Column of the loss.")]
BootstrapOption = Annotated[
    int,
    typer.Option(
        "--bootstrap", metavar="COUNT", parser=wholes("--bootstrap", 0, 1e5), help="Resamples for the intervals."
    ),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", metavar="COUNT", parser=wholes("--seed", 0, 1e18, "7"), help="Seed of resamples and folds."),
]
OutOption = Annotated[Path | None, typer.Option("--out", parser=path, help="Write the result as JSON.")]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.svg", parser=path, help="Draw points and fit as SVG.")
]
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", metavar="NAME=COLUMN", help="Another name of a column, as N=params.")
]
DropOption = Annotated[
    int,
    typer.Option(
        "--drop-highest",
        metavar="COUNT",
        parser=wholes("--drop-highest", 0, inf),
        help="Leave out so many of the highest losses of a file (diverged runs).",
    ),
]
DeltaOption = Annotated[
    float, typer.Option("--delta", help="Huber's delta on the log of the loss; 0: plain least squares.")
]
PredictOption = Annotated[str | None, typer.Option("--predict", metavar="NAME=VALUE,…", help="Predict the loss there.")]
FlopsOption = Annotated[
    str | None, typer.Option("--flops", metavar="FLOP", help="Best size for this budget, for example 5.76e23.")
]


COMPUTE = ("N", "D", "C")
LARGEST, MOST_NATS = 1e40, 1e4
"""Sizes, tokens and FLOP, and losses in nats a token, that are still believed."""


def checked_flops(flops: str | None) -> float | None:
    """A budget of compute."""
    return None if flops is None else count("--flops", flops, low=1e6, high=1e35, example="5.76e23", unit="FLOP")


@contextmanager
def told_of(where: Path | str) -> Iterator[None]:
    """What the laws refuse is told of the option that it came from, or of the file, and there of its line."""
    from tilth.laws.fitting.data import RowError

    try:
        yield
    except RowError as error:
        place = f"{where}:{line_of(where, error.row)}" if isinstance(where, Path) else str(where)
        raise UserError(error.said, where=place, hint=error.hint) from None
    except UserError as error:
        raise error.at(error.where or str(where)) from None


def checked_counting(name: str) -> Counting:
    """The counting of that name."""
    from tilth.laws.counting import counting_named

    with told_of("--counting"):
        return counting_named(name)


@dataclass(frozen=True)
class Runs:
    """The runs that a law is fitted on, and how: what the commands' shared options say."""

    file: Path
    column: list[str] | None = None
    loss: str = "loss"
    counting: str = "all"
    delta: float = 1e-3
    bootstrap: int = 0
    seed: int = 0
    drop: int = 0
    """So many of the highest losses are left out."""


def fitted(law: Law, runs: Runs) -> Fit:
    """The law, fitted on the points of a file."""
    from tilth.laws.fitting import Settings, fit

    within("--delta", runs.delta, 0, 10, "1e-3")
    data = law_points(law, runs)
    settings = Settings(delta=runs.delta or float("inf"), bootstrap=runs.bootstrap, seed=runs.seed)
    with told_of(runs.file):
        return fit(law, data, settings)


def law_points(law: Law, runs: Runs) -> Points:
    """The columns that the law needs; D from C and N, C from N and D, where only those are there."""
    from tilth.laws.fitting.data import points

    counted = checked_counting(runs.counting) if law.counts_parameters else None
    table = columns(runs.file, law.columns, runs.column, runs.loss)
    with told_of(runs.file):
        found = points({name: table[name] for name in law.columns}, table["loss"], counted)
        law.check(found.columns)
    if runs.drop >= len(found):
        raise UserError(f"--drop-highest {runs.drop}: there are {len(found)} runs", hint="leave out a few of them")
    return found.without_highest(runs.drop)


def columns(file: Path, names: tuple[str, ...], column: list[str] | None, loss: str) -> dict[str, Any]:
    """The columns that a law needs and the loss, as arrays; D from C and N, C from N and D, where only those are there.

    What is called otherwise in the file is said by NAME=COLUMN. N, D and C that contradict each other are refused.
    """
    import numpy as np

    from tilth.laws.fitting.data import check_compute

    called = _names(names, column, loss)
    header = header_of(file)
    read = _read(names, called, header)
    each_once((called[name], name, "--column" if column else "--loss") for name in read)
    all_three = not set(names).isdisjoint(COMPUTE) and all(called[name] in header for name in COMPUTE)
    read = list(dict.fromkeys([*read, *(COMPUTE if all_three else ())]))
    most = {called[name]: MOST_NATS if name == "loss" else LARGEST for name in read if name != "r"}
    rows = read_rows(file, [called[name] for name in read], [], most)
    table = {name: np.array([row[called[name]] for row in rows]) for name in read}
    if all_three:
        with told_of(file):
            check_compute(table["N"], table["D"], table["C"])
    return _derived(table, names)


DERIVED = {"D": ("C", "N"), "C": ("N", "D")}
"""Of C = 6 N D one follows from the others."""


def _read(names: tuple[str, ...], called: dict[str, str], header: list[str]) -> list[str]:
    """What is read from the file: what is needed, or in its place what it follows from, where only that is there."""
    read: list[str] = []
    for name in (*names, "loss"):
        others = DERIVED.get(name, ())
        follows = called[name] not in header and others and all(called[part] in header for part in others)
        read += others if follows else (name,)
    return list(dict.fromkeys(read))


def _derived(table: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The table with what is needed and follows from the rest."""
    from tilth.laws.flops import tokens_for, training_flops

    if "D" in names and "D" not in table:
        table = {**table, "D": tokens_for(table["C"], table["N"])}
    if "C" in names and "C" not in table:
        table = {**table, "C": training_flops(table["N"], table["D"])}
    return table


def _names(names: tuple[str, ...], column: list[str] | None, loss: str) -> dict[str, str]:
    """Which column is read as what."""
    called = {name: name for name in (*names, *COMPUTE)} | {"loss": loss}
    said: set[str] = set()
    for one in column or []:
        name, sign, there = one.partition("=")
        if not sign or name not in called:
            raise UserError(f"--column {one}: expected NAME=COLUMN", hint=f"names: {', '.join(called)}")
        if name in said:
            raise UserError(f"--column {one}: {name} is named twice", hint="leave one of them out")
        called[name] = there
        said.add(name)
    return called


def each_once(uses: Iterable[tuple[str, str, str]]) -> None:
    """One column cannot be two things; of each use the column, as what it is read, and the option that says so."""
    seen: dict[str, str] = {}
    for column, what, option in uses:
        if column in seen:
            said = f"{option}: the column {column!r} is read as {seen[column]} and as {what}"
            raise UserError(said, hint="name another")
        seen[column] = what
