"""Which of two duplicates stays: the hold-out's, else the one that comes first in the sources."""

from __future__ import annotations

import numpy as np

from tilth.corpus.steps import View


def priority(view: View) -> np.ndarray:
    """Rows in the order in which they are looked at, int64 [N]; whoever comes first stays.

    The hold-out goes first, so that a near copy of an evaluation document is removed from training and not the
    other way round (Lee et al., 2021, arXiv:2107.06499, section 4).
    """
    return np.argsort(~view.holdout, kind="stable")
