"""What others measured, found again from their points. Skips where the tables are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tilth.laws.chinchilla import BESIROGLU, HOFFMANN, Chinchilla, fitted_optimum
from tilth.laws.fitting import Settings, fit
from tilth.laws.fitting.solver import huber
from tilth.laws.mixing import fit_ensemble, leave_one_out
from tilth.laws.mixing.forms import form_named
from tilth.laws.mixing.models import LawModel

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import laws as published


@pytest.fixture(scope="module")
def evidence(real_data):
    folder = real_data.parent / "evidence"
    if not (folder / "chinchilla_fig4_points.csv").exists():
        pytest.skip(f"no published measurements at {folder}")
    return folder


def test_chinchilla(evidence):
    data = published.chinchilla_points(evidence)
    found = fit(Chinchilla(), data, Settings(bootstrap=1000))
    assert len(data) == 240
    assert found.objective <= 0.00101828
    for name, (value, tolerance) in {
        "E": (1.8172, 0.003),
        "A": (478, 15),
        "B": (2143, 120),
        "alpha": (0.3473, 0.004),
        "beta": (0.3672, 0.005),
    }.items():
        assert found.parameters[name] == pytest.approx(value, abs=tolerance), name
    best = fitted_optimum(found, 5.76e23)["tokens_per_parameter"]
    assert best.value == pytest.approx(17.9, abs=0.1)
    assert best.low < 18 < best.high
    assert best.warnings
    assert len(found.resamples) == 1000
    for constants, objective in ((BESIROGLU, 0.001023), (HOFFMANN, 0.00412)):
        off = np.log(Chinchilla().predict(constants, **data.columns)) - np.log(data.loss)
        assert huber(off, 1e-3).sum() == pytest.approx(objective, rel=0.01)


def test_chinchilla_from_a_hundred_random_starts(evidence):
    assert published.random_start_failures(published.chinchilla_points(evidence)) == 0


def test_porian(evidence):
    found = published.porian(evidence)
    assert len(found) >= 6
    for row in found:
        assert row["exponent"] == pytest.approx(row["published"], abs=0.01), row["setting"]


def test_the_critical_ratio(evidence):
    found = published.continual(evidence)
    assert found["critical_ratio"] == pytest.approx(0.283, abs=0.005)
    assert found["base"] == pytest.approx(2.87337, abs=1e-5)


@pytest.mark.parametrize("size", published.SIZES)
def test_the_law_of_effective_shares_beats_plain_fits_of_the_same_runs(evidence, size):
    """Five domains, each mixture left out, no choice to be made: the form alone."""
    data, weights = published.mixing_data(evidence, "5Mix", (size,))
    predicted = LawModel(form_named("shares")).cross(data, np.arange(len(data)))
    error = np.abs((predicted - data.losses) @ weights).mean()
    assert error <= published.PLAIN["5Mix"][published.SIZES.index(size)] * 2 / 3


@pytest.mark.slow
@pytest.mark.parametrize("experiment", published.PLAIN)
def test_mixing_laws_a_third_below_plain_fits(evidence, experiment):
    """Nested: the weights, the floor and the lengths are chosen without the mixture that is predicted, at any size."""
    data, weights = published.mixing_data(evidence, experiment)
    error = np.abs((leave_one_out(data) - data.losses) @ weights)
    for at, plain in enumerate(published.PLAIN[experiment]):
        assert error[data.groups == data.group_names.index(published.SIZES[at])].mean() <= plain * 2 / 3


@pytest.mark.slow
def test_regmix(evidence):
    pytest.importorskip("lightgbm")
    train, test = published.regmix_data(evidence, "train"), published.regmix_data(evidence, "test")
    model = fit_ensemble(train)
    found = published.ranks(model.predict(test.shares), test.losses)
    assert found["mean"] > 98.96
    assert found["worst"] > 96.88
