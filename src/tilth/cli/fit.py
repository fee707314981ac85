"""`tilth fit`: laws of size, data and compute, fitted on measured runs. Laws of shares are in the files beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tilth.base.errors import UserError
from tilth.cli.fit_charts import frontier_chart, profiles_chart
from tilth.cli.fit_continual import critical, dcpt
from tilth.cli.fit_input import (
    BootstrapOption,
    ColumnOption,
    CountingOption,
    DeltaOption,
    DropOption,
    FlopsOption,
    LossOption,
    OutOption,
    PlotOption,
    PointsArgument,
    PredictOption,
    Runs,
    SeedOption,
    checked_counting,
    checked_flops,
    columns,
    fitted,
    told_of,
)
from tilth.cli.fit_mixing import mixing, nested
from tilth.cli.fit_output import optimum_told, tell_fit, tell_frontier
from tilth.cli.numbers import within
from tilth.cli.options import JsonOption
from tilth.cli.result_files import check_files, draw
from tilth.laws.choices import Method, Variable

if TYPE_CHECKING:
    from tilth.laws.fitting import Law


def register(app: typer.Typer) -> None:
    """Add the commands of every law."""
    fit = typer.Typer(help="Fit a law on measured runs.", no_args_is_help=True, rich_markup_mode=None)
    for name, command in (
        ("kaplan", kaplan),
        ("chinchilla", chinchilla),
        ("isoflop", isoflop),
        ("envelope", envelope),
        ("repeated", repeated),
        ("dcpt", dcpt),
        ("critical", critical),
        ("mixing", mixing),
        ("nested", nested),
    ):
        fit.command(name)(command)
    app.add_typer(fit, name="fit")


def kaplan(
    points: PointsArgument,
    variable: Annotated[
        Literal[Variable, "ND"], typer.Option("--variable", help="Of which the loss is a power law.")
    ] = "ND",
    counting: CountingOption = "without-embeddings",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    predict: PredictOption = None,
    flops: FlopsOption = None,
    drop_highest: DropOption = 0,
    delta: DeltaOption = 1e-3,
    bootstrap: BootstrapOption = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Kaplan's laws: one power law in N, D or C, or L(N, D), which alone knows a best size (--flops).

    Example:

        tilth fit kaplan runs.csv --variable N --bootstrap 200
    """
    from tilth.laws.kaplan import PowerLaw, SizeAndData, fitted_optimum

    check_files(out, plot, points)
    budget = checked_flops(flops)
    if budget is not None and variable != "ND":
        raise UserError("--flops: an allocation needs --variable ND")
    law: Law = SizeAndData() if variable == "ND" else PowerLaw(variable)
    found = fitted(law, Runs(points, column, loss, counting, delta, bootstrap, seed, drop_highest))
    more = {} if budget is None else {"optimum": optimum_told(fitted_optimum(found, budget))}
    tell_fit(found, predict, more, out, plot, as_json)


def chinchilla(
    points: PointsArgument,
    flops: FlopsOption = None,
    counting: CountingOption = "all",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    predict: PredictOption = None,
    drop_highest: DropOption = 0,
    delta: DeltaOption = 1e-3,
    bootstrap: BootstrapOption = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """L = E + A / N^alpha + B / D^beta (approach 3) and its optimum. Columns N and D, or N and C (then D = C / 6N).

    Example:

        tilth fit chinchilla runs.csv --flops 5.76e23 --bootstrap 1000
    """
    from tilth.laws.chinchilla import Chinchilla, fitted_optimum

    check_files(out, plot, points)
    budget = checked_flops(flops)
    found = fitted(Chinchilla(), Runs(points, column, loss, counting, delta, bootstrap, seed, drop_highest))
    more = {} if budget is None else {"optimum": optimum_told(fitted_optimum(found, budget))}
    tell_fit(found, predict, more, out, plot, as_json)


def isoflop(
    points: PointsArgument,
    counting: CountingOption = "all",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    method: Annotated[Method, typer.Option("--method", help="How the lowest point of a profile is found.")] = "akima",
    noise: Annotated[float, typer.Option("--noise", help="Relative noise of a loss, for the intervals.")] = 0.002,
    flops: FlopsOption = None,
    bootstrap: BootstrapOption = 200,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """The best size at each budget C, and how it grows (approach 2). Columns C, N and the loss.

    Example:

        tilth fit isoflop runs.csv --flops 1e21
    """
    from tilth.laws.isoflop import PROFILES
    from tilth.laws.isoflop import isoflop as by_profiles

    check_files(out, plot, points)
    budget = checked_flops(flops)
    within("--noise", noise, 0, 0.5, "0.002")
    counted = checked_counting(counting)
    table = columns(points, PROFILES, column, loss)
    with told_of(points):
        frontier = by_profiles(
            table["C"],
            table["N"],
            table["loss"],
            counting=counted,
            method=method,
            noise=noise,
            bootstrap=bootstrap,
            seed=seed,
        )
    if plot:
        draw(plot, profiles_chart(frontier, table))
    tell_frontier(frontier, budget, out, as_json)


def envelope(
    points: PointsArgument,
    counting: CountingOption = "all",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    flops: FlopsOption = None,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """The lowest of the training curves at each budget (approach 1). Columns N, D (tokens so far) and the loss.

    Example:

        tilth fit envelope curves.csv --flops 1e21
    """
    from tilth.laws.isoflop import CURVES
    from tilth.laws.isoflop import envelope as by_curves

    check_files(out, plot, points)
    budget = checked_flops(flops)
    counted = checked_counting(counting)
    table = columns(points, CURVES, column, loss)
    with told_of(points):
        frontier = by_curves(table["N"], table["D"], table["loss"], counting=counted)
    if plot:
        draw(plot, frontier_chart(frontier))
    tell_frontier(frontier, budget, out, as_json)


def repeated(
    points: PointsArgument,
    counting: CountingOption = "all",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    predict: PredictOption = None,
    delta: DeltaOption = 1e-3,
    bootstrap: BootstrapOption = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """The value of repeated epochs. Columns N, D (tokens trained on) and U (unique tokens).

    Example:

        tilth fit repeated runs.csv --predict N=1e9,D=4e10,U=1e10
    """
    from tilth.laws.repeated import Repeated

    check_files(out, plot, points)
    found = fitted(Repeated(), Runs(points, column, loss, counting, delta, bootstrap, seed))
    tell_fit(found, predict, {}, out, plot, as_json)
