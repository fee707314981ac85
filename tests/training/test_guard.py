"""What is out of the ordinary, and above all what is not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from tilth.training.guard import Guard
from tilth.training.settings import GuardSettings

Noise = Callable[[np.random.Generator, int], np.ndarray]


def correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    noise = rng.normal(size=n)
    for i in range(1, n):
        noise[i] = 0.8 * noise[i - 1] + 0.6 * noise[i]
    return noise


NOISES: dict[str, Noise] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "means of heavy tails": lambda rng, n: 2 * rng.laplace(size=(n, 8)).mean(1),
    "skewed": lambda rng, n: rng.gamma(4, 0.5, n) - 2,
    "two kinds of batches": lambda rng, n: np.where(rng.random(n) < 0.1, 3.0, 0.0) + 0.5 * rng.normal(size=n),
    "correlated": correlated,
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("scale", [0.002, 0.03, 0.15])
def test_no_false_alarm_in_5000_clean_steps(noise: str, scale: float) -> None:
    """A loss that falls as a power of the step, then over a linear decay; norms that are log-normal."""
    rng, steps = np.random.default_rng(5), 5000
    level = 2.5 + 6 * (1 + np.arange(steps)) ** -0.35
    losses = level + scale * NOISES[noise](rng, steps)
    norms = np.exp(0.25 * NOISES[noise](rng, steps) - 0.5)
    guard = Guard(GuardSettings())
    for loss, norm in zip(losses.tolist(), norms.tolist(), strict=True):
        assert guard.judge(loss, norm) is None
        guard.note(loss, norm, accepted=True)
        assert guard.sustained() is None


def calm(steps: int = 200, level: float = 3.0) -> Guard:
    guard, rng = Guard(GuardSettings()), np.random.default_rng(0)
    for _ in range(steps):
        guard.note(level + 0.05 * rng.normal(), float(np.exp(0.2 * rng.normal())), accepted=True)
    return guard


def test_what_stands_out_is_named() -> None:
    guard = calm()
    assert guard.judge(3.2, 1.5) is None
    assert "the loss 3.6 stands" in str(guard.judge(3.6, 1.0))
    assert "the gradient norm 40 stands" in str(guard.judge(3.0, 40.0))
    assert "not finite" in str(guard.judge(3.0, math.inf))
    assert guard.judge(1.0, 1e-3) is None, "a low loss is no spike"
    assert calm(40).judge(9.0, 1.0) is None, "a phase that has just begun knows nothing ordinary"
    assert Guard(GuardSettings(sigmas=None)).judge(9.0, 1.0) is None


def test_a_spike_that_stays_is_told_from_single_steps() -> None:
    guard = calm()
    for _ in range(8):
        guard.note(5.0, 1.0, accepted=False)
        assert guard.sustained() is None
    guard.note(5.0, 1.0, accepted=False)
    assert guard.sustained() == 9
    for _ in range(40):
        guard.note(3.0, 1.0, accepted=True)
    assert guard.sustained() is None


def test_a_slow_divergence_is_a_sustained_spike() -> None:
    """No step of it stands six sigma above the last ones."""
    guard, alarm = calm(), None
    for step in range(60):
        loss = 3.0 + 0.012 * step
        assert guard.judge(loss, 1.0) is None
        guard.note(loss, 1.0, accepted=True)
        alarm = alarm or guard.sustained()
    assert alarm


def test_a_moved_mixture_begins_anew_and_a_state_goes_on_exactly() -> None:
    guard = calm()
    guard.mixture([0.5, 0.5])
    guard.mixture([0.45, 0.55])
    assert len(guard.history) > 100
    again = Guard(GuardSettings())
    again.load_state_dict(json.loads(json.dumps(guard.state_dict())))
    assert again.history == guard.history
    again.mixture([0.9, 0.1])
    assert not again.history
