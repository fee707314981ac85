"""The best size for a budget read off measured runs: Chinchilla's approaches 1 and 2 (Hoffmann et al. 2022, section 3).

`envelope` takes training curves and, for many budgets, the run that is lowest there. `isoflop` takes runs at equal
compute and finds the lowest point of each profile, by Akima interpolation in log N with a bootstrap over the noise of a
loss (Porian et al. 2024, arXiv 2406.19146, section 3). A budget whose lowest point is at the edge of what was measured
has no minimum, only a bound: it is left out, and that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.allocation import Allocation, outside_compute
from tilth.laws.choices import Method
from tilth.laws.counting import Counting, same_counting
from tilth.laws.fitting.data import repeats
from tilth.laws.fitting.result import Prediction
from tilth.laws.flops import training_flops

Array = np.ndarray[Any, np.dtype[np.float64]]
PROFILES, CURVES = ("C", "N"), ("N", "D")
"""Columns, beside the loss, that `isoflop` and `envelope` read."""
FINE = 801
"""Places at which a profile is looked at."""
NOISE = 0.002
"""Relative noise of a loss: seeds differ by 0.1 to 0.3 % at these scales."""
SAME_BUDGET = 0.01
"""In log C: tokens rounded to whole ones or steps spread a budget by less, and the next one is farther."""


@dataclass(frozen=True)
class Profile:
    """One budget: its FLOP, the best size (None where it lies at the edge), the loss there, and runs measured."""

    flops: float
    size: float | None
    loss: float
    runs: int
    reason: str = ""


@dataclass(frozen=True)
class Frontier:
    """N*(C) = coefficient C^exponent with 95 % intervals, and the budgets that it was read from."""

    how: str
    exponent: float
    exponent_interval: tuple[float, float] | None
    log_coefficient: float
    budgets: tuple[Profile, ...]
    r_squared: float
    counting: Counting
    warnings: tuple[str, ...] = ()
    resamples: Array | None = field(default=None, repr=False)
    """(B, 2): log coefficient and exponent of each resample."""

    def allocation(self, flops: float, counting: Counting | None = None) -> Allocation:
        """N* and D* = C / (6 N*)."""
        same_counting(self.counting, counting, "the prediction and the frontier cannot be compared")
        size = float(np.exp(self.log_coefficient + self.exponent * np.log(flops)))
        return Allocation.of(flops, size, self.counting)

    def size_interval(self, flops: float) -> tuple[float, float] | None:
        """95 % interval of N*(C)."""
        if self.resamples is None:
            return None
        sizes = np.exp(self.resamples[:, 0] + self.resamples[:, 1] * np.log(flops))
        low, high = np.percentile(sizes, [2.5, 97.5])
        return float(low), float(high)

    def optimum(self, flops: float) -> dict[str, Prediction]:
        """N*, D* and tokens a parameter for C, with their intervals."""
        used = [one.flops for one in self.budgets if one.size is not None]
        said = outside_compute(flops, min(used), max(used), "budgets")
        best, ends = self.allocation(flops), self.size_interval(flops)
        found = {}
        for name in ("parameters", "tokens", "tokens_per_parameter"):
            sides = sorted(getattr(Allocation.of(flops, size, self.counting), name) for size in ends or ())
            low, high = sides or (None, None)
            found[name] = Prediction(getattr(best, name), low, high, said)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "law": self.how,
            "formula": "N* = coefficient C^exponent",
            "source": "Hoffmann et al. 2022, section 3",
            "parameters": {"exponent": self.exponent, "coefficient": float(np.exp(self.log_coefficient))},
            "intervals": {"exponent": list(self.exponent_interval)} if self.exponent_interval else None,
            "r_squared": self.r_squared,
            "counting": self.counting.value,
            "budgets": [vars(one) for one in self.budgets],
            "warnings": list(self.warnings),
        }


def isoflop(
    flops: Array,
    sizes: Array,
    losses: Array,
    *,
    counting: Counting,
    method: Method = "akima",
    noise: float = NOISE,
    bootstrap: int = 200,
    seed: int = 0,
) -> Frontier:
    """Approach 2: runs (n,) grouped by equal `flops` (`by_budget`); `method` akima or parabola (near the lowest)."""
    random = np.random.default_rng(seed)
    profiles, clouds = [], []
    for budget, here in by_budget(flops):
        log_n, loss = _merged(np.log(sizes[here]), losses[here])
        profile = _lowest(budget, log_n, loss, method)
        profiles.append(profile)
        if profile.size is not None and bootstrap:
            noisy = loss[:, None] * np.exp(noise * random.standard_normal((len(loss), bootstrap)))
            clouds.append(_minima(log_n, noisy, method)[0])
    resamples = _resampled(_with_minimum(profiles), clouds, random) if clouds else None
    left_out = (f"{one.flops:.3g} FLOP left out: {one.reason}" for one in profiles if one.size is None)
    said = (*repeats(flops, sizes, losses), *left_out)
    return _frontier(f"isoflop ({method})", profiles, counting, said, resamples)


def by_budget(flops: Array) -> list[tuple[float, np.ndarray[Any, Any]]]:
    """Runs of one budget, lowest first: its mean C (geometric), and which of `flops` (n,) they are, in their order.

    A budget goes on for as long as the next C is less than 1 % higher.
    """
    order = np.argsort(flops, kind="stable")
    ends = np.flatnonzero(np.diff(np.log(flops[order])) >= SAME_BUDGET) + 1
    groups = [np.sort(here) for here in np.split(order, ends) if len(here)]
    return [(float(np.exp(np.log(flops[here] / flops[here[0]]).mean()) * flops[here[0]]), here) for here in groups]


def envelope(sizes: Array, tokens: Array, losses: Array, *, counting: Counting, budgets: int = 200) -> Frontier:
    """Approach 1: points (n,) of training curves, one curve a size; `budgets` equally spaced in log C = log 6 N D."""
    curves = {}
    for size in np.unique(sizes):
        here = sizes == size
        log_c = np.log(training_flops(float(size), tokens[here]))
        order = np.argsort(log_c)
        curves[float(size)] = (log_c[order], np.log(losses[here][order]))
    if len(curves) < 3:
        raise UserError(f"training curves of {len(curves)} sizes; at least 3 are needed for one to lie between others")
    low, high = min(c[0][0] for c in curves.values()), max(c[0][-1] for c in curves.values())
    profiles = []
    for log_c in np.linspace(low, high, budgets):
        reached = [(float(np.interp(log_c, *c)), n) for n, c in curves.items() if c[0][0] <= log_c <= c[0][-1]]
        if len(reached) < 3:
            continue
        loss, size = min(reached)
        names = sorted(n for _, n in reached)
        edge = size in (names[0], names[-1])
        flops = float(np.exp(log_c))
        reason = "the lowest run is the smallest or largest at this budget" if edge else ""
        profiles.append(Profile(flops, None if edge else size, float(np.exp(loss)), len(reached), reason))
    if not profiles:
        raise UserError("no compute budget is reached by three training curves", hint="train the small models longer")
    said = repeats(sizes, tokens, losses)
    lost = sum(one.size is None for one in profiles)
    if lost:
        why = "their lowest run is the smallest or largest there"
        said = (*said, f"{lost} of {len(profiles)} budgets left out: {why}")
    return _frontier("envelope", profiles, counting, said)


def _merged(log_n: Array, loss: Array) -> tuple[Array, Array]:
    """Runs of the same size in one, with their mean loss."""
    unique, place = np.unique(log_n, return_inverse=True)
    return unique, np.bincount(place, loss) / np.bincount(place)


def _lowest(flops: float, log_n: Array, loss: Array, method: Method) -> Profile:
    at = int(loss.argmin())
    if len(log_n) < 4:
        return Profile(flops, None, float(loss[at]), len(log_n), "fewer than four sizes")
    where, lowest = _minima(log_n, loss[:, None], method)
    if not log_n[0] < where[0] < log_n[-1]:
        return Profile(flops, None, float(loss[at]), len(log_n), "the lowest loss is at the edge of the sizes measured")
    return Profile(flops, float(np.exp(where[0])), float(lowest[0]), len(log_n))


def _minima(log_n: Array, loss: Array, method: Method) -> tuple[Array, Array]:
    """Place and height of the minimum of each column of `loss` (n, B)."""
    if method == "parabola":
        return _parabolas(log_n, loss)
    from scipy.interpolate import Akima1DInterpolator

    fine = np.linspace(log_n[0], log_n[-1], FINE)
    values = Akima1DInterpolator(log_n, loss, method="akima")(fine)
    at = values.argmin(0)
    return fine[at], values[at, np.arange(loss.shape[1])]


def _parabolas(log_n: Array, loss: Array) -> tuple[Array, Array]:
    """Least-squares parabola through the lowest run and two on either side; a valley turned over has no minimum."""
    where, height = np.empty(loss.shape[1]), np.empty(loss.shape[1])
    for column in range(loss.shape[1]):
        y = loss[:, column]
        at = int(y.argmin())
        near = slice(max(at - 2, 0), at + 3)
        a, b, c = np.polyfit(log_n[near], y[near], 2)
        inside = a > 0 and log_n[0] < -b / (2 * a) < log_n[-1]
        where[column] = -b / (2 * a) if inside else log_n[at]
        height[column] = c - b * b / (4 * a) if inside else y[at]
    return where, height


def _with_minimum(profiles: Sequence[Profile]) -> list[Profile]:
    """Budgets that have a best size; UserError where they are too few for a line."""
    used = [one for one in profiles if one.size is not None]
    if len(used) < 3:
        reasons = "; ".join(sorted({one.reason for one in profiles if one.reason}))
        found = f"{len(used)} of {len(profiles)} budgets have a minimum inside their sizes, 3 are needed"
        more = "smaller and larger models at each budget" if reasons else "runs at other budgets"
        raise UserError(f"{found}: {reasons}" if reasons else found, hint=f"add {more}")
    return used


def _frontier(
    how: str, profiles: Sequence[Profile], counting: Counting, said: tuple[str, ...], resamples: Array | None = None
) -> Frontier:
    """The line through the best sizes; of `resamples` (B, 2) of it the interval."""
    used = _with_minimum(profiles)
    log_c = np.log([one.flops for one in used])
    log_n = np.log([one.size for one in used if one.size is not None])
    slope, cut = np.polyfit(log_c, log_n, 1)
    left = log_n - (cut + slope * log_c)
    spread = ((log_n - log_n.mean()) ** 2).sum()
    interval = None
    if resamples is not None:
        low, high = np.percentile(resamples[:, 1], [2.5, 97.5])
        interval = (float(low), float(high))
    r_squared = 1.0 - float((left**2).sum() / spread) if spread > 0 else 0.0
    return Frontier(how, float(slope), interval, float(cut), tuple(profiles), r_squared, counting, said, resamples)


def _resampled(used: Sequence[Profile], clouds: Sequence[Array], random: np.random.Generator) -> Array:
    """Lines (B, 2) through noisy minima of budgets drawn with replacement (at least two different ones).

    `clouds` holds for each budget log N (B,) of its minima under noise.
    """
    log_c = np.log([one.flops for one in used])
    noisy = np.stack(clouds)
    lines = []
    for column in noisy.T:
        chosen = random.integers(0, len(log_c), len(log_c))
        if len(np.unique(chosen)) > 1:
            slope, cut = np.polyfit(log_c[chosen], column[chosen], 1)
            lines.append((cut, slope))
    return np.array(lines)
