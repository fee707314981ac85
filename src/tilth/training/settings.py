"""What the recipe says about training, and about the machine that it runs on. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tilth.base.pool import Engine, Workers
from tilth.base.settings import Count, Name, Settings
from tilth.laws.flops import Recompute
from tilth.laws.memory import Shard
from tilth.training.batch_size import BatchSizes, batch_sizes
from tilth.training.faults import parse_faults

PositiveCount = Annotated[Count, Field(gt=0)]

MICRO_BATCH_TOKENS = 8192
FLOAT8_MULTIPLE = 16
"""What tensor cores want of every side of the factors of a product in 8 bits."""
COMPILE_FROM_STEPS = 300
"""Below this many steps compiling costs more than it saves (half a minute on two cores)."""


def decided(precision: str, fast_bf16: Callable[[], bool]) -> str:
    """`precision`, where it is `auto` what that is on a device of which `fast_bf16` is asked only then."""
    if precision == "auto":
        return "bf16" if fast_bf16() else "fp32"
    return precision


class ScheduleSettings(Settings):
    """How the learning rate moves through a phase: multipliers of the optimizer's rates, as a function of tokens.

    Warm-up from 0 to `start`, then `start`, then along `shape` down (or up) to `end` over the last part of the phase.
    Warmup-stable-decay is one phase (`shape: linear, decay: 0.4`) or three (warm-up; constant; annealing).
    """

    warmup: Count = Field(default=0, ge=0, description="tokens")
    shape: Literal["constant", "linear", "cosine", "one_minus_sqrt"] = "constant"
    decay: float = Field(
        default=1.0, gt=0, le=1, description="part of the phase's tokens, at its end, that follows the shape"
    )
    start: float = Field(default=1.0, ge=0)
    end: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _nothing_idle(self) -> ScheduleSettings:
        names = ("decay", "end")  # without a word about shape, even their defaults show that a decay is meant
        given = self.changed(*names)
        if "shape" not in self.model_fields_set:
            given = [name for name in names if name in self.model_fields_set]
        if self.shape == "constant" and given:
            raise ValueError(f"{' and '.join(given)} would do nothing under shape: constant; set shape, say to linear")
        return self


class ParameterGroup(Settings):
    """Parameters with a rate and decay of their own."""

    parameters: str = Field(
        min_length=1, description="their names, * for any characters: embedding.*, *norm.weight, blocks.0.*"
    )
    rate: float = Field(default=1.0, gt=0, description="factor of the optimizer's rate")
    weight_decay: float | None = Field(default=None, ge=0, description="default: as without this group")
    l1: float | None = Field(default=None, ge=0, description="default: as without this group")

    @model_validator(mode="after")
    def _nothing_idle(self) -> ParameterGroup:
        """One may give what is so anyway, rate: 1: a group behind it that matches more does not count then."""
        if self.model_fields_set <= {"parameters"}:
            raise ValueError("a group that only names parameters changes nothing: give it rate, weight_decay or l1")
        return self


class OptimizerSettings(Settings):
    """AdamW for all parameters, or Muon for the hidden matrices and AdamW for embeddings, head, norms and biases."""

    later = ("l1", "groups")

    kind: Literal["adamw", "muon"] = "muon"
    learning_rate: float = Field(default=4e-3, gt=0, description="AdamW's, at multiplier 1")
    muon_learning_rate: float = Field(default=6e-3, gt=0, description="Muon's, at multiplier 1")
    weight_decay: float = Field(default=0.1, ge=0, description="decoupled; not applied to embeddings, norms and biases")
    l1: float = Field(
        default=0.0,
        ge=0,
        description="decoupled, where weight_decay is: each step takes rate times l1 off absolute values",
    )
    groups: list[ParameterGroup] = Field(
        default=[], description="parameters with a rate or decay of their own; the first that matches counts"
    )
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    momentum: float = Field(default=0.95, ge=0, lt=1, description="Muon's")
    muon_scale: Literal["shape", "adamw"] = Field(
        default="shape",
        description="Muon's update: times sqrt(max(1, rows / columns)) (Jordan 2024), or to AdamW's usual size, "
        "times 0.2 sqrt(max(rows, columns)) (Liu et al. 2025)",
    )
    newton_schulz: Literal["bf16", "fp32", "auto"] = Field(
        default="auto", description="precision; auto: as the products"
    )

    @model_validator(mode="after")
    def _nothing_idle(self) -> OptimizerSettings:
        given = self.changed("muon_learning_rate", "momentum", "muon_scale", "newton_schulz")
        if self.kind == "adamw" and given:
            raise ValueError(f"{' and '.join(given)} would do nothing with kind: adamw; remove it, or set kind: muon")
        return self


class DropoutSettings(Settings):
    """Shares of elements that are zero in training, by place and not by chance (model/draws.py)."""

    embedding: float = Field(default=0.0, ge=0, lt=1, description="of the embedded tokens")
    residual: float = Field(default=0.0, ge=0, lt=1, description="of what attention and feed-forward add")

    @model_validator(mode="before")
    @classmethod
    def _never_made(cls, given: Any) -> Any:
        if isinstance(given, dict) and "attention" in given:
            raise ValueError(
                "attention: the attention kernels hold no probabilities that could be dropped: set residual"
            )
        return given


class GuardSettings(Settings):
    """What becomes of steps that are out of the ordinary (training/guard.py)."""

    sigmas: float | None = Field(
        default=6.0, gt=0, description="a loss or gradient norm so far above the last steps' is not learnt from"
    )
    window: int = Field(default=128, ge=32, description="accepted steps that say what is ordinary")
    sustained: int = Field(default=16, ge=4, description="last steps whose median makes a sustained spike")
    margin: int = Field(default=4, ge=0, description="steps before a sustained spike that are skipped with it")
    rewinds: int = Field(default=3, ge=0, description="of a phase; after that a new level is taken as it is")
    rate_cut: float = Field(default=1.0, gt=0, le=1, description="factor of the rate behind a rewind")


class RampSettings(Settings):
    """A smaller batch at the beginning of a phase."""

    until: PositiveCount = Field(description="tokens of the phase")
    batch_sequences: int = Field(ge=1, description="sequences of a step until then")


MUON_AND_ADAPTER = (
    "Muon is for whole weight matrices, not for an adapter's thin ones: train it with optimizer.kind: adamw"
)


MUON_AND_MUP = (
    "optimizer.muon_scale: adamw makes updates that grow with the width, which model.mup is there to prevent: set shape"
)


class PhaseSettings(Settings):
    """One pre-training phase: how much, of what, in which batches, at which rate."""

    later = ("guard", "batch_ramp", "dropout")

    name: Name = Field(default="main")
    tokens: PositiveCount = Field(description="tokens to train on, rounded to whole steps")
    sequence_length: int = Field(default=256, ge=2, description="tokens of a sequence, T")
    batch_tokens: PositiveCount | None = Field(default=None, description="tokens of a step")
    batch_sequences: int | None = Field(default=None, ge=1, description="or its sequences; default 16")
    batch_ramp: list[RampSettings] = Field(
        default=[], description="smaller batches at the beginning; rates stay functions of tokens"
    )
    micro_batch: int | None = Field(
        default=None, ge=1, description="sequences of one forward; default 8,192 tokens' worth"
    )
    mixture: dict[str, float] | None = Field(
        default=None, description="weight of each group; default in proportion to size; a weight of 0 leaves it out"
    )
    max_epochs: float = Field(
        default=4.0,
        gt=0,
        description="a group that this phase and those before it (of its sequence_length) read more often is refused",
    )
    schedule: ScheduleSettings = ScheduleSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    gradient_clip: float | None = Field(default=1.0, gt=0, description="largest global norm of the gradient")
    dropout: DropoutSettings = DropoutSettings()
    z_loss: float = Field(default=0.0, ge=0, description="coefficient of the squared log-denominator")
    precision: Literal["auto", "bf16", "fp16", "fp32", "fp64", "fp8"] = Field(
        default="auto",
        description="of products; parameters are fp32 (fp64 with fp64). auto: bf16 where the device is fast in it, "
        "else fp32; fp16, for devices without bf16, scales the loss; fp8: 8 bits in the layers, bf16 around them",
    )
    compile: Literal["auto", "on", "off"] = Field(
        default="auto", description="auto: on from 300 steps, where a compiler is found"
    )
    guard: GuardSettings = GuardSettings()

    @model_validator(mode="after")
    def _consistent(self) -> PhaseSettings:
        if self.batch_tokens and self.batch_sequences:
            raise ValueError("set batch_tokens or batch_sequences, not both")
        if self.batch_tokens and self.batch_tokens < self.sequence_length:
            raise ValueError(f"batch_tokens ({self.batch_tokens}) is less than one sequence ({self.sequence_length})")
        return self

    @model_validator(mode="after")
    def _rising(self) -> PhaseSettings:
        """A ramp goes up, and stays below what the phase has without it."""
        for name, values, own, limit in (
            ("until", [piece.until for piece in self.batch_ramp], "tokens", self.tokens),
            ("batch_sequences", [piece.batch_sequences for piece in self.batch_ramp], "batch", self.sequences),
        ):
            if any(a >= b for a, b in pairwise([*values, limit])):
                raise ValueError(
                    f"batch_ramp: {name} must rise from piece to piece and end below the phase's own {own} "
                    f"({limit:,}); it is {', '.join(f'{value:,}' for value in values)}"
                )
        return self

    @field_validator("mixture")
    @classmethod
    def _only_what_is_read(cls, mixture: dict[str, float] | None) -> dict[str, float] | None:
        """The mixture without its zero weights: such a group is neither packed nor read."""
        if mixture is None:
            return None
        if not any(mixture.values()) or any(weight < 0 or not math.isfinite(weight) for weight in mixture.values()):
            raise ValueError("the weights of a mixture are at least 0, and one is above")
        return {name: weight for name, weight in mixture.items() if weight}

    def shaping(self) -> dict[str, Any]:
        """The settings that shape the result, as plain JSON values: not `max_epochs`, which only permits."""
        return {name: value for name, value in self.canonical().items() if name != "max_epochs"}

    @property
    def sequences(self) -> int:
        """Sequences of one step, over all ranks and micro-batches; behind the ramp where there is one."""
        return self.batch_tokens // self.sequence_length if self.batch_tokens else self.batch_sequences or 16

    @property
    def micro_batch_sequences(self) -> int:
        """Sequences of one forward, as far as a rank's share of the step has that many."""
        return self.micro_batch or max(1, MICRO_BATCH_TOKENS // self.sequence_length)

    @property
    def batches(self) -> BatchSizes:
        """The batch of every step."""
        ramp = tuple((piece.until, piece.batch_sequences) for piece in self.batch_ramp)
        return batch_sizes(ramp, self.sequences, self.sequence_length, self.tokens)

    @property
    def steps(self) -> int:
        """Optimizer steps of the phase."""
        return self.batches.steps

    def in_half(self, fast_bf16: Callable[[], bool]) -> bool:
        """Whether products are in half precision on a device of which `fast_bf16` is asked only for `auto`."""
        return decided(self.precision, fast_bf16) in ("bf16", "fp16", "fp8")

    def compiled(self, compiler_found: Callable[[], bool]) -> bool:
        """As set, or where there is a compiler and the phase is long enough to earn it back."""
        if self.compile == "auto":
            return self.steps >= COMPILE_FROM_STEPS and compiler_found()
        return self.compile == "on"


class ComputeSettings(Settings):
    """The machine's part: none of it enters a fingerprint, though threads and device change the last bits."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(
        default=None, ge=1, description="default: all cores that the process may use, shared by `processes`"
    )
    workers: int | None = Field(default=None, ge=1, description="processes of data work; default: all cores")
    engine: Engine = Field(default="local", description="local: processes of this machine; ray: a Ray cluster")
    processes: int = Field(default=1, ge=1, description="data-parallel training processes on this machine")
    shard: Shard = Field(
        default="none",
        description="what each of several processes keeps of its share of the parameters alone (ZeRO, Rajbhandari et "
        "al. 2020): optimizer: their optimizer state (stage 1); gradients: their gradients too (2); parameters: "
        "themselves too (3)",
    )
    checkpoint_steps: int = Field(default=250, ge=1, description="steps between checkpoints")
    checkpoint_keep: int = Field(default=2, ge=1, description="newest checkpoints kept while the phase runs")
    checkpoint_keep_every: int | None = Field(
        default=None, ge=1, description="and those of every so many steps, while the phase runs"
    )
    checkpoint_async: Literal["auto", "on", "off"] = Field(
        default="auto", description="written while training goes on; auto: where memory holds a copy of the state"
    )
    step_limit: float | None = Field(
        default=None,
        gt=0,
        description="seconds until a step counts as hung; default: 20 times the slowest",
    )
    restarts: int = Field(default=0, ge=0, description="times that ranks which died or hung are started again")
    faults: str | None = Field(default=None, description="faults to inject, for trials: kill@120:rank1, nan@50")
    trackers: list[Literal["tensorboard", "wandb", "swanlab"]] = Field(
        default=[], description="where metrics go beside the run's own files; each is an extra of that name"
    )
    recompute: Recompute | Literal["auto"] = Field(
        default="none",
        description="of each layer in the backward pass, to save memory, with the same bits: selective: what is cheap "
        "(norms, rotations, activations; where it compiles, the compiler does so anyway); full: all but its input; "
        "auto: the least of them that fits into `memory` by the forecast, decided before a phase starts",
    )
    memory: PositiveCount | None = Field(
        default=None,
        description="bytes that a training process may take, for recompute: auto; default: those of its GPU, or this "
        "machine's shared by `processes`",
    )
    deterministic: bool = Field(
        default=True, description="the same bits in every run on the same machine, threads and compile mode"
    )

    @field_validator("faults")
    @classmethod
    def _readable(cls, faults: str | None) -> str | None:
        parse_faults(faults or "")
        return faults

    @property
    def data_workers(self) -> Workers:
        """Who does data work; one process where nothing is set."""
        return Workers(self.workers or 1, self.engine)
