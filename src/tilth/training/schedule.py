"""Learning-rate multipliers: pure functions of tokens, so that they need no state."""

from __future__ import annotations

import math

from tilth.training.settings import ScheduleSettings


def multiplier(schedule: ScheduleSettings, tokens: float, total: float) -> float:
    """The rate's multiplier after `tokens` of a phase of `total`.

    `one_minus_sqrt`: Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations".
    """
    if tokens < schedule.warmup:
        return schedule.start * tokens / schedule.warmup
    begin = max(schedule.warmup, total * (1 - schedule.decay))
    if schedule.shape == "constant" or tokens <= begin:
        return schedule.start
    part = min(1.0, (tokens - begin) / (total - begin))
    fall = {"linear": 1 - part, "cosine": (1 + math.cos(math.pi * part)) / 2, "one_minus_sqrt": 1 - math.sqrt(part)}
    return schedule.end + (schedule.start - schedule.end) * fall[schedule.shape]
