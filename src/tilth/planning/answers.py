"""The plans of size, memory, layout, cost and scale as reports: every figure with its formula and source."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.laws.chinchilla import optimum
from tilth.laws.counting import Counting
from tilth.laws.flops import training_flops_per_token
from tilth.laws.kaplan import Allocation, published_allocation
from tilth.laws.memory import (
    STATE_BYTES,
    StateBytes,
    gated_layer_activations,
    logit_bytes,
    model_states,
    short_activations,
)
from tilth.laws.model_size import Shape, active_parameters, matmul_parameters, parameter_parts, parameters
from tilth.laws.repeated import effective_tokens
from tilth.planning import scaling
from tilth.planning.cluster import Cluster, checkpoint_interval, lost_share
from tilth.planning.figures import Figure, Report, Table, bytes_shown, joined, short
from tilth.planning.layout import (
    Candidate,
    Choice,
    Task,
    as_row,
    choose,
    leanest,
    model_utilisation,
    nearest_cluster,
)

KORTHIKANTI = "Korthikanti et al. 2022 (arXiv:2205.05198)"
SARDANA = "Sardana et al. 2023 (arXiv:2401.00448)"
DAY = 86400.0


def size_report(name: str, shape: Shape, length: int) -> Report:
    """Parameters in three countings, and operations a token in three conventions."""
    parts, matrices = parameter_parts(shape), matmul_parameters(shape)
    width, layers = shape.query_width, shape.layers
    count = parameters(shape)
    figures = [
        Figure(
            "parameters",
            count,
            "parameters",
            " + ".join(f"{v:,} {k}" for k, v in vars(parts).items()),
            "every trained number, a tied matrix once (Chinchilla's N)",
        ),
        Figure(
            "without embeddings",
            parameters(shape, Counting.WITHOUT_EMBEDDINGS),
            "parameters",
            "attention + feed-forward + norms",
            "Kaplan et al. 2020",
        ),
        Figure(
            "with head", parameters(shape, Counting.WITH_HEAD), "parameters", "the same + V H", "Porian et al. 2024"
        ),
    ]
    if shape.experts:
        figures.append(
            Figure(
                "active", active_parameters(shape), "parameters", f"{shape.active_experts} of {shape.experts} experts"
            )
        )
    for title, convention, times, source in (
        ("FLOP a token, causal", "causal", 6, "6 x matmul parameters with head + 6 L d T"),
        ("FLOP a token, full attention", "full", 12, "Chowdhery et al. 2022 (PaLM), appendix B"),
    ):
        flops = training_flops_per_token(shape, length, convention)  # type: ignore[arg-type]
        formula = f"6 x {matrices:,} + {times} x {layers} x {width} x {length:,}"
        figures.append(Figure(title, flops, "FLOP a token", formula, source))
    figures.append(Figure("FLOP a token, 6 N", 6.0 * count, "FLOP a token", f"6 x {count:,}", "Kaplan et al. 2020"))
    return Report(f"{name} at T = {length:,}", tuple(figures))


def memory_report(
    name: str,
    shape: Shape,
    *,
    micro_batch: int,
    length: int,
    ranks: int,
    states: str = "mixed",
    k: float = 4.0,
    own: StateBytes | None = None,
) -> Report:
    """Model states under each ZeRO stage, activations by recomputation, logits; the short form beside."""
    each = own or STATE_BYTES[states]
    count, tokens = parameters(shape), micro_batch * length
    bytes_each = f"{each.parameter:g}/{each.gradient:g}/{each.optimizer:g} bytes"
    figures = [
        Figure(
            "model states",
            count * each.total,
            "B",
            f"{count:,} x {each.total:g} ({bytes_each})",
            "Rajbhandari et al. 2020 (ZeRO), section 3.1",
        )
    ]
    kept = {}
    for how in ("none", "selective", "full"):
        layer = gated_layer_activations(shape, tokens, recompute=how)
        kept[how] = shape.layers * layer
        figures.append(
            Figure(
                f"activations, recomputation {how}",
                kept[how],
                "B",
                f"{shape.layers} layers x {bytes_shown(layer)} of {tokens:,} tokens",
                "own sum: RMSNorm, SwiGLU, flash attention, bf16",
            )
        )
    logits = logit_bytes(tokens, shape.vocabulary, k)
    figures.append(Figure("logits", logits, "B", f"{k:g} x {tokens:,} x {shape.vocabulary:,}", "k B T V"))
    residual, head = short_activations(shape.layers, shape.hidden, shape.vocabulary, tokens)
    figures.append(
        Figure(
            "short form, activations",
            residual + head,
            "B",
            f"2 L B T H + 12 B T V = {joined([('layers', residual), ('logits', head)])}",
            "full recomputation, one micro-batch",
        )
    )
    figures.append(Figure("short form, states", 16.0 * count, "B", f"16 x {count:,}"))
    rows = []
    for stage in (0, 1, 2, 3):
        held = model_states(count, each, stage, ranks)
        rows.append(
            (
                f"ZeRO-{stage}",
                *(f"{x / 1e9:,.2f}" for x in (held.parameters, held.gradients, held.optimizer)),
                f"{held.total / 1e9:,.2f}",
                *(f"{(held.total + a + logits) / 1e9:,.2f}" for a in kept.values()),
            )
        )
    columns = ("stage", "parameters", "gradients", "optimizer", "states", "+ activations", "+ selective", "+ full")
    table = Table(f"GB on each of {ranks} devices (logits included from `+ activations` on)", columns, tuple(rows))
    return Report(f"{name}: {micro_batch} x {length:,} tokens a device, {bytes_each}", tuple(figures), (table,))


def layout_report(name: str, task: Task, cluster: Cluster, *, every: bool = False, best: int = 8) -> Report:
    """The proposed layout with time, MFU, cost and failures; or the nearest cluster that can, and why."""
    found, notes = choose(task, cluster), []
    if found is None:
        lean = leanest(task, cluster)
        notes.append(_impossible(lean, cluster))
        larger = nearest_cluster(task, cluster)
        if larger is None:
            return Report(f"{name} on {cluster.described}: impossible", (), (), tuple(notes))
        cluster, found = larger
        notes.append(f"nearest cluster of such nodes that can: {cluster.described}; the figures are of that one")
    chosen = found.chosen
    notes.append(found.reason)
    if found.fastest.time.total < 0.95 * chosen.time.total:
        gain = chosen.time.total / found.fastest.time.total - 1
        notes.append(f"{found.fastest.layout.described} would be {gain:.0%} faster, with more to go wrong")
    ranked = sorted(found.all, key=lambda c: (not c.fits, c.time.total))
    shown = [chosen, *(c for c in ranked if c is not chosen)]
    rows = tuple(as_row(task, c, cluster) for c in (shown if every else shown[:best]))
    columns = ("layout", "GB", "s a step", "tokens/s", "MFU", "verdict")
    fits = sum(c.fits for c in found.all)
    table = Table(f"{fits} of {len(found.all)} layouts fit; the chosen one first, then the fastest", columns, rows)
    return Report(f"{name} on {cluster.described}", tuple(_run_figures(task, chosen, cluster)), (table,), tuple(notes))


def _impossible(lean: Candidate | None, cluster: Cluster) -> str:
    if lean is None:
        return f"no layout divides this model's layers and heads and this batch over {cluster.devices} devices"
    return (
        f"{cluster.described} cannot hold it: even {lean.layout.described} needs {lean.verdict}; "
        f"as many devices of {lean.memory.total / 1e9:,.0f} GB could"
    )


def _run_figures(task: Task, chosen: Candidate, cluster: Cluster) -> list[Figure]:
    """Of the whole training run."""
    step, batch = chosen.time.total, task.sequences * task.length
    steps = max(1.0, task.tokens / batch)
    mfu = model_utilisation(task, chosen, cluster)
    flops = training_flops_per_token(task.shape, task.length)
    peak = cluster.devices * cluster.one.flops
    busy = steps * step
    state = parameters(task.shape) * (task.states.parameter + task.states.optimizer)
    save = state / (cluster.storage * cluster.nodes)
    between = cluster.hours_between_failures * 3600 / cluster.devices
    interval = checkpoint_interval(save, between)
    lost = min(0.99, lost_share(save, interval, between, cluster.restart_seconds))
    wall = busy / (1 - lost)
    parts = ", ".join(f"{value:.3g} {key}" for key, value in vars(chosen.time).items() if value)
    figures = [
        Figure("layout", chosen.layout.described),
        Figure("memory of a device", chosen.memory.total, "B", joined(list(chosen.memory.parts().items()))),
        Figure("seconds a step", step, "", parts, "constants met by Korthikanti et al. 2022, table 5, within 4 %"),
        Figure("tokens a second", batch / step, "", f"{batch:,} / {step:.3g}"),
        Figure(
            "MFU",
            mfu,
            "share",
            f"{flops:.4g} FLOP a token x {batch / step:,.0f} / {peak:.4g}",
            "6 x matmul parameters + causal attention; recomputation not counted",
        ),
        Figure("training time", busy, "s", f"{steps:,.0f} steps x {step:.3g} s"),
        Figure(
            "expected failures",
            cluster.failures(busy),
            "",
            f"{cluster.devices} devices x {busy / 3600:,.1f} h / {cluster.hours_between_failures:,.0f} h",
            "Grattafiori et al. 2024, section 3.3.4, unless given",
        ),
        Figure(
            "seconds to save", save, "", f"{bytes_shown(state)} / ({cluster.nodes} x {bytes_shown(cluster.storage)}/s)"
        ),
        Figure(
            "checkpoint every",
            interval,
            "s",
            f"Daly's optimum for {save:.3g} s and {between:,.0f} s between failures",
            "Young 1974; Daly 2006, equation 37",
        ),
        Figure("lost to failures and saving", lost, "share"),
        Figure("wall time", wall, "s", f"{busy / DAY:,.3g} days / (1 - {lost:.4f})"),
        Figure("device-hours", wall / 3600 * cluster.devices, ""),
    ]
    if cluster.price_per_hour:
        cost = wall / 3600 * cluster.devices * cluster.price_per_hour
        formula = f"{cluster.devices} x {wall / 3600:,.2f} h x {cluster.price_per_hour:g}"
        figures.append(Figure("cost", cost, "(price)", formula))
    return figures


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
    """Size and tokens for a budget, with repeats where data run out, and the ladder that leads there."""
    law, source = scaling.LAWS[law_name]
    best, kaplan = optimum(law, budget.flops), published_allocation(budget.flops)
    figures = [
        Figure("compute", budget.flops, "FLOP", budget.formula),
        Figure("best size", best.parameters, "parameters", "G (C/6)^(beta/(alpha+beta))", source),
        Figure("best tokens", best.tokens, "tokens", f"C / (6 x {best.parameters:.4g})", source),
        Figure("tokens a parameter", best.tokens / best.parameters, ""),
        Figure(
            "loss", scaling.loss(law, best.parameters, best.tokens), "nats a token", "E + A/N^alpha + B/D^beta", source
        ),
        Figure(
            "Kaplan's size",
            kaplan.parameters,
            "parameters",
            "1.3e9 C^0.73, C in PF-days, without embeddings",
            "Kaplan et al. 2020, table 6",
        ),
    ]
    target, notes = best, []
    if unique:
        target = scaling.data_limited_optimum(law, budget.flops, unique)
        worth = effective_tokens(unique, target.tokens / unique)
        epochs = target.tokens / unique
        figures += [
            Figure("unique tokens", unique, "tokens"),
            Figure("size with this data", target.parameters, "parameters", "lowest loss of 6 N D = C with repeats"),
            Figure("tokens with this data", target.tokens, "tokens", f"C / (6 x {target.parameters:.4g})"),
            Figure("epochs", epochs, "", f"{short(target.tokens)} / {short(unique)}"),
            Figure(
                "repeats are worth",
                worth,
                "tokens",
                f"U + U x 15.4 (1 - exp(-({epochs:.3g} - 1) / 15.4))",
                "Muennighoff et al. 2023, equation 5",
            ),
            Figure("loss with this data", scaling.loss(law, target.parameters, worth), "nats a token", "", source),
        ]
        if epochs > 4:
            notes.append(
                f"{epochs:.1f} epochs: beyond four repeats lose their value; gather more text, or mix in another domain"
            )
    rows = []
    for share, name, check in RUNGS:
        at = Budget(share * budget.flops, "")
        rung = scaling.data_limited_optimum(law, at.flops, unique) if unique else optimum(law, at.flops)
        cost = f"{at.flops * budget.price_per_flop:,.2f}" if budget.price_per_flop else None
        rows.append((name, f"{share:.0%}", short(rung.parameters), short(rung.tokens), f"{at.flops:.3g}", cost, check))
    columns = ("rung", "compute", "parameters", "tokens", "FLOP", "cost", "before the next one")
    return Report(
        "Scale ladder", tuple(figures), (Table("The pilot first, then in steps", columns, tuple(rows)),), tuple(notes)
    )


def cost_report(shape_tokens: Allocation, budget: Budget, law_name: str, served: float) -> Report:
    """A model's training and serving together, and the size that reaches its loss most cheaply over its life."""
    law, source = scaling.LAWS[law_name]
    n, d = shape_tokens.parameters, shape_tokens.tokens
    wanted = scaling.loss(law, n, d)
    best = scaling.serving_optimum(law, wanted, served)
    price = budget.price_per_flop

    def life(one: Allocation) -> tuple[float, float]:
        return 6 * one.parameters * one.tokens, 2 * one.parameters * served

    rows = []
    for name, one in (
        ("this one", shape_tokens),
        ("cheapest over its life", best),
        ("cheapest to train", scaling.serving_optimum(law, wanted, 0)),
    ):
        train, serve = life(one)
        cost = f"{(train + serve) * price:,.0f}" if price else None
        rows.append(
            (
                name,
                short(one.parameters),
                short(one.tokens),
                f"{one.tokens / one.parameters:,.0f}",
                f"{train:.3g}",
                f"{serve:.3g}",
                f"{train + serve:.3g}",
                cost,
            )
        )
    columns = ("model", "parameters", "tokens", "tokens a parameter", "training FLOP", "serving FLOP", "both", "cost")
    train, serve = life(shape_tokens)
    figures = [
        Figure("training", train, "FLOP", f"6 x {n:.4g} x {d:.4g}", "C = 6 N D"),
        Figure("serving", serve, "FLOP", f"2 x {n:.4g} x {served:.4g} tokens", SARDANA),
        Figure("loss", wanted, "nats a token", "E + A/N^alpha + B/D^beta", source),
        Figure("best size", best.parameters, "parameters", "lowest 6 N D + 2 N x served at this loss", SARDANA),
        Figure("best tokens", best.tokens, "tokens", "(B / (loss - E - A/N^alpha))^(1/beta)", source),
        Figure("saved over its life", 1 - sum(life(best)) / (train + serve), "share"),
    ]
    if price:
        figures.append(Figure("cost of training", train * price, "(price)", f"{train:.4g} FLOP x {price:.3g}"))
        figures.append(
            Figure(
                "cost of serving",
                serve * price,
                "(price)",
                f"{serve:.4g} FLOP x {price:.3g}",
                "at training's utilisation; small batches cost more",
            )
        )
    return Report(
        f"Training and {short(served)} served tokens",
        tuple(figures),
        (Table("Models of the same loss", columns, tuple(rows)),),
    )


__all__ = [
    "Budget",
    "Choice",
    "budget_of",
    "cost_report",
    "layout_report",
    "memory_report",
    "scale_report",
    "size_report",
]
