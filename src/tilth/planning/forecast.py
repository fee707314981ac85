"""Forecasts that are written down before a run and set against what happened after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tilth.laws.flops import Recompute, training_flops_per_token
from tilth.laws.model_size import Shape
from tilth.planning.trainer_memory import Memory, Training, trainer_memory

MATMUL_SHARE = 0.35
"""Share of the processor's measured matrix speed that training reaches (measured 2026-11: 0.25 to 0.45)."""
CHAIN_BYTES_PER_SECOND = 15e6
"""Text that one worker takes through the corpus chain in a second."""
ENCODE_BYTES_PER_SECOND = 3e6
"""Text that one worker encodes in a second."""


@dataclass(frozen=True)
class PhaseForecast:
    """One phase of pre-training, or one step behind it."""

    name: str
    """Of its stage."""
    tokens: int
    flops: float
    seconds: float | None
    memory: Memory
    """With the largest batch."""
    batches: tuple[int, ...] = ()
    """Sequences of a step, one behind another."""
    recompute: Recompute = "none"
    recompute_because: str | None = None
    """Why, where that was left to the forecast."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, memory by what holds it."""
        return {**asdict(self), "memory": {**asdict(self.memory), "total": self.memory.total}}


def forecast_phase(
    name: str,
    shape: Shape,
    *,
    tokens: int,
    length: int,
    training: Training,
    flops_per_second: float | None,
    batches: Sequence[int] = (),
    recompute_because: str | None = None,
) -> PhaseForecast:
    """Memory and time of a phase. `flops_per_second` is the measured matrix speed (None: no time is forecast)."""
    flops = tokens * training_flops_per_token(shape, length)
    seconds = None if flops_per_second is None else flops / (MATMUL_SHARE * flops_per_second)
    memory = trainer_memory(shape, training)
    return PhaseForecast(name, tokens, flops, seconds, memory, tuple(batches), training.recompute, recompute_because)


def corpus_seconds(size: float, workers: int) -> float:
    """Seconds that the corpus chain and the encoding take for `size` bytes of text."""
    return size / workers * (1 / CHAIN_BYTES_PER_SECOND + 1 / ENCODE_BYTES_PER_SECOND)


def bytes_per_token(vocabulary: int) -> float:
    """A first guess before there is a tokenizer: 2.9 at 4,096 pieces, 0.3 more for every doubling, at most 4.3."""
    return min(4.3, 2.9 + 0.3 * math.log2(max(vocabulary, 4096) / 4096))


def matrix_speed(half: bool, threads: int) -> float | None:
    """Floating-point operations a second of a matrix product on this machine, measured; None without torch."""
    try:
        import torch

        from tilth.model.products import product_speed
    except ImportError:
        return None
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return product_speed(torch.bfloat16 if half else torch.float32, runs=5, products=8)
    finally:
        torch.set_num_threads(before)
