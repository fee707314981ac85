"""From small and short runs to a large and long one: step law, size law and mixing law inside one another.

Ye et al. 2024 (arXiv 2403.16952, section 4): at each mixture a power law over steps says where a run would end, a power
law over sizes what a larger model would reach there, and a mixing law is fitted on those. L(x) = c + (x0 / x)^a; the
exponent a of a target is tied over all mixtures, c and x0 are each mixture's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.fitting.data import RowError, first_row
from tilth.laws.fitting.solver import solve
from tilth.laws.mixing.mixtures import Mixtures, mixtures

Array = np.ndarray[Any, np.dtype[np.float64]]
DELTA = 1e-3
EXPONENTS = np.linspace(0.05, 1.5, 59)
FAR = 10
"""Times beyond the largest run from which a power law is a guess. Below the smallest any step is: curves are steep."""


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


@dataclass(frozen=True)
class Carried:
    """What every mixture would reach, and how well the power laws fit what was measured."""

    data: Mixtures
    laws: dict[str, dict[str, TiedPower]]
    """Of each column (step, size) and target."""
    reach: dict[str, tuple[float, float, float]]
    """Of each column: the smallest and the largest that were measured, and what is asked."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes it a guess."""
        said = [
            f"{name}, {target}: {one}"
            for name, laws in self.laws.items()
            for target, law in laws.items()
            for one in law.warnings
        ]
        for name, (smallest, largest, asked) in self.reach.items():
            if asked > FAR * largest:
                said.append(f"{name} {asked:.4g} is {asked / largest:.3g} times beyond the runs ({largest:.4g})")
            if asked < smallest:
                said.append(f"{name} {asked:.4g} lies below the runs (from {smallest:.4g}): extrapolated downwards")
        return tuple(said)

    def as_dict(self) -> dict[str, Any]:
        """Exponents and errors (nats, on the points fitted) for JSON."""
        return {
            name: {"to": self.reach[name][2]}
            | {target: {"exponent": law.exponent, "error": law.error} for target, law in laws.items()}
            for name, laws in self.laws.items()
        }


def nest(
    rows: Sequence[Mapping[str, float]],
    domains: Sequence[str],
    targets: Sequence[str],
    along: Mapping[str, tuple[str, float]],
) -> Carried:
    """Carry the losses of runs to more steps, then to a larger model; what comes out is fit for a mixing law.

    `along` names in their order what is carried: {"step": (column, to), "size": (column, to)}, or one of them. Runs are
    of one mixture where their shares agree to six digits. A column that is not carried along must not vary.
    """
    shares = np.array([[row[name] for name in domains] for row in rows])
    kinds, kind = np.unique(np.round(shares, 6), axis=0, return_inverse=True)
    keys = np.column_stack([kind.reshape(-1), *([row[column] for row in rows] for column, _ in along.values())])
    if len(np.unique(keys, axis=0)) < len(rows):
        raise UserError(
            "two runs have the same shares and the same " + " and ".join(column for column, _ in along.values()),
            hint="keep one of them, or name the column in which they differ with --steps or --sizes",
        )
    losses = np.array([[row[name] for name in targets] for row in rows])
    if (losses <= 0).any():
        raise UserError(f"run {int(np.flatnonzero((losses <= 0).any(1))[0]) + 1}: a loss must be above 0")
    row = np.arange(len(rows))  # of each curve the first row in the file
    laws: dict[str, dict[str, TiedPower]] = {}
    reach: dict[str, tuple[float, float, float]] = {}
    for at, (name, (column, to)) in enumerate(along.items(), start=1):
        x = np.unique(keys[:, at])
        if x[0] <= 0:
            raise UserError(f"column {column!r} is {x[0]:g}: it must be above 0")
        curves, curve = np.unique(np.delete(keys, at, axis=1), axis=0, return_inverse=True)
        curve = curve.reshape(-1)
        if (alone := first_row(np.bincount(curve)[curve] < 2)) is not None:
            raise RowError(int(row[alone]), f"is the only {name} of its curve: a power law needs at least two")
        row = np.array([row[curve == one].min() for one in range(len(curves))])
        table = np.full((losses.shape[1], len(curves), len(x)), np.nan)
        table[:, curve, np.searchsorted(x, keys[:, at])] = losses.T
        try:
            fitted = {target: fit_tied_power(x, one) for target, one in zip(targets, table, strict=True)}
        except UserError as error:
            raise UserError(f"column {column!r}: {error.message}", hint=error.hint) from None
        laws[name], reach[name] = fitted, (float(x[0]), float(x[-1]), to)
        losses = np.stack([law.at(to) for law in fitted.values()], axis=1)
        keys = np.insert(curves, at, to, axis=1)
    return Carried(mixtures(domains, kinds[keys[:, 0].astype(int)], targets, losses), laws, reach)
