"""The D-CPT law: loss of one corpus by model size, tokens and share (Que et al. 2024, arXiv 2406.01375).

L(N, D, r) = E + A / N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma, r the share of the corpus *whose loss is
predicted*: the domain's loss is fitted with its share r_d, the general loss with 1 - r_d. Two fits, three questions:
the share for a general loss at most X, for a domain loss at most Y, and for domain tokens that are limited.
The cross-domain form adds F / K^mu, K a number that says how hard the domain is to learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.fitting.law import Array, Columns, Law, grid, log_sum
from tilth.laws.flops import training_flops

STEPS = 2001
"""Shares at which the answers look first; the crossing is then found to 1e-10."""


class DCPT(Law):
    """L(N, D, r); with `cross_domain`, L(N, D, r, K)."""

    source = "Que et al. 2024, equations 5 and 9"
    counts_parameters = True
    scale_column = "N"

    def __init__(self, *, cross_domain: bool = False) -> None:
        self.cross_domain = cross_domain
        self.name = "dcpt cross-domain" if cross_domain else "dcpt"  # type: ignore[misc]
        tail = " + F / K^mu" if cross_domain else ""
        self.formula = f"L = E + A / N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma{tail}"  # type: ignore[misc]
        self.columns = ("N", "D", "r", "K") if cross_domain else ("N", "D", "r")
        names = ("E", "A", "alpha", "B", "eta", "beta", "C", "epsilon", "gamma")
        self.names = (*names, "F", "mu") if cross_domain else names
        logs = {"E", "A", "B", "C", "F", "epsilon"}
        self.inner_names = tuple(f"log {name}" if name in logs else name for name in self.names)

    def scale(self, columns: Columns) -> Array:
        """Compute."""
        return training_flops(columns["N"], columns["D"])

    def check_column(self, name: str, values: Array) -> None:
        """Shares are between 0 and 1; all else is above 0."""
        check = self.check_share if name == "r" else super().check_column
        check(name, values)

    def log_loss(self, theta: Array, columns: Columns) -> tuple[Array, Array]:
        """log of the sum of the terms; r = 0 takes the second term away."""
        n, d, r = np.log(columns["N"]), np.log(columns["D"]), columns["r"]
        log_r = np.log(np.maximum(r, 1e-300))
        e, a, alpha, b, eta, beta, c, log_eps, gamma = (theta[:, at, None] for at in range(9))
        eps = np.exp(log_eps)
        inside = np.log(r + eps)
        terms = [e + 0 * n, a - alpha * n, b + eta * log_r - beta * d, c - gamma * inside]
        if self.cross_domain:
            k = np.log(columns["K"])
            terms.append(theta[:, 9, None] - theta[:, 10, None] * k)
        value, share = log_sum(np.stack(terms))
        by = [
            share[0],
            share[1],
            -share[1] * n,
            share[2],
            share[2] * log_r,
            -share[2] * d,
            share[3],
            -share[3] * gamma * eps / (r + eps),
            -share[3] * inside,
        ]
        if self.cross_domain:
            by += [share[4], -share[4] * k]
        return value, np.stack(by, -1)

    def starts(self, columns: Columns, loss: Array) -> Array:
        """E below the lowest loss, the rest shared among the terms in the middle of the points."""
        n, d = np.log(columns["N"]).mean(), np.log(columns["D"]).mean()
        every = grid([0.3, 0.6, 0.9], [0.15, 0.35, 0.6], [0.15, 0.35], [0.2, 0.6], [0.3, 1.0], [0.05, 0.3], [0.2, 1.0])
        part, size, data, exponent, eta, eps, gamma = every.T
        floor = part * loss.min()
        above = np.median(loss) - floor
        r = max(float(np.median(columns["r"])), 1e-3)
        rest = 1.0 - size - data
        terms = [
            np.log(floor),
            np.log(above * size) + exponent * n,
            exponent,
            np.log(above * data) + exponent * d - eta * np.log(r),
            eta,
            exponent,
            np.log(above * rest) + gamma * np.log(r + eps),
            np.log(eps),
            gamma,
        ]
        if self.cross_domain:
            k = np.log(columns["K"]).mean()
            terms[0] = np.log(floor * 0.7)
            terms += [np.log(floor * 0.3) + 0.3 * k, np.full_like(part, 0.3)]
        return np.stack(terms, -1)

    def bounds(self, columns: Columns, loss: Array) -> tuple[Array, Array]:
        """Exponents between 0 and 5, epsilon between 0.001 and 3, E below the lowest loss."""
        inf, top = np.inf, np.log(loss.min() * 1.1)
        low = [-7.0, -inf, 0.0, -inf, 0.0, 0.0, -inf, np.log(1e-3), 0.0]
        high = [top, inf, 5.0, inf, 5.0, 5.0, inf, np.log(3.0), 5.0]
        if self.cross_domain:
            low, high = [*low, -inf, 0.0], [*high, inf, 5.0]
        return np.array(low), np.array(high)

    def _logs(self) -> list[int]:
        return [at for at, name in enumerate(self.inner_names) if name.startswith("log ")]

    def outer(self, theta: Array) -> Array:
        """The printed parameters."""
        printed = theta.copy()
        printed[:, self._logs()] = np.exp(theta[:, self._logs()])
        return printed

    def inner(self, parameters: Mapping[str, float]) -> Array:
        """theta of the printed parameters."""
        theta = np.array([float(parameters[name]) for name in self.names])
        with np.errstate(divide="ignore"):
            theta[self._logs()] = np.log(theta[self._logs()])
        return theta


@dataclass(frozen=True)
class Answer:
    """Shares of the domain that meet what was asked, [low, high], and the one that is best among them."""

    low: float
    high: float
    share: float
    domain_loss: float
    general_loss: float


Curve = Callable[[Array], Array]
"""Domain share r_d (n,) -> loss (n,)."""


def curves(
    domain: Mapping[str, float], general: Mapping[str, float], size: float, tokens: float
) -> tuple[Curve, Curve]:
    """Domain and general loss as functions of the domain's share, at N and D."""
    law = DCPT()

    def at(parameters: Mapping[str, float], share: Array) -> Array:
        return law.predict(parameters, N=np.full_like(share, size), D=np.full_like(share, tokens), r=share)

    return (lambda r: at(domain, r)), (lambda r: at(general, 1.0 - r))


def share_for_general(domain: Curve, general: Curve, most: float) -> Answer:
    """The share with the lowest domain loss among those that keep the general loss at most `most`."""
    return _answer(domain, general, lambda r: general(r) - most, domain, f"a general loss of at most {most:g}")


def share_for_domain(domain: Curve, general: Curve, most: float) -> Answer:
    """The share with the lowest general loss among those that bring the domain loss to at most `most`."""
    return _answer(domain, general, lambda r: domain(r) - most, general, f"a domain loss of at most {most:g}")


def share_for_limited_tokens(
    domain: Mapping[str, float], size: float, domain_tokens: float, *, low: float = 0.01
) -> tuple[float, float, float]:
    """With `domain_tokens` and no more, each seen once, D = tokens / r: the share with the lowest domain loss.

    Returns share, total tokens and that loss. Shares from `low` to 1.
    """
    from scipy.optimize import minimize_scalar

    law = DCPT()

    def loss(share: Array) -> Array:
        return law.predict(domain, N=np.full_like(share, size), D=domain_tokens / share, r=share)

    shares = np.linspace(low, 1.0, STEPS)
    values = loss(shares)
    at = int(values.argmin())
    left, right = shares[max(at - 1, 0)], shares[min(at + 1, STEPS - 1)]
    found = minimize_scalar(
        lambda r: float(loss(np.array([r]))[0]), bounds=(left, right), method="bounded", options={"xatol": 1e-10}
    )
    share = float(found.x) if found.fun < values[at] else float(shares[at])
    return share, domain_tokens / share, float(loss(np.array([share]))[0])


def _answer(domain: Curve, general: Curve, bound: Curve, wanted: Curve, what: str) -> Answer:
    """The stretch of shares where `bound` is at most 0 that holds the lowest `wanted`, its ends found exactly."""
    from scipy.optimize import brentq

    shares = np.linspace(0.0, 1.0, STEPS)
    over = bound(shares)
    allowed = np.flatnonzero(over <= 0)
    if not len(allowed):
        at = int(over.argmin())
        raise UserError(f"no share gives {what}: the nearest is {shares[at]:.3f}, off by {over[at]:.4g}")

    def exact(inside: int, outside: int) -> float:
        return float(brentq(lambda r: float(bound(np.array([r]))[0]), shares[inside], shares[outside], xtol=1e-12))

    best = allowed[int(wanted(shares[allowed]).argmin())]
    first, last = best, best
    while first > 0 and over[first - 1] <= 0:
        first -= 1
    while last < STEPS - 1 and over[last + 1] <= 0:
        last += 1
    low = exact(first, first - 1) if first > 0 else 0.0
    high = exact(last, last + 1) if last < STEPS - 1 else 1.0
    candidates = np.array([low, high, *shares[first : last + 1]])
    share = float(candidates[int(wanted(candidates).argmin())])
    here = np.array([share])
    return Answer(low, high, share, float(domain(here)[0]), float(general(here)[0]))
