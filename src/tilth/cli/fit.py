"""`tilth fit`: laws fitted on measured runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilth.base.errors import UserError
from tilth.cli.options import JsonOption, path
from tilth.cli.table import assignments, header_of, read_rows

if TYPE_CHECKING:
    from tilth.laws.fitting import Fit, Law, Points, Settings

PointsArgument = Annotated[Path, typer.Argument(metavar="POINTS.csv", parser=path, help="Measured runs, one a line.")]
CountingOption = Annotated[
    str, typer.Option("--counting", help="How N is counted: without-embeddings, with-head or all.")
]
LossOption = Annotated[str, typer.Option("--loss", metavar="COLUMN", help="Column of the loss.")]
BootstrapOption = Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples for the intervals.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of resamples and folds.")]
OutOption = Annotated[Path | None, typer.Option("--out", parser=path, help="Write the result as JSON.")]
PlotOption = Annotated[Path | None, typer.Option("--plot", parser=path, help="Draw points and fit as SVG.")]
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", metavar="NAME=COLUMN", help="Another name of a column, as N=params.")
]
DropOption = Annotated[int, typer.Option("--drop-highest", min=0, help="Leave out so many of the highest losses.")]
DeltaOption = Annotated[float, typer.Option("--delta", min=0.0, help="Huber's delta on the log of the loss.")]
PredictOption = Annotated[str | None, typer.Option("--predict", metavar="NAME=VALUE,…", help="Predict the loss there.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    fit = typer.Typer(help="Fit a law on measured runs.", no_args_is_help=True, rich_markup_mode=None)
    for name, command in (
        ("kaplan", kaplan),
        ("chinchilla", chinchilla),
        ("isoflop", isoflop),
        ("envelope", envelope),
        ("repeated", repeated),
        ("dcpt", dcpt),
        ("mixing", mixing),
        ("critical", critical),
    ):
        fit.command(name)(command)
    app.add_typer(fit, name="fit")


def kaplan(
    points: PointsArgument,
    variable: Annotated[str, typer.Option("--variable", help="N, D, C or ND.")] = "ND",
    counting: CountingOption = "without-embeddings",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    predict: PredictOption = None,
    flops: Annotated[float | None, typer.Option("--flops", help="Best size for this budget (ND only).")] = None,
    drop_highest: DropOption = 0,
    delta: DeltaOption = 1e-3,
    bootstrap: BootstrapOption = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Kaplan's laws: one power law in N, D or C, or L(N, D).

    Example:

        tilth fit kaplan runs.csv --variable N --bootstrap 200
    """
    from tilth.laws.kaplan import PowerLaw, SizeAndData, allocation

    if variable not in ("N", "D", "C", "ND"):
        raise UserError(f"--variable {variable}: unknown", hint="N, D, C or ND")
    law: Law = SizeAndData() if variable == "ND" else PowerLaw(variable)
    data = _points(points, law, column, loss, counting if law.counts_parameters else None, drop_highest)
    fitted = _fit(law, data, delta, bootstrap, seed)
    more: dict[str, Any] = {}
    if flops is not None:
        if variable != "ND":
            raise UserError("--flops: an allocation needs --variable ND")
        best = allocation(fitted.parameters, flops, fitted.counting)  # type: ignore[arg-type]
        more["optimum"] = {"parameters": best.parameters, "tokens": best.tokens}
    _tell(fitted, predict, more, out, plot, as_json)


def chinchilla(
    points: PointsArgument,
    flops: Annotated[float | None, typer.Option("--flops", help="Optimum for this budget of compute.")] = None,
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

    fitted = _fit(
        Chinchilla(), _points(points, Chinchilla(), column, loss, counting, drop_highest), delta, bootstrap, seed
    )
    more: dict[str, Any] = {}
    if flops is not None:
        more["optimum"] = {name: one.as_dict() for name, one in fitted_optimum(fitted, flops).items()}
    _tell(fitted, predict, more, out, plot, as_json)


def isoflop(
    points: PointsArgument,
    counting: CountingOption = "all",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    method: Annotated[str, typer.Option("--method", help="akima or parabola.")] = "akima",
    noise: Annotated[float, typer.Option("--noise", help="Relative noise of a loss, for the intervals.")] = 0.002,
    flops: Annotated[float | None, typer.Option("--flops", help="Best size for this budget.")] = None,
    bootstrap: BootstrapOption = 200,
    seed: SeedOption = 0,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """The best size at each budget C, and how it grows (approach 2). Columns C, N and the loss.

    Example:

        tilth fit isoflop runs.csv --flops 1e21
    """
    from tilth.laws.counting import counting_named
    from tilth.laws.isoflop import isoflop as by_profiles

    table = _columns(points, ("C", "N"), column, loss)
    frontier = by_profiles(
        table["C"],
        table["N"],
        table["loss"],
        counting=counting_named(counting),
        method=method,
        noise=noise,
        bootstrap=bootstrap,
        seed=seed,
    )
    _tell_frontier(frontier, flops, out, as_json)


def envelope(
    points: PointsArgument,
    counting: CountingOption = "all",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    flops: Annotated[float | None, typer.Option("--flops", help="Best size for this budget.")] = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """The lowest of the training curves at each budget (approach 1). Columns N, D (tokens so far) and the loss.

    Example:

        tilth fit envelope curves.csv --flops 1e21
    """
    from tilth.laws.counting import counting_named
    from tilth.laws.isoflop import envelope as by_curves

    table = _columns(points, ("N", "D"), column, loss)
    frontier = by_curves(table["N"], table["D"], table["loss"], counting=counting_named(counting))
    _tell_frontier(frontier, flops, out, as_json)


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

    law = Repeated()
    _tell(
        _fit(law, _points(points, law, column, loss, counting, 0), delta, bootstrap, seed),
        predict,
        {},
        out,
        plot,
        as_json,
    )


def dcpt(
    points: PointsArgument,
    cross_domain: Annotated[bool, typer.Option("--cross-domain", help="With F / K^mu; a column K.")] = False,
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
    """The D-CPT law. Columns N, D and r, the share of the corpus whose loss it is (general: 1 minus the domain's).

    Example:

        tilth fit dcpt domain.csv --predict N=1e9,D=2e10,r=0.3
    """
    from tilth.laws.dcpt import DCPT

    law = DCPT(cross_domain=cross_domain)
    _tell(
        _fit(law, _points(points, law, column, loss, counting, 0), delta, bootstrap, seed),
        predict,
        {},
        out,
        plot,
        as_json,
    )


def critical(
    points: PointsArgument,
    base: Annotated[float, typer.Option("--base", help="Loss on the old corpus before, to be kept.")],
    column: ColumnOption = None,
    loss: LossOption = "loss",
    bootstrap: BootstrapOption = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """The share of the old corpus that keeps its loss. Columns r (the old corpus's share) and the loss on it.

    Example:

        tilth fit critical runs.csv --base 2.87
    """
    from tilth.laws.fitting import Settings
    from tilth.laws.mixing import critical_ratio

    table = _columns(points, ("r",), column, loss)
    found = critical_ratio(table["r"], table["loss"], base, Settings(folds=0, bootstrap=bootstrap, seed=seed))
    more = {"critical_ratio": found.ratio.as_dict(), "base": base}
    _tell(found.fit, None, more, out, None, as_json)


def mixing(
    points: PointsArgument,
    domains: Annotated[str, typer.Option("--domains", metavar="COLUMN,…", help="Columns of the shares.")],
    targets: Annotated[str, typer.Option("--targets", metavar="COLUMN,…", help="Columns of the losses.")],
    group: Annotated[str | None, typer.Option("--group", help="Column of the model size or step.")] = None,
    members: Annotated[
        str | None, typer.Option("--members", help="Of shares, exponential, implicit, process, trees.")
    ] = None,
    predict: PredictOption = None,
    optimise: Annotated[bool, typer.Option("--optimise", help="Look for the mixture of the lowest mean loss.")] = False,
    seed: SeedOption = 0,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Losses by mixture: laws, processes and trees, weighed by cross-validation inside the runs.

    Example:

        tilth fit mixing runs.csv --domains web,code,books --targets loss_web,loss_code --optimise
    """
    from tilth.laws.mixing import best_mixture, fit_ensemble
    from tilth.laws.mixing.mixtures import mixtures

    inputs, outputs = domains.split(","), targets.split(",")
    rows = read_rows(points, [*inputs, *outputs], [group] if group else [])
    data = mixtures(
        inputs,
        [[row[name] for name in inputs] for row in rows],
        outputs,
        [[row[name] for name in outputs] for row in rows],
        [row[group] for row in rows] if group else None,
    )
    model = fit_ensemble(data, members.split(",") if members else None, seed=seed)
    facts: dict[str, Any] = {
        "law": "mixing",
        "runs": len(data),
        "groups": list(data.group_names) if group else None,
        "members": dict(zip(model.members, model.member_errors, strict=True)),
        "held_out": {"how": f"{model.folds} folds of mixtures", "mean": model.error},
        "weights": {
            name: dict(zip(outputs, map(float, row), strict=True))
            for name, row in zip(model.members, model.weights, strict=True)
        },
    }
    last = len(data.group_names) - 1
    if predict:
        shares = assignments(predict, inputs)
        asked = [shares[name] for name in inputs]
        losses = model.predict([asked], last)[0]
        facts["prediction"] = dict(zip(outputs, map(float, losses), strict=True)) | {
            "warnings": list(model.outside(asked))
        }
    if optimise:
        best = best_mixture(model, group=last, seed=seed)
        facts["best"] = {
            "shares": dict(zip(inputs, map(float, best.shares), strict=True)),
            "mean_loss": best.loss,
            "mean_loss_of_average_mixture": best.prior_loss,
            "warnings": list(best.warnings),
        }
    _print(facts, out, as_json)


def _fit(law: Law, data: Points, delta: float, bootstrap: int, seed: int) -> Fit:
    from tilth.laws.fitting import Settings, fit

    settings: Settings = Settings(delta=delta or float("inf"), bootstrap=bootstrap, seed=seed)
    return fit(law, data, settings)


def _points(file: Path, law: Law, column: list[str] | None, loss: str, counting: str | None, drop: int) -> Points:
    """The columns that the law needs; D from C and N, C from N and D, where only those are there."""
    from tilth.laws.counting import counting_named
    from tilth.laws.fitting.data import points

    table = _columns(file, law.columns, column, loss)
    found = points(
        {name: table[name] for name in law.columns}, table["loss"], counting_named(counting) if counting else None
    )
    return found.without_highest(drop)


def _columns(file: Path, names: tuple[str, ...], column: list[str] | None, loss: str) -> dict[str, Any]:
    """Named columns as arrays, with other names taken from NAME=COLUMN."""
    import numpy as np

    called = {name: name for name in (*names, "N", "D", "C")} | {"loss": loss}
    for one in column or []:
        name, sign, there = one.partition("=")
        if not sign or name not in called:
            raise UserError(f"--column {one}: expected NAME=COLUMN", hint=f"names: {', '.join(called)}")
        called[name] = there
    header = header_of(file)
    derived = {"D": ("C", "N"), "C": ("N", "D")}
    wanted = dict.fromkeys((*names, "loss"))
    for name in names:
        if called[name] not in header and name in derived and all(called[part] in header for part in derived[name]):
            wanted |= dict.fromkeys(derived[name])
            del wanted[name]
    rows = read_rows(file, [called[name] for name in wanted], [])
    table = {name: np.array([row[called[name]] for row in rows]) for name in wanted}
    if "D" in names and "D" not in table:
        table["D"] = table["C"] / 6.0 / table["N"]
    if "C" in names and "C" not in table:
        table["C"] = 6.0 * table["N"] * table["D"]
    return table


def _tell(
    fitted: Fit, predict: str | None, more: dict[str, Any], out: Path | None, plot: Path | None, as_json: bool
) -> None:
    facts = fitted.as_dict()
    if predict:
        place = assignments(predict, list(fitted.law.columns))
        facts["prediction"] = fitted.predict(place, fitted.counting).as_dict() | {"at": place}
    facts |= more
    if plot:
        _draw(fitted, plot)
    _print(facts, out, as_json)


def _tell_frontier(frontier: Any, flops: float | None, out: Path | None, as_json: bool) -> None:
    facts = frontier.as_dict()
    if flops is not None:
        best = frontier.allocation(flops)
        facts["optimum"] = {
            "parameters": best.parameters,
            "interval": frontier.size_interval(flops),
            "tokens": best.tokens,
            "tokens_per_parameter": best.tokens_per_parameter,
            "warnings": list(frontier.outside(flops)),
        }
    _print(facts, out, as_json)


def _draw(fitted: Fit, file: Path) -> None:
    """Measured and predicted losses over the law's first column."""
    import numpy as np

    from tilth.base.files import write_text
    from tilth.reports.svg import line_chart

    column = fitted.law.scale_column or fitted.law.columns[0]
    order = np.argsort(fitted.points.columns[column], kind="stable")
    x = np.log10(fitted.points.columns[column][order]).tolist()
    predicted = np.exp(fitted.law.log_loss(fitted.theta[None], fitted.points.columns)[0][0])
    series = [("measured", x, fitted.points.loss[order].tolist()), ("fitted", x, predicted[order].tolist())]
    drawing = line_chart(series, f"log10 {column}", "loss").partition("</svg>")[0] + "</svg>"
    write_text(file, drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def _print(facts: dict[str, Any], out: Path | None, as_json: bool) -> None:
    from tilth.base.files import write_json

    if out:
        write_json(out, facts)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for line in _lines(facts):
        print(line)


def _lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    """Facts for people: one a line, warnings last."""
    shown = []
    for name, value in facts.items():
        if value is None or name in ("warnings", "budgets", "data"):
            continue
        label = f"{indent}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            shown += [label, *_lines(value, f"{indent}  ")]
        elif isinstance(value, list | tuple):
            shown.append(f"{label:<32} {' to '.join(_number(one) for one in value)}")
        else:
            shown.append(f"{label:<32} {_number(value)}")
    return [*shown, *(f"{indent}! {one}" for one in facts.get("warnings", []))]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
