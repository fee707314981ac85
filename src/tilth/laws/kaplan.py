"""The laws of Kaplan et al. (2020, arXiv 2001.08361): L(N), L(D), L(C), L(N, D), and the best size for a budget.

N counts parameters without embeddings, C is in PF-days (8.64e19 FLOP) where the published constants are used.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilth.laws.allocation import Allocation, fitted_allocation
from tilth.laws.choices import Variable
from tilth.laws.counting import Counting
from tilth.laws.fitting.law import Array, Columns, Law, grid, log_sum
from tilth.laws.fitting.result import Fit, Prediction
from tilth.laws.flops import training_flops

PF_DAY = 8.64e19
PUBLISHED = {
    "N": {"Nc": 8.8e13, "alpha": 0.076},
    "D": {"Dc": 5.4e13, "alpha": 0.095},
    "C": {"Cc": 3.1e8, "alpha": 0.050},
    "ND": {"Nc": 6.4e13, "alpha_N": 0.076, "Dc": 1.8e13, "alpha_D": 0.103},
}
"""The paper's constants (equations 1.1, 1.2, 1.3 for C_min in PF-days, and table 2 for N and D together)."""
COUNTING = Counting.WITHOUT_EMBEDDINGS


class PowerLaw(Law):
    """L(X) = (Xc / X)^alpha in one variable X: N, D or C."""

    source = "Kaplan et al. 2020, equations 1.1 to 1.3"

    def __init__(self, variable: Variable = "N") -> None:
        self.variable = variable
        self.columns = (variable,)
        self.names = (f"{variable}c", "alpha")
        self.inner_names = (f"alpha log {variable}c", "alpha")
        self.name = f"kaplan L({variable})"  # type: ignore[misc]
        self.formula = f"L = ({variable}c / {variable})^alpha"  # type: ignore[misc]
        self.counts_parameters = variable == "N"  # type: ignore[misc]
        self.scale_column = variable  # type: ignore[misc]

    def log_loss(self, theta: Array, columns: Columns) -> tuple[Array, Array]:
        """log L = alpha log Xc - alpha log X."""
        x = np.log(columns[self.variable])
        value = theta[:, :1] - theta[:, 1:] * x
        jacobian = np.broadcast_to(np.stack([np.ones_like(x), -x], -1), (*value.shape, 2)).copy()
        return value, jacobian

    def starts(self, columns: Columns, loss: Array) -> Array:
        """Lines through the middle of the points."""
        x, y = np.log(columns[self.variable]).mean(), np.log(loss).mean()
        slope = np.geomspace(0.01, 1.0, 9)
        return np.stack([y + slope * x, slope], -1)

    def bounds(self, columns: Columns, loss: Array) -> tuple[Array, Array]:
        """alpha between 0 and 5."""
        return np.array([-np.inf, 0.0]), np.array([np.inf, 5.0])

    def outer(self, theta: Array) -> Array:
        """Xc and alpha; Xc overflows where alpha is nearly 0."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            return np.stack([np.exp(theta[:, 0] / theta[:, 1]), theta[:, 1]], -1)

    def inner(self, parameters: Mapping[str, float]) -> Array:
        """theta of Xc and alpha."""
        alpha = parameters["alpha"]
        return np.array([alpha * np.log(parameters[f"{self.variable}c"]), alpha])


class SizeAndData(Law):
    """L(N, D) = [(Nc / N)^(alpha_N / alpha_D) + Dc / D]^alpha_D (equation 1.5)."""

    name = "kaplan L(N,D)"
    formula = "L = [(Nc / N)^(alpha_N / alpha_D) + Dc / D]^alpha_D"
    source = "Kaplan et al. 2020, equation 1.5"
    columns = ("N", "D")
    names = ("Nc", "alpha_N", "Dc", "alpha_D")
    inner_names = ("rho log Nc", "rho = alpha_N / alpha_D", "log Dc", "alpha_D")
    counts_parameters = True

    def scale(self, columns: Columns) -> Array:
        """Compute."""
        return training_flops(columns["N"], columns["D"])

    scale_column = "N"

    def log_loss(self, theta: Array, columns: Columns) -> tuple[Array, Array]:
        """log L = alpha_D log(exp(u - rho log N) + exp(v - log D))."""
        n, d = np.log(columns["N"]), np.log(columns["D"])
        u, rho, v, alpha = (theta[:, at, None] for at in range(4))
        inside, share = log_sum(np.stack([u - rho * n, v - d + 0 * u]))
        by_size = alpha * share[0]
        return alpha * inside, np.stack([by_size, -by_size * n, alpha * share[1], inside], -1)

    def starts(self, columns: Columns, loss: Array) -> Array:
        """Both terms of like size in the middle of the points, in several shares and with several exponents."""
        n, d, y = np.log(columns["N"]).mean(), np.log(columns["D"]).mean(), np.log(loss).mean()
        every = grid([0.02, 0.05, 0.1, 0.2, 0.4], [0.3, 0.6, 1.0, 1.6], [0.1, 0.3, 0.5, 0.7, 0.9])
        alpha, rho, share = every.T
        inside = y / alpha
        return np.stack([inside + np.log(share) + rho * n, rho, inside + np.log(1 - share) + d, alpha], -1)

    def bounds(self, columns: Columns, loss: Array) -> tuple[Array, Array]:
        """Exponents above 0."""
        return np.array([-np.inf, 1e-3, -np.inf, 1e-4]), np.array([np.inf, 10.0, np.inf, 5.0])

    def outer(self, theta: Array) -> Array:
        """Nc, alpha_N, Dc, alpha_D."""
        u, rho, v, alpha = theta.T
        with np.errstate(over="ignore"):
            return np.stack([np.exp(u / rho), rho * alpha, np.exp(v), alpha], -1)

    def inner(self, parameters: Mapping[str, float]) -> Array:
        """theta of the printed parameters."""
        rho = parameters["alpha_N"] / parameters["alpha_D"]
        return np.array([rho * np.log(parameters["Nc"]), rho, np.log(parameters["Dc"]), parameters["alpha_D"]])


def published_allocation(flops: float) -> Allocation:
    """The paper's own answer (table 6): N = 1.3e9 C^0.73, D = 2e10 C^0.27, C = C_min in PF-days.

    Measured at the critical batch size, so not the minimum of L(N, D): ten times the compute, 5.4 times the model.
    """
    days = flops / PF_DAY
    return Allocation(1.3e9 * days**0.73, 2e10 * days**0.27, COUNTING)


def best_size(theta: Array, flops: float) -> Array:
    """log N (P,) of the lowest L(N, D) of 6 N D = C: N^(1 + rho) = rho Nc^rho C / (6 Dc), rho = alpha_N / alpha_D."""
    u, rho, v, _ = theta.T
    return np.asarray((np.log(rho) + u + np.log(flops / 6.0) - v) / (1 + rho))


def allocation(parameters: Mapping[str, float], flops: float, counting: Counting = COUNTING) -> Allocation:
    """The compute-optimal model and tokens for C = 6 N D FLOP."""
    size = float(np.exp(best_size(SizeAndData().inner(parameters)[None], flops)[0]))
    return Allocation.of(flops, size, counting)


def fitted_optimum(fit: Fit, flops: float) -> dict[str, Prediction]:
    """N, D, tokens a parameter and loss at the optimum for C, with bootstrap intervals, of a fit of L(N, D)."""

    def log_loss(theta: Array, log_n: Array, log_d: Array) -> Array:
        u, rho, v, alpha = theta.T
        return np.asarray(alpha * np.logaddexp(u - rho * log_n, v - log_d))

    return fitted_allocation(fit, flops, lambda theta: best_size(theta, flops), log_loss)
