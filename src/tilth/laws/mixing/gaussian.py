"""Gaussian-process regression of many losses on mixtures: smooth surprises on top of a straight line in log shares.

k(x, y) = s^2 exp(-sum_j (x_j - y_j)^2 / (2 l_j^2)) + b^2 (1 + x.y / M) + noise, in standardised log(share + floor):
what a domain's first per cent buys is seen as well as its last. The lengths are the most probable ones (likelihood
times a log-normal prior; Rasmussen and Williams 2006, section 5.4), by analytic gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
LENGTH, SPREAD = 3.0, 1.0
"""Median and log-standard deviation of the prior of a length, in standard deviations of a feature."""


@dataclass(frozen=True)
class Process:
    """A fitted process for T targets (`shared` lengths): predict gives means (n, T)."""

    floor: float
    centre: Array
    scale: Array
    inputs: Array
    hyper: Array
    target_mean: Array
    target_scale: Array
    coefficients: Array
    objective: float
    """Minus the log evidence of all targets with the prior, at the optimum: floors are compared by it."""

    def predict(self, mixtures: Array) -> Array:
        """Means (n, T) for mixtures (n, M)."""
        x = (np.log(mixtures + self.floor) - self.centre) / self.scale
        smooth, straight = _kernels(x, self.inputs, self.hyper)
        return np.asarray(self.target_mean + self.target_scale * ((smooth + straight) @ self.coefficients))


def fit_process(
    mixtures: Array, targets: Array, *, floor: float = 0.002, one_length: bool = False, start: Array | None = None
) -> Process:
    """Fit targets (n, T) on mixtures (n, M); one set of lengths for all targets, or one length for all domains."""
    from scipy.linalg import cho_solve
    from scipy.optimize import minimize

    x = np.log(mixtures + floor)
    centre, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    x = (x - centre) / scale
    mean, spread = targets.mean(0), np.maximum(targets.std(0), 1e-12)
    y = (targets - mean) / spread
    size = 1 if one_length else x.shape[1]
    gaps = (x[:, None, :] - x[None, :, :]) ** 2
    if one_length:
        gaps = gaps.sum(-1, keepdims=True)
    first = np.r_[np.full(size, np.log(LENGTH)), 0.0, 0.0, np.log(0.05)] if start is None else start
    bounds = [(-2.0, 7.0)] * size + [(-5.0, 5.0), (-5.0, 5.0), (-7.0, 0.0)]
    found = minimize(_evidence, first, args=(x, y, gaps), jac=True, method="L-BFGS-B", bounds=bounds)
    hyper = found.x
    smooth, straight = _kernels(x, x, hyper)
    factor = np.linalg.cholesky(smooth + straight + _noise(hyper, len(x)))
    weights = cho_solve((factor, True), y)
    return Process(floor, centre, scale, x, hyper, mean, spread, weights, float(found.fun))


def _kernels(x: Array, other: Array, hyper: Array) -> tuple[Array, Array]:
    """The smooth and the straight part between rows of `x` (n, M) and of `other` (m, M)."""
    width = x.shape[1]
    lengths = np.exp(np.broadcast_to(hyper[:-3], (width,)))
    a, b = x / lengths, other / lengths
    gap = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0.0)
    return np.exp(2 * hyper[-3] - 0.5 * gap), np.exp(2 * hyper[-2]) * (1.0 + x @ other.T / width)


def _noise(hyper: Array, count: int) -> Array:
    return np.asarray((np.exp(2 * hyper[-1]) + 1e-8) * np.eye(count))


def _evidence(hyper: Array, x: Array, y: Array, gaps: Array) -> tuple[float, Array]:
    """Minus the log marginal likelihood of all targets with the prior of the lengths, and its gradient."""
    from scipy.linalg import cho_solve

    smooth, straight = _kernels(x, x, hyper)
    noise = _noise(hyper, len(x))
    factor = np.linalg.cholesky(smooth + straight + noise)
    inverse = cho_solve((factor, True), np.eye(len(x)))
    weights = inverse @ y
    targets = y.shape[1]
    value = 0.5 * float((y * weights).sum()) + targets * float(np.log(np.diag(factor)).sum())
    pull = 0.5 * (targets * inverse - weights @ weights.T)
    by_length = np.tensordot(pull * smooth, gaps, axes=2) * np.exp(-2 * hyper[:-3])
    last = [2 * (pull * part).sum() for part in (smooth, straight, noise)]
    off = (hyper[:-3] - np.log(LENGTH)) / SPREAD**2
    return value + 0.5 * float((off**2).sum()) * SPREAD**2, np.r_[by_length + off, last]
