"""Memory of training as a report: under each ZeRO stage and each way of recomputing, as `plan layout` counts it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from tilth.laws.flops import Recompute
from tilth.laws.memory import StateBytes, ZeroStage, short_activations
from tilth.laws.model_size import Shape, parameters
from tilth.planning.figures import Figure, Report, Table, bytes_shown, joined
from tilth.planning.layout import Layout, Task
from tilth.planning.layout_memory import BUCKET_BYTES, CONTEXT_BYTES, FRAGMENTATION, device_memory, layer_bytes

OWN = "own sum: RMSNorm, gated feed-forward, flash attention, bf16"
PAPERS = "Korthikanti et al. 2022 (arXiv:2205.05198), equations 1 to 6: LayerNorm, GELU, stored scores, dropout"


def memory_report(
    name: str, shape: Shape, states: StateBytes, *, micro_batch: int, length: int, ranks: int, k: float = 4.0
) -> Report:
    """Model states under each ZeRO stage, activations by recomputation, logits, buffers; the short form beside."""
    task = Task(shape, length, micro_batch * length * ranks, 0.0, states, k)
    layout = Layout(data=ranks, micro_batch=micro_batch)
    each = f"{states.parameter:g}/{states.gradient:g}/{states.optimizer:g} bytes"
    figures = (*_held(task, layout, each), *_short_form(task, micro_batch * length))
    return Report(f"{name}: {micro_batch} x {length:,} tokens a device, {each}", figures, (_stages(task, layout),))


def _held(task: Task, layout: Layout, each: str) -> list[Figure]:
    """What stands on a device that shares nothing."""
    shape, tokens, count = task.shape, layout.micro_batch * task.length, parameters(task.shape)
    figures = [
        Figure("model states", count * task.states.total, "B", f"{count:,} x {task.states.total:g} ({each})",
               "Rajbhandari et al. 2020 (ZeRO), section 3.1"),
    ]  # fmt: skip
    memory = device_memory(task, layout)
    for how in get_args(Recompute):
        one = replace(layout, recompute=how)
        formula = f"{shape.layers} layers x {bytes_shown(layer_bytes(task, one))} of {tokens:,} tokens"
        formula += ", a layer's while it is recomputed" if how == "full" else ""
        formula += "" if shape.gated else ", the mask of the embedding's dropout"
        formula += ", what the last norm and the head read"
        held = device_memory(task, one).activations
        figures.append(Figure(f"activations, recomputation {how}", held, "B", formula, OWN if shape.gated else PAPERS))
    beside = {"context": CONTEXT_BYTES} | ({"buckets of gradients": BUCKET_BYTES} if layout.data > 1 else {})
    return [
        *figures,
        Figure(
            "logits",
            memory.logits,
            "B",
            f"{task.logits:g} x {tokens:,} x {shape.vocabulary:,}",
            "k B T V; k: --logits, 4 for one copy in fp32",
        ),
        Figure(
            "buffers",
            memory.buffers,
            "B",
            joined(list(beside.items())) + "; ZeRO-3: two layers gathered as well",
            "assumed: a process's context and libraries, and its buckets",
        ),
        Figure("fragmentation", FRAGMENTATION, "share", "of all the others", "assumed of the allocator"),
    ]


def _short_form(task: Task, tokens: int) -> list[Figure]:
    shape, count = task.shape, parameters(task.shape)
    residual, head = short_activations(shape.layers, shape.hidden, shape.vocabulary, tokens)
    formula = f"2 L B T H + 12 B T V = {joined([('layers', residual), ('logits', head)])}"
    said = "full recomputation, one micro-batch"
    return [
        Figure("short form, activations", residual + head, "B", formula, said),
        Figure(
            "short form, states",
            16.0 * count,
            "B",
            f"16 x {count:,}",
            "2 + 2 + 12 bytes a parameter: Rajbhandari et al. 2020, section 3.1",
        ),
    ]


def _stages(task: Task, layout: Layout) -> Table:
    """A line for each ZeRO stage: its states, and all that a device holds by what is recomputed."""
    rows = []
    for stage in get_args(ZeroStage):
        kept = [device_memory(task, replace(layout, zero=stage, recompute=how)) for how in get_args(Recompute)]
        states = vars(kept[0].states).values()
        figures = (*states, kept[0].states.total, *(one.total for one in kept))
        rows.append((f"ZeRO-{stage}", *(f"{x / 1e9:,.2f}" for x in figures)))
    columns = ("stage", "parameters", "gradients", "optimizer", "states", "in all", "selective", "full")
    on = f"each of {layout.data} devices" if layout.data > 1 else "the device"
    title = f"GB on {on}; in all: with activations, logits, buffers and fragmentation"
    return Table(title, columns, tuple(rows))
