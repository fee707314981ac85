"""Every law: gradient, planted parameters, no unit and no order of rows matters, failures are said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.base.errors import UserError
from tilth.laws import chinchilla, dcpt, isoflop, kaplan, repeated
from tilth.laws.counting import Counting, counting_named
from tilth.laws.fitting import Settings, fit
from tilth.laws.fitting.data import points
from tilth.laws.mixing.critical import Exponential

DCPT_TRUE = {
    "E": 1.4,
    "A": 300.0,
    "alpha": 0.33,
    "B": 500.0,
    "eta": 0.3,
    "beta": 0.3,
    "C": 0.25,
    "epsilon": 0.08,
    "gamma": 0.6,
}
LAWS = {
    "kaplan N": (kaplan.PowerLaw("N"), kaplan.PUBLISHED["N"]),
    "kaplan D": (kaplan.PowerLaw("D"), kaplan.PUBLISHED["D"]),
    "kaplan C": (kaplan.PowerLaw("C"), kaplan.PUBLISHED["C"]),
    "kaplan ND": (kaplan.SizeAndData(), kaplan.PUBLISHED["ND"]),
    "chinchilla": (chinchilla.Chinchilla(), chinchilla.BESIROGLU),
    "repeated": (repeated.Repeated(), repeated.MUENNIGHOFF),
    "dcpt": (dcpt.DCPT(), DCPT_TRUE),
    "dcpt cross": (dcpt.DCPT(cross_domain=True), DCPT_TRUE | {"F": 0.5, "mu": 0.4}),
    "critical": (Exponential(), {"c": 2.8, "k": 0.18, "t": -4.1}),
}


def columns(law, count=150, seed=0):
    random = np.random.default_rng(seed)
    n, d = np.exp(random.uniform(16, 24, count)), np.exp(random.uniform(19, 26, count))
    table = {"N": n, "D": d, "C": 6 * n * d / 8.64e19, "r": random.uniform(0, 1, count)}
    table |= {"K": np.exp(random.uniform(-1, 2, count)), "U": d / np.exp(random.uniform(0, 4, count))}
    return {name: table[name] for name in law.columns}


def planted(name, noise=0.0, count=150, seed=0):
    law, true = LAWS[name]
    table = columns(law, count, seed)
    loss = law.predict(true, **table)
    loss = loss * np.exp(noise * np.random.default_rng(seed + 1).standard_normal(count))
    return law, true, points(table, loss, Counting.ALL if law.counts_parameters else None)


@pytest.mark.parametrize("name", LAWS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_gradient_is_the_finite_difference(name, seed):
    law, true = LAWS[name]
    table = columns(law, 12, seed)
    random = np.random.default_rng(seed)
    theta = law.inner(true) * (1 + 0.05 * random.standard_normal(len(law.inner(true))))
    _, jacobian = law.log_loss(theta[None], table)
    for at in range(len(theta)):
        step = 1e-5 * max(1.0, abs(theta[at]))
        up, down = theta.copy(), theta.copy()
        up[at] += step
        down[at] -= step
        difference = (law.log_loss(up[None], table)[0] - law.log_loss(down[None], table)[0])[0] / (2 * step)
        # where N crosses the size that U tokens call for the second derivative jumps; the first does not
        np.testing.assert_allclose(jacobian[0, :, at], difference, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("name", LAWS)
def test_planted_parameters_are_found_exactly(name):
    law, true, data = planted(name)
    found = fit(law, data, Settings(folds=0, delta=np.inf))
    assert found.objective < 1e-9, found.warnings
    predicted = np.exp(law.log_loss(found.theta[None], data.columns)[0][0])
    np.testing.assert_allclose(predicted, data.loss, rtol=1e-4)
    if "dcpt" in name or name == "repeated":
        return  # nearly flat directions: the curve is recovered, single constants only to what the points say
    for key, value in true.items():
        assert found.parameters[key] == pytest.approx(value, rel=0.02), key


@pytest.mark.parametrize("name", ["kaplan N", "kaplan ND", "chinchilla", "critical"])
def test_planted_parameters_are_found_through_noise(name):
    law, true, data = planted(name, noise=0.002)
    found = fit(law, data, Settings(bootstrap=100))
    inside = [low <= true[key] <= high for key, (low, high) in found.intervals.items()]
    assert sum(inside) >= len(inside) - 1
    assert found.held_out is not None
    assert found.held_out.per_cent < 0.4


def test_dcpt_through_noise_predicts_unseen_runs():
    law, true, data = planted("dcpt", noise=0.002, count=300)
    found = fit(law, data, Settings(delta=np.inf))
    unseen = columns(law, 200, seed=77)
    error = np.exp(law.log_loss(found.theta[None], unseen)[0][0]) / law.predict(true, **unseen) - 1
    assert np.abs(error).mean() < 0.002
    assert found.parameters["gamma"] == pytest.approx(true["gamma"], rel=0.5)


def test_neither_order_nor_unit_matters():
    law, _, data = planted("chinchilla", noise=0.003)
    one = fit(law, data, Settings(bootstrap=20))
    shuffled = data.rows(np.random.default_rng(5).permutation(len(data)))
    other = fit(law, shuffled, Settings(bootstrap=20))
    assert one.parameters == other.parameters
    assert one.intervals == other.intervals
    assert one.points.fingerprint() == other.points.fingerprint()
    millions = points({"N": data.columns["N"] / 1e6, "D": data.columns["D"] / 1e9}, data.loss, data.counting)
    scaled = fit(law, millions, Settings(folds=0))
    assert scaled.objective == pytest.approx(one.objective, rel=1e-6)
    assert scaled.parameters["alpha"] == pytest.approx(one.parameters["alpha"], rel=1e-4)
    assert scaled.parameters["A"] * 1e6 ** one.parameters["alpha"] == pytest.approx(one.parameters["A"], rel=1e-3)


def test_countings_are_never_mixed():
    law, true, data = planted("chinchilla")
    other = points(dict(data.columns), data.loss, Counting.WITHOUT_EMBEDDINGS)
    first, second = fit(law, data, Settings(folds=0)), fit(law, other, Settings(folds=0))
    with pytest.raises(UserError, match="counts parameters"):
        second.predict({"N": 1e9, "D": 2e10}, first.counting)
    with pytest.raises(UserError, match="counts parameters"):
        first.predict({"N": 1e9, "D": 2e10}, Counting.WITH_HEAD)
    with pytest.raises(UserError, match="how they are counted"):
        fit(law, points(dict(data.columns), data.loss))
    assert first.predict({"N": 1e9, "D": 2e10}, Counting.ALL).value == pytest.approx(
        law.predict(true, N=1e9, D=2e10)[0], rel=1e-3
    )
    with pytest.raises(UserError, match="did you mean 'without-embeddings'"):
        counting_named("without-embedding")


def test_failures_are_said():
    law, _, data = planted("chinchilla", noise=0.002)
    with pytest.raises(UserError, match="cannot determine the 5 parameters"):
        fit(law, data.rows(np.arange(4)))
    few = fit(law, data.rows(np.arange(7)), Settings(folds=0))
    assert any("7 points for 5 parameters" in one for one in few.warnings)
    found = fit(law, data, Settings(folds=0))
    assert any("beyond the points" in one for one in found.predict({"N": 1e15, "D": 1e10}, Counting.ALL).warnings)
    flat = points({"N": data.columns["N"], "D": np.full(len(data), 1e9)}, data.loss, Counting.ALL)
    with pytest.raises(UserError, match="have the same D"):
        fit(law, flat, Settings(folds=0))
    tied = points({"N": data.columns["N"], "D": 20 * data.columns["N"]}, data.loss, Counting.ALL)
    assert any("do not determine" in one or "bound" in one for one in fit(law, tied, Settings(folds=0)).warnings)
    with pytest.raises(UserError, match="row 1: 'N' is"):
        fit(law, points({"N": [-1.0] * 9, "D": [1.0] * 9}, [2.0] * 9, Counting.ALL))


def test_kaplan_allocates_as_published():
    one, ten = kaplan.published_allocation(1e21), kaplan.published_allocation(1e22)
    assert ten.parameters / one.parameters == pytest.approx(5.37, abs=0.01)
    assert ten.tokens / one.tokens == pytest.approx(1.86, abs=0.01)
    assert one.counting is Counting.WITHOUT_EMBEDDINGS


def test_optima_are_minima():
    flops = 5.76e23
    sizes = np.geomspace(1e8, 1e13, 200_001)
    for law, true, best in (
        (chinchilla.Chinchilla(), chinchilla.BESIROGLU, chinchilla.optimum(chinchilla.BESIROGLU, flops)),
        (kaplan.SizeAndData(), kaplan.PUBLISHED["ND"], kaplan.allocation(kaplan.PUBLISHED["ND"], flops)),
    ):
        loss = law.predict(true, N=sizes, D=flops / 6 / sizes)
        assert best.parameters == pytest.approx(sizes[loss.argmin()], rel=1e-4)
    hoffmann = chinchilla.optimum(chinchilla.HOFFMANN, flops)
    assert hoffmann.tokens_per_parameter == pytest.approx(92.7, abs=0.5)


def test_repeated_epochs_lose_their_value():
    assert repeated.effective_tokens(1e9, 0.5) == 5e8
    assert repeated.effective_tokens(1e9, 1) == 1e9
    assert repeated.effective_tokens(1e9, 4) == pytest.approx(3.73e9, rel=0.01)  # nearly as good as fresh data
    assert repeated.effective_tokens(1e9, 1e6) == pytest.approx(1e9 * 16.4)


def test_isoflop_and_envelope_find_a_planted_frontier():
    law, true = chinchilla.Chinchilla(), chinchilla.BESIROGLU
    budgets = np.geomspace(1e18, 1e21, 7)
    best = np.array([chinchilla.optimum(true, one).parameters for one in budgets])
    n = (best[:, None] * np.geomspace(0.1, 10, 13)).ravel()
    c = np.repeat(budgets, 13)
    loss = law.predict(true, N=n, D=c / 6 / n)
    exponent = true["beta"] / (true["alpha"] + true["beta"])
    for method in ("akima", "parabola"):
        found = isoflop.isoflop(c, n, loss, counting=Counting.ALL, method=method)
        assert found.exponent == pytest.approx(exponent, abs=0.005)
        low, high = found.exponent_interval
        assert low < exponent < high
        assert found.allocation(1e20).parameters == pytest.approx(chinchilla.optimum(true, 1e20).parameters, rel=0.06)
    assert found.optimum(1e25)["parameters"].warnings
    with pytest.raises(UserError, match="cannot be compared"):
        found.allocation(1e20, Counting.WITH_HEAD)
    edge = np.concatenate([n, np.geomspace(1e7, 1e8, 6)])
    falling = isoflop.isoflop(
        np.concatenate([c, np.full(6, 1e22)]), edge, np.concatenate([loss, np.linspace(4, 3, 6)]), counting=Counting.ALL
    )
    assert any("at the edge" in one for one in falling.warnings)
    sizes = np.repeat(np.geomspace(1e7, 1e10, 40), 60)
    tokens = np.tile(np.geomspace(1e8, 1e12, 60), 40)
    curve = isoflop.envelope(sizes, tokens, law.predict(true, N=sizes, D=tokens), counting=Counting.ALL)
    assert curve.exponent == pytest.approx(exponent, abs=0.03)


@pytest.mark.parametrize("whole", [1, 4096 * 256])
def test_budgets_whose_tokens_were_rounded_are_the_same_budgets(whole):
    """C = 6 N D of whole tokens, or of whole steps, is a little off for each size."""
    law, true = chinchilla.Chinchilla(), chinchilla.BESIROGLU
    budgets = np.repeat(np.geomspace(1e18, 1e21, 4), 9)
    best = np.array([chinchilla.optimum(true, one).parameters for one in budgets])
    n = np.round(best * np.tile(np.geomspace(0.2, 5, 9), 4))
    exact = isoflop.isoflop(budgets, n, law.predict(true, N=n, D=budgets / 6 / n), counting=Counting.ALL)
    d = np.round(budgets / 6 / n / whole) * whole
    mixed = np.random.default_rng(0).permutation(36)
    c = (6 * n * d)[mixed]
    assert len(np.unique(c)) > 20
    found = isoflop.isoflop(c, n[mixed], law.predict(true, N=n, D=d)[mixed], counting=Counting.ALL)
    assert [one.runs for one in found.budgets] == [9] * 4
    assert [one.flops for one in found.budgets] == pytest.approx(np.unique(budgets), rel=2e-3)
    assert found.exponent == pytest.approx(exact.exponent, abs=0.005)
    assert [one.flops for one in exact.budgets] == np.unique(budgets).tolist()
    assert isoflop.by_budget(np.array([1e18, 1.02e18]))[1][0] == 1.02e18


def test_dcpt_falls_with_size_tokens_and_has_its_limits():
    law = dcpt.DCPT()
    r = np.linspace(0, 1, 50)
    for column, values in (("N", np.geomspace(1e8, 1e11, 50)), ("D", np.geomspace(1e9, 1e12, 50))):
        table = {"N": np.full(50, 1e9), "D": np.full(50, 1e10), "r": np.full(50, 0.3)} | {column: values}
        assert (np.diff(law.predict(DCPT_TRUE, **table)) < 0).all()
    huge = law.predict(DCPT_TRUE, N=1e60, D=1e60, r=1.0)[0]
    assert huge == pytest.approx(DCPT_TRUE["E"] + DCPT_TRUE["C"] / 1.08 ** DCPT_TRUE["gamma"], rel=1e-9)
    assert np.isfinite(law.predict(DCPT_TRUE, N=np.full(50, 1e9), D=np.full(50, 1e10), r=r)).all()
    with pytest.raises(UserError, match="between 0 and 1"):
        law.predict(DCPT_TRUE, N=1e9, D=1e10, r=1.2)


def test_dcpt_questions_against_brute_force():
    general = DCPT_TRUE | {"E": 1.7, "C": 0.15}
    on_domain, on_general = dcpt.curves(DCPT_TRUE, general, 1e9, 2e10)
    shares = np.linspace(0, 1, 1_000_001)
    d, g = on_domain(shares), on_general(shares)
    most = float(np.quantile(g, 0.4))
    answer = dcpt.share_for_general(on_domain, on_general, most)
    assert answer.share == pytest.approx(shares[g <= most][d[g <= most].argmin()], abs=2e-6)
    assert answer.general_loss <= most + 1e-9
    most = float(np.quantile(d, 0.4))
    answer = dcpt.share_for_domain(on_domain, on_general, most)
    assert answer.share == pytest.approx(shares[d <= most][g[d <= most].argmin()], abs=2e-6)
    share, tokens, loss = dcpt.share_for_limited_tokens(DCPT_TRUE, 1e9, 1e9)
    some = np.linspace(0.01, 1, 1_000_001)
    every = dcpt.DCPT().predict(DCPT_TRUE, N=np.full_like(some, 1e9), D=1e9 / some, r=some)
    assert share == pytest.approx(some[every.argmin()], abs=2e-6)
    assert loss <= every.min() + 1e-12
    assert tokens == pytest.approx(1e9 / share)
    with pytest.raises(UserError, match="no share gives"):
        dcpt.share_for_general(on_domain, on_general, 0.5)
