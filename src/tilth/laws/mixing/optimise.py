"""The mixture with the lowest predicted loss, looked for as RegMix does: many draws, the mean of the best.

Draws come from Dirichlet distributions around a prior in several strengths; no share exceeds its cap, such as a domain
that would have to be repeated too often. The mean of the best draws is steadier than the best one, which is
the luckiest error of the model (Liu et al. 2024, arXiv 2407.01492, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.base.progress import Progress
from tilth.laws.mixing.ensemble import Ensemble

Array = np.ndarray[Any, np.dtype[np.float64]]
NEARLY = 0.01
"""Nats by which the mean of the best draws may be above the best of them."""
STRENGTHS = (0.5, 1.0, 2.0, 5.0, 15.0)


@dataclass(frozen=True)
class Best:
    """Shares (M,), the weighted loss predicted there and for the prior, and what makes it a guess."""

    shares: Array
    loss: float
    prior_loss: float
    warnings: tuple[str, ...]


def best_mixture(
    model: Ensemble,
    *,
    weights: Array | None = None,
    prior: Array | None = None,
    caps: Array | None = None,
    group: int = 0,
    draws: int = 100_000,
    keep: int = 128,
    seed: int = 0,
) -> Best:
    """Minimise the mean of the targets' losses, weighted by `weights` (T,), over mixtures under `caps` (M,)."""
    size, targets = len(model.data.domains), len(model.data.targets)
    weights = np.full(targets, 1.0 / targets) if weights is None else np.asarray(weights) / np.sum(weights)
    prior = model.data.shares.mean(0) if prior is None else np.asarray(prior) / np.sum(prior)
    caps = np.ones(size) if caps is None else np.asarray(caps, dtype=float)
    if caps.sum() < 1:
        raise UserError(f"the caps sum to {caps.sum():.3g}: below 1 there is no mixture under them")
    random = np.random.default_rng(seed)
    each = -(-draws // len(STRENGTHS))
    drawn = np.concatenate([random.dirichlet(np.maximum(s * size * prior, 1e-3), each) for s in STRENGTHS])
    drawn = np.concatenate([drawn[(drawn <= caps + 1e-12).all(axis=1)], _under(prior, caps)[None]])
    parts = np.array_split(drawn, -(-len(drawn) // 4096))
    predicted = []
    with Progress("best mixture", total=len(drawn), unit="mixture") as bar:
        for part in parts:
            predicted.append(model.predict(part, group) @ weights)
            bar.add(len(part))
    losses = np.concatenate(predicted)
    chosen = drawn[np.argsort(losses, kind="stable")[: min(keep, max(len(drawn) // 50, 1))]].mean(0)
    best = drawn[int(losses.argmin())]
    at_mean, at_best = ((model.predict(x[None], group) @ weights)[0] for x in (chosen, best))
    shares, lowest = (chosen, at_mean) if at_mean <= at_best + NEARLY else (best, at_best)
    prior_loss = float((model.predict(prior[None], group) @ weights)[0])
    return Best(shares, float(lowest), prior_loss, model.outside(shares))


def _under(prior: Array, caps: Array) -> Array:
    """The prior with what is over a cap given to the others."""
    share = np.minimum(prior, caps)
    for _ in range(len(prior)):
        room = caps - share
        left = 1.0 - share.sum()
        if left <= 1e-12:
            break
        share = share + room * min(1.0, left / room.sum())
    return share
