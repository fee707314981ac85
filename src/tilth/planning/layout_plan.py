"""The layout of a model on a cluster as a report: time, MFU, cost, failures; or the nearest cluster that can."""

from __future__ import annotations

import math
from typing import Any

from tilth.laws.flops import training_flops_per_token
from tilth.laws.model_size import parameters
from tilth.planning.cluster import Cluster, checkpoint_interval, lost_share
from tilth.planning.figures import Figure, Report, Table, bytes_shown, joined
from tilth.planning.layout import Task
from tilth.planning.layout_choice import Candidate, Choice, choose, leanest, nearest_cluster

DAY = 86400.0


def layout_report(name: str, task: Task, cluster: Cluster, *, every: bool = False, best: int = 8) -> Report:
    """The proposed layout with time, MFU, cost and failures; or the nearest cluster that can, and why."""
    found, notes = choose(task, cluster), []
    if found is None:
        notes.append(_impossible(leanest(task, cluster), task, cluster))
        other = nearest_cluster(task, cluster)
        if other is None:
            notes.append("no number of such devices can: give devices with more memory, or another --batch or --length")
            return Report(f"{name} on {cluster.described}: impossible", (), (), tuple(notes))
        cluster, found = other
        notes.append(f"nearest cluster of such devices that can: {cluster.described}; the figures are of that one")
    chosen = found.chosen
    notes.append(found.reason)
    if found.fastest.time.total < 0.95 * chosen.time.total:
        gain = chosen.time.total / found.fastest.time.total - 1
        notes.append(f"{found.fastest.layout.described} would be {gain:.0%} faster, with more to go wrong")
    table = _table(task, found, cluster, None if every else best)
    figures = [*_step_figures(task, chosen, cluster), *_run_figures(task, chosen, cluster)]
    return Report(f"{name} on {cluster.described}", tuple(figures), (table,), tuple(notes))


def _impossible(lean: Candidate | None, task: Task, cluster: Cluster) -> str:
    if lean is None:
        return (
            f"no layout divides this model's {task.shape.layers} layers and {task.shape.heads} heads and a step's "
            f"{task.sequences} sequences over {cluster.devices} devices"
        )
    return (
        f"{cluster.described} cannot hold it: even {lean.layout.described} needs {lean.verdict}; "
        f"as many devices of {math.ceil(lean.memory.total / 1e9):,} GB could"
    )


def _table(task: Task, found: Choice, cluster: Cluster, most: int | None) -> Table:
    """The chosen layout, then the fastest of those that fit, then what does not."""
    ranked = sorted(found.all, key=lambda c: (not c.fits, c.time.total))
    shown = [found.chosen, *(c for c in ranked if c is not found.chosen)]
    rows = tuple(_row(task, c, cluster) for c in shown[:most])
    columns = ("layout", "GB", "s a step", "tokens/s", "MFU", "verdict")
    fits = sum(c.fits for c in found.all)
    return Table(f"{fits} of {len(found.all)} layouts fit; the chosen one first, then the fastest", columns, rows)


def _row(task: Task, candidate: Candidate, cluster: Cluster) -> tuple[Any, ...]:
    seconds = candidate.time.total
    speed = task.sequences * task.length / seconds
    mfu = f"{model_utilisation(task, candidate, cluster):.1%}"
    memory = f"{candidate.memory.total / 1e9:.1f}"
    return (candidate.layout.described, memory, f"{seconds:.3g}", f"{speed:,.0f}", mfu, candidate.verdict)


def model_utilisation(task: Task, candidate: Candidate, cluster: Cluster) -> float:
    """MFU: 6 x matmul parameters + causal attention, over the devices' peak."""
    flops = training_flops_per_token(task.shape, task.length) * task.sequences * task.length
    return flops / candidate.time.total / (cluster.devices * cluster.one.flops)


def _step_figures(task: Task, chosen: Candidate, cluster: Cluster) -> list[Figure]:
    """Of one step."""
    step, batch = chosen.time.total, task.sequences * task.length
    flops, peak = training_flops_per_token(task.shape, task.length), cluster.devices * cluster.one.flops
    parts = ", ".join(f"{value:.3g} {key}" for key, value in vars(chosen.time).items() if value)
    mfu = f"{flops:.4g} FLOP a token x {batch / step:,.0f} / {peak:.4g}"
    counted = "6 x matmul parameters + causal attention; recomputation not counted"
    return [
        Figure("layout", chosen.layout.described),
        Figure("memory of a device", chosen.memory.total, "B", joined(list(chosen.memory.parts().items()))),
        Figure("seconds a step", step, "", parts, "constants met by Korthikanti et al. 2022, table 5, within 4 %"),
        Figure("tokens a second", batch / step, "", f"{batch:,} / {step:.3g}"),
        Figure("MFU", model_utilisation(task, chosen, cluster), "share", mfu, counted),
    ]


def _run_figures(task: Task, chosen: Candidate, cluster: Cluster) -> list[Figure]:
    """Of the whole training run, with what fails and is saved on the way."""
    step = chosen.time.total
    steps = max(1.0, task.tokens / (task.sequences * task.length))
    busy = steps * step
    state = parameters(task.shape) * (task.states.parameter + task.states.optimizer)
    save = state / (cluster.storage * cluster.nodes)
    between = cluster.hours_between_failures * 3600 / cluster.devices
    interval = checkpoint_interval(save, between)
    lost = min(0.99, lost_share(save, interval, between, cluster.restart_seconds))
    wall = busy / (1 - lost)
    fails = f"{cluster.devices} devices x {busy / 3600:,.1f} h / {cluster.hours_between_failures:,.0f} h"
    written = f"{bytes_shown(state)} / ({cluster.nodes} x {bytes_shown(cluster.storage)}/s)"
    daly = f"Daly's optimum for {save:.3g} s and {between:,.0f} s between failures"
    llama = "Grattafiori et al. 2024, section 3.3.4, unless given"
    figures = [
        Figure("training time", busy, "s", f"{steps:,.0f} steps x {step:.3g} s"),
        Figure("expected failures", cluster.failures(busy), "", fails, llama),
        Figure("seconds to save", save, "", written),
        Figure("checkpoint every", interval, "s", daly, "Young 1974; Daly 2006, equation 37"),
        Figure("lost to failures and saving", lost, "share"),
        Figure("wall time", wall, "s", f"{busy / DAY:,.3g} days / (1 - {lost:.4f})"),
        Figure("device-hours", wall / 3600 * cluster.devices, ""),
    ]
    if cluster.price_per_hour:
        cost = wall / 3600 * cluster.devices * cluster.price_per_hour
        formula = f"{cluster.devices} x {wall / 3600:,.2f} h x {cluster.price_per_hour:g}"
        figures.append(Figure("cost", cost, "(price)", formula))
    return figures
