"""Training and serving together: what both cost, and the size that reaches the same loss most cheaply over its life."""

from __future__ import annotations

from tilth.laws.kaplan import Allocation
from tilth.laws.repeated import effective_parameters, effective_tokens, matched_size
from tilth.planning import scaling
from tilth.planning.budget import Budget
from tilth.planning.figures import Figure, Report, Table, short
from tilth.planning.scale_plan import REPEATS, epochs_said, law_figure, loss_formula

SARDANA = "Sardana et al. 2023 (arXiv:2401.00448)"


def cost_report(model: Allocation, budget: Budget, law_name: str, served: float, unique: float | None = None) -> Report:
    """A model's training and serving together, and the size that reaches its loss most cheaply over its life.

    `unique`: tokens of text that there are; what is trained on beyond them are repeats. Of the budget the cluster and
    its utilisation are used.
    """
    law, source = scaling.LAWS[law_name]
    wanted = scaling.loss_with(law, model.parameters, model.tokens, unique)
    best = scaling.serving_optimum(law, wanted, served, unique)
    figures = [
        *_this_model(model, law, source, served, wanted, unique),
        *_best_model(model, best, law, source, served, wanted, unique),
        *_on_the_cluster(model, budget, served),
    ]
    models = (
        ("this one", model),
        ("cheapest over its life", best),
        ("cheapest to train", scaling.serving_optimum(law, wanted, 0, unique)),
    )
    price = budget.price_per_flop
    rows = tuple(_row(name, one, served, price) for name, one in models)
    columns = ("model", "parameters", "tokens", "tokens a parameter", "training FLOP", "serving FLOP", "both", "cost")
    table = Table("Models of the same loss", columns, rows)
    notes = [said for name, one in models for said in epochs_said(name, one.tokens / unique)] if unique else []
    return Report(f"Training and {short(served)} served tokens", tuple(figures), (table,), (*notes, *budget.said()))


def _this_model(
    model: Allocation, law: scaling.Law, source: str, served: float, wanted: float, unique: float | None
) -> list[Figure]:
    """Operations and loss of the model that is asked about."""
    n, d = model.parameters, model.tokens
    train, serve = life(model, served)
    figures = [
        Figure("training", train, "FLOP", f"6 x {n:.4g} x {d:.4g}", "C = 6 N D: Kaplan et al. 2020, section 2.1"),
        Figure("serving", serve, "FLOP", f"2 x {n:.4g} x {served:.4g} tokens", SARDANA),
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
    unique: float | None,
) -> list[Figure]:  # fmt: skip
    """The one that costs least over its life."""
    before, after = sum(life(model, served)), sum(life(best, served))
    n = best.parameters
    inverse = f"({law['B']:g} / ({wanted:.5g} - {law['E']:g} - {law['A']:g} / {n:.4g}^{law['alpha']:g}))"
    inverse += f"^(1/{law['beta']:g})"
    if unique:
        inverse = f"the D of this loss, repeats of {short(unique)} tokens worth less; found by number"
        source = f"{source}; {REPEATS}"
    lowest = f"lowest 6 N D + 2 N x {served:.4g} at a loss of {wanted:.4g}, found by number"
    figures = [
        Figure("best size", n, "parameters", lowest, f"{SARDANA}, equation 1"),
        Figure("best tokens", best.tokens, "tokens", inverse, source),
        Figure("saved over its life", 1 - after / before, "share", f"1 - {after:.4g} / {before:.4g}",
               "6 N D + 2 N x served of both"),
    ]  # fmt: skip
    if unique:
        each = f"{short(best.tokens)} / {short(unique)}"
        figures.append(Figure("epochs of the best", best.tokens / unique, "", each, "D / U"))
    return figures


def _on_the_cluster(model: Allocation, budget: Budget, served: float) -> list[Figure]:
    """Time of training, and what training and serving cost where there is a price."""
    train, serve = life(model, served)
    figures = [budget.assumed(), budget.time("time of training", train)]
    if budget.price_per_flop:
        busy = "at training's utilisation and the price given; small batches cost more"
        figures += [budget.cost("cost of training", train), budget.cost("cost of serving", serve, busy)]
    return figures


def life(one: Allocation, served: float) -> tuple[float, float]:
    """FLOP of training and of serving."""
    return 6 * one.parameters * one.tokens, 2 * one.parameters * served


def _row(name: str, one: Allocation, served: float, price: float) -> tuple[str | None, ...]:
    train, serve = life(one, served)
    cost = f"{(train + serve) * price:,.0f}" if price else None
    flops = (f"{x:.3g}" for x in (train, serve, train + serve))
    return (name, short(one.parameters), short(one.tokens), f"{one.tokens / one.parameters:,.0f}", *flops, cost)
