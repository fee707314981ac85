"""What repeated epochs are worth: the data-constrained law of Muennighoff et al. 2023 (arXiv 2305.16264).

L = E + A / N'^alpha + B / D'^beta. Of D tokens U are different ones; D' = U + U R_D (1 - exp(-(D/U - 1) / R_D)). N_U is
the size for which U tokens are compute-optimal; parameters beyond it lose their worth alike, only sooner:
N' = N_U + N_U R_N (1 - exp(-(N/N_U - 1) / R_N)), and N' = N up to N_U. With R_D about 15 and R_N about 5, no number of
epochs is worth more than sixteen times the data, no size more than six times the one that the data call for.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilth.laws.fitting.data import RowError, first_row
from tilth.laws.fitting.law import Array, Columns, Law, grid, log_sum
from tilth.laws.flops import training_flops

MUENNIGHOFF = {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353, "R_D": 15.4, "R_N": 5.31}
"""The paper's fit on C4 (section 6 and appendix A: a = 6.255, b = 7.305, e = 0.625 as logarithms)."""


class Repeated(Law):
    """L(N, D, U): N parameters, D tokens trained on, U of them unique."""

    name = "repeated"
    formula = "L = E + A / N'^alpha + B / D'^beta; D' = U + U R_D (1 - exp(-(D/U - 1) / R_D)), N' alike with R_N"
    source = "Muennighoff et al. 2023, equations 5 and 6"
    columns = ("N", "D", "U")
    names = ("E", "A", "B", "alpha", "beta", "R_D", "R_N")
    inner_names = ("log E", "log A", "log B", "alpha", "beta", "log R_D", "log R_N")
    counts_parameters = True
    scale_column = "N"

    def scale(self, columns: Columns) -> Array:
        """Compute."""
        return training_flops(columns["N"], columns["D"])

    def check(self, columns: Columns) -> None:
        """U is at most D."""
        super().check(columns)
        if (at := first_row(columns["U"] > columns["D"] * (1 + 1e-9))) is not None:
            raise RowError(at, f"{columns['U'][at]:g} unique tokens of {columns['D'][at]:g} trained on")

    def log_loss(self, theta: Array, columns: Columns) -> tuple[Array, Array]:
        """Chinchilla's form in the effective N' and D'; the size that U calls for moves with theta too."""
        e, a, b, alpha, beta, log_rd, log_rn = (theta[:, at, None] for at in range(7))
        unique = np.log(columns["U"])
        log_d, by_d, _ = _worth(columns["D"][None] / columns["U"] - 1.0, log_rd)
        log_d = unique + log_d
        safe = np.maximum(alpha, 1e-6)
        total = _alpha_log_matched(a, b, alpha, beta, unique)
        log_nu = total / safe
        log_n = np.log(columns["N"])
        small = log_n <= log_nu
        base = np.where(small, log_n, log_nu)
        excess = np.exp(np.minimum(np.where(small, 0.0, log_n - log_nu), 50.0)) - 1.0
        grow, by_n, by_excess = _worth(excess, log_rn)
        log_size = base + grow
        value, share = log_sum(np.stack([e + 0 * log_n, a - alpha * log_size, b - beta * log_d]))
        # d log_size / d log_nu, where N is above N_U: 1 - (excess + 1) d grow / d excess
        follow = np.where(small, 0.0, 1.0 - (excess + 1.0) * by_excess)
        size_by = {
            "a": follow / safe,
            "b": -follow / safe,
            "alpha": follow * (1.0 / np.maximum(alpha, 1e-9) / safe - total / safe**2),
            "beta": follow * (unique - 1.0 / np.maximum(beta, 1e-9)) / safe,
        }
        slope = -alpha * share[1]
        columns_of = [
            share[0],
            share[1] + slope * size_by["a"],
            share[2] + slope * size_by["b"],
            -share[1] * log_size + slope * size_by["alpha"],
            -share[2] * log_d + slope * size_by["beta"],
            -beta * share[2] * by_d,
            slope * np.where(small, 0.0, by_n),
        ]
        return value, np.stack(columns_of, -1)

    def starts(self, columns: Columns, loss: Array) -> Array:
        """Chinchilla's starts with three values each of R_D and R_N."""
        n, d = np.log(columns["N"]).mean(), np.log(columns["D"]).mean()
        every = grid([0.5, 0.7, 0.9], [0.2, 0.5, 0.8], [0.2, 0.35, 0.6], [0.2, 0.35, 0.6], [3, 15, 60], [2, 8, 40])
        part, share, alpha, beta, rd, rn = every.T
        floor = part * loss.min()
        above = np.median(loss) - floor
        a, b = np.log(above * share) + alpha * n, np.log(above * (1 - share)) + beta * d
        return np.stack([np.log(floor), a, b, alpha, beta, np.log(rd), np.log(rn)], -1)

    def bounds(self, columns: Columns, loss: Array) -> tuple[Array, Array]:
        """R between 0.01 and 100,000 epochs."""
        low, high = np.log(0.01), np.log(1e5)
        return (
            np.array([-7.0, -np.inf, -np.inf, 0.01, 0.01, low, low]),
            np.array([np.log(loss.min() * 1.1), np.inf, np.inf, 3.0, 3.0, high, high]),
        )

    def outer(self, theta: Array) -> Array:
        """E, A, B, alpha, beta, R_D, R_N."""
        return np.concatenate([np.exp(theta[:, :3]), theta[:, 3:5], np.exp(theta[:, 5:])], axis=1)

    def inner(self, parameters: Mapping[str, float]) -> Array:
        """theta of the printed parameters."""
        logs = {name: np.log(parameters[name]) for name in ("E", "A", "B", "R_D", "R_N")}
        return np.array(
            [logs["E"], logs["A"], logs["B"], parameters["alpha"], parameters["beta"], logs["R_D"], logs["R_N"]]
        )


def _worth(repeats: Array, log_r: Array) -> tuple[Array, Array, Array]:
    """log(1 + R (1 - exp(-repeats / R))), and its derivatives by log R and by repeats."""
    r = np.exp(log_r)
    ratio = repeats / r
    gain = -np.expm1(-ratio)
    worth = 1.0 + r * gain
    return np.log(worth), (r * gain - repeats * np.exp(-ratio)) / worth, np.exp(-ratio) / worth


def _alpha_log_matched(a: Array, b: Array, alpha: Array, beta: Array, log_unique: Array) -> Array:
    """alpha log N_U: where alpha A / N^alpha = beta B / U^beta, what a parameter and a token bring is in balance."""
    return np.log(np.maximum(alpha, 1e-9)) - np.log(np.maximum(beta, 1e-9)) + a - b + beta * log_unique


def matched_size(parameters: Mapping[str, float], unique: float) -> float:
    """N_U = (alpha A / (beta B))^(1/alpha) U^(beta/alpha), the size for which U tokens are compute-optimal."""
    a, b = np.log(parameters["A"]), np.log(parameters["B"])
    alpha, beta = np.array(parameters["alpha"]), np.array(parameters["beta"])
    return float(np.exp(_alpha_log_matched(a, b, alpha, beta, np.log(unique)) / alpha))


def effective_tokens(unique: float, epochs: float, r: float = MUENNIGHOFF["R_D"]) -> float:
    """D': fresh tokens that `epochs` passes over `unique` tokens are worth; below one epoch, what is read."""
    return _effective(unique, unique * epochs, r)


def effective_parameters(matched: float, size: float, r: float = MUENNIGHOFF["R_N"]) -> float:
    """N': what a model of `size` parameters is worth on data that call for `matched`; up to those, what it has."""
    return _effective(matched, size, r)


def _effective(first: float, used: float, r: float) -> float:
    """What is used, up to `first`; what is beyond loses its worth."""
    beyond = np.array(max(used / first - 1.0, 0.0))
    return min(used, first) * float(np.exp(_worth(beyond, np.log(r))[0]))


def repeated_loss(parameters: Mapping[str, float], size: Array, tokens: Array, unique: float) -> Array:
    """Nats a token (n,) of N and D (n,) with `unique` tokens at hand, of which min(U, D) are read at least once.

    `parameters` without R_D and R_N (a Chinchilla law) take the published ones.
    """
    law = {**MUENNIGHOFF, **parameters}
    return Repeated().predict(law, N=size, D=tokens, U=np.minimum(unique, tokens))
