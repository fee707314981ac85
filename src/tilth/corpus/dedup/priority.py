"""Which of two duplicates stays: the hold-out's, else whom the recipe prefers, else the first in the sources."""

from __future__ import annotations

import numpy as np

from tilth.corpus.settings import SurvivorSettings
from tilth.corpus.steps import View


def priority(view: View, survivor: SurvivorSettings) -> np.ndarray:
    """Rows in the order in which they are looked at, int64 [N]; whoever comes first stays.

    The hold-out goes first, so that a near copy of an evaluation document is removed from training and not the
    other way round (Lee et al., 2021, arXiv:2107.06499, section 4).
    """
    if not survivor.column:
        return np.argsort(~view.holdout, kind="stable")
    return np.lexsort((_costs(view.column(survivor.column), bool(survivor.highest)), ~view.holdout))


def _costs(values: np.ndarray, highest: bool) -> np.ndarray:
    """float64 [N]: lower ones stay; infinite where there is no number, a null or an empty string."""
    if values.dtype == object:
        texts = np.array(["" if value is None else str(value) for value in values], object)
        known, ranks = np.unique(texts, return_inverse=True)
        missing = (known == "")[ranks]
    else:
        ranks, missing = values, np.isnan(values.astype(np.float64))
    costs = ranks.astype(np.float64) * (-1 if highest else 1)
    return np.where(missing, np.inf, costs)
