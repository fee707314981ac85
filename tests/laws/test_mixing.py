"""Mixing laws, processes, ensembles, nested laws, the best mixture: against what was planted."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy.optimize import check_grad

from tilth.base.errors import UserError
from tilth.laws.fitting import Settings
from tilth.laws.mixing import best_mixture, critical_ratio, fit_ensemble, fit_form, fit_tied_power
from tilth.laws.mixing.ensemble import choose_weights, default_members
from tilth.laws.mixing.forms import FORMS, form_named
from tilth.laws.mixing.gaussian import _evidence
from tilth.laws.mixing.mixtures import mixtures
from tilth.laws.mixing.models import model_named
from tilth.laws.mixing.nested import nest

NAMES = ["web", "code", "books"]


def runs(count=40, seed=0, groups=1):
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.ones(3), count)
    worth = np.array([[1.0, 0.1, 0.3], [0.05, 1.0, 0.1]])
    group = np.arange(count) % groups
    losses = 2.0 - 0.2 * group[:, None] + 0.5 * (shares @ worth.T) ** -0.3
    return mixtures(NAMES, shares, ["on web", "on code"], losses, [f"g{g}" for g in group] if groups > 1 else None)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_of_forms(name):
    form, random = form_named(name), np.random.default_rng(0)
    shares, member = random.dirichlet(np.ones(3), 7), np.eye(2)[np.arange(7) % 2]
    theta = 0.3 * random.standard_normal((1, 4 + form.size(3)))
    _, jacobian = form.losses(theta, shares, member)
    for at in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, at] = 1e-6
        slope = (form.losses(theta + step, shares, member)[0] - form.losses(theta - step, shares, member)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[0, :, at], slope[0], rtol=1e-5, atol=1e-7)


def test_gradient_of_the_evidence():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 3)), random.normal(size=(12, 2))
    gaps = (x[:, None] - x[None]) ** 2
    at = np.array([0.1, 0.5, 0.9, 0.2, -0.3, -1.0])
    assert check_grad(lambda h: _evidence(h, x, y, gaps)[0], lambda h: _evidence(h, x, y, gaps)[1], at) < 1e-4


@pytest.mark.parametrize("groups", [1, 2])
def test_the_law_of_shares_finds_what_was_planted(groups):
    data = runs(groups=groups)
    theta = fit_form(form_named("shares"), data)[0]
    unseen = np.random.default_rng(9).dirichlet(np.ones(3), 30)
    worth = np.array([[1.0, 0.1, 0.3], [0.05, 1.0, 0.1]])
    predicted = form_named("shares").losses(theta, unseen, np.eye(groups)[np.zeros(30, int)])[0].T
    error = np.abs(predicted - (2.0 + 0.5 * (unseen @ worth.T) ** -0.3))
    assert error.mean() < 1e-3  # the ridge holds the worths a little: up to 0.3 % in a corner where no run was
    assert error.max() < 1e-2


@pytest.mark.parametrize("name", ["shares", "exponential", "implicit", "process"])
def test_crossed_predictions_have_not_seen_their_fold(name):
    data, folds = runs(24), np.arange(24) % 4
    first = model_named(name).cross(data, folds)
    changed = data.losses.copy()
    changed[folds == 2] += 1.0
    other = model_named(name).cross(mixtures(NAMES, data.shares, data.targets, changed), folds)
    np.testing.assert_allclose(first[folds == 2], other[folds == 2], rtol=1e-4)


def test_an_ensemble_predicts_and_says_when_it_guesses():
    data = runs(60)
    model = fit_ensemble(data)
    assert model.weights.sum(0) == pytest.approx(1)
    assert model.error < 0.02
    assert model.error <= min(model.member_errors) * 1.2
    assert any("code" in one for one in model.outside([0.0, 1.0, 0.0]))
    best = best_mixture(model, draws=4000)
    assert best.shares.sum() == pytest.approx(1)
    assert best.loss < best.prior_loss
    capped = best_mixture(model, draws=4000, caps=np.array([0.3, 0.5, 1.0]))
    assert (capped.shares <= np.array([0.3, 0.5, 1.0]) + 1e-9).all()
    with pytest.raises(UserError, match="caps sum"):
        best_mixture(model, caps=np.array([0.1, 0.1, 0.1]))


def test_weights_are_the_best_of_a_fine_grid():
    random = np.random.default_rng(3)
    losses = np.exp(random.normal(size=(50, 1)))
    predicted = losses * np.exp(random.normal(size=(3, 50, 1)) * np.array([0.1, 0.2, 0.3])[:, None, None])
    chosen = choose_weights(predicted, losses)[:, 0]
    off = (np.log(predicted) - np.log(losses))[..., 0]
    tried = random.dirichlet(np.ones(3), 50_000)
    assert ((chosen @ off) ** 2).sum() <= ((tried @ off) ** 2).sum(1).min() + 1e-6


def test_a_size_law_predicts_a_larger_model():
    sizes = np.array([7e7, 1.6e8, 3.05e8, 4.1e8])
    floor, scale = np.array([2.0, 2.2, 1.8]), np.array([400.0, 500.0, 300.0])
    losses = floor[:, None] + scale[:, None] * sizes**-0.35
    found = fit_tied_power(sizes, losses)
    assert found.exponent == pytest.approx(0.35, abs=0.02)
    np.testing.assert_allclose(found.at(1e9), floor + scale * 1e9**-0.35, atol=2e-3)
    losses[1, 2] = np.nan
    np.testing.assert_allclose(fit_tied_power(sizes, losses).at(1e9), floor + scale * 1e9**-0.35, atol=2e-3)
    with pytest.raises(UserError, match="anybody's guess"):
        fit_tied_power(sizes[:2], losses[:, :2])


def planted_runs(sizes=(1e7, 3e7, 1e8), steps=(2e3, 5e3, 1e4, 3e4)):
    shares = np.random.default_rng(4).dirichlet(np.ones(3), 20)
    rows = []
    for share in shares:
        for size in sizes:
            for step in steps:
                loss = _planted(share, step, size)
                rows.append(dict(zip(NAMES, share, strict=True)) | {"step": step, "size": size, "loss": loss})
    return rows


def _planted(share, step, size):
    return 1.5 + 0.4 * (share @ np.array([1.0, 0.1, 0.3])) ** -0.3 + 30 * step**-0.5 + 90 * size**-0.3


@pytest.mark.parametrize("along", [("step", "size"), ("step",), ("size",)])
def test_nested_laws_carry_every_mixture_to_the_large_run(along):
    rows = planted_runs(
        sizes=(1e7, 3e7, 1e8) if "size" in along else (1e8,), steps=(2e3, 5e3, 1e4, 3e4) if "step" in along else (3e4,)
    )
    to = {"step": ("step", 1e5), "size": ("size", 1e9)}
    found = nest(rows, NAMES, ["loss"], {name: to[name] for name in along})
    assert len(found.data) == 20
    step, size = (1e5 if "step" in along else 3e4), (1e9 if "size" in along else 1e8)
    for share, loss in zip(found.data.shares, found.data.losses[:, 0], strict=True):
        assert loss == pytest.approx(_planted(share, step, size), abs=2e-3)
    assert set(found.as_dict()) == set(along)


def test_nested_laws_refuse_what_they_cannot_tell_apart():
    with pytest.raises(UserError, match="two runs have the same shares"):
        nest(planted_runs(), NAMES, ["loss"], {"step": ("step", 1e5)})
    far = nest(planted_runs(), NAMES, ["loss"], {"step": ("step", 1e5), "size": ("size", 1e10)})
    assert any("times beyond the runs" in one for one in far.warnings)


def test_nested_laws_say_when_they_are_carried_below_the_runs():
    """Sizes 1e7 to 1e8 and steps from 2,000: a model of 5 M, a run of 1,000 steps."""
    small = nest(planted_runs(), NAMES, ["loss"], {"step": ("step", 1e4), "size": ("size", 5e6)})
    assert small.warnings == ("size 5e+06 lies below the runs (from 1e+07): extrapolated downwards",)
    short = nest(planted_runs(), NAMES, ["loss"], {"step": ("step", 1e3), "size": ("size", 3e7)})
    assert short.warnings == ("step 1000 lies below the runs (from 2000): extrapolated downwards",)
    inside = nest(planted_runs(), NAMES, ["loss"], {"step": ("step", 2e3), "size": ("size", 1e8)})
    assert inside.warnings == ()


def test_a_share_is_no_loss():
    with pytest.raises(UserError, match="'web' is both a domain and a target"):
        mixtures(NAMES, [[0.2, 0.3, 0.5]], ["web"], [[0.2]])


@pytest.mark.parametrize(
    ("pace", "base", "said"),
    [
        (-4.0, 3.2, "every mixture of the runs keeps it"),  # above the curve at r = 0
        (-4.0, 2.801, "every mixture of the runs loses it"),
        (2.0, 2.9, "every mixture of the runs loses it"),  # a rising one is lowest at r = 0, with 3.0
        (2.0, 4.8, "every mixture of the runs keeps it"),
    ],
)
def test_outside_the_shares_the_curves_direction_says_who_keeps_the_loss(pace: float, base: float, said: str) -> None:
    shares = np.linspace(0.1, 0.9, 9)
    warnings = critical_ratio(shares, 2.8 + 0.2 * np.exp(pace * shares), base).ratio.warnings
    assert any(said in one for one in warnings)
    assert any("the loss rises with r" in one for one in warnings) == (pace > 0)


def test_the_critical_ratio_and_where_there_is_none():
    shares = np.array([0.1, 0.2, 0.35, 0.6])
    losses = 2.8 + 0.2 * np.exp(-4 * shares)
    found = critical_ratio(shares, losses, float(2.8 + 0.2 * np.exp(-4 * 0.3)))
    assert found.ratio.value == pytest.approx(0.3, abs=1e-4)
    with pytest.raises(UserError, match="no share gives"):
        critical_ratio(shares, losses, 2.5)


def test_resamples_that_never_reach_the_loss_are_counted():
    """The curve ends at 2.502, the loss to be kept is 2.505: some resamples end above it."""
    shares = np.repeat([0.1, 0.2, 0.3, 0.45, 0.6, 0.8], 2)
    noise = 0.004 * np.random.default_rng(1).standard_normal(12)
    losses = 2.502 + 0.3 * np.exp(-8 * shares) + noise
    found = critical_ratio(shares, losses, 2.505, Settings(folds=0, bootstrap=100))
    (said,) = [one for one in found.ratio.warnings if "never reach the loss" in one]
    never = (found.fit.law.outer(found.fit.resamples)[:, 0] >= 2.505).sum()
    assert 0 < never < 100
    assert said.startswith(f"{never} of 100 resamples")
    assert found.ratio.low < found.ratio.value < found.ratio.high
    sure = critical_ratio(shares, losses, 2.6, Settings(folds=0, bootstrap=100)).ratio
    assert sure.low < sure.value < sure.high
    assert sure.warnings == ()


def test_without_lightgbm_the_default_members_are_law_and_process(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "lightgbm" else find(name))
    assert default_members(100) == ("shares", "process", "trees")
    assert default_members(99) == ("shares", "process")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lightgbm" else find(name))
    assert fit_ensemble(runs(100), folds=2).members == ("shares", "process")
    assert "LightGBM is not installed" in capsys.readouterr().err


def test_bad_runs_are_named():
    with pytest.raises(UserError, match=r"row 2: the shares sum to 1\.5"):
        mixtures(NAMES, [[0.2, 0.3, 0.5], [0.5, 0.5, 0.5]], ["a"], [[2.0], [2.0]])
    with pytest.raises(UserError, match="row 1: a share is below 0"):
        mixtures(NAMES, [[-0.2, 0.7, 0.5]], ["a"], [[2.0]])
    with pytest.raises(UserError, match="is no model of mixtures"):
        fit_ensemble(runs(), ["forest"])
