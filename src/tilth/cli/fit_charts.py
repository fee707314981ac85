"""Charts of what `tilth fit` found: runs as points, laws as lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilth.base.chart import Chart, Series

if TYPE_CHECKING:
    import numpy as np

    from tilth.laws.fitting import Fit
    from tilth.laws.isoflop import Frontier
    from tilth.laws.mixing import Critical, Ensemble


def fit_chart(found: Fit) -> Chart:
    """Of one variable: points and curve over it. Of several: how far each run lies from the law, by its compute."""
    import numpy as np

    law, points = found.law, found.points
    if len(law.columns) > 1:
        predicted = np.exp(law.log_loss(found.theta[None], points.columns)[0][0])
        scale = np.log10(law.scale(points.columns))
        order = np.argsort(scale, kind="stable")
        x, off = scale[order].tolist(), 100 * (points.loss / predicted - 1)[order]
        series: list[Series] = [("measured", x, off.tolist()), ("fitted", x, [0.0] * len(x))]
        return Chart(series, "log10 C, FLOP", "off the law, %", points=("measured",))
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
    return Chart(series, column if share else f"log10 {column}", "loss", points=("measured",))


def profiles_chart(found: Frontier, table: dict[str, np.ndarray[Any, Any]]) -> Chart:
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
    return Chart(series, "log10 N, a line for each budget in FLOP", "loss")


def frontier_chart(found: Frontier) -> Chart:
    """The best size of every budget, and the power law through them."""
    import numpy as np

    used = [one for one in found.budgets if one.size is not None]
    x = [float(np.log10(one.flops)) for one in used]
    fitted = [found.log_coefficient / np.log(10) + found.exponent * c for c in x]
    measured = [float(np.log10(one.size or 1)) for one in used]
    series: list[Series] = [("measured", x, measured), ("fitted", x, fitted)]
    return Chart(series, "log10 C, FLOP", "log10 best N", points=("measured",))


def shares_chart(model: Ensemble, group: int) -> Chart:
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
    return Chart(series, "share of one domain, the others in their mean proportions", "mean loss")


def critical_chart(found: Critical) -> Chart:
    """Points, curve, the loss to be kept, and where they cross."""
    chart = fit_chart(found.fit)
    inside = 0 <= found.ratio.value <= 1
    marks = [(found.ratio.value, f"r* = {found.ratio.value:.3g}")] if inside else []
    kept: Series = ("to be kept", [0.0, 1.0], [found.base, found.base])
    return replace(chart, series=[*chart.series, kept], marks=marks)
