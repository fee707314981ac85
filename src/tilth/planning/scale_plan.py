"""How large and how long: the best size for a budget, with repeats where data run out, and the ladder up to it."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.laws.chinchilla import optimum
from tilth.laws.kaplan import Allocation, published_allocation
from tilth.laws.repeated import MUENNIGHOFF, effective_parameters, effective_tokens, matched_size
from tilth.planning import scaling
from tilth.planning.cluster import Cluster
from tilth.planning.figures import Figure, Report, Table, short

REPEATS = "Muennighoff et al. 2023 (arXiv:2305.16264), equations 5 and 6"
NEARLY_FRESH, WORTHLESS = 4, 40
"""Epochs up to which repeats are nearly as good as fresh text, and behind which they bring nothing (Muennighoff et al.
2023, figure 1)."""
DAY = 86400.0


@dataclass(frozen=True)
class Budget:
    """Operations that may be spent, and how they were found."""

    flops: float
    formula: str
    price_per_flop: float = 0.0


def budget_of(cluster: Cluster, days: float, utilisation: float) -> Budget:
    """A cluster's operations in some days at a model's utilisation."""
    flops = cluster.devices * cluster.one.flops * utilisation * days * DAY
    formula = f"{cluster.devices} x {cluster.one.flops:.4g} FLOP/s x {utilisation:.0%} x {days:g} days"
    return Budget(flops, formula, cluster.price_per_hour / 3600 / (cluster.one.flops * utilisation))


RUNGS = (
    (0.01, "pilot", "the whole recipe: loss falls, resume is exact, evaluation and export work, forecasts hold"),
    (0.03, "step 2", "learning rate and batch at this size; the law through both points; no group's loss rises"),
    (0.1, "step 3", "loss within 1 % of what the two before predict; time and memory as planned"),
    (1.0, "the run", "loss against the prediction at 10, 30 and 60 % of the tokens; stop rules written down before"),
)
"""Share of the compute, name, and what must hold before the next one starts."""


def scale_report(budget: Budget, law_name: str, unique: float | None = None) -> Report:
    """Size and tokens for a budget, with repeats where data run out, and the ladder."""
    law, source = scaling.LAWS[law_name]
    figures = _with_all_data(budget, law, source)
    notes: tuple[str, ...] = ()
    if unique:
        target = scaling.data_limited_optimum(law, budget.flops, unique)
        figures += _with_this_data(law, source, target, unique)
        notes = _said_of(target.tokens / unique)
    return Report("Scale ladder", tuple(figures), (_ladder(budget, law, unique),), notes)


def _with_all_data(budget: Budget, law: scaling.Law, source: str) -> list[Figure]:
    """The compute-optimal model where there is as much text as it wants."""
    best, kaplan = optimum(law, budget.flops), published_allocation(budget.flops)
    lowest = scaling.loss(law, best.parameters, best.tokens)
    return [
        Figure("compute", budget.flops, "FLOP", budget.formula),
        Figure("best size", best.parameters, "parameters", "G (C/6)^(beta/(alpha+beta))", source),
        Figure("best tokens", best.tokens, "tokens", f"C / (6 x {best.parameters:.4g})", source),
        Figure("tokens a parameter", best.tokens / best.parameters, ""),
        Figure("loss", lowest, "nats a token", "E + A/N^alpha + B/D^beta", source),
        Figure(
            "Kaplan's size",
            kaplan.parameters,
            "parameters",
            "1.3e9 C^0.73, C in PF-days, without embeddings",
            "Kaplan et al. 2020, table 6",
        ),
    ]


def _with_this_data(law: scaling.Law, source: str, target: Allocation, unique: float) -> list[Figure]:
    """The model for the tokens at hand, and what its tokens and parameters are worth."""
    size, tokens, epochs = target.parameters, target.tokens, target.tokens / unique
    read = min(unique, tokens)
    matched = matched_size(law, read)
    reached = scaling.loss_with(law, size, tokens, unique)
    worth = effective_tokens(unique, epochs), effective_parameters(matched, size)
    fitted = f"{REPEATS}; R_D and R_N as fitted there on C4"
    calls = f"N_U = (alpha A / (beta B))^(1/alpha) x {read:.4g}^(beta/alpha)"
    return [
        Figure("unique tokens", unique, "tokens"),
        Figure("size with this data", size, "parameters", "lowest E + A/N'^alpha + B/D'^beta of 6 N D = C", REPEATS),
        Figure("tokens with this data", tokens, "tokens", f"C / (6 x {size:.4g})"),
        Figure("epochs", epochs, "", f"{short(tokens)} / {short(unique)}"),
        Figure("tokens are worth", worth[0], "tokens", _worth("D", tokens, "U", unique), fitted),
        Figure("size this data calls for", matched, "parameters", calls, source),
        Figure("parameters are worth", worth[1], "parameters", _worth("N", size, "N_U", matched), fitted),
        Figure("loss with this data", reached, "nats a token", "E + A/N'^alpha + B/D'^beta", f"{source}; {REPEATS}"),
    ]


def _worth(used_name: str, used: float, first_name: str, first: float) -> str:
    """The formula that was used, with the numbers put in: nothing is lost where there is no excess."""
    if used <= first * (1 + 1e-9):
        return f"{used_name}' = {used_name}, which is no more than {first_name}"
    r = MUENNIGHOFF[f"R_{used_name}"]
    return f"{used_name}' = {first:.4g} + {first:.4g} x {r:g} x (1 - exp(-({used / first:.4g} - 1) / {r:g}))"


def _said_of(epochs: float) -> tuple[str, ...]:
    if epochs > WORTHLESS:
        return (f"{epochs:,.0f} epochs: behind {WORTHLESS} repeats bring nothing; spend less, or gather more text",)
    if epochs > NEARLY_FRESH:
        said = "beyond four repeats lose their value; gather more text, or mix in another domain"
        return (f"{epochs:.1f} epochs: {said}",)
    return ()


def _ladder(budget: Budget, law: scaling.Law, unique: float | None) -> Table:
    """The pilot first, then in steps."""
    rows = []
    for share, name, check in RUNGS:
        flops = share * budget.flops
        rung = scaling.data_limited_optimum(law, flops, unique) if unique else optimum(law, flops)
        cost = f"{flops * budget.price_per_flop:,.2f}" if budget.price_per_flop else None
        rows.append((name, f"{share:.0%}", short(rung.parameters), short(rung.tokens), f"{flops:.3g}", cost, check))
    columns = ("rung", "compute", "parameters", "tokens", "FLOP", "cost", "before the next one")
    return Table("The pilot first, then in steps", columns, tuple(rows))
