"""`tilth fit dcpt` and `critical`: which share of the domain continual pre-training should take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilth.base.errors import UserError
from tilth.cli.fit_charts import critical_chart
from tilth.cli.fit_input import (
    BootstrapOption,
    ColumnOption,
    CountingOption,
    DeltaOption,
    LossOption,
    OutOption,
    PlotOption,
    PointsArgument,
    PredictOption,
    Runs,
    SeedOption,
    columns,
    fitted,
    told_of,
)
from tilth.cli.fit_output import tell, tell_fit
from tilth.cli.numbers import count, within
from tilth.cli.options import JsonOption, path
from tilth.cli.result_files import check_files, draw, same_file
from tilth.cli.table import assignments

if TYPE_CHECKING:
    from tilth.laws.fitting import Fit


LEAST_SHARE = 0.01
"""Of the domain, where its tokens are limited."""
AtOption = Annotated[str | None, typer.Option("--at", metavar="N=…[,D=…]", help="The run that a share is wanted for.")]
GeneralOption = Annotated[
    Path | None, typer.Option("--general", metavar="FILE.csv", parser=path, help="The same runs' general losses.")
]
KeepOption = Annotated[
    float | None,
    typer.Option(
        "--keep-general", metavar="NATS", help="The general loss may be at most this: the share that learns most then."
    ),
]
ReachOption = Annotated[
    float | None,
    typer.Option(
        "--reach-domain", metavar="NATS", help="The domain loss must come to this: the share that forgets least then."
    ),
]
LimitOption = Annotated[
    str | None,
    typer.Option(
        "--domain-tokens", metavar="TOKENS", help="There are no more domain tokens: how much else to read beside them."
    ),
]


def dcpt(
    points: PointsArgument,
    cross_domain: Annotated[bool, typer.Option("--cross-domain", help="With F / K^mu; a column K.")] = False,
    counting: CountingOption = "all",
    column: ColumnOption = None,
    loss: LossOption = "loss",
    predict: PredictOption = None,
    at: AtOption = None,
    general: GeneralOption = None,
    keep_general: KeepOption = None,
    reach_domain: ReachOption = None,
    domain_tokens: LimitOption = None,
    delta: DeltaOption = 1e-3,
    bootstrap: BootstrapOption = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """The D-CPT law, and the share of the domain that it asks for.

    Columns N, D and r, the share of the corpus whose loss it is (in the file of --general: 1 minus the domain's).

    Example:

        tilth fit dcpt domain.csv --predict N=1e9,D=2e10,r=0.3

        tilth fit dcpt domain.csv --general general.csv --at N=1e9,D=2e10 --keep-general 3.0

        tilth fit dcpt domain.csv --at N=1e9 --domain-tokens 5B
    """
    from tilth.laws.dcpt import DCPT

    check_files(out, plot, points, general)
    if general and same_file(general, points):
        raise UserError(f"{general} is the domain's file too", where="--general", hint="give the general losses")
    law = DCPT(cross_domain=cross_domain)
    asked = (keep_general, reach_domain, domain_tokens)
    if cross_domain and any(one is not None for one in asked):
        raise UserError("--cross-domain: shares are asked of the law of one domain", hint="leave it out")
    if (at or general) and not any(one is not None for one in asked):
        option = "--at" if at else "--general"
        raise UserError(f"{option}: what is asked?", hint="--keep-general, --reach-domain or --domain-tokens")
    shares = keep_general is not None or reach_domain is not None
    if shares and general is None:
        raise UserError("--keep-general and --reach-domain need the general losses", hint="--general FILE.csv")
    place = _place(at, ["N", "D"] if shares else ["N"]) if shares or domain_tokens is not None else {}
    runs = Runs(points, column, loss, counting, delta, bootstrap, seed)
    found = fitted(law, runs)
    more: dict[str, Any] = {}
    if shares and general is not None:
        other = fitted(law, replace(runs, file=general))
        more |= _shares_asked(found, other, place, keep_general, reach_domain)
    if domain_tokens is not None:
        more["limited_domain_tokens"] = _limited(
            found, place["N"], count("--domain-tokens", domain_tokens, unit="tokens")
        )
    tell_fit(found, predict, more, out, plot, as_json)


def _shares_asked(
    domain: Fit, general: Fit, place: dict[str, float], keep_general: float | None, reach_domain: float | None
) -> dict[str, Any]:
    """Of the questions that both losses answer: the share, its range, both losses there."""
    from tilth.laws.dcpt import curves, share_for_domain, share_for_general

    both = curves(domain.parameters, general.parameters, place["N"], place["D"])
    found: dict[str, Any] = {}
    for option, most, name, answer in (
        ("--keep-general", keep_general, "keep_general", share_for_general),
        ("--reach-domain", reach_domain, "reach_domain", share_for_domain),
    ):
        if most is None:
            continue
        within(option, most, 1e-3, 100, "2.6", unit="nats a token")
        try:
            best = answer(*both, most)
        except UserError as error:
            raise UserError(error.message, where=option, hint="allow a higher loss, or a larger run in --at") from None
        found[name] = {
            "domain_share": best.share,
            "shares_that_do": [best.low, best.high],
            "domain_loss": best.domain_loss,
            "general_loss": best.general_loss,
            "warnings": [
                *(f"domain law: {one}" for one in domain.outside({**place, "r": best.share})),
                *(f"general law: {one}" for one in general.outside({**place, "r": 1 - best.share})),
            ],
        }
    return found


def _limited(domain: Fit, size: float, tokens: float) -> dict[str, Any]:
    """Each domain token seen once: how much else to read beside them."""
    from tilth.laws.dcpt import share_for_limited_tokens

    share, total, lowest = share_for_limited_tokens(domain.parameters, size, tokens, low=LEAST_SHARE)
    said = domain.outside({"N": size, "D": total, "r": share})
    if share <= LEAST_SHARE:
        said = (*said, f"{share:g} is the smallest share that is looked at: still less might be better")
    return {
        "domain_share": share,
        "tokens_in_all": total,
        "domain_loss": lowest,
        "warnings": list(said),
    }


def _place(at: str | None, names: list[str]) -> dict[str, float]:
    if at is None:
        raise UserError(f"--at {','.join(f'{name}=…' for name in names)} is missing: of which run?")
    found = assignments(at, names, "--at")
    for name, value in found.items():
        within(f"--at {name}", value, 1, 1e18, "1e9")
    return found


def critical(
    points: PointsArgument,
    base: Annotated[float, typer.Option("--base", help="Loss on the old corpus before, to be kept.")],
    column: ColumnOption = None,
    loss: LossOption = "loss",
    bootstrap: BootstrapOption = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """The share of the old corpus that keeps its loss. Columns r (the old corpus's share) and the loss on it.

    Example:

        tilth fit critical runs.csv --base 2.87
    """
    from tilth.laws.fitting import Settings
    from tilth.laws.mixing.critical import Exponential, critical_ratio

    check_files(out, plot, points)
    within("--base", base, 1e-3, 100, "2.87", unit="nats a token")
    table = columns(points, Exponential.columns, column, loss)
    with told_of(points):
        found = critical_ratio(table["r"], table["loss"], base, Settings(folds=0, bootstrap=bootstrap, seed=seed))
    if plot:
        draw(plot, critical_chart(found))
    tell(found.fit.as_dict() | {"critical_ratio": found.ratio.as_dict(), "base": base}, out, as_json)
