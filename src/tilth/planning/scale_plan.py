"""How large and how long: the best size for a budget, with repeats where data run out, and the ladder up to it."""

from __future__ import annotations

from tilth.laws.allocation import Allocation
from tilth.laws.chinchilla import optimum
from tilth.laws.choices import Constants
from tilth.laws.kaplan import PF_DAY, published_allocation
from tilth.laws.repeated import MUENNIGHOFF, effective_parameters, effective_tokens, matched_size
from tilth.planning import scaling
from tilth.planning.budget import Budget
from tilth.planning.figures import Figure, Report, Table, short

REPEATS = "Muennighoff et al. 2023 (arXiv:2305.16264), equations 5 and 6"
NEARLY_FRESH, WORTHLESS = 4, 40
"""Epochs up to which repeats are nearly as good as fresh text, and behind which they bring nothing (Muennighoff et al.
2023, figure 1)."""
RUNGS = (
    (0.01, "pilot", "the whole recipe: loss falls, resume is exact, evaluation and export work, forecasts hold"),
    (0.03, "step 2", "learning rate and batch at this size; the law through both points; no group's loss rises"),
    (0.1, "step 3", "loss within 1 % of what the two before predict; time and memory as planned"),
    (1.0, "the run", "loss against the prediction at 10, 30 and 60 % of the tokens; stop rules written down before"),
)
"""Share of the compute, name, and what must hold before the next one starts."""


def scale_report(budget: Budget, law_name: Constants, unique: float | None = None) -> Report:
    """Size and tokens for a budget, with repeats where data run out, and the ladder."""
    law, source = scaling.LAWS[law_name]
    figures = _with_all_data(budget, law, source)
    notes: tuple[str, ...] = ()
    if unique:
        target = scaling.data_limited_optimum(law, budget.flops, unique)
        figures += _with_this_data(law, source, target, unique)
        notes = epochs_said("", target.tokens / unique)
    said = (*notes, *budget.said())
    return Report("Scale ladder", tuple(figures), (_ladder(budget, law, unique),), said, facts=budget.currency)


def law_figure(law: scaling.Law, source: str, *, repeats: bool = False) -> Figure:
    """The constants that every loss, size and number of tokens rests on."""
    known = {**MUENNIGHOFF, **law}
    names = ("E", "A", "alpha", "B", "beta", *(("R_D", "R_N") if repeats else ()))
    form = "L = E + A/N'^alpha + B/D'^beta" if repeats else "L = E + A/N^alpha + B/D^beta"
    said = f"{source}; R_D and R_N: {REPEATS}" if repeats else source
    return Figure("law", ", ".join(f"{name} {known[name]:g}" for name in names), "", form, said)


def loss_formula(law: scaling.Law, parameters: float, tokens: float) -> str:
    """The law with its constants and both sizes put in."""
    return (
        f"{law['E']:g} + {law['A']:g} / {parameters:.4g}^{law['alpha']:g} + {law['B']:g} / {tokens:.4g}^{law['beta']:g}"
    )


def _with_all_data(budget: Budget, law: scaling.Law, source: str) -> list[Figure]:
    """The compute-optimal model where there is as much text as it wants."""
    best, kaplan = optimum(law, budget.flops), published_allocation(budget.flops)
    size, tokens = best.parameters, best.tokens
    a, b = law["alpha"], law["beta"]
    grown = (
        f"({a:g} x {law['A']:g} / ({b:g} x {law['B']:g}))^(1/{a + b:.4g}) x ({budget.flops:.4g}/6)^({b:g}/{a + b:.4g})"
    )
    equation = "Hoffmann et al. 2022, equation 4"
    figures = [
        Figure("compute", budget.flops, "FLOP", budget.formula, "budget"),
        budget.assumed(),
        budget.time("time on the cluster", budget.flops),
        law_figure(law, source),
        Figure("best size", size, "parameters", grown, equation),
        Figure("best tokens", tokens, "tokens", f"{budget.flops:.4g} / (6 x {size:.4g})", "C = 6 N D"),
        Figure("tokens a parameter", tokens / size, "", f"{tokens:.4g} / {size:.4g}", "D / N"),
        Figure("loss", scaling.loss(law, size, tokens), "nats a token", loss_formula(law, size, tokens), source),
        Figure("Kaplan's size", kaplan.parameters, "parameters", f"1.3e9 x ({budget.flops:.4g} / {PF_DAY:g})^0.73",
               "Kaplan et al. 2020, table 6: C in PF-days, N without embeddings"),
    ]  # fmt: skip
    if budget.cluster.price_per_hour:
        figures.insert(3, budget.cost("cost", budget.flops))
    return figures


def _with_this_data(law: scaling.Law, source: str, target: Allocation, unique: float) -> list[Figure]:
    """The model for the tokens at hand, and what its tokens and parameters are worth."""
    size, tokens, epochs = target.parameters, target.tokens, target.tokens / unique
    read = min(unique, tokens)
    matched = matched_size(law, read)
    reached = scaling.loss_with(law, size, tokens, unique)
    worth = effective_tokens(unique, epochs), effective_parameters(matched, size)
    fitted = f"{REPEATS}; R_D and R_N as fitted there on C4"
    a, b = law["alpha"], law["beta"]
    calls = f"N_U = ({a:g} x {law['A']:g} / ({b:g} x {law['B']:g}))^(1/{a:g}) x {read:.4g}^({b:g}/{a:g})"
    lowest = f"lowest E + A/N'^alpha + B/D'^beta of 6 N D = {target.flops:.4g} FLOP, found by number"
    return [
        Figure("unique tokens", unique, "tokens", f"U = {unique:.4g}", "as given"),
        Figure("size with this data", size, "parameters", lowest, REPEATS),
        Figure("tokens with this data", tokens, "tokens", f"{target.flops:.4g} / (6 x {size:.4g})", "C = 6 N D"),
        Figure("epochs", epochs, "", f"{short(tokens)} / {short(unique)}", "D / U"),
        Figure("tokens are worth", worth[0], "tokens", _worth("D", tokens, "U", unique), fitted),
        Figure("size this data calls for", matched, "parameters", calls, f"compute-optimal for U tokens: {REPEATS}"),
        Figure("parameters are worth", worth[1], "parameters", _worth("N", size, "N_U", matched), fitted),
        Figure("loss with this data", reached, "nats a token", loss_formula(law, worth[1], worth[0]),
               f"{source}; {REPEATS}"),
    ]  # fmt: skip


def _worth(used_name: str, used: float, first_name: str, first: float) -> str:
    """The formula that was used, with the numbers put in: nothing is lost where there is no excess."""
    if used <= first * (1 + 1e-9):
        return f"{used_name}' = {used_name}, which is no more than {first_name}"
    r = MUENNIGHOFF[f"R_{used_name}"]
    return f"{used_name}' = {first:.4g} + {first:.4g} x {r:g} x (1 - exp(-({used / first:.4g} - 1) / {r:g}))"


def epochs_said(of: str, epochs: float) -> tuple[str, ...]:
    """A warning where tokens are read so often that they bring little; `of`: of which model."""
    said = f"{of}: " if of else ""
    if epochs > WORTHLESS:
        return (
            f"{said}{epochs:,.0f} epochs: behind {WORTHLESS} repeats bring nothing; spend less, or gather more text",
        )
    if epochs > NEARLY_FRESH:
        more = "beyond four repeats lose their value; gather more text, or mix in another domain"
        return (f"{said}{epochs:.1f} epochs: {more}",)
    return ()


def _ladder(budget: Budget, law: scaling.Law, unique: float | None) -> Table:
    """The pilot first, then in steps."""
    rows = []
    for share, name, check in RUNGS:
        flops = share * budget.flops
        rung = scaling.data_limited_optimum(law, flops, unique) if unique else optimum(law, flops)
        cost = f"{budget.price(flops):,.2f}" if budget.cluster.price_per_hour else None
        rows.append((name, f"{share:.0%}", short(rung.parameters), short(rung.tokens), f"{flops:.3g}", cost, check))
    columns = ("rung", "compute", "parameters", "tokens", "FLOP", "cost", "before the next one")
    return Table("The pilot first, then in steps", columns, tuple(rows), {"cost": budget.cluster.currency})
