"""From a model and a cluster to a layout: which parallelism, how many micro-batches, what is recomputed; and its price.

The order of preference is the field's: ZeRO alone while it fits; then tensor parallelism inside a node beside data
parallelism; then pipeline stages across nodes (Narayanan et al. 2021, PTD-P). Inside a kind the fastest wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

from tilth.laws.flops import Recompute, hardware_flops_per_token, training_flops_per_token
from tilth.laws.memory import (
    STATE_BYTES,
    Activations,
    StateBytes,
    States,
    ZeroStage,
    gated_layer_activations,
    layer_activations,
    logit_bytes,
    model_states,
    stage_layers,
)
from tilth.laws.model_size import Shape, parameter_parts
from tilth.planning.cluster import Cluster

KINDS = ("ZeRO alone", "tensor parallel in a node", "pipeline across nodes")
"""Simplest first."""
CONTEXT_BYTES = 1.5e9
"""The driver's context and libraries of one process."""
BUCKET_BYTES = 1e9
"""Communication buffers: gradients are summed in buckets of so many bytes, one filled while one is sent."""
FRAGMENTATION = 0.05
"""Share of memory that the allocator cannot use."""
MICRO_BATCHES = (1, 2, 4, 8, 16, 32)
OVERLAP = 0.7
"""Share of the gradients' (and ZeRO-3's) traffic that runs behind the computation."""
ELEMENTWISE_PASSES = 8.0
"""Times that an activation is read or written outside of matrix products, forward and backward."""
LINK_EFFICIENCY = 0.5
"""Share of a link's speed that an all-reduce of activations reaches. With `efficiency` 0.72 these three meet the eight
iteration times of Korthikanti et al. 2022, table 5 (22 B to 1 T on A100), within 4 %."""


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


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of the fullest device, by what holds them."""

    states: States
    activations: float
    logits: float
    buffers: float
    fragmentation: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.states.total + self.activations + self.logits + self.buffers + self.fragmentation

    def parts(self) -> dict[str, float]:
        """By name."""
        states = {"parameters": self.states.parameters, "gradients": self.states.gradients,
                  "optimizer": self.states.optimizer}  # fmt: skip
        others = {name: value for name, value in vars(self).items() if name != "states"}
        return states | others


@dataclass(frozen=True)
class StepTime:
    """Seconds of one optimizer step, by what they go into."""

    products: float
    elementwise: float
    tensor: float
    pipeline: float
    """Sending activations on; the bubble is apart."""
    bubble: float
    data: float
    """What of the gradients' sum (and ZeRO-3's weights) is not hidden behind the computation."""
    optimizer: float
    """Its states read and written once."""

    @property
    def total(self) -> float:
        """One after the other."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Candidate:
    """A layout with its verdict."""

    layout: Layout
    memory: DeviceMemory
    time: StepTime
    room: float
    """Bytes of a device."""

    @property
    def fits(self) -> bool:
        """Whether the fullest device holds it."""
        return self.memory.total <= self.room

    @property
    def verdict(self) -> str:
        """In words."""
        if self.fits:
            return "fits"
        largest, size = max(self.memory.parts().items(), key=lambda part: part[1])
        return f"{self.memory.total / 1e9:,.1f} GB of {self.room / 1e9:,.0f}: most are {largest} ({size / 1e9:,.1f} GB)"


def stage_parameters(shape: Shape, layout: Layout) -> list[float]:
    """Parameters on a device of each pipeline stage: layers in equal parts; the embedding first, head and last norm
    last (a tied matrix stands on both). Norms are not split by tensor parallelism but are counted as if."""
    parts = parameter_parts(shape)
    layers = (parts.attention + parts.feed_forward + parts.norms) / layout.pipeline
    stages = [layers] * layout.pipeline
    stages[0] += parts.embedding
    stages[-1] += parts.head
    if shape.tied and layout.pipeline > 1:
        stages[-1] += shape.vocabulary * shape.hidden
    return [stage / layout.tensor for stage in stages]


def device_memory(task: Task, layout: Layout) -> DeviceMemory:
    """The fullest stage's device."""
    shape = task.shape
    tokens = layout.micro_batch * task.length
    states = model_states(max(stage_parameters(shape, layout)), task.states, layout.zero, layout.data)
    layers = stage_layers(shape.layers, layout.pipeline, layout.interleaved)
    activations = layers * _layer_bytes(task, layout)
    if layout.recompute == "full":  # one layer's worth is there while it is recomputed
        activations += _layer_bytes(task, replace(layout, recompute="none"))
    activations += 2.0 * tokens * shape.hidden / layout.tensor  # the embedding's output
    logits = logit_bytes(tokens, shape.vocabulary, task.logits) / layout.tensor
    buffers = CONTEXT_BYTES + (BUCKET_BYTES if layout.data > 1 else 0.0)
    if layout.zero == 3:  # two layers' weights gathered at a time
        inner = parameter_parts(shape)
        buffers += 2 * task.states.parameter * (inner.attention + inner.feed_forward) / shape.layers / layout.tensor
    used = states.total + activations + logits + buffers
    return DeviceMemory(states, activations, logits, buffers, FRAGMENTATION * used)


def _layer_bytes(task: Task, layout: Layout) -> float:
    """Activations of one layer and micro-batch."""
    shape, split = task.shape, layout.tensor
    if shape.norm == "rms":
        return gated_layer_activations(
            shape, layout.micro_batch * task.length, tensor=split, sequence_parallel=layout.sequence_parallel,
            recompute=layout.recompute,
        )  # fmt: skip
    x = Activations(task.length, layout.micro_batch, shape.hidden, shape.heads, shape.layers, shape.vocabulary, split,
                    layout.sequence_parallel, layout.recompute)  # fmt: skip
    return layer_activations(x)


def micro_batches(task: Task, layout: Layout) -> float:
    """Of one replica in a step, m."""
    return task.sequences / (layout.data * layout.micro_batch)


def step_time(task: Task, layout: Layout, cluster: Cluster) -> StepTime:
    """Products at the devices' real speed, element-wise passes at their memory's, and what is sent between them.

    Tensor parallelism: four all-reduces of a layer's activations forward and backward (Megatron-LM), two more where
    the layer is recomputed in full; sequence parallelism sends the same bytes. The bubble is (p − 1) / (m v) of the
    rest (Narayanan et al. 2021, section 2.2). Gradients are summed in a ring: 2 (d − 1) / d of their bytes.
    """
    shape, one = task.shape, cluster.one
    step = task.sequences * task.length
    count = micro_batches(task, layout)
    flops = hardware_flops_per_token(shape, task.length, layout.recompute) * step / layout.devices
    products = flops / (one.efficiency * one.flops)
    moved = ELEMENTWISE_PASSES * shape.layers / layout.pipeline * _layer_bytes(task, replace(layout, recompute="none"))
    elementwise = count * moved / one.bandwidth
    tokens = layout.micro_batch * task.length
    reduces = 6 if layout.recompute == "full" else 4
    ring = 2 * (layout.tensor - 1) / layout.tensor
    sent = reduces * ring * 2 * tokens * shape.hidden * shape.layers / layout.pipeline
    link = one.inside if layout.tensor <= cluster.per_node else one.across
    tensor = count * sent / (LINK_EFFICIENCY * link)
    stages = layout.pipeline
    crossing = one.inside if layout.tensor * stages <= cluster.per_node else one.across
    hops = 2 * layout.interleaved * 2 * tokens * shape.hidden / layout.tensor if stages > 1 else 0.0
    pipeline = count * hops / crossing
    busy = products + elementwise + tensor + pipeline
    bubble = busy * (stages - 1) / (count * layout.interleaved)
    mine = max(stage_parameters(shape, layout)) / (layout.data if layout.zero else 1)
    update = 2 * task.states.total * mine / one.bandwidth
    return StepTime(products, elementwise, tensor, pipeline, bubble, _data_time(task, layout, cluster, busy), update)


def _data_time(task: Task, layout: Layout, cluster: Cluster, busy: float) -> float:
    """What of summing gradients (and of ZeRO-3's gathering, forward and backward of every micro-batch) shows."""
    if layout.data == 1:
        return 0.0
    one, share = cluster.one, (layout.data - 1) / layout.data
    mine = max(stage_parameters(task.shape, layout))
    sent = 2 * share * task.states.gradient * mine
    if layout.zero == 3:
        sent += (2 * micro_batches(task, layout) - 1) * share * task.states.parameter * mine
    speed = one.inside if layout.devices <= cluster.per_node else one.across
    return max((1 - OVERLAP) * sent / speed, sent / speed - busy)


def candidates(task: Task, cluster: Cluster) -> Iterator[Candidate]:
    """Every layout that uses all devices and divides layers, heads and batch, with its verdict."""
    room = cluster.one.memory
    for layout in layouts(task, cluster):
        yield Candidate(layout, device_memory(task, layout), step_time(task, layout, cluster), room)


def layouts(task: Task, cluster: Cluster) -> Iterator[Layout]:
    """Tensor parallelism stays inside a node; ZeRO above 1 and pipelines are not combined."""
    shape = task.shape
    for tensor in _divisors(min(cluster.per_node, cluster.devices)):
        if shape.heads % tensor or cluster.devices % tensor:
            continue
        for pipeline in _divisors(cluster.devices // tensor):
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


def _divisors(number: int) -> list[int]:
    return [i for i in range(1, number + 1) if number % i == 0]


@dataclass(frozen=True)
class Choice:
    """The layout that is proposed, and what else was looked at."""

    chosen: Candidate
    fastest: Candidate
    """Of any kind."""
    all: tuple[Candidate, ...]

    @property
    def reason(self) -> str:
        """Why this kind."""
        kind = KINDS.index(self.chosen.layout.kind)
        if kind == 0:
            return f"{KINDS[0]} fits, so nothing else is needed"
        simpler = [c for c in self.all if KINDS.index(c.layout.kind) < kind]
        if not simpler:
            return f"{KINDS[kind]}: no simpler kind divides this model, batch and cluster"
        nearest = min(simpler, key=lambda c: c.memory.total)
        lean = f"the leanest simpler layout ({nearest.layout.described}) does not fit"
        return f"{KINDS[kind]}, because {lean}: {nearest.verdict}"


def choose(task: Task, cluster: Cluster) -> Choice | None:
    """The fastest of the simplest kind that fits; None where nothing fits."""
    found = tuple(candidates(task, cluster))
    fitting = [c for c in found if c.fits]
    if not fitting:
        return None
    simplest = min(KINDS.index(c.layout.kind) for c in fitting)
    kin = [c for c in fitting if KINDS.index(c.layout.kind) == simplest]
    return Choice(min(kin, key=_preference), min(fitting, key=_preference), found)


def _preference(candidate: Candidate) -> tuple[float, int, float]:
    """Time, then the lower ZeRO stage, then memory."""
    return round(candidate.time.total, 9), candidate.layout.zero, candidate.memory.total


def nearest_cluster(task: Task, cluster: Cluster) -> tuple[Cluster, Choice] | None:
    """The smallest multiple of whole nodes, doubled each time, that holds the model; None up to 1,024 times as many."""
    devices = max(cluster.per_node, cluster.devices)
    for _ in range(10):
        larger = cluster.model_copy(update={"devices": devices})
        if devices > cluster.devices and (found := choose(task, larger)):
            return larger, found
        devices *= 2
    return None


def leanest(task: Task, cluster: Cluster) -> Candidate | None:
    """The layout that needs least of a device; None where no layout divides model and batch."""
    return min(candidates(task, cluster), key=lambda c: c.memory.total, default=None)


def model_utilisation(task: Task, candidate: Candidate, cluster: Cluster) -> float:
    """MFU: 6 x matmul parameters + causal attention, over the devices' peak."""
    flops = training_flops_per_token(task.shape, task.length) * task.sequences * task.length
    return flops / candidate.time.total / (cluster.devices * cluster.one.flops)


def as_row(task: Task, candidate: Candidate, cluster: Cluster) -> tuple[Any, ...]:
    """Layout, memory, step, tokens a second, MFU, verdict."""
    seconds = candidate.time.total
    speed = task.sequences * task.length / seconds
    mfu = f"{model_utilisation(task, candidate, cluster):.1%}"
    return (candidate.layout.described, f"{candidate.memory.total / 1e9:.1f}", f"{seconds:.3g}", f"{speed:,.0f}", mfu,
            candidate.verdict)  # fmt: skip
