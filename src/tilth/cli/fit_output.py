"""How `tilth fit` tells what it found: facts for people or machines, kept as JSON, drawn as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.base.errors import UserError
from tilth.cli.table import assignments

if TYPE_CHECKING:
    import numpy as np

    from tilth.laws.fitting import Fit
    from tilth.laws.isoflop import Frontier
    from tilth.laws.mixing import Ensemble

Series = tuple[str, Sequence[float], Sequence[float]]


def check_files(out: Path | None, plot: Path | None) -> None:
    """Before anything is fitted: whether the result could be written."""
    from tilth.base.files import check_writable

    if plot and plot.suffix != ".svg":
        raise UserError(f"{plot} does not end in .svg", where="--plot")
    for option, file in (("--out", out), ("--plot", plot)):
        try:
            if file:
                check_writable(file)
        except UserError as error:
            raise UserError(f"{file} {error.message}", where=option, hint=error.hint) from None


def tell_fit(
    found: Fit, predict: str | None, more: dict[str, Any], out: Path | None, plot: Path | None, as_json: bool
) -> None:
    """A fitted law, a prediction of it, and what else was asked."""
    facts = found.as_dict()
    if predict is not None:
        place = assignments(predict, list(found.law.columns))
        try:
            facts["prediction"] = found.predict(place, found.counting).as_dict() | {"at": place}
        except UserError as error:
            said = re.sub("^row 1( of |: )", "", error.message)
            raise UserError(said, where="--predict", hint=error.hint) from None
    if plot:
        draw(plot, *fit_chart(found))
    tell(facts | more, out, as_json)


def tell_frontier(found: Frontier, flops: float | None, out: Path | None, as_json: bool) -> None:
    """N*(C), and the best size for a budget."""
    facts = found.as_dict()
    if flops is not None:
        best = found.allocation(flops)
        facts["optimum"] = {
            "parameters": best.parameters,
            "interval": found.size_interval(flops),
            "tokens": best.tokens,
            "tokens_per_parameter": best.tokens_per_parameter,
            "warnings": list(found.outside(flops)),
        }
    tell(facts, out, as_json)


def tell(facts: dict[str, Any], out: Path | None, as_json: bool) -> None:
    """Facts, kept and printed."""
    from tilth.base.files import strict_json, write_text

    if out:
        write_text(out, strict_json(facts, indent=1) + "\n")
    if as_json:
        print(strict_json(facts))
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
            between = " to " if len(value) == 2 and all(isinstance(one, float) for one in value) else ", "
            shown.append(f"{label:<32} {between.join(_number(one) for one in value)}")
        else:
            shown.append(f"{label:<32} {_number(value)}")
    return [*shown, *(f"{indent}! {one}" for one in facts.get("warnings", []))]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def draw(
    file: Path, series: Sequence[Series], x_label: str, y_label: str, marks: Sequence[tuple[float, str]] = ()
) -> None:
    """A chart as a file of its own."""
    from tilth.base.files import write_text
    from tilth.planning.drawing import standalone
    from tilth.reports.svg import line_chart

    write_text(file, standalone(line_chart(series, x_label, y_label, marks)))


def fit_chart(found: Fit) -> tuple[list[Series], str, str]:
    """Of one variable: points and curve over it. Of several: how far each run lies from the law, by its compute."""
    import numpy as np

    law, points = found.law, found.points
    if len(law.columns) > 1:
        predicted = np.exp(law.log_loss(found.theta[None], points.columns)[0][0])
        scale = np.log10(law.scale(points.columns))
        order = np.argsort(scale, kind="stable")
        x, off = scale[order].tolist(), 100 * (points.loss / predicted - 1)[order]
        return [("measured", x, off.tolist()), ("fitted", x, [0.0] * len(x))], "log10 C", "off the law, %"
    (column,) = law.columns
    values = points.columns[column]
    order = np.argsort(values, kind="stable")
    share = column == "r"
    fine = np.linspace(0, 1, 201) if share else np.geomspace(values.min(), values.max(), 201)
    curve = np.exp(law.log_loss(found.theta[None], {column: fine})[0][0])
    shown = (lambda x: x) if share else np.log10
    series = [
        ("measured", shown(values[order]).tolist(), points.loss[order].tolist()),
        ("fitted", shown(fine).tolist(), curve.tolist()),
    ]
    return series, column if share else f"log10 {column}", "loss"


def profiles_chart(found: Frontier, table: dict[str, np.ndarray[Any, Any]]) -> tuple[list[Series], str, str]:
    """Every budget's losses by size, and the line through the best sizes."""
    import numpy as np

    from tilth.laws.isoflop import by_budget

    series: list[Series] = []
    for budget, here in by_budget(table["C"]):
        order = np.argsort(table["N"][here], kind="stable")
        series.append(
            (f"{budget:.3g}", np.log10(table["N"][here][order]).tolist(), table["loss"][here][order].tolist())
        )
    used = [one for one in found.budgets if one.size is not None]
    series.append(("best sizes", [float(np.log10(one.size or 1)) for one in used], [one.loss for one in used]))
    return series, "log10 N, a line for each budget in FLOP", "loss"


def frontier_chart(found: Frontier) -> tuple[list[Series], str, str]:
    """The best size of every budget, and the power law through them."""
    import numpy as np

    used = [one for one in found.budgets if one.size is not None]
    x = [float(np.log10(one.flops)) for one in used]
    fitted = [found.log_coefficient / np.log(10) + found.exponent * c for c in x]
    measured = [float(np.log10(one.size or 1)) for one in used]
    return [("measured", x, measured), ("fitted", x, fitted)], "log10 C, FLOP", "log10 best N"


def shares_chart(model: Ensemble, group: int) -> tuple[list[Series], str, str]:
    """Mean predicted loss as one domain's share goes through what was run, the others in their mean proportions."""
    import numpy as np

    shares = model.data.shares
    middle = shares.mean(0)
    series: list[Series] = []
    for at, name in enumerate(model.data.domains):
        x = np.linspace(shares[:, at].min(), shares[:, at].max(), 61)
        others = np.delete(middle, at)
        rest = others / others.sum() if others.sum() > 0 else np.full(len(others), 1 / max(len(others), 1))
        asked = np.insert(np.outer(1 - x, rest), at, x, axis=1)
        series.append((name, x.tolist(), model.predict(asked, group).mean(1).tolist()))
    return series, "share of one domain, the others in their mean proportions", "mean loss"
