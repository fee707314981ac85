"""The layout of a model on a cluster as a report: time, MFU, cost, failures; or of the nearest cluster that can."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tilth.laws.flops import training_flops_per_token
from tilth.laws.model_size import active_parameters, parameters
from tilth.planning import step_time
from tilth.planning.cluster import Cluster, checkpoint_interval, lost_share
from tilth.planning.figures import DAY, Figure, Report, Table, bytes_shown, joined
from tilth.planning.layout import Task
from tilth.planning.layout_choice import Candidate, Choice, choose, leanest, nearest_cluster
from tilth.planning.layout_memory import SOURCE as MEMORY

MFU = "6 x matmul parameters + causal attention, 6 L d T; recomputation not counted"
"""What is counted as a model's operations wherever a utilisation is called MFU without more."""


def layout_report(name: str, task: Task, cluster: Cluster, *, every: bool = False, best: int = 8) -> Report:
    """The proposed layout with time, MFU, cost and failures.

    Where the cluster cannot hold the model the title says so, with what is needed and what is there; every figure and
    table is then of the nearest cluster that can, and says it. `facts["fits"]` is for machines.
    """
    found = choose(task, cluster)
    facts: dict[str, Any] = {"asked": cluster.described, "fits": found is not None, "cluster": cluster.described}
    if found is not None:
        title, notes = f"{name} on {cluster.described}", tuple(_batch_notes(task, cluster))
        return _report(title, "", task, cluster, found, facts, notes, every, best)
    title, notes = _why_not(name, task, cluster)
    other = nearest_cluster(task, cluster)
    if other is None:
        said = "no number of such devices can: give devices with more memory, or another --batch or --length"
        return Report(title, (), (), (said, *notes), facts=facts | {"cluster": None})
    cluster, found = other
    facts["cluster"] = cluster.described
    label = f"nearest cluster of such devices that can: {cluster.described}"
    return _report(title, label, task, cluster, found, facts, notes, every, best)


def _report(
    title: str, label: str, task: Task, cluster: Cluster, found: Choice, facts: dict[str, Any], said: tuple[str, ...],
    every: bool, best: int,
) -> Report:  # fmt: skip
    """Of the cluster asked, or, with a label, of another."""
    chosen, notes = found.chosen, [*said, found.reason]
    if found.fastest.time.total < 0.95 * chosen.time.total:
        gain = chosen.time.total / found.fastest.time.total - 1
        notes.append(f"{found.fastest.layout.described} would be {gain:.0%} faster, with more to go wrong")
    notes.append(f"products at {cluster.one.efficiency:.0%} of the peak: {cluster.origin('efficiency')}")
    figures = [*_step_figures(task, chosen, cluster), *_run_figures(task, chosen, cluster)]
    figures += _assumed(cluster)
    table = _table(task, found, cluster, None if every else best)
    if label:
        figures = [replace(one, of=label) for one in figures]
        table = replace(table, title=f"{label}; {table.title}")
    return Report(title, tuple(figures), (table,), tuple(notes), heading=label, facts=facts)


def _why_not(name: str, task: Task, cluster: Cluster) -> tuple[str, tuple[str, ...]]:
    """Bytes needed against bytes there, or what does not divide; and what would help."""
    lean = leanest(task, cluster)
    if lean is not None:
        held, (largest, size) = lean.memory, max(lean.memory.parts().items(), key=lambda part: part[1])
        title = f"{name} does not fit on {cluster.described}: a device needs {held.total / 1e9:,.1f} GB, it has "
        title += f"{lean.room / 1e9:,.4g} GB"
        said = f"that is the leanest layout, {lean.layout.described}; most are {largest}, {size / 1e9:,.1f} GB; "
        return title, (f"{said}as many devices of {math.ceil(held.total / 1e9):,} GB could",)
    shape = task.shape
    title = f"{name} cannot be divided over {cluster.described}: no layout shares {shape.layers} layers, {shape.heads} "
    title += f"heads and a step's {task.sequences:,} sequences among {cluster.devices} devices"
    other = _even_batch(task, cluster)
    if choose(other, cluster) is None:
        return title, ()
    return title, (f"with --batch {other.batch_tokens} ({other.sequences:,} sequences) it fits on {cluster.described}",)


def _even_batch(task: Task, cluster: Cluster) -> Task:
    """With the nearest batch whose sequences divide evenly among all devices."""
    sequences = max(1, round(task.sequences / cluster.devices)) * cluster.devices
    return replace(task, batch_tokens=sequences * task.length)


def _batch_notes(task: Task, cluster: Cluster) -> Iterator[str]:
    """A step takes whole sequences, and data parallelism equally many of them on each device."""
    taken = task.sequences * task.length
    if taken != task.batch_tokens:
        said = f"a step takes {task.sequences:,} whole sequences of {task.length:,}: {taken:,} tokens"
        yield f"{said} of the {task.batch_tokens:,} asked by --batch"
    if task.sequences % cluster.devices:
        other = _even_batch(task, cluster)
        said = (
            f"{task.sequences:,} sequences do not divide evenly among {cluster.devices} devices, which rules out data "
        )
        yield f"{said}parallelism over all: --batch {other.batch_tokens} ({other.sequences:,} sequences) would"


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
    return training_flops_per_token(task.shape, task.length) * _share_of_peak(task, candidate, cluster)


def _share_of_peak(task: Task, candidate: Candidate, cluster: Cluster) -> float:
    """Tokens a second over the devices' FLOP/s."""
    return task.sequences * task.length / candidate.time.total / (cluster.devices * cluster.one.flops)


def _step_figures(task: Task, chosen: Candidate, cluster: Cluster) -> list[Figure]:
    """Of one step."""
    step, batch = chosen.time.total, task.sequences * task.length
    flops, peak = training_flops_per_token(task.shape, task.length), cluster.devices * cluster.one.flops
    parts = " + ".join(f"{value:.3g} s {key}" for key, value in vars(chosen.time).items() if value)
    mfu = f"{flops:.4g} FLOP a token x {batch / step:,.0f} / {peak:.4g}"
    count = active_parameters(task.shape)
    simple = f"6 x {count:,} x {batch / step:,.0f} / {peak:.4g}"
    law = "as scaling laws count: what --utilisation of plan scale and plan cost assumes; attention left out"
    law += "; N: what a token meets of the experts" if task.shape.experts else ""
    preferred = "simplest kind that fits, of that kind the fastest: Narayanan et al. 2021 (PTD-P), section 3"
    return [
        Figure("layout", chosen.layout.described, "", "the first line of the table", preferred),
        Figure("memory of a device", chosen.memory.total, "B", joined(list(chosen.memory.parts().items())), MEMORY),
        Figure("seconds a step", step, "", parts, step_time.SOURCE),
        Figure("tokens a second", batch / step, "", f"{batch:,} / {step:.3g} s", "tokens of a step over its time"),
        Figure("MFU", model_utilisation(task, chosen, cluster), "share", mfu, MFU),
        Figure("MFU by 6 N D", 6 * count * _share_of_peak(task, chosen, cluster), "share", simple, law),
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
    lost = lost_share(save, interval, between, cluster.restart_seconds)
    wall = busy / (1 - lost) if lost < 1 else math.inf  # it fails faster than it comes back
    hours = wall / 3600 * cluster.devices
    fails = f"{cluster.devices} devices x {busy / 3600:,.1f} h / {cluster.hours_between_failures:,.0f} h"
    written = f"{bytes_shown(state)} / ({cluster.nodes} nodes x {bytes_shown(cluster.storage)}/s)"
    daly = f"optimum for {save:.3g} s to save and {between:,.0f} s between failures"
    share = f"{save:.3g} / ({interval:,.0f} + {save:.3g}) + ({interval:,.0f} / 2 + {cluster.restart_seconds:g}) "
    share += f"/ {between:,.0f}"
    llama = (
        "Grattafiori et al. 2024 (Llama 3), section 3.3.4" if _assumes(cluster, "hours_between_failures") else "given"
    )
    saves = "assumed of a node" if _assumes(cluster, "storage") else "given"
    low, high = step_time.SLOWER
    others = "ten published runs against what is predicted for them, docs/planning.md"
    figures = [
        Figure("training time", busy, "s", f"{steps:,.0f} steps x {step:.3g} s", "tokens over tokens of a step"),
        Figure("expected failures", cluster.failures(busy), "", fails, f"hours between failures of a device: {llama}"),
        Figure("seconds to save", save, "", written, f"parameters and optimizer; speed of storage {saves}"),
        Figure("checkpoint every", interval, "s", daly, "Young 1974; Daly 2006, equation 37"),
        Figure("lost to failures and saving", lost, "share", share, "saving + half an interval and a restart"),
        Figure("wall time", wall, "s", f"{busy / DAY:,.3g} days / (1 - {lost:.4f})", "training time and what is lost"),
        Figure("device-hours", hours, "", f"{cluster.devices} x {wall / 3600:,.2f} h", "devices x wall time"),
    ]  # fmt: skip
    if math.isfinite(hours):
        range_of_hours = f"{low * hours:,.0f} to {high * hours:,.0f} device-hours"
        formula = f"{low:g} to {high:g} x {hours:,.0f}"
        figures.append(Figure("as published runs went", range_of_hours, "", formula, others))
    if cluster.price_per_hour:
        formula = f"{hours:,.2f} device-hours x {cluster.price_per_hour:g} {cluster.currency}"
        figures.append(Figure("cost", hours * cluster.price_per_hour, cluster.currency, formula, "price as given"))
    return figures


def _assumes(cluster: Cluster, name: str) -> bool:
    return name not in cluster.model_fields_set


def _assumed(cluster: Cluster) -> list[Figure]:
    """What the time rests on, of each device, and where it is from."""
    one, links = cluster.one, f"x {step_time.LINK_EFFICIENCY:g} that collective operations reach"
    return [
        Figure("assumed: products", one.efficiency, "share", f"of {one.flops:.4g} FLOP/s",
               cluster.origin("efficiency")),
        Figure("assumed: memory", one.bandwidth, "B/s", f"{step_time.ELEMENTWISE_PASSES:g} passes over each activation",
               cluster.origin("bandwidth")),
        Figure("assumed: link in a node", one.inside, "B/s", links, cluster.origin("inside")),
        Figure("assumed: link across nodes", one.across, "B/s", links, cluster.origin("across")),
        Figure("assumed: overlap", step_time.OVERLAP, "share", "of the gradients' traffic, behind the computation",
               step_time.SOURCE),
    ]  # fmt: skip
