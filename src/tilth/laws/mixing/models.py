"""Models of losses over mixtures with one face: fit on runs, predict unseen ones, predict each fold from the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilth.base.errors import UserError, nearest
from tilth.laws.mixing.forms import FORMS, Form, fit_form, form_named
from tilth.laws.mixing.gaussian import Process, fit_process
from tilth.laws.mixing.mixtures import Mixtures

Array = np.ndarray[Any, np.dtype[np.float64]]
Folds = np.ndarray[Any, np.dtype[np.int64]]
Predictor = Callable[[Array, Folds], Array]
"""(shares (n, M), groups (n,)) -> losses (n, T)."""
MANY = 10
"""Runs a domain from which the process learns a length for each domain and target, not one for all."""


class Model(ABC):
    """A family of predictors."""

    name: str

    @abstractmethod
    def fit(self, data: Mixtures) -> Predictor:
        """Learn from all runs."""

    def cross(self, data: Mixtures, folds: Folds) -> Array:
        """Predictions (n, T) of every run by a model that has seen only the other folds."""
        predicted = np.empty_like(data.losses)
        for fold in np.unique(folds):
            out = folds == fold
            predicted[out] = self.fit(data.rows(~out))(data.shares[out], data.groups[out])
        return predicted


@dataclass
class LawModel(Model):
    """A mixing law fitted to each target; all folds and targets are solved together."""

    form: Form = field(default_factory=Form)

    def __post_init__(self) -> None:
        self.name = self.form.name

    def fit(self, data: Mixtures) -> Predictor:
        """theta of each target."""
        theta, groups = fit_form(self.form, data)[0], len(data.group_names)

        def predict(shares: Array, group: Folds) -> Array:
            return self.form.losses(theta, shares, np.eye(groups)[group])[0].T

        return predict

    def cross(self, data: Mixtures, folds: Folds) -> Array:
        """As many problems at once as there are folds and targets."""
        names = np.unique(folds)
        theta = fit_form(self.form, data, (folds[None] != names[:, None]).astype(float))
        predicted = np.empty_like(data.losses)
        for at, fold in enumerate(names):
            out = folds == fold
            predicted[out] = self.form.losses(theta[at], data.shares[out], data.member()[out])[0].T
        return predicted


@dataclass
class ProcessModel(Model):
    """Gaussian processes of log loss; the floor of the shares is the most probable of a few."""

    floors: tuple[float, ...] = (0.002, 0.005, 0.01, 0.02, 0.05)
    name: str = "process"

    def fit(self, data: Mixtures) -> Predictor:
        """One process for all targets where runs are few, else one for each with a length for each domain."""
        x, y = self._inputs(data.shares, data.member()), np.log(data.losses)
        coarse = [fit_process(x, y, floor=floor, one_length=True) for floor in self.floors]
        found = min(coarse, key=lambda one: one.objective)
        if len(data) < MANY * len(data.domains):
            return self._predictor([found], len(data.group_names))
        each = [fit_process(x, y[:, [target]], floor=found.floor) for target in range(y.shape[1])]
        return self._predictor(each, len(data.group_names))

    def _inputs(self, shares: Array, member: Array) -> Array:
        return np.concatenate([shares, member], axis=1) if member.shape[1] > 1 else shares

    def _predictor(self, processes: list[Process], groups: int) -> Predictor:
        def predict(shares: Array, group: Folds) -> Array:
            x = self._inputs(shares, np.eye(groups)[group])
            return np.exp(np.concatenate([one.predict(x) for one in processes], axis=1))

        return predict


@dataclass
class TreesModel(Model):
    """Boosted trees, one ensemble a target, with RegMix's settings (Liu et al. 2024, arXiv 2407.01492)."""

    trees: int = 1000
    rate: float = 0.01
    seed: int = 42
    name: str = "trees"

    def fit(self, data: Mixtures) -> Predictor:
        """LightGBM on shares (and the group's number)."""
        try:
            import lightgbm
        except ImportError:
            raise UserError(
                "regression trees need LightGBM, which is not installed",
                hint="pip install 'tilth[mixture]', or leave 'trees' out of --members",
            ) from None
        settings = {
            "objective": "regression",
            "learning_rate": self.rate,
            "seed": self.seed,
            "num_threads": 1,
            "verbose": -1,
            "deterministic": True,
            "force_row_wise": True,
        }
        x = self._inputs(data.shares, data.groups, len(data.group_names))
        boosters = [
            lightgbm.train(settings, lightgbm.Dataset(x, losses), num_boost_round=self.trees)
            for losses in data.losses.T
        ]

        def predict(shares: Array, group: Folds) -> Array:
            inputs = self._inputs(shares, group, len(data.group_names))
            return np.stack([np.asarray(one.predict(inputs, num_threads=1)) for one in boosters], axis=1)

        return predict

    def _inputs(self, shares: Array, group: Folds, groups: int) -> Array:
        return np.column_stack([shares, group]) if groups > 1 else shares


MODELS = (*FORMS, "process", "trees")


def model_named(name: str) -> Model:
    """The model of that name."""
    if name in FORMS:
        return LawModel(form_named(name))
    if name == "process":
        return ProcessModel()
    if name == "trees":
        return TreesModel()
    raise UserError(f"{name!r} is no model of mixtures", hint=nearest(name, MODELS))
