"""Curves of the plans, with a mark at what each plan answers."""

from __future__ import annotations

import math

import numpy as np

from tilth.base.chart import Chart, Series
from tilth.laws.allocation import Allocation
from tilth.laws.chinchilla import optimum
from tilth.laws.choices import Constants
from tilth.laws.flops import serving_flops, tokens_for, training_flops
from tilth.laws.repeated import repeated_loss
from tilth.planning import scaling
from tilth.planning.budget import Budget
from tilth.planning.buy import OWN, Needs, break_even, requests_served, ways
from tilth.planning.figures import short

MOST_STEPS = 300
"""Of a curve: more of them than so cannot be told apart in a chart."""


def loss_by_size(law_name: Constants, flops: float, unique: float | None) -> Chart:
    """Loss of every size for a budget: with fresh tokens alone, and with what there is, repeated."""
    law, _ = scaling.LAWS[law_name]
    best = optimum(law, flops).parameters
    sizes = [math.log10(best) - 1 + i / 40 for i in range(81)]
    tokens = [tokens_for(flops, 10**size) for size in sizes]
    losses = [scaling.loss(law, 10**n, d) for n, d in zip(sizes, tokens, strict=True)]
    found: list[Series] = [("fresh tokens", sizes, losses)]
    marks = [(math.log10(best), f"best {short(best)}")]
    if unique:
        repeated = repeated_loss(law, 10 ** np.array(sizes), np.array(tokens), unique)
        found.append(("tokens that there are, repeated", sizes, repeated.tolist()))
        here = scaling.data_limited_optimum(law, flops, unique).parameters
        if here != best:
            marks.append(_inside(sizes, math.log10(here), f"with this data {short(here)}"))
    return Chart(found, "log10 parameters", "loss, nats a token", marks)


def _inside(shown: list[float], at: float, name: str) -> tuple[float, str]:
    """A mark; one that lies beyond the chart stands at its edge and says so."""
    low, high = min(shown), max(shown)
    if low <= at <= high:
        return at, name
    return (low, f"{name}, left of this chart") if at < low else (high, f"{name}, right of this chart")


def life_by_size(law_name: Constants, one: Allocation, served: float, unique: float | None, budget: Budget) -> Chart:
    """log10 device-hours of training, serving and both, of every size that reaches one model's loss."""
    law, _ = scaling.LAWS[law_name]
    wanted = scaling.loss_with(law, one.parameters, one.tokens, unique)
    best = scaling.serving_optimum(law, wanted, served, unique, weight=budget.serving_weight)
    low, high = sorted((best.parameters, one.parameters))
    sizes = np.geomspace(low / 2.5, high * 2.5, 161)
    tokens = scaling.tokens_for_loss(law, sizes, wanted, unique)
    shown = tokens < 1e3 * one.tokens
    sizes, tokens = sizes[shown], tokens[shown]
    train = budget.device_hours(training_flops(sizes, tokens))
    serve = budget.device_hours(serving_flops(sizes, served), serving=True)
    serve = np.maximum(serve, train.min() / 1e3)  # next to nothing does not stretch the axis
    found = {"both": train + serve, "training": train, "serving": serve}
    if not served:
        del found["serving"], found["both"]
    series: list[Series] = [(name, np.log10(sizes).tolist(), np.log10(hours).tolist()) for name, hours in found.items()]
    marks = [
        (math.log10(best.parameters), f"cheapest {short(best.parameters)}"),
        (math.log10(one.parameters), f"this one {short(one.parameters)}"),
    ]
    return Chart(series, "log10 parameters", "log10 device-hours over the model's life", marks)


def cost_by_volume(needs: Needs) -> Chart:
    """What each way costs over the months, by requests a month; devices are whole, so own models cost in steps."""
    even = {name: break_even(needs, own) for name, own in OWN.items()}
    finite = {name: volume for name, volume in even.items() if math.isfinite(volume)}
    top = 1.5 * max([needs.requests_per_month, 1.0, *finite.values()])
    volumes = _with_steps(top, requests_served(needs))
    points = [ways(needs.model_copy(update={"requests_per_month": volume})) for volume in volumes]
    series: list[Series] = [
        (points[0][key].name, [float(volume) for volume in volumes], [at[key].over(needs.months) for at in points])
        for key in points[0]
    ]
    marks = [(float(needs.requests_per_month), "asked"), *((x, f"even, {name}") for name, x in finite.items())]
    return Chart(series, "requests a month", f"{needs.currency} over {needs.months:g} months", marks)


def _with_steps(top: float, served: float) -> list[int]:
    """Volumes up to `top`, evenly, with both ends of every step: what so many devices serve, and one request more."""
    even = {round(top * i / MOST_STEPS) for i in range(MOST_STEPS + 1)}
    if served >= 1 and top / served <= MOST_STEPS:
        ends = [math.floor(k * served) for k in range(1, int(top / served) + 1)]
        even |= {volume + more for volume in ends for more in (0, 1)}
    return sorted(even)
