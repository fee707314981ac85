"""What a fit found: parameters with intervals, errors, warnings, and predictions that say when they are guesses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.counting import Counting, same_counting
from tilth.laws.fitting.data import Points
from tilth.laws.fitting.law import Array, Law

INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class HeldOut:
    """Errors on points that were not fitted: mean and largest |predicted - measured| in nats, mean in per cent."""

    how: str
    points: int
    mean: float
    largest: float
    per_cent: float

    @classmethod
    def of(cls, predicted: Array, measured: Array, how: str) -> HeldOut:
        """Errors of predictions (n,)."""
        error = np.abs(predicted - measured)
        relative = 100 * float((error / measured).mean())
        return cls(how, len(measured), float(error.mean()), float(error.max()), relative)


@dataclass(frozen=True)
class Prediction:
    """A loss (or another quantity) with its 95 % interval, and what makes it a guess."""

    value: float
    low: float | None
    high: float | None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        interval = None if self.low is None else [self.low, self.high]
        return {"value": self.value, "interval": interval, "warnings": list(self.warnings)}


@dataclass(frozen=True)
class Fit:
    """A law with theta (k,), the objective reached, and what is known of both."""

    law: Law
    theta: Array
    objective: float
    points: Points
    delta: float
    warnings: tuple[str, ...] = ()
    resamples: Array | None = None
    seed: int | None = None
    held_out: HeldOut | None = None
    extrapolated: HeldOut | None = None

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters as papers print them."""
        return dict(zip(self.law.names, map(float, self.law.outer(self.theta[None])[0]), strict=True))

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals of the printed parameters (empty without a bootstrap)."""
        if self.resamples is None or not len(self.resamples):
            return {}
        ends = np.percentile(self.law.outer(self.resamples), INTERVAL, axis=0).T
        return {name: (float(a), float(b)) for name, (a, b) in zip(self.law.names, ends, strict=True)}

    @property
    def counting(self) -> Counting | None:
        """How N was counted."""
        return self.points.counting

    def predict(self, columns: dict[str, float], counting: Counting | None = None) -> Prediction:
        """The loss at one place; `counting` is how the asker counts N, and must be how the points did."""
        self._same(counting)
        arrays = {name: np.array([float(value)]) for name, value in columns.items()}
        self.law.check(arrays)
        return self.quantity(lambda theta: np.exp(self.law.log_loss(theta, arrays)[0][:, 0]), self.outside({**columns}))

    def quantity(self, of: Callable[[Array], Array], warnings: tuple[str, ...] = ()) -> Prediction:
        """A number made of theta (P, k) -> (P,), with the interval that the resamples give it."""
        value = float(of(self.theta[None])[0])
        if self.resamples is None or not len(self.resamples):
            return Prediction(value, None, None, warnings)
        low, high = np.percentile(of(self.resamples), INTERVAL)
        return Prediction(value, float(low), float(high), warnings)

    def outside(self, columns: dict[str, float]) -> tuple[str, ...]:
        """A sentence for every column in which this place lies outside the points."""
        said = []
        for name, value in columns.items():
            seen = self.points.columns.get(name)
            if seen is None or seen.min() <= value <= seen.max():
                continue
            times = value / seen.max() if value > seen.max() else seen.min() / value if value > 0 else np.inf
            far = f"{times:.3g} times beyond" if np.isfinite(times) else "beyond"
            said.append(
                f"{name} = {value:.4g} is {far} the points ({seen.min():.4g} to {seen.max():.4g}): extrapolated"
            )
        return tuple(said)

    def _same(self, counting: Counting | None) -> None:
        if self.law.counts_parameters and counting is None:
            raise UserError("say how the model size of the prediction is counted", hint=f"the fit's is {self.counting}")
        same_counting(self.counting, counting, "the prediction and the fit cannot be compared")

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain values for JSON."""
        intervals = self.intervals
        return {
            "law": self.law.name,
            "formula": self.law.formula,
            "source": self.law.source,
            "parameters": self.parameters,
            "intervals": {name: list(ends) for name, ends in intervals.items()} or None,
            "bootstrap": None if self.resamples is None else {"resamples": len(self.resamples), "seed": self.seed},
            "objective": self.objective,
            "delta": self.delta,
            "counting": self.counting.value if self.counting else None,
            "points": len(self.points),
            "data": self.points.fingerprint(),
            "range": {n: [float(v.min()), float(v.max())] for n, v in self.points.columns.items()},
            "held_out": vars(self.held_out) if self.held_out else None,
            "extrapolated": vars(self.extrapolated) if self.extrapolated else None,
            "warnings": list(self.warnings),
        }
