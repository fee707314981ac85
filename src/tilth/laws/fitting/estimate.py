"""`fit(law, points)`: screened starts, a robust solution, intervals, held-out error, and what went wrong.

The loss is Huber's on the residuals of log loss, summed over the points (Hoffmann et al. 2022, appendix D.3; Besiroglu
et al. 2024 show what a mean in place of the sum does to a solver that stops early).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.base.progress import Progress
from tilth.laws.fitting.data import Points
from tilth.laws.fitting.law import Array, Law
from tilth.laws.fitting.result import Fit, HeldOut
from tilth.laws.fitting.solver import Solution, huber, solve

POLISHED = 40
REFITTED_AT_ONCE = 1000
"""Resamples; what is told of the progress comes as often."""
SCREENED_AT_ONCE = 4_000_000
ENOUGH = 40
"""Resamples of which one lies beyond each end of a 95 % interval."""
AGREE = 1e-4
"""Starts agree with the best when their objective is within this part of it."""


@dataclass(frozen=True)
class Settings:
    """How to fit: Huber's delta on log loss, bootstrap resamples and their seed, folds of the held-out error."""

    delta: float = 1e-3
    bootstrap: int = 0
    seed: int = 0
    folds: int = 5
    largest: float = 0.2
    """The part of the runs, the largest, that is predicted from the others."""


def fit(law: Law, points: Points, settings: Settings | None = None, *, starts: Array | None = None) -> Fit:
    """Fit `law` on `points`; `starts` (S, k) replace the law's own screened grid."""
    settings = settings or Settings()
    law.check(points.columns)
    size = law.bounds(points.columns, points.loss)[0].size
    if len(points) < size:
        raise UserError(
            f"{len(points)} points cannot determine the {size} parameters of the {law.name} law",
            hint=f"measure at least {size + 1} runs, better {3 * size}",
        )
    for name in law.columns:
        if np.ptp(points.columns[name]) == 0:
            raise UserError(
                f"all {len(points)} points have the same {name}: its effect cannot be told",
                hint=f"measure runs of at least three different {name}",
            )
    if law.counts_parameters and points.counting is None:
        raise UserError(
            f"the {law.name} law speaks of model sizes: say how they are counted",
            hint="without-embeddings, with-head or all",
        )
    order = np.lexsort([*(points.columns[name] for name in law.columns), points.loss])
    points = points.rows(order)  # resamples and folds are then the same whatever the order of the rows was
    first = _screen(law, points, settings.delta) if starts is None else starts
    solution = _solve(law, points, first, settings.delta)
    best = int(solution.objective.argmin())
    result = Fit(
        law=law,
        theta=solution.theta[best],
        objective=float(solution.objective[best]),
        points=points,
        delta=settings.delta,
        warnings=tuple(_warnings(law, points, solution, best)),
    )
    if settings.bootstrap:
        result = _with_bootstrap(result, settings)
    if settings.folds and len(points) >= size + 2:
        result = replace(result, held_out=_held_out(result, settings), extrapolated=_largest(result, settings))
    return result


def _screen(law: Law, points: Points, delta: float) -> Array:
    """The best starts of the law's grid, evaluated a block at a time."""
    starts = law.starts(points.columns, points.loss)
    step = max(1, SCREENED_AT_ONCE // (len(points) * (starts.shape[1] + 4)))
    blocks = (starts[at : at + step] for at in range(0, len(starts), step))
    target = np.log(points.loss)
    value = np.concatenate([huber(law.log_loss(block, points.columns)[0] - target, delta).sum(-1) for block in blocks])
    return starts[np.argsort(np.where(np.isfinite(value), value, np.inf), kind="stable")[:POLISHED]]


def _solve(law: Law, points: Points, starts: Array, delta: float, weights: Array | None = None) -> Solution:
    target = np.log(points.loss)

    def residuals(theta: Array, _: np.ndarray[Any, Any]) -> tuple[Array, Array]:
        predicted, jacobian = law.log_loss(theta, points.columns)
        return predicted - target, jacobian

    bounds = law.bounds(points.columns, points.loss)
    return solve(residuals, starts, delta=delta, weights=weights, bounds=bounds, max_steps=500)


def _warnings(law: Law, points: Points, solution: Solution, best: int) -> list[str]:
    """What a reader of the figures must know, in whole sentences."""
    found = list(points.said())
    size = solution.theta.shape[1]
    if not solution.converged[best]:
        found.append(f"the fit did not converge in {solution.steps} steps: do not use its figures")
    if len(points) < 2 * size:
        found.append(f"{len(points)} points for {size} parameters: the fit hardly has anything to be wrong about")
    low, high = law.bounds(points.columns, points.loss)
    theta = solution.theta[best]
    for at in np.flatnonzero((theta <= low) | (theta >= high)):
        end = "lower" if theta[at] <= low[at] else "upper"
        found.append(f"inner parameter {law.inner_names[at]} stands at its {end} bound {theta[at]:.4g}")
    _, jacobian = law.log_loss(theta[None], points.columns)
    scaled = jacobian[0] / np.maximum(np.linalg.norm(jacobian[0], axis=0), 1e-300)
    values = np.linalg.svd(scaled, compute_uv=False)
    if values[-1] < 1e-7 * values[0]:
        found.append("the points do not determine all parameters: another set of them fits as well")
    agree = int((solution.objective <= solution.objective[best] * (1 + AGREE) + 1e-300).sum())
    if len(solution.theta) >= 5 and agree == 1:
        found.append(f"only one of {len(solution.theta)} starts reached this optimum: a better one may exist")
    return found


def _with_bootstrap(result: Fit, settings: Settings) -> Fit:
    """Refit on resamples of the points (drawn with replacement), from the optimum."""
    count = len(result.points)
    random = np.random.default_rng(settings.seed)
    weights = random.multinomial(count, np.full(count, 1.0 / count), size=settings.bootstrap).astype(float)
    step = min(REFITTED_AT_ONCE, max(1, SCREENED_AT_ONCE // (count * (result.theta.size + 4))))
    parts = []
    with Progress("bootstrap", total=settings.bootstrap, unit="resample") as bar:
        for at in range(0, settings.bootstrap, step):
            block = weights[at : at + step]
            start = np.repeat(result.theta[None], len(block), axis=0)
            parts.append(_solve(result.law, result.points, start, settings.delta, block))
            bar.add(len(block))
    converged = np.concatenate([part.converged for part in parts])
    thetas = np.concatenate([part.theta for part in parts])[converged]
    warnings = result.warnings
    if settings.bootstrap < ENOUGH:
        said = f"{settings.bootstrap} resamples are too few for the ends of a 95 % interval: draw 200 or more"
        warnings = (*warnings, said)
    if not converged.all():
        failed = int((~converged).sum())
        warnings = (*warnings, f"{failed} of {settings.bootstrap} resamples did not converge and are left out")
    return replace(result, resamples=thetas, seed=settings.seed, warnings=warnings)


def _held_out(result: Fit, settings: Settings) -> HeldOut:
    """Error on points that the fit has not seen: folds drawn by chance."""
    count = len(result.points)
    folds = min(settings.folds, count)
    fold = np.random.default_rng(settings.seed).permutation(np.arange(count) % folds)
    weights = (fold[None] != np.arange(folds)[:, None]).astype(float)
    start = np.repeat(result.theta[None], folds, axis=0)
    solution = _solve(result.law, result.points, start, settings.delta, weights)
    predicted = result.law.log_loss(solution.theta, result.points.columns)[0][fold, np.arange(count)]
    return HeldOut.of(np.exp(predicted), result.points.loss, f"{folds} folds")


def _largest(result: Fit, settings: Settings) -> HeldOut | None:
    """Error on the largest runs, predicted from the smaller ones: what a scaling law is for."""
    if result.law.scale_column is None:
        return None
    scale = result.law.scale(result.points.columns)
    cut = np.quantile(scale, 1 - settings.largest)
    large = scale > cut
    if not large.any() or (~large).sum() <= result.theta.size:
        return None
    starts = np.concatenate([result.theta[None], _screen(result.law, result.points.rows(~large), settings.delta)])
    solution = _solve(result.law, result.points.rows(~large), starts, settings.delta)
    theta = solution.theta[int(solution.objective.argmin())]
    predicted = np.exp(result.law.log_loss(theta[None], result.points.columns)[0][0])
    return HeldOut.of(predicted[large], result.points.loss[large], f"the {int(large.sum())} largest from the others")
