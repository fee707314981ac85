"""Seconds of an optimizer step under a layout: products, element-wise passes, and what devices send each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilth.laws.flops import hardware_flops_per_token
from tilth.laws.memory import logit_bytes
from tilth.planning.cluster import Cluster
from tilth.planning.layout import Layout, Task, micro_batches
from tilth.planning.layout_memory import layer_bytes, stage_parameters

OVERLAP = 0.6
"""Share of the gradients' (and ZeRO-3's) traffic that runs behind the computation."""
ELEMENTWISE_PASSES = 11.0
"""Times that an activation or a logit is read or written outside of matrix products, forward and backward."""
LINK_EFFICIENCY = 0.5
"""Share of a link's speed that collective operations reach."""
SOURCE = "own model of a step; meets 48 of 51 published throughputs within 12.5 % (docs/planning.md)"
"""The three constants and the `efficiency` of A100 and H100 were fitted together: on throughputs of MosaicML's
llm-foundry (125 M to 70 B on A100 and H100, FSDP, 8 to 64 devices), the eight of Korthikanti et al. 2022, table 5 (22 B
to 1 T, tensor and pipeline parallel), and four of Dao 2023 (FlashAttention-2), table 1.
tests/planning/test_published_runs.py."""
SLOWER = (0.86, 1.54)
"""Times of published training runs, none of which was fitted on, against what is predicted for them: the best and the
worst of ten (LLaMA 1 to 3, TinyLlama, YuLan-Mini, torchtitan)."""


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

    Attention's products are charged as the whole square: models that store scores compute it, and flash attention's
    causal kernels reach about half the speed of a large product. Tensor parallelism: four all-reduces of a layer's
    activations forward and backward (Megatron-LM), two more where the layer is recomputed in full; sequence
    parallelism sends the same bytes. The bubble is (p − 1) / (m v) of the rest (Narayanan et al. 2021, section 2.2).
    Gradients are summed in a ring: see `_data_time`.
    """
    shape, one = task.shape, cluster.one
    step = task.sequences * task.length
    count = micro_batches(task, layout)
    flops = hardware_flops_per_token(shape, task.length, layout.recompute, "full") * step / layout.devices
    products = flops / (one.efficiency * one.flops)
    tokens = layout.micro_batch * task.length
    moved = shape.layers / layout.pipeline * _moved(task, layout)
    moved += ELEMENTWISE_PASSES * logit_bytes(tokens, shape.vocabulary) / layout.tensor
    elementwise = count * moved / one.bandwidth
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
    share = (layout.data - 1) / layout.data
    mine = max(stage_parameters(task.shape, layout))
    count, states = micro_batches(task, layout), task.states
    sums = count if layout.zero >= 2 else 1
    gathers = {0: 0, 3: 2 * count}.get(layout.zero, 1)
    sent = share * mine * (sums * states.gradient + gathers * states.parameter)
    if layout.zero == 0:
        sent *= 2
    seconds = sent / (LINK_EFFICIENCY * ring_speed(layout, cluster))
    return max((1 - OVERLAP) * seconds, seconds - busy)


def ring_speed(layout: Layout, cluster: Cluster) -> float:
    """Bytes a second at which a ring of data-parallel ranks sends.

    Across nodes as many rings run side by side as the group has ranks in a node, each over a device's own share of the
    network, until the node's own links bound them; beside tensor parallelism and short pipelines there are fewer.
    """
    one, beside = cluster.one, layout.tensor * layout.pipeline
    if layout.devices <= cluster.per_node:
        return one.inside
    if beside > cluster.per_node:
        beside = layout.tensor
    return min(one.inside, one.across * max(1, cluster.per_node // beside))
