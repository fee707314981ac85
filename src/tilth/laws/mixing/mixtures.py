"""Runs of one model on different mixtures: domain shares in, losses of several targets out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilth.base.errors import UserError
from tilth.laws.fitting.data import RowError, first_row, repeats

Array = np.ndarray[Any, np.dtype[np.float64]]
SUM_TOLERANCE = 0.03
"""Published shares are rounded: rows that sum to 1 within this are brought to 1, others are refused."""


@dataclass(frozen=True)
class Mixtures:
    """shares (n, M) that sum to 1, losses (n, T), and the group of each run (n,), a model size or step, from 0."""

    domains: tuple[str, ...]
    shares: Array
    targets: tuple[str, ...]
    losses: Array
    groups: np.ndarray[Any, np.dtype[np.int64]]
    group_names: tuple[str, ...] = ("",)

    def __len__(self) -> int:
        return len(self.shares)

    def rows(self, chosen: np.ndarray[Any, Any]) -> Mixtures:
        """These runs; the groups keep their numbers."""
        return Mixtures(
            self.domains,
            self.shares[chosen],
            self.targets,
            self.losses[chosen],
            self.groups[chosen],
            self.group_names,
        )

    @property
    def kinds(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """A number for each run that is the same for runs of the same mixture: what a fold must not tear apart."""
        return np.unique(np.round(self.shares, 6), axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of any fit of these runs must know."""
        alone = int((np.bincount(self.groups, minlength=len(self.group_names)) == 1).sum())
        said = f"{alone} of {len(self.group_names)} groups are one run each, which says its group's level and no more"
        single = (said,) if alone and len(self.group_names) > 1 else ()
        return (*repeats(*self.shares.T, *self.losses.T, self.groups.astype(float)), *single)

    def member(self) -> Array:
        """Which group a run belongs to, as ones and zeros (n, G)."""
        return np.eye(len(self.group_names))[self.groups]


def mixtures(
    domains: Sequence[str],
    shares: Any,
    targets: Sequence[str],
    losses: Any,
    groups: Sequence[str] | None = None,
) -> Mixtures:
    """Checked runs: shares at least 0 and summing to 1 (brought there when rounded), losses finite and above 0."""
    both = sorted(set(domains) & set(targets))
    if both:
        raise UserError(f"{both[0]!r} is both a domain and a target: a share is no loss")
    x, y = np.asarray(shares, dtype=float), np.asarray(losses, dtype=float)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or x.shape[1] != len(domains) or y.shape[1] != len(targets):
        raise UserError(
            f"shares {x.shape} and losses {y.shape} do not belong to {len(domains)} domains and {len(targets)} targets"
        )
    for name, bad in (
        ("a share is below 0 or not a number", ~(x >= 0).all(axis=1)),
        ("a loss is not above 0 or not a number", ~((y > 0) & np.isfinite(y)).all(axis=1)),
    ):
        if (at := first_row(bad)) is not None:
            raise RowError(at, name)
    total = x.sum(1)
    if (at := first_row(np.abs(total - 1) > SUM_TOLERANCE)) is not None:
        raise RowError(at, f"the shares sum to {total[at]:.4g}, they must sum to 1")
    names = tuple(dict.fromkeys(groups)) if groups is not None else ("",)
    place = {name: at for at, name in enumerate(names)}
    numbers = np.array([place[name] for name in groups]) if groups is not None else np.zeros(len(x), int)
    return Mixtures(tuple(domains), x / total[:, None], tuple(targets), y, numbers, names)
