"""Memory of a device under a layout: states, activations, logits, buffers; of the fullest of a pipeline's stages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilth.laws.memory import (
    Activations,
    States,
    gated_layer_activations,
    layer_activations,
    logit_bytes,
    model_states,
    stage_layers,
)
from tilth.laws.model_size import Shape, parameter_parts
from tilth.planning.layout import Layout, Task, micro_batches

CONTEXT_BYTES = 1.5e9
"""The driver's context and libraries of one process."""
BUCKET_BYTES = 1e9
"""Communication buffers: gradients are summed in buckets of so many bytes, one filled while one is sent."""
SOURCE = "sum over states (Rajbhandari et al. 2020), activations, logits and buffers: planning/layout_memory.py"
FRAGMENTATION = 0.05
"""Share of memory that the allocator cannot use."""


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


def stage_parameters(shape: Shape, layout: Layout) -> list[float]:
    """Parameters on a device of each pipeline stage: layers in equal parts; the embedding first, head and last norm
    last (a tied matrix stands on both). Norms are not split by tensor parallelism but are counted as if."""
    parts = parameter_parts(shape)
    layers = (parts.attention + parts.feed_forward + parts.norms) / layout.pipeline
    stages = [layers] * layout.pipeline
    stages[0] += parts.embedding
    stages[-1] += parts.head
    if shape.tied and layout.pipeline > 1:
        stages[-1] += shape.vocabulary * shape.embedding_dim
    return [stage / layout.tensor for stage in stages]


def device_memory(task: Task, layout: Layout) -> DeviceMemory:
    """The fullest stage's device: the first, where most micro-batches wait, or the last, where the logits are."""
    return max((stage_memory(task, layout, stage) for stage in {0, layout.pipeline - 1}), key=lambda one: one.total)


def stage_memory(task: Task, layout: Layout, stage: int) -> DeviceMemory:
    """Of a device of one pipeline stage."""
    count = stage_parameters(task.shape, layout)[stage]
    states = model_states(count, task.states, layout.zero, layout.data)
    logits = 0.0
    if stage == layout.pipeline - 1:
        logits = logit_bytes(layout.micro_batch * task.length, task.shape.vocabulary, task.logits) / layout.tensor
    activations = _stage_activations(task, layout, stage)
    buffers = _buffers(task, layout)
    used = states.total + activations + logits + buffers
    return DeviceMemory(states, activations, logits, buffers, FRAGMENTATION * used)


def _stage_activations(task: Task, layout: Layout, stage: int) -> float:
    """Its layers of all micro-batches that wait for their backward pass, and what stands before and behind them."""
    waiting = micro_batches(task, layout)
    layers = stage_layers(task.shape.layers, layout.pipeline, layout.interleaved, stage=stage, micro_batches=waiting)
    held = layers * layer_bytes(task, layout)
    if layout.recompute == "full":  # one layer's worth is there while it is recomputed
        held += layer_bytes(task, replace(layout, recompute="none"))
    return held + _around_the_layers(task, layout, stage)


def _around_the_layers(task: Task, layout: Layout, stage: int) -> float:
    """Korthikanti et al. 2022, section 4.3: on the first stage the mask of the embedding's dropout, sbh for each of the
    p micro-batches under way (gated models have no dropout; the embedding's output is the first layer's input); on the
    last what its norm and the head read, 2sbh each. Every tensor-parallel device holds all of it, unless sequence
    parallelism splits it by t."""
    whole = layout.micro_batch * task.length * task.shape.hidden
    held = 0.0
    if stage == 0 and not task.shape.gated:
        held += whole * min(layout.pipeline, micro_batches(task, layout))
    if stage == layout.pipeline - 1:
        held += 4.0 * whole
    return held / (layout.tensor if layout.sequence_parallel else 1)


def _buffers(task: Task, layout: Layout) -> float:
    """Context; among several the buckets of gradients, and under ZeRO-3 two layers' weights gathered at a time."""
    if layout.data == 1:
        return CONTEXT_BYTES
    buffers = CONTEXT_BYTES + BUCKET_BYTES
    if layout.zero == 3:
        inner = parameter_parts(task.shape)
        buffers += (
            2 * task.states.parameter * (inner.attention + inner.feed_forward) / task.shape.layers / layout.tensor
        )
    return buffers


def layer_bytes(task: Task, layout: Layout) -> float:
    """Activations of one layer and micro-batch: of gated models the own sum, of the papers' models the papers'."""
    shape, split = task.shape, layout.tensor
    if shape.gated:
        return gated_layer_activations(
            shape, layout.micro_batch * task.length, tensor=split, sequence_parallel=layout.sequence_parallel,
            recompute=layout.recompute,
        )  # fmt: skip
    x = Activations(
        task.length, layout.micro_batch, shape.hidden, shape.heads, split, layout.sequence_parallel, layout.recompute
    )
    return layer_activations(x)
