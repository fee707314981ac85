"""Several models of the same runs in one: weights chosen by cross-validation inside those runs, never on others.

A weight is at least 0 and they sum to 1, so that an ensemble is never wilder than its members (Breiman 1996, stacked
regressions). With few runs one set of weights serves all targets.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.base.progress import Progress, note
from tilth.laws.mixing.mixtures import Mixtures
from tilth.laws.mixing.models import Folds, Model, Predictor, model_named

Array = np.ndarray[Any, np.dtype[np.float64]]
OWN_WEIGHTS = 100
"""Runs from which each target has weights of its own."""


@dataclass(frozen=True)
class Ensemble:
    """A fitted ensemble: weights (members, T), and errors of each member and of the whole on runs they had not seen."""

    data: Mixtures
    members: tuple[str, ...]
    weights: Array
    predictors: tuple[Predictor, ...]
    member_errors: tuple[float, ...]
    error: float
    folds: int

    def predict(self, shares: Any, group: int | Folds = 0) -> Array:
        """Losses (n, T) of mixtures (n, M)."""
        x = np.atleast_2d(np.asarray(shares, dtype=float))
        x = x / x.sum(1, keepdims=True)
        groups = np.full(len(x), group) if np.isscalar(group) else np.asarray(group)
        return _mean(np.stack([predict(x, groups) for predict in self.predictors]), self.weights)

    def outside(self, shares: Any) -> tuple[str, ...]:
        """A sentence for every domain whose share lies outside the runs."""
        low, high = self.data.shares.min(0), self.data.shares.max(0)
        return tuple(
            f"{name} = {share:.4g} lies outside the runs ({a:.4g} to {b:.4g}): extrapolated"
            for name, share, a, b in zip(self.data.domains, np.ravel(shares), low, high, strict=True)
            if not a - 1e-9 <= share <= b + 1e-9
        )


def default_members(runs: int) -> tuple[str, ...]:
    """Law and process always; trees where there are enough runs for them to split on, and LightGBM is installed."""
    if runs < OWN_WEIGHTS:
        return ("shares", "process")
    if importlib.util.find_spec("lightgbm") is None:
        note(f"{runs} runs are enough for trees, too, but LightGBM is not installed: pip install 'tilth[mixture]'")
        return ("shares", "process")
    return ("shares", "process", "trees")


def fit_ensemble(data: Mixtures, members: Sequence[str] | None = None, *, folds: int = 5, seed: int = 0) -> Ensemble:
    """Fit every member on all runs, and choose the weights by how they predict folds that they have not seen.

    Runs of one mixture (at several sizes) stay in one fold.
    """
    names = tuple(members) if members else default_members(len(data))
    kinds = data.kinds
    count = int(kinds.max()) + 1
    if count < 3:
        raise UserError(f"{count} different mixtures; at least 3 are needed, better three for each domain")
    models: list[Model] = [model_named(name) for name in names]
    folds = min(folds, count)
    fold = (np.random.default_rng(seed).permutation(count) % folds)[kinds]
    crossed_by_model, predictors = [], []
    with Progress("mixing", total=2 * len(models), unit="fit") as bar:
        for model in models:
            crossed_by_model.append(model.cross(data, fold))
            bar.add(1, f"{model.name}, in folds")
            predictors.append(model.fit(data))
            bar.add(1, model.name)
    crossed = np.stack(crossed_by_model)
    weights = choose_weights(crossed, data.losses)
    return Ensemble(
        data,
        names,
        weights,
        tuple(predictors),
        tuple(float(np.abs(one - data.losses).mean()) for one in crossed),
        float(np.abs(_mean(crossed, weights) - data.losses).mean()),
        folds,
    )


def choose_weights(predicted: Array, losses: Array) -> Array:
    """Weights (members, T) with the least squared error of log loss: predictions (members, n, T), losses (n, T)."""
    off = np.log(np.maximum(predicted, 1e-6)) - np.log(losses)
    products = np.einsum("ant,bnt->tab", off, off)
    if losses.shape[0] < OWN_WEIGHTS:
        return np.repeat(_simplex(products.sum(0))[:, None], losses.shape[1], axis=1)
    return np.stack([_simplex(one) for one in products], axis=1)


def _simplex(products: Array) -> Array:
    """The w >= 0 with sum 1 that minimises w' P w: every set of members is tried, which is exact for a handful."""
    size = len(products)
    best, least = np.eye(size)[int(np.diag(products).argmin())], float(np.diag(products).min())
    for count in range(2, size + 1):
        for chosen in itertools.combinations(range(size), count):
            part = products[np.ix_(chosen, chosen)]
            part = part + 1e-10 * np.trace(part) * np.eye(count)
            solved = np.linalg.solve(part, np.ones(count))
            inside = solved / solved.sum()
            value = float(inside @ part @ inside)
            if (inside >= 0).all() and value < least:
                best, least = np.zeros(size), value
                best[list(chosen)] = inside
    return best


def _mean(predicted: Array, weights: Array) -> Array:
    return np.asarray(np.einsum("mnt,mt->nt", predicted, weights))


def leave_one_out(data: Mixtures, members: Sequence[str] | None = None, *, seed: int = 0) -> Array:
    """Predictions (n, T) of every mixture by an ensemble whose members, weights and settings saw all others only.

    A mixture is left out in every group at once. What is chosen is chosen anew in each fold.
    """
    predicted = np.empty_like(data.losses)
    kinds = data.kinds
    for kind in np.unique(kinds):
        out = kinds == kind
        model = fit_ensemble(data.rows(~out), members, seed=seed)
        predicted[out] = model.predict(data.shares[out], data.groups[out])
    return predicted
