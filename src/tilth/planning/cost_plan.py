"""Training and serving together: what both cost, and the size that reaches the same loss most cheaply over its life."""

from __future__ import annotations

from tilth.laws.allocation import Allocation
from tilth.laws.choices import Constants
from tilth.laws.flops import serving_flops
from tilth.laws.repeated import effective_parameters, effective_tokens, matched_size
from tilth.planning import scaling
from tilth.planning.budget import Budget
from tilth.planning.figures import Figure, Report, Table, short
from tilth.planning.scale_plan import REPEATS, epochs_said, law_figure, loss_formula

SARDANA = "Sardana et al. 2023 (arXiv:2401.00448)"


def cost_report(
    model: Allocation, budget: Budget, law_name: Constants, served: float, unique: float | None = None
) -> Report:
    """A model's training and serving together, and the size that reaches its loss most cheaply over its life.

    `unique`: tokens of text that there are; what is trained on beyond them are repeats. Of the budget the cluster and
    its utilisation are used.
    """
    law, source = scaling.LAWS[law_name]
    wanted = scaling.loss_with(law, model.parameters, model.tokens, unique)
    best = scaling.serving_optimum(law, wanted, served, unique, weight=budget.serving_weight)
    figures = [
        *_this_model(model, law, source, served, wanted, unique),
        *_best_model(model, best, law, source, served, wanted, unique, budget),
        *_on_the_cluster(model, budget, served),
    ]
    models = (
        ("this one", model),
        ("cheapest over its life", best),
        ("cheapest to train", scaling.serving_optimum(law, wanted, 0, unique)),
    )
    rows = tuple(_row(name, one, served, budget) for name, one in models)
    columns = (
        "model", "parameters", "tokens", "tokens a parameter", "training FLOP", "serving FLOP", "device-hours", "cost"
    )  # fmt: skip
    table = Table("Models of the same loss", columns, rows, {"cost": budget.cluster.currency})
    notes = [said for name, one in models for said in epochs_said(name, one.tokens / unique)] if unique else []
    title, said = f"Training and {short(served)} served tokens", (*notes, *budget.said())
    return Report(title, tuple(figures), (table,), said, facts=budget.currency)


def _this_model(
    model: Allocation, law: scaling.Law, source: str, served: float, wanted: float, unique: float | None
) -> list[Figure]:
    """Operations and loss of the model that is asked about."""
    n, d = model.parameters, model.tokens
    figures = [
        Figure("training", model.flops, "FLOP", f"6 x {n:.4g} x {d:.4g}", "C = 6 N D: Kaplan et al. 2020, section 2.1"),
        Figure("serving", serving_flops(n, served), "FLOP", f"2 x {n:.4g} x {served:.4g} tokens", SARDANA),
        law_figure(law, source, repeats=bool(unique)),
    ]
    if not unique:
        return [*figures, Figure("loss", wanted, "nats a token", loss_formula(law, n, d), source)]
    worth = effective_parameters(matched_size(law, min(unique, d)), n), effective_tokens(unique, d / unique)
    said = f"{source}; N' and D': {REPEATS}"
    return [
        *figures,
        Figure("epochs", d / unique, "", f"{short(d)} / {short(unique)}", "D / U of the model asked about"),
        Figure("loss", wanted, "nats a token", loss_formula(law, *worth), said),
    ]


def _best_model(
    model: Allocation, best: Allocation, law: scaling.Law, source: str, served: float, wanted: float,
    unique: float | None, budget: Budget,
) -> list[Figure]:  # fmt: skip
    """The one that costs least over its life."""
    before, after = (device_hours(one, served, budget) for one in (model, best))
    times = f"{budget.utilisation.share:.4g} / {budget.serving.share:.4g}"
    n = best.parameters
    inverse = f"({law['B']:g} / ({wanted:.5g} - {law['E']:g} - {law['A']:g} / {n:.4g}^{law['alpha']:g}))"
    inverse += f"^(1/{law['beta']:g})"
    if unique:
        inverse = f"the D of this loss, repeats of {short(unique)} tokens worth less; found by number"
        source = f"{source}; {REPEATS}"
    lowest = f"lowest 6 N D + {times} x 2 N x {served:.4g} at a loss of {wanted:.4g}, found by number"
    figures = [
        Figure("best size", n, "parameters", lowest, f"{SARDANA}, real-world cost: each over its utilisation"),
        Figure("best tokens", best.tokens, "tokens", inverse, source),
        Figure("saved over its life", 1 - after / before, "share", f"1 - {after:.4g} / {before:.4g} device-hours",
               "training and serving of both, each at its utilisation"),
    ]  # fmt: skip
    if unique:
        each = f"{short(best.tokens)} / {short(unique)}"
        figures.append(Figure("epochs of the best", best.tokens / unique, "", each, "D / U"))
    return figures


def _on_the_cluster(model: Allocation, budget: Budget, served: float) -> list[Figure]:
    """Time of training, and what training and serving cost where there is a price."""
    serve = serving_flops(model.parameters, served)
    figures = [budget.assumed(), budget.served(), budget.time("time of training", model.flops)]
    if budget.cluster.price_per_hour:
        figures.append(budget.cost("cost of training", model.flops))
        figures.append(budget.cost("cost of serving", serve, serving=True))
    return figures


def device_hours(one: Allocation, served: float, budget: Budget) -> float:
    """Of training and serving, each at its utilisation."""
    serving = budget.device_hours(serving_flops(one.parameters, served), serving=True)
    return budget.device_hours(one.flops) + serving


def _row(name: str, one: Allocation, served: float, budget: Budget) -> tuple[str | None, ...]:
    hours = device_hours(one, served, budget)
    cost = f"{hours * budget.cluster.price_per_hour:,.0f}" if budget.cluster.price_per_hour else None
    flops = (f"{x:.3g}" for x in (one.flops, serving_flops(one.parameters, served)))
    each = short(one.tokens_per_parameter)
    return (name, short(one.parameters), short(one.tokens), each, *flops, f"{hours:,.0f}", cost)
