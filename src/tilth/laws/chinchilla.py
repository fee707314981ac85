"""Chinchilla's parametric law L = E + A / N^alpha + B / D^beta, its optimum for a budget, and its published constants.

Hoffmann et al. 2022 (arXiv 2203.15556), approach 3; refitted by Besiroglu et al. 2024 (arXiv 2404.10102).
Approaches 1 and 2 are in `isoflop`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.allocation import Allocation, fitted_allocation
from tilth.laws.counting import Counting
from tilth.laws.fitting.law import Array, Columns, Law, grid, log_sum
from tilth.laws.fitting.result import Fit, Prediction
from tilth.laws.flops import training_flops

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
"""As printed (rounded: at 5.76e23 FLOP the rounding alone makes 93 tokens a parameter out of 59)."""
BESIROGLU = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
COUNTING = Counting.ALL


class Chinchilla(Law):
    """L(N, D) = E + A / N^alpha + B / D^beta, nats a token."""

    name = "chinchilla"
    formula = "L = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022, equation 2"
    columns = ("N", "D")
    names = ("E", "A", "B", "alpha", "beta")
    inner_names = ("log E", "log A", "log B", "alpha", "beta")
    counts_parameters = True
    scale_column = "N"

    def scale(self, columns: Columns) -> Array:
        """Compute."""
        return training_flops(columns["N"], columns["D"])

    def log_loss(self, theta: Array, columns: Columns) -> tuple[Array, Array]:
        """log L = log(exp(e) + exp(a - alpha log N) + exp(b - beta log D))."""
        n, d = np.log(columns["N"]), np.log(columns["D"])
        e, a, b, alpha, beta = (theta[:, at, None] for at in range(5))
        value, share = log_sum(np.stack([e + 0 * n, a - alpha * n, b - beta * d]))
        return value, np.stack([share[0], share[1], share[2], -share[1] * n, -share[2] * d], -1)

    def starts(self, columns: Columns, loss: Array) -> Array:
        """E below the lowest loss; what is above it shared between both terms in the middle of the points."""
        n, d = np.log(columns["N"]).mean(), np.log(columns["D"]).mean()
        every = grid([0.3, 0.5, 0.7, 0.85, 0.95], [0.1, 0.3, 0.5, 0.7, 0.9], [0.1, 0.3, 0.5, 0.9], [0.1, 0.3, 0.5, 0.9])
        part, share, alpha, beta = every.T
        floor = part * loss.min()
        above = np.median(loss) - floor
        return np.stack(
            [np.log(floor), np.log(above * share) + alpha * n, np.log(above * (1 - share)) + beta * d, alpha, beta], -1
        )

    def bounds(self, columns: Columns, loss: Array) -> tuple[Array, Array]:
        """E at most the lowest loss and a tenth; exponents between 0 and 5."""
        top = np.log(loss.min() * 1.1)
        return np.array([-7.0, -np.inf, -np.inf, 0.0, 0.0]), np.array([top, np.inf, np.inf, 5.0, 5.0])

    def outer(self, theta: Array) -> Array:
        """E, A, B, alpha, beta."""
        return np.concatenate([np.exp(theta[:, :3]), theta[:, 3:]], axis=1)

    def inner(self, parameters: Mapping[str, float]) -> Array:
        """theta of the printed parameters."""
        e, a, b = (np.log(parameters[name]) for name in ("E", "A", "B"))
        return np.array([e, a, b, parameters["alpha"], parameters["beta"]])


def best_size(theta: Array, flops: float) -> Array:
    """log N (P,) of the optimum: N = G (C / 6)^(beta / (alpha + beta)), G^(alpha + beta) = alpha A / (beta B)."""
    _, a, b, alpha, beta = theta.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.log(alpha / beta) + a - b + beta * np.log(flops / 6.0)) / (alpha + beta)


def optimum(parameters: Mapping[str, float], flops: float, counting: Counting = COUNTING) -> Allocation:
    """The compute-optimal model and tokens for C = 6 N D FLOP (Hoffmann et al. 2022, equation 4)."""
    size = float(np.exp(best_size(Chinchilla().inner(parameters)[None], flops)[0]))
    return Allocation.of(flops, size, counting)


def fitted_optimum(fit: Fit, flops: float) -> dict[str, Prediction]:
    """N, D, tokens a parameter and loss at the optimum for C, and the exponent of N*(C), with bootstrap intervals."""

    def log_loss(theta: Array, log_n: Array, log_d: Array) -> Array:
        e, a, b, alpha, beta = theta.T
        return np.asarray(np.logaddexp.reduce([e, a - alpha * log_n, b - beta * log_d]))

    useless = [name for name, exponent in (("N", "alpha"), ("D", "beta")) if fit.parameters[exponent] <= 0]
    if useless:
        raise UserError(
            f"the fitted law has no compute-optimal size: the loss does not fall with {' and '.join(useless)}",
            hint="look at the fit without --flops, and at runs that went wrong",
        )
    found = fitted_allocation(fit, flops, lambda theta: best_size(theta, flops), log_loss)
    return found | {"size_exponent": fit.quantity(lambda theta: theta[:, 4] / (theta[:, 3] + theta[:, 4]))}
