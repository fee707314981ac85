"""`tilth fit mixing` and `nested`: losses by mixture of several domains, and the best mixture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilth.base.errors import UserError
from tilth.cli.fit_charts import shares_chart
from tilth.cli.fit_input import (
    LARGEST,
    MOST_NATS,
    OutOption,
    PlotOption,
    PointsArgument,
    PredictOption,
    SeedOption,
    each_once,
    told_of,
)
from tilth.cli.fit_output import tell
from tilth.cli.numbers import count
from tilth.cli.options import JsonOption
from tilth.cli.result_files import check_files, draw
from tilth.cli.table import assignments, names_of, read_rows

if TYPE_CHECKING:
    from tilth.laws.mixing import Ensemble, Mixtures

DomainsOption = Annotated[str, typer.Option("--domains", metavar="COLUMN,…", help="Columns of the shares.")]
TargetsOption = Annotated[str, typer.Option("--targets", metavar="COLUMN,…", help="Columns of the losses.")]
MembersOption = Annotated[
    str | None,
    typer.Option(
        "--members",
        metavar="NAME,…",
        help="Of shares, exponential, implicit, process, trees.  [default: shares,process; "
        "from 100 runs on trees as well, where LightGBM is installed]",
    ),
]
DOMAIN, TARGET = ("--domains", "a domain"), ("--targets", "a target")
"""What names a column, and as what."""
OptimiseOption = Annotated[bool, typer.Option("--optimise", help="Look for the mixture of the lowest mean loss.")]


def mixing(
    points: PointsArgument,
    domains: DomainsOption,
    targets: TargetsOption,
    group: Annotated[str | None, typer.Option("--group", help="Column of the model size or step.")] = None,
    members: MembersOption = None,
    predict: PredictOption = None,
    optimise: OptimiseOption = False,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Losses by mixture: laws, processes and trees, weighed by cross-validation inside the runs.

    Example:

        tilth fit mixing runs.csv --domains web,code,books --targets loss_web,loss_code --optimise
    """
    from tilth.laws.mixing.mixtures import mixtures

    check_files(out, plot, points)
    inputs, outputs = names_of(domains, "--domains"), names_of(targets, "--targets", "loss_web,loss_code")
    _each_used_once((*DOMAIN, inputs), (*TARGET, outputs), ("--group", "the group", [group] if group else []))
    rows = read_rows(points, [*inputs, *outputs], [group] if group else [], _losses(outputs))
    with told_of(points):
        data = mixtures(
            inputs,
            [[row[name] for name in inputs] for row in rows],
            outputs,
            [[row[name] for name in outputs] for row in rows],
            [row[group] for row in rows] if group else None,
        )
    facts = {"law": "mixing", "runs": len(data), "groups": list(data.group_names) if group else None}
    facts["warnings"] = list(data.warnings)
    _tell_mixtures(points, data, facts, members, predict, optimise, seed, out, plot, as_json)


def nested(
    points: PointsArgument,
    domains: DomainsOption,
    targets: TargetsOption,
    steps: Annotated[str | None, typer.Option("--steps", metavar="COLUMN", help="Column of steps or tokens.")] = None,
    to_steps: Annotated[
        str | None, typer.Option("--to-steps", help="How long the large run is to be, counted as that column.")
    ] = None,
    sizes: Annotated[str | None, typer.Option("--sizes", metavar="COLUMN", help="Column of model sizes.")] = None,
    to_size: Annotated[str | None, typer.Option("--to-size", help="How large its model is to be.")] = None,
    members: MembersOption = None,
    predict: PredictOption = None,
    optimise: OptimiseOption = False,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mixtures for a run larger and longer than those measured: laws of steps and sizes inside a law of mixtures.

    Each mixture's losses are carried to --to-steps, then to --to-size, by power laws; on what comes out a mixing law
    is fitted as `tilth fit mixing` does. One line a mixture, size and step.

    Example:

        tilth fit nested runs.csv --domains web,code --targets loss --steps step --to-steps 100k --sizes N --to-size 1B
    """
    from tilth.laws.mixing.nested import nest

    check_files(out, plot, points)
    inputs, outputs = names_of(domains, "--domains"), names_of(targets, "--targets", "loss_web,loss_code")
    wanted = {
        "step": _carried("--steps", steps, "--to-steps", to_steps),
        "size": _carried("--sizes", sizes, "--to-size", to_size),
    }
    asked = {name: one for name, one in wanted.items() if one}
    if not asked:
        raise UserError("nothing to carry the losses along", hint="--steps COLUMN --to-steps 100k, --sizes, or both")
    along = [column for column, _ in asked.values()]
    of_steps, of_sizes = ("--steps", "steps", [steps] if steps else []), ("--sizes", "sizes", [sizes] if sizes else [])
    _each_used_once((*DOMAIN, inputs), (*TARGET, outputs), of_steps, of_sizes)
    most = _losses(outputs) | dict.fromkeys(along, LARGEST)
    rows = read_rows(points, [*inputs, *outputs, *along], [], most)
    with told_of(points):
        carried = nest(rows, inputs, outputs, asked)
    facts = {"law": "nested mixing", "runs": len(rows), "mixtures": len(carried.data), "carried": carried.as_dict()}
    facts["warnings"] = list(carried.warnings)  # two rows of one run are refused by nest
    _tell_mixtures(points, carried.data, facts, members, predict, optimise, seed, out, plot, as_json)


def _each_used_once(*uses: tuple[str, str, list[str]]) -> None:
    """A column is a domain, a target, a group or what losses are carried along: one of them."""
    each_once((name, what, option) for option, what, names in uses for name in names)


def _losses(columns: list[str]) -> dict[str, float]:
    return dict.fromkeys(columns, MOST_NATS)


def _carried(of: str, column: str | None, to: str, value: str | None) -> tuple[str, float] | None:
    """A column and where to; both or neither."""
    if (column is None) != (value is None):
        raise UserError(f"{of} and {to} go together", hint=f"{of} COLUMN {to} 100k")
    return None if column is None or value is None else (column, count(to, value))


def _tell_mixtures(
    points: Path, data: Mixtures, facts: dict[str, Any], members: str | None, predict: str | None, optimise: bool,
    seed: int, out: Path | None, plot: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Fit the models of mixtures, and tell their errors, weights, a prediction, the best mixture."""
    from tilth.laws.mixing import fit_ensemble
    from tilth.laws.mixing.mixtures import SUM_TOLERANCE
    from tilth.laws.mixing.models import model_named

    asked = assignments(predict, list(data.domains)) if predict is not None else None
    if asked and not (min(asked.values()) >= 0 and abs(sum(asked.values()) - 1) <= SUM_TOLERANCE):
        raise UserError(f"--predict {predict}: shares are at least 0 and sum to 1")
    names = names_of(members, "--members", "shares,process") if members is not None else []
    with told_of("--members"):
        for name in names:
            model_named(name)
    with told_of(points):
        model = fit_ensemble(data, names, seed=seed)
    facts = facts | {
        "members": dict(zip(model.members, model.member_errors, strict=True)),
        "held_out": {"how": f"{model.folds} folds of mixtures", "mean": model.error},
        "weights": {
            name: dict(zip(data.targets, map(float, row), strict=True))
            for name, row in zip(model.members, model.weights, strict=True)
        },
    }
    last = len(data.group_names) - 1
    of = {"group": data.group_names[last]} if facts.get("groups") else {}
    if asked:
        facts["prediction"] = of | _predicted(model, [asked[name] for name in data.domains], last)
    if optimise:
        facts["best"] = of | _best(model, last, seed)
    if plot:
        draw(plot, shares_chart(model, last))
    tell(facts, out, as_json)


def _predicted(model: Ensemble, shares: list[float], group: int) -> dict[str, Any]:
    losses = dict(zip(model.data.targets, map(float, model.predict([shares], group)[0]), strict=True))
    return losses | {"warnings": list(model.outside(shares))}


def _best(model: Ensemble, group: int, seed: int) -> dict[str, Any]:
    from tilth.laws.mixing import best_mixture

    best = best_mixture(model, group=group, seed=seed)
    return {
        "shares": dict(zip(model.data.domains, map(float, best.shares), strict=True)),
        "mean_loss": best.loss,
        "mean_loss_of_average_mixture": best.prior_loss,
        "warnings": list(best.warnings),
    }
