"""From small and short runs to a large and long one: step law, size law and mixing law inside one another.

Ye et al. 2024 (arXiv 2403.16952, section 4): at each mixture a power law over steps says where a run would end, a power
law over sizes what a larger model would reach there, and a mixing law is fitted on those. L(x) = c + (x0 / x)^a; the
exponent a of a target is tied over all mixtures, c and x0 are each mixture's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.fitting.solver import solve

Array = np.ndarray[Any, np.dtype[np.float64]]
DELTA = 1e-3
EXPONENTS = np.linspace(0.05, 1.5, 59)


@dataclass(frozen=True)
class TiedPower:
    """L_i(x) = c_i + b_i x^-a for curves i (n,), one exponent a."""

    exponent: float
    floor: Array
    scale: Array
    error: float
    """Mean absolute error in nats over the points that were fitted."""
    warnings: tuple[str, ...] = ()

    def at(self, x: float) -> Array:
        """Every curve's loss (n,) at x."""
        return self.floor + self.scale * x**-self.exponent


def fit_tied_power(x: Array, losses: Array, *, unit: float | None = None) -> TiedPower:
    """Fit curves `losses` (n, m), nan where not measured, at x (m,); each curve needs two points, all together more.

    For a given exponent each curve is a robust line in x^-a: a batch of small problems. The exponent is the best of a
    grid, then of a finer one. `unit` scales x; no result depends on it.
    """
    measured = np.isfinite(losses)
    if (measured.sum(1) < 2).any():
        at = int(np.flatnonzero(measured.sum(1) < 2)[0])
        raise UserError(f"curve {at + 1} has {measured[at].sum()} points; a power law needs at least two")
    if measured.sum() <= 2 * len(losses) + 1:
        raise UserError(
            f"{measured.sum()} points for {len(losses)} curves: with two points a curve an exponent is anybody's guess",
            hint="measure a third size or step on at least two mixtures",
        )
    unit = float(np.exp(np.log(x).mean())) if unit is None else unit
    base = x / unit
    best = _over(EXPONENTS, base, losses, measured)
    step = EXPONENTS[1] - EXPONENTS[0]
    best = _over(np.linspace(max(best[0] - step, 1e-3), best[0] + step, 41), base, losses, measured)
    exponent, theta, _ = best
    scale = theta[:, 1] * unit**exponent
    predicted = theta[:, :1] + theta[:, 1:] * base**-exponent
    error = float(np.abs(predicted - losses)[measured].mean())
    said = []
    if not EXPONENTS[0] < exponent < EXPONENTS[-1]:
        said.append(f"the exponent stands at the edge of what is tried ({exponent:.3g})")
    if (theta[:, 1] <= 0).any():
        said.append(f"{int((theta[:, 1] <= 0).sum())} curves do not fall: their losses rise or stay")
    return TiedPower(float(exponent), theta[:, 0], scale, error, tuple(said))


def _over(exponents: Array, x: Array, losses: Array, measured: np.ndarray[Any, Any]) -> tuple[float, Array, float]:
    """The best exponent of these, its lines (n, 2), and the sum of Huber's loss."""
    filled = np.where(measured, losses, np.nanmean(losses, axis=1, keepdims=True))
    count = len(losses)
    powers = x[None] ** -exponents[:, None]
    every = np.repeat(np.arange(len(exponents)), count)
    target = np.tile(filled, (len(exponents), 1))

    def residuals(theta: Array, which: np.ndarray[Any, Any]) -> tuple[Array, Array]:
        power = powers[every[which]]
        value = theta[:, :1] + theta[:, 1:] * power
        return value - target[which], np.stack([np.ones_like(power), power], -1)

    start = np.stack([target.min(1) * 0.9, target.min(1) * 0.1], -1)
    weights = np.tile(measured.astype(float), (len(exponents), 1))
    low, high = np.array([0.0, 0.0]), np.array([np.inf, np.inf])
    found = solve(residuals, start, delta=DELTA, weights=weights, bounds=(low, high), max_steps=200)
    total = found.objective.reshape(len(exponents), count).sum(1)
    at = int(total.argmin())
    return float(exponents[at]), found.theta.reshape(len(exponents), count, 2)[at], float(total[at])
