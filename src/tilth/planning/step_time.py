"""Seconds of an optimizer step under a layout: products, element-wise passes, and what devices send each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilth.laws.flops import hardware_flops_per_token
from tilth.planning.cluster import Cluster
from tilth.planning.layout import Layout, Task, micro_batches
from tilth.planning.layout_memory import layer_bytes, stage_parameters

OVERLAP = 0.7
"""Share of the gradients' (and ZeRO-3's) traffic that runs behind the computation."""
ELEMENTWISE_PASSES = 8.0
"""Times that an activation is read or written outside of matrix products, forward and backward."""
LINK_EFFICIENCY = 0.5
"""Share of a link's speed that an all-reduce of activations reaches. With `efficiency` 0.72 these three meet the eight
iteration times of Korthikanti et al. 2022, table 5 (22 B to 1 T on A100), within 4 %."""


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


def step_time(task: Task, layout: Layout, cluster: Cluster) -> StepTime:
    """Products at the devices' real speed, element-wise passes at their memory's, and what is sent between them.

    Tensor parallelism: four all-reduces of a layer's activations forward and backward (Megatron-LM), two more where
    the layer is recomputed in full; sequence parallelism sends the same bytes. The bubble is (p − 1) / (m v) of the
    rest (Narayanan et al. 2021, section 2.2). Gradients are summed in a ring: see `_data_time`.
    """
    shape, one = task.shape, cluster.one
    step = task.sequences * task.length
    count = micro_batches(task, layout)
    flops = hardware_flops_per_token(shape, task.length, layout.recompute) * step / layout.devices
    products = flops / (one.efficiency * one.flops)
    moved = shape.layers / layout.pipeline * _moved(task, layout)
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


def _moved(task: Task, layout: Layout) -> float:
    """Bytes of a layer's element-wise passes; a gated model's product made anew reads two of its width, writes one."""
    whole = layer_bytes(task, replace(layout, recompute="none"))
    again = 0.0
    if layout.recompute == "selective" and task.shape.gated:
        again = 3 * (whole - layer_bytes(task, layout))
    return ELEMENTWISE_PASSES * whole + again


def _data_time(task: Task, layout: Layout, cluster: Cluster, busy: float) -> float:
    """What of the ring's traffic shows (Rajbhandari et al. 2020, section 7).

    Half a sum for the gradients, half for the parameters (the gradients again without ZeRO); from stage 2 on a rank
    keeps its share of the gradients alone, so they are summed in every micro-batch; in stage 3 every micro-batch
    gathers the parameters twice.
    """
    if layout.data == 1:
        return 0.0
    one, share = cluster.one, (layout.data - 1) / layout.data
    mine = max(stage_parameters(task.shape, layout))
    count, states = micro_batches(task, layout), task.states
    sums = count if layout.zero >= 2 else 1
    gathers = {0: 0, 3: 2 * count}.get(layout.zero, 1)
    sent = share * mine * (sums * states.gradient + gathers * states.parameter)
    if layout.zero == 0:
        sent *= 2
    speed = one.inside if layout.devices <= cluster.per_node else one.across
    return max((1 - OVERLAP) * sent / speed, sent / speed - busy)
