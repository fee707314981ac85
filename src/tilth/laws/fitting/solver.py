"""Many small robust fits at once: damped Newton steps on Huber's loss, every problem in its own row of one array.

Huber's loss with a small delta is nearly a sum of absolute values. Two classic steps fail on it alone: reweighted
least squares goes down at every step but slowly, Newton's step is exact once the points within delta are known (Madsen
and Nielsen, 1990) but is wild before. Here the damping of the second is the matrix of the first, so that a large
damping is a safe step and a small one is Newton's. Starts, bootstrap resamples, folds and domains are all problems of
the same shape, and numpy solves them together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Residuals = Callable[[Array, Places], tuple[Array, Array]]
"""(theta (P, k), which problems (P,)) -> residuals (P, n) and their Jacobian (P, n, k)."""
DAMPING_FLOOR, DAMPING_CEILING = 1e-9, 1e10
IMPROVEMENT = 1e-11
"""A problem is solved when a step taken, or one that could not be taken, changes the objective by less (relatively)."""


@dataclass(frozen=True)
class Solution:
    """theta (P, k), objective (P,): weighted sum of Huber's loss with the penalty; converged (P,); steps taken."""

    theta: Array
    objective: Array
    converged: np.ndarray[Any, np.dtype[np.bool_]]
    steps: int


def huber(residuals: Array, delta: float) -> Array:
    """r^2 / 2 within delta, else delta (|r| - delta / 2); delta = inf is least squares."""
    size = np.abs(residuals)
    if np.isinf(delta):
        return 0.5 * size * size
    return np.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))


def solve(
    residuals: Residuals,
    start: Array,
    *,
    delta: float,
    weights: Array | None = None,
    bounds: tuple[Array, Array] | None = None,
    penalty: tuple[Array, Array] | None = None,
    max_steps: int = 200,
) -> Solution:
    """Minimise sum_i w_i huber(r_i(theta)) + sum_j p_j (theta_j - m_j)^2 / 2 for each row of `start` (P, k).

    `weights` (P, n), `bounds` low and high (k,), `penalty` precision p and mean m (k,) or (P, k).
    """
    theta = np.array(start, dtype=float)
    count, size = theta.shape
    low, high = bounds if bounds is not None else (np.full(size, -np.inf), np.full(size, np.inf))
    precision, mean = penalty if penalty is not None else (np.zeros(size), np.zeros(size))
    precision, mean = (np.broadcast_to(part, theta.shape) for part in (precision, mean))
    theta = np.clip(theta, low, high)

    def objective(at: Array, rows: Array, which: Places) -> Array:
        loss = huber(rows, delta)
        data = loss.sum(-1) if weights is None else (weights[which] * loss).sum(-1)
        total = data + 0.5 * (precision[which] * (at - mean[which]) ** 2).sum(-1)
        return np.where(np.isfinite(total), total, np.inf)

    everyone = np.arange(count)
    rows, jacobian = residuals(theta, everyone)
    value = objective(theta, rows, everyone)
    damping, converged, active = np.full(count, 1.0), np.zeros(count, bool), everyone[np.isfinite(value)]
    steps = 0
    while steps < max_steps and len(active):
        steps += 1
        row_weights = None if weights is None else weights[active]
        pulled = precision[active], theta[active] - mean[active]
        matrices = _curvature(rows[active], jacobian[active], delta, row_weights)
        moved = np.clip(theta[active] - _damped(matrices, pulled, damping[active], theta[active], low, high), low, high)
        new_rows, new_jacobian = residuals(moved, active)
        new_value = objective(moved, new_rows, active)
        gain = value[active] - new_value
        better = gain > 0
        small = np.abs(gain) <= IMPROVEMENT * value[active] + 1e-300
        taken = active[better]
        theta[taken], value[taken] = moved[better], new_value[better]
        rows[taken], jacobian[taken] = new_rows[better], new_jacobian[better]
        stuck = ~better & (damping[active] >= DAMPING_CEILING)
        # a tiny gain under heavy damping says little: it must also be tiny once the damping has been let go
        done = (small & ((damping[active] <= 1e-3) | ~better)) | stuck
        converged[active[done]] = True
        damping[active] = np.where(better, damping[active] / 4.0, damping[active] * 8.0)
        damping = np.clip(damping, DAMPING_FLOOR, DAMPING_CEILING * 10)
        active = active[~done]
    return Solution(theta, value, converged, steps)


def _damped(
    matrices: tuple[Array, Array, Array],
    pulled: tuple[Array, Array],
    damping: Array,
    at: Array,
    low: Array,
    high: Array,
) -> Array:
    """Every problem's step, the penalty (precision, distance from its mean) added to gradient and matrices."""
    gradient, newton, safe = matrices
    precision, away = pulled
    gradient = gradient + precision * away
    diagonal = np.arange(at.shape[1])
    newton[:, diagonal, diagonal] += precision
    safe[:, diagonal, diagonal] *= 2.0  # Marquardt's part: directions that no point speaks of
    safe[:, diagonal, diagonal] += precision + 1e-12
    blocked = ((at <= low) & (gradient > 0)) | ((at >= high) & (gradient < 0))
    return _step(newton + damping[:, None, None] * safe, gradient, blocked)


def _curvature(rows: Array, jacobian: Array, delta: float, weights: Array | None) -> tuple[Array, Array, Array]:
    """Gradient (P, k), Newton's matrix (points within delta) and that of reweighted least squares (all), (P, k, k)."""
    size = np.abs(rows)
    inside = size <= delta
    slope = np.where(inside, rows, delta * np.sign(rows)) if np.isfinite(delta) else rows
    share = np.where(inside, 1.0, delta / np.maximum(size, 1e-300)) if np.isfinite(delta) else np.ones_like(rows)
    near = inside.astype(float)
    if weights is not None:
        slope, share, near = slope * weights, share * weights, near * weights
    across = jacobian.transpose(0, 2, 1)
    gradient = (across @ slope[..., None])[..., 0]
    safe = across @ (share[..., None] * jacobian)
    newton = safe.copy() if np.isinf(delta) else across @ (near[..., None] * jacobian)
    return gradient, newton, safe


def _step(matrix: Array, gradient: Array, blocked: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    """Solve for every problem's step, with the parameters that stand at a bound held."""
    free = (~blocked).astype(float)
    matrix = matrix * free[:, :, None] * free[:, None, :]
    scale = np.sqrt(np.maximum(np.einsum("pkk->pk", matrix), 1e-300))
    matrix = matrix / scale[:, :, None] / scale[:, None, :]
    at = np.arange(matrix.shape[-1])
    matrix[:, at, at] = np.where(blocked, 1.0, matrix[:, at, at] + 1e-14)
    step = np.linalg.solve(matrix, (gradient * free / scale)[..., None])[..., 0] / scale
    return np.asarray(np.where(np.isfinite(step), step * free, 0.0))
