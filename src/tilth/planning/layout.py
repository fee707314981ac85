"""Layouts: how the devices of a cluster share the training of a model, and every one that divides it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

from tilth.laws.flops import Recompute
from tilth.laws.memory import STATE_BYTES, StateBytes, ZeroStage
from tilth.laws.model_size import Shape
from tilth.planning.cluster import Cluster

KINDS = ("ZeRO alone", "tensor parallel in a node", "pipeline across nodes")
"""Simplest first."""
MICRO_BATCHES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Task:
    """What is to be trained."""

    shape: Shape
    length: int
    batch_tokens: int
    tokens: float
    states: StateBytes = STATE_BYTES["mixed"]
    logits: float = 4.0
    """k of k B T V; 0 with a chunked head."""

    @property
    def sequences(self) -> int:
        """Of a step."""
        return max(1, self.batch_tokens // self.length)


@dataclass(frozen=True)
class Layout:
    """How the devices share the work: t x p x d of them."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    zero: ZeroStage = 0
    micro_batch: int = 1
    sequence_parallel: bool = False
    recompute: Recompute = "none"
    interleaved: int = 1

    @property
    def devices(self) -> int:
        """t p d."""
        return self.tensor * self.pipeline * self.data

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return KINDS[2] if self.pipeline > 1 else KINDS[1] if self.tensor > 1 else KINDS[0]

    @property
    def described(self) -> str:
        """`TP 8 + SP, PP 2, DP 4, ZeRO-1, micro-batch 2, selective recomputation`."""
        parts = [f"TP {self.tensor}" + (" + SP" if self.sequence_parallel else "")] if self.tensor > 1 else []
        if self.pipeline > 1:
            parts.append(f"PP {self.pipeline}" + (f" x {self.interleaved} interleaved" if self.interleaved > 1 else ""))
        parts += [f"DP {self.data}", f"ZeRO-{self.zero}", f"micro-batch {self.micro_batch}"]
        return ", ".join(
            [*parts, "no recomputation" if self.recompute == "none" else f"{self.recompute} recomputation"]
        )


def micro_batches(task: Task, layout: Layout) -> float:
    """Of one replica in a step, m."""
    return task.sequences / (layout.data * layout.micro_batch)


def layouts(task: Task, cluster: Cluster) -> Iterator[Layout]:
    """Tensor parallelism stays inside a node; ZeRO above 1 and pipelines are not combined."""
    shape = task.shape
    for tensor in divisors(min(cluster.per_node, cluster.devices)):
        if shape.heads % tensor or cluster.devices % tensor:
            continue
        for pipeline in divisors(cluster.devices // tensor):
            data = cluster.devices // tensor // pipeline
            if shape.layers % pipeline or task.sequences % data:
                continue
            yield from _variants(task, Layout(tensor, pipeline, data))


def _variants(task: Task, base: Layout) -> Iterator[Layout]:
    stages: tuple[ZeroStage, ...] = (0, 1) if base.pipeline > 1 else (0, 1, 2, 3)
    stages = stages if base.data > 1 else (0,)
    waves = [v for v in (1, 2, 4) if v == 1 or (base.pipeline > 1 and task.shape.layers % (base.pipeline * v) == 0)]
    for micro in MICRO_BATCHES:
        if task.sequences % (base.data * micro):
            continue
        count = task.sequences // (base.data * micro)
        for zero in stages:
            for recompute in get_args(Recompute):
                for split in (False, True) if base.tensor > 1 else (False,):
                    for wave in waves:
                        if wave == 1 or count % base.pipeline == 0:
                            yield replace(base, zero=zero, micro_batch=micro, sequence_parallel=split,
                                          recompute=recompute, interleaved=wave)  # fmt: skip


def divisors(number: int) -> list[int]:
    """From 1 to itself."""
    small = [i for i in range(1, math.isqrt(number) + 1) if number % i == 0]
    return small + [number // i for i in reversed(small) if i * i != number]
