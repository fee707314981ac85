"""From a model and a cluster to the layout that is proposed, with the reason; or the nearest cluster that can.

The order of preference is the field's: ZeRO alone while it fits; then tensor parallelism inside a node beside data
parallelism; then pipeline stages across nodes (Narayanan et al. 2021, PTD-P). Inside a kind the fastest wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tilth.laws.model_size import parameters
from tilth.planning.cluster import Cluster
from tilth.planning.layout import KINDS, Layout, Task, divisors, layouts
from tilth.planning.layout_memory import DeviceMemory, device_memory
from tilth.planning.step_time import StepTime, step_time


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
        need = f"{self.memory.total / 1e9:,.1f} GB of {self.room / 1e9:,.4g}"
        return f"{need} ({size / 1e9:,.1f} GB {largest})"


def candidates(task: Task, cluster: Cluster) -> Iterator[Candidate]:
    """Every layout that uses all devices and divides layers, heads and batch, with its verdict."""
    room = cluster.one.memory
    for layout in layouts(task, cluster):
        yield Candidate(layout, device_memory(task, layout), step_time(task, layout, cluster), room)


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
    """The cluster of such devices that can hold the model and whose number of devices is nearest, with its layout.

    Larger than a node it has whole nodes. None where no number of them can: every number that divides the model's
    heads, layers and batch is tried, nearest first, the smaller one of two that are as near.
    """
    states = parameters(task.shape) * task.states.total
    for devices in sorted(_usable(task, cluster), key=lambda count: (abs(count - cluster.devices), count)):
        other = cluster.model_copy(update={"devices": devices})
        if states > devices * other.one.memory:  # not even shared among all
            continue
        if any(device_memory(task, layout).total <= other.one.memory for layout in layouts(task, other)):
            found = choose(task, other)
            assert found is not None
            return other, found
    return None


def _usable(task: Task, cluster: Cluster) -> set[int]:
    """Numbers of devices, other than the cluster's, over which a layout divides the model and a step's sequences."""
    shape, node = task.shape, cluster.per_node
    counts = {
        tensor * pipeline * data
        for tensor in divisors(shape.heads)
        if tensor <= node
        for pipeline in divisors(shape.layers)
        for data in divisors(task.sequences)
    }
    return {count for count in counts if (count < node or count % node == 0) and count != cluster.devices}


def leanest(task: Task, cluster: Cluster) -> Candidate | None:
    """The layout that needs least of a device; None where no layout divides model and batch."""
    return min(candidates(task, cluster), key=lambda c: c.memory.total, default=None)
