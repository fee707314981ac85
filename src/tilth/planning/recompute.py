"""The least recomputation under which a phase fits into the memory that it may take, by the forecast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from tilth.laws.flops import Recompute
from tilth.laws.model_size import Shape
from tilth.planning.trainer_memory import Training, trainer_memory

SPARE = 1.1
"""The forecast times this must fit: of whole processes it was up to 12 % low (docs/decisions.md)."""


@dataclass(frozen=True)
class Choice:
    """What is computed again, and why."""

    recompute: Recompute
    reason: str


def least_recompute(shape: Shape, training: Training, budget: float) -> Choice:
    """The first of none, selective, full that fits into `budget` bytes with a tenth to spare; full where none does."""
    needs = {how: trainer_memory(shape, replace(training, recompute=how)).total for how in get_args(Recompute)}
    fits = [how for how, need in needs.items() if SPARE * need <= budget]
    chosen: Recompute = fits[0] if fits else "full"
    if not fits:
        return Choice(chosen, f"{_gib(needs[chosen])} is the least; with a tenth to spare, more than {_gib(budget)}")
    reason = f"{_gib(needs[chosen])} and a tenth fit into {_gib(budget)}"
    if passed := [f"{how} with {_gib(need)}" for how, need in needs.items() if how not in fits]:
        reason += f"; {' and '.join(passed)} would not fit"
    return Choice(chosen, reason)


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"
