"""Memory of training as papers give it: model states under ZeRO, activations under tensor and pipeline parallelism.

All in bytes. Symbols of Korthikanti et al. 2022 (arXiv:2205.05198): s sequence, b micro-batch, h hidden, a heads, L
layers, v vocabulary, t tensor-parallel and p pipeline-parallel devices, m interleaved stages of a device.
What Tilth's own trainer holds is summed in planning/trainer_memory.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tilth.laws.flops import Recompute
from tilth.laws.model_size import Shape

ZeroStage = Literal[0, 1, 2, 3]
Shard = Literal["none", "optimizer", "gradients", "parameters"]
"""What processes share of the model's states, each what stands before it too: ZeRO's stages 0 to 3 by name."""


def zero_stage(shard: Shard, processes: int) -> ZeroStage:
    """0 where one process has nobody to share with."""
    stages: dict[Shard, ZeroStage] = {"none": 0, "optimizer": 1, "gradients": 2, "parameters": 3}
    return stages[shard] if processes > 1 else 0


@dataclass(frozen=True)
class StateBytes:
    """Bytes that each parameter costs."""

    parameter: float
    gradient: float
    optimizer: float
    name: str = ""

    @property
    def total(self) -> float:
        """16 in the usual mixed precision with Adam, and in fp32."""
        return self.parameter + self.gradient + self.optimizer


STATE_BYTES = {
    "mixed": StateBytes(2, 2, 12, "bf16 parameters and gradients; fp32 copy and two Adam moments"),
    "autocast": StateBytes(4, 4, 8, "fp32 parameters and gradients, products in bf16, AdamW (Tilth)"),
    "fp32_gradients": StateBytes(2, 4, 12, "bf16 parameters, fp32 gradients, fp32 copy and two moments (Megatron)"),
    "muon": StateBytes(4, 4, 4, "fp32 parameters and gradients, one momentum (Tilth with Muon throughout)"),
}


@dataclass(frozen=True)
class States:
    """Bytes on one device."""

    parameters: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        """All three."""
        return self.parameters + self.gradients + self.optimizer


def model_states(count: float, each: StateBytes, stage: ZeroStage = 0, ranks: int = 1) -> States:
    """ZeRO (Rajbhandari et al. 2020, figure 1): stage 1 shares the optimizer's state among `ranks`, 2 the gradients
    too, 3 the parameters too."""
    return States(
        parameters=count * each.parameter / (ranks if stage >= 3 else 1),
        gradients=count * each.gradient / (ranks if stage >= 2 else 1),
        optimizer=count * each.optimizer / (ranks if stage >= 1 else 1),
    )


@dataclass(frozen=True)
class Activations:
    """What shapes the activations of the papers' models: LayerNorm, dropout, a 4h GELU feed-forward, half precision."""

    sequence: int
    micro_batch: int
    hidden: int
    heads: int
    tensor: int = 1
    sequence_parallel: bool = False
    recompute: Recompute = "none"

    @property
    def unit(self) -> float:
        """sbh."""
        return float(self.sequence * self.micro_batch * self.hidden)


def layer_activations(x: Activations) -> float:
    """One layer, equations 1 to 6: sbh (10 + 24/t + 5as/(ht)), less what is recomputed, more what is split.

    With sequence parallelism everything is split: sbh/t (34 + 5as/h). `selective` drops attention's core, the term
    5as/(ht). `full` keeps the layer's input, 2sbh, or 2sbh/t where the sequence is split (at an all-gather more).
    """
    t = x.tensor
    if x.recompute == "full":
        return 2 * x.unit / (t if x.sequence_parallel else 1)
    whole = 10 / t if x.sequence_parallel else 10.0
    core = 0.0 if x.recompute == "selective" else 5 * x.heads * x.sequence / (x.hidden * t)
    return x.unit * (whole + 24 / t + core)


def stage_layers(
    layers: int, pipeline: int = 1, interleaved: int = 1, *, stage: int = 0, micro_batches: float = math.inf
) -> float:
    """Layers' worth of activations that wait on a stage of 1F1B when it is fullest.

    Stage i (the first is 0) has p − i micro-batches of its L/p layers under way, at most as many as there are: L on the
    first. Interleaved m times it has 2 (p − i − 1) + (m − 1) p + 1 chunks of L/(pm) layers: L (1 + (p − 1) / (p m)) on
    the first (section 4.2.3; the schedule is that of Narayanan et al. 2021, section 2.2).
    """
    behind = pipeline - stage
    waiting = behind if interleaved == 1 else 2 * (behind - 1) + (interleaved - 1) * pipeline + 1
    return layers / (pipeline * interleaved) * min(waiting, micro_batches * interleaved)


def logit_bytes(tokens: float, vocabulary: int, k: float = 4) -> float:
    """k B T V; `tokens` is B T."""
    return k * tokens * vocabulary


def short_activations(layers: int, hidden: int, vocabulary: int, tokens: float) -> tuple[float, float]:
    """The short form under full recomputation: (2 L B T H, 12 B T V)."""
    return 2.0 * layers * tokens * hidden, logit_bytes(tokens, vocabulary, 12)


def gated_layer_activations(
    shape: Shape, tokens: float, *, tensor: int = 1, sequence_parallel: bool = False, recompute: Recompute = "none"
) -> float:
    """One layer of a gated model (RMSNorm, SwiGLU) with flash attention, fused element-wise operations, half precision.

    Of a token, 2 bytes each: both norms' inputs and outputs (4 H), queries, keys, values, attention's output
    (2 AD + 2 GD), gate, up and their product (3 F, of a mixture of experts the active ones'), and in fp32 a
    log-denominator a head. The heads' and the feed-forward's part is split by t; the norms' by sequence parallelism.
    `selective` drops the feed-forward's product.
    """
    split = tensor if sequence_parallel else 1
    if recompute == "full":
        return 2.0 * tokens * shape.hidden / split
    wide = shape.intermediate
    if shape.experts:
        wide = shape.active_experts * shape.expert_intermediate + shape.shared_intermediate
    wide *= 2 if recompute == "selective" else 3
    inner = 2 * (2 * shape.query_width + 2 * shape.kv_width + wide) + 4 * shape.heads
    return tokens * (8.0 * shape.hidden / split + inner / tensor)
