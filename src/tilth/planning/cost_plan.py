"""Training and serving together: what both cost, and the size that reaches the same loss most cheaply over its life."""

from __future__ import annotations

from tilth.laws.kaplan import Allocation
from tilth.planning import scaling
from tilth.planning.figures import Figure, Report, Table, short
from tilth.planning.scale_plan import REPEATS, Budget

SARDANA = "Sardana et al. 2023 (arXiv:2401.00448)"


def cost_report(model: Allocation, budget: Budget, law_name: str, served: float, unique: float | None = None) -> Report:
    """A model's training and serving together, and the size that reaches its loss most cheaply over its life.

    `unique`: tokens of text that there are; what is trained on beyond them are repeats.
    """
    law, source = scaling.LAWS[law_name]
    n, d, price = model.parameters, model.tokens, budget.price_per_flop
    wanted = scaling.loss_with(law, n, d, unique)
    best = scaling.serving_optimum(law, wanted, served, unique)
    formula, inverse = "E + A/N^alpha + B/D^beta", "(B / (loss - E - A/N^alpha))^(1/beta)"
    if unique:
        source = f"{source}; {REPEATS}"
        formula, inverse = "E + A/N'^alpha + B/D'^beta", "the D of this loss, repeats of U tokens worth less"
    train, serve = _life(model, served)
    figures = [
        Figure("training", train, "FLOP", f"6 x {n:.4g} x {d:.4g}", "C = 6 N D"),
        Figure("serving", serve, "FLOP", f"2 x {n:.4g} x {served:.4g} tokens", SARDANA),
        Figure("loss", wanted, "nats a token", formula, source),
        Figure("best size", best.parameters, "parameters", "lowest 6 N D + 2 N x served at this loss", SARDANA),
        Figure("best tokens", best.tokens, "tokens", inverse, source),
        Figure("saved over its life", 1 - sum(_life(best, served)) / (train + serve), "share"),
    ]
    if unique:
        figures.append(Figure("epochs", best.tokens / unique, "", f"{short(best.tokens)} / {short(unique)}"))
    if price:
        busy = "at training's utilisation; small batches cost more"
        figures += [
            Figure("cost of training", train * price, "(price)", f"{train:.4g} FLOP x {price:.3g}"),
            Figure("cost of serving", serve * price, "(price)", f"{serve:.4g} FLOP x {price:.3g}", busy),
        ]
    models = (
        ("this one", model),
        ("cheapest over its life", best),
        ("cheapest to train", scaling.serving_optimum(law, wanted, 0, unique)),
    )
    rows = tuple(_row(name, one, served, price) for name, one in models)
    columns = ("model", "parameters", "tokens", "tokens a parameter", "training FLOP", "serving FLOP", "both", "cost")
    table = Table("Models of the same loss", columns, rows)
    return Report(f"Training and {short(served)} served tokens", tuple(figures), (table,))


def _life(one: Allocation, served: float) -> tuple[float, float]:
    """FLOP of training and of serving."""
    return 6 * one.parameters * one.tokens, 2 * one.parameters * served


def _row(name: str, one: Allocation, served: float, price: float) -> tuple[str | None, ...]:
    train, serve = _life(one, served)
    cost = f"{(train + serve) * price:,.0f}" if price else None
    flops = (f"{x:.3g}" for x in (train, serve, train + serve))
    return (name, short(one.parameters), short(one.tokens), f"{one.tokens / one.parameters:,.0f}", *flops, cost)
