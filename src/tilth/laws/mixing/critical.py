"""The critical mixture ratio of continual pre-training: how much of the old corpus keeps what was known.

L(r) = c + k exp(t r) over the share r of the old corpus (Ye et al. 2024, section 5; Gu et al. 2024, arXiv 2407.17467,
define the ratio), and the r at which the old corpus's loss is what it was before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.fitting.data import points
from tilth.laws.fitting.estimate import Settings, fit
from tilth.laws.fitting.law import Array, Columns, Law, grid, log_sum
from tilth.laws.fitting.result import INTERVAL, Fit, Prediction


class Exponential(Law):
    """L(r) = c + k exp(t r), c and k above 0, t of either sign."""

    name = "exponential in a share"
    formula = "L = c + k exp(t r)"
    source = "Ye et al. 2024, equation 1"
    columns = ("r",)
    names = ("c", "k", "t")
    inner_names = ("log c", "log k", "t")

    def check_column(self, name: str, values: Array) -> None:
        """Shares are between 0 and 1."""
        self.check_share(name, values)

    def log_loss(self, theta: Array, columns: Columns) -> tuple[Array, Array]:
        """log of the sum of both terms."""
        r = columns["r"]
        value, share = log_sum(np.stack([theta[:, :1] + 0 * r, theta[:, 1:2] + theta[:, 2:] * r]))
        return value, np.stack([share[0], share[1], share[1] * r], -1)

    def starts(self, columns: Columns, loss: Array) -> Array:
        """c below the lowest loss, k what is left, falling or rising at several paces."""
        every = grid([0.3, 0.6, 0.9, 0.97, 0.99], [-20, -10, -5, -2, -1, -0.3, 0.3, 1, 2, 5])
        floor = every[:, 0] * loss.min()
        k = np.log(loss.mean() - floor) - every[:, 1] * columns["r"].mean()
        return np.stack([np.log(floor), k, every[:, 1]], -1)

    def bounds(self, columns: Columns, loss: Array) -> tuple[Array, Array]:
        """c between next to nothing and the highest loss."""
        return np.array([-7.0, -30.0, -100.0]), np.array([np.log(loss.max()), 30.0, 100.0])

    def outer(self, theta: Array) -> Array:
        """c, k, t."""
        return np.stack([np.exp(theta[:, 0]), np.exp(theta[:, 1]), theta[:, 2]], -1)

    def inner(self, parameters: Mapping[str, float]) -> Array:
        """theta of c, k, t."""
        return np.array([np.log(parameters["c"]), np.log(parameters["k"]), parameters["t"]])


@dataclass(frozen=True)
class Critical:
    """The fit, the loss to be kept, and the share of the old corpus that keeps it."""

    fit: Fit
    base: float
    ratio: Prediction


def critical_ratio(shares: Array, losses: Array, base: float, settings: Settings | None = None) -> Critical:
    """The share r* of the old corpus with L(r*) = `base`; `shares`, `losses` (n,) of at least three runs."""
    law = Exponential()
    law.check({"r": shares})
    different = len(np.unique(shares))
    if different < 3:
        raise UserError(f"{different} different shares; at least 3 are needed", hint="continue at another share, too")
    if np.ptp(losses) == 0:
        raise UserError("all runs have the same loss: no share changes it", hint="look at the loss on the old corpus")
    found = fit(law, points({"r": shares}, losses), settings or Settings(folds=0))
    ratio = float(_crossing(found.theta[None], base)[0])
    if not np.isfinite(ratio):
        c = found.parameters["c"]
        raise UserError(f"no share gives a loss of {base:g}: the curve only comes near {c:.4g}")
    ends, said = _interval(found.resamples, base)
    low, high = float(np.min(shares)), float(np.max(shares))
    rising = found.parameters["t"] > 0
    if rising:
        said.append("the loss rises with r: r is to be the share of the corpus whose loss it is, the old one")
    if not 0 <= ratio <= 1:
        kept = (ratio < 0) != rising
        said.append(f"{ratio:.3g} is no share: every mixture of the runs {'keeps' if kept else 'loses'} it")
    elif not low <= ratio <= high:
        said.append(f"r* = {ratio:.4g} lies outside the shares measured ({low:g} to {high:g}): extrapolated")
    return Critical(found, base, Prediction(ratio, *ends, tuple(said)))


def _interval(resamples: Array | None, base: float) -> tuple[tuple[float | None, float | None], list[str]]:
    """95 % interval over the resamples that cross `base`, and a sentence where some never do."""
    if resamples is None or not len(resamples):
        return (None, None), []
    crossings = _crossing(resamples, base)
    finite = crossings[np.isfinite(crossings)]
    never = len(crossings) - len(finite)
    said = (
        [f"{never} of {len(crossings)} resamples never reach the loss: the interval is of the others"] if never else []
    )
    if not len(finite):
        return (None, None), said
    low, high = np.percentile(finite, INTERVAL)
    return (float(low), float(high)), said


def _crossing(theta: Array, base: float) -> Array:
    """(log(base - c) - log k) / t."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.log(base - np.exp(theta[:, 0])) - theta[:, 1]) / theta[:, 2]
