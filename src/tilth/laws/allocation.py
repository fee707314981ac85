"""What a compute budget is spent on: parameters and tokens, C = 6 N D; of a fitted law with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.laws.counting import Counting
from tilth.laws.fitting.result import Fit, Prediction
from tilth.laws.flops import tokens_for, training_flops

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Allocation:
    """Parameters N (counted as named) and tokens D for a compute budget."""

    parameters: float
    tokens: float
    counting: Counting

    @property
    def tokens_per_parameter(self) -> float:
        """D / N."""
        return self.tokens / self.parameters

    @property
    def flops(self) -> float:
        """C = 6 N D."""
        return training_flops(self.parameters, self.tokens)

    @classmethod
    def of(cls, flops: float, parameters: float, counting: Counting) -> Allocation:
        """A size, and the tokens that the budget leaves for it."""
        return cls(parameters, tokens_for(flops, parameters), counting)


def fitted_allocation(
    fit: Fit, flops: float, log_size: Callable[[Array], Array], log_loss: Callable[[Array, Array, Array], Array]
) -> dict[str, Prediction]:
    """N, D, tokens a parameter and loss at the optimum for C, with bootstrap intervals, of a law of N and D.

    `log_size` is theta (P, k) -> log N (P,); `log_loss` is theta, log N, log D -> log L (P,).
    """

    def size(theta: Array) -> Array:
        return np.exp(log_size(theta))

    def loss(theta: Array) -> Array:
        log_n = log_size(theta)
        return np.exp(log_loss(theta, log_n, np.log(flops / 6.0) - log_n))

    compute = training_flops(fit.points.columns["N"], fit.points.columns["D"])
    low, high = float(compute.min()), float(compute.max())
    said = outside_compute(flops, low, high, "points")
    return {
        "parameters": fit.quantity(size, said),
        "tokens": fit.quantity(lambda theta: tokens_for(flops, size(theta)), said),
        "tokens_per_parameter": fit.quantity(lambda theta: tokens_for(flops, size(theta)) / size(theta), said),
        "loss": fit.quantity(loss, said),
    }


def outside_compute(flops: float, low: float, high: float, what: str) -> tuple[str, ...]:
    """A sentence where C lies outside what was measured."""
    if low <= flops <= high:
        return ()
    return (f"{flops:.4g} FLOP lies outside the {what} ({low:.4g} to {high:.4g}): extrapolated",)
