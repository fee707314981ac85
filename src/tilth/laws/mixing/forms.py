"""Mixing laws: the loss of a target as a function of the shares of the domains.

exponential  L = c + k exp(sum_j t_j r_j)                      (Ye et al. 2024, arXiv 2403.16952, equation 6)
implicit     L = c + sum_k exp(sum_j t_kj r_j)                 (equation 8: K hidden domains)
shares       L = c + k (sum_j a_j r_j)^-gamma,  a_j >= 0       a power law in the data that is of use to the target

In the last a token of domain j is worth a_j of the target's own, and the loss falls as a power of what is gathered so:
steep where a share is near 0, flat where there is plenty, which an exponential of a straight line cannot be. Each has a
constant c and a scale k for every group (a model size, a step); the shape is the same in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.base.errors import UserError, nearest
from tilth.laws.fitting.solver import solve
from tilth.laws.mixing.mixtures import Mixtures

Array = np.ndarray[Any, np.dtype[np.float64]]
DELTA = 0.02
"""Huber's delta on log loss: runs differ by that much from what any smooth law says."""
RIDGE = 1e-6
"""Precision with which the shape is held to where it started, where the runs say nothing of it."""
AT_ONCE = 8_000_000


@dataclass(frozen=True)
class Form:
    """One of the forms; `hidden` is K of the implicit one."""

    name: str = "shares"
    hidden: int = 1

    def size(self, domains: int) -> int:
        """Parameters of the shape."""
        return {"exponential": domains, "shares": domains + 1, "implicit": self.hidden * domains}[self.name]

    def losses(self, theta: Array, shares: Array, member: Array) -> tuple[Array, Array]:
        """Losses (P, n) and Jacobian (P, n, 2 G + shape) of theta = c (G), log k (G), shape."""
        groups = member.shape[1]
        floor, scale, shape = (
            theta[:, :groups] @ member.T,
            theta[:, groups : 2 * groups] @ member.T,
            theta[:, 2 * groups :],
        )
        with np.errstate(over="ignore"):
            value, by_shape = getattr(self, f"_{self.name}")(shape, shares)
            above = np.exp(np.minimum(scale, 50.0)) * value
        by_floor = np.broadcast_to(member, (len(theta), *member.shape))
        jacobian = np.concatenate(
            [by_floor, above[..., None] * member, np.exp(np.minimum(scale, 50.0))[..., None] * by_shape], axis=-1
        )
        return floor + above, jacobian

    def _exponential(self, shape: Array, shares: Array) -> tuple[Array, Array]:
        value = np.exp(np.clip(shape @ shares.T, -40.0, 40.0))
        return value, value[..., None] * shares

    def _implicit(self, shape: Array, shares: Array) -> tuple[Array, Array]:
        parts = shape.reshape(len(shape), self.hidden, -1)
        values = np.exp(np.clip(parts @ shares.T, -40.0, 40.0))
        by = values[..., None] * shares
        return values.sum(1), by.transpose(0, 2, 1, 3).reshape(len(shape), len(shares), -1)

    def _shares(self, shape: Array, shares: Array) -> tuple[Array, Array]:
        gamma, worth = np.exp(shape[:, :1]), np.exp(shape[:, 1:])
        parts = worth[:, None, :] * shares
        gathered = np.maximum(parts.sum(-1), 1e-300)
        value = gathered**-gamma
        by_gamma = -gamma * np.log(gathered) * value
        by_worth = (-gamma * value / gathered)[..., None] * parts
        return value, np.concatenate([by_gamma[..., None], by_worth], axis=-1)

    def starts(self, low: Array, above: Array, domains: int) -> list[Array]:
        """Thetas (P, k): `low` (P, G) the lowest losses, `above` (P, G) how far the mean lies above each."""
        found = []
        for part in (0.3, 0.6, 0.85):
            floor = low * part
            scale = np.log(above + low * (1 - part))
            for shape in self._shapes(domains):
                found.append(np.concatenate([floor, scale, np.tile(shape, (len(low), 1))], axis=1))
        return found

    def _shapes(self, domains: int) -> list[Array]:
        if self.name == "shares":
            return [np.r_[np.log(gamma), np.zeros(domains)] for gamma in (0.1, 0.5)]
        if self.name == "exponential":
            return [np.zeros(domains)]
        spread = np.linspace(-1.0, 1.0, self.hidden)[:, None] * np.cos(np.arange(domains))[None]
        return [(spread - np.log(self.hidden)).ravel()]

    def bounds(self, low: Array, domains: int) -> tuple[Array, Array]:
        """c between 0 and the lowest loss; with one group the shape carries the scale where it can."""
        groups, size = len(low), self.size(domains)
        lowest = np.r_[np.zeros(groups), np.full(groups, -30.0), np.full(size, -40.0)]
        highest = np.r_[low * 1.05, np.full(groups, 30.0), np.full(size, 60.0)]
        if self.name == "shares":
            highest[2 * groups] = 2.0
        return lowest, highest


FORMS = ("shares", "exponential", "implicit")


def form_named(name: str, hidden: int = 3) -> Form:
    """The form of that name."""
    if name not in FORMS:
        raise UserError(f"{name!r} is no mixing law", hint=nearest(name, FORMS))
    return Form(name, hidden if name == "implicit" else 1)


def fit_form(form: Form, data: Mixtures, weights: Array | None = None) -> Array:
    """theta (F, T, k) of every target, fitted with each row of `weights` (F, n); without, all runs alike (F = 1)."""
    weights = np.ones((1, len(data))) if weights is None else weights
    folds, targets = len(weights), len(data.targets)
    member = data.member()
    losses = np.tile(data.losses.T, (folds, 1))
    each = np.repeat(weights, targets, axis=0)
    size = 2 * member.shape[1] + form.size(len(data.domains))
    step = max(1, AT_ONCE // (len(data) * size))
    parts = [
        _best(form, data, member, losses[at : at + step], each[at : at + step]) for at in range(0, len(losses), step)
    ]
    return np.concatenate(parts).reshape(folds, targets, size)


def _best(form: Form, data: Mixtures, member: Array, losses: Array, weights: Array) -> Array:
    """The best solution over the form's starts, of problems (Q, n)."""
    target = np.log(losses)

    def residuals(theta: Array, which: np.ndarray[Any, Any]) -> tuple[Array, Array]:
        predicted, jacobian = form.losses(theta, data.shares, member)
        predicted = np.maximum(predicted, 1e-6)
        return np.log(predicted) - target[which], jacobian / predicted[..., None]

    # a group of which a fold holds nothing starts from the runs of the others
    count = weights @ member
    seen = (weights[:, None, :] * member.T[None]) > 0
    some = np.where(count > 0, 1.0, 0.0)
    low = np.where(seen, losses[:, None, :], np.inf).min(-1)
    low = np.where(some > 0, low, np.min(np.where(np.isfinite(low), low, np.inf), axis=1, keepdims=True))
    mean = np.where(some > 0, (weights * losses) @ member / np.maximum(count, 1e-12), low * 1.1)
    above = np.maximum(mean - low, 1e-3)
    bounds = form.bounds(low.max(0), len(data.domains))
    groups = member.shape[1]
    theta = value = None
    for start in form.starts(low, above, len(data.domains)):
        precision = np.r_[np.zeros(groups), np.full(start.shape[1] - groups, RIDGE)]
        found = solve(
            residuals,
            start,
            delta=DELTA,
            weights=weights,
            bounds=bounds,
            penalty=(precision, start),
            max_steps=150,
        )
        if theta is None or value is None:
            theta, value = found.theta.copy(), found.objective.copy()
        else:
            better = found.objective < value
            theta[better], value[better] = found.theta[better], found.objective[better]
    assert theta is not None
    return np.asarray(theta)
